--- The command's `trace`: what opening and closing a library does, and when.

local json = require "elf64load.json"
local show = require "elf64load.clishow"

local trace = {}

local STYLES <const> = {
   mapped = "cyan", bound = "cyan", started = "green", stopped = "yellow",
   unmapped = "yellow", failed = "red",
}

---@class elf64load.cli.step
---@field at number milliseconds since the first of it began
---@field event string
---@field took number milliseconds
---@field path string

---@field message? string of what failed
---@field kind? elf64load.kind

---@param event elf64load.event
---@param begin integer
---@return elf64load.cli.step
local function step (event, begin)
   return { at = (event.when - begin) / 1e6, event = event.name,
      took = event.took / 1e6, path = event.path, message = event.message,
      kind = event.kind }
end

local function show_steps (context, steps)
   local rows = { { "at ms", "event", "took ms", "file" } }
   for at, this in ipairs(steps) do
      rows[at + 1] = { ("%.3f"):format(this.at), this.event,
         ("%.3f"):format(this.took), this.path }
   end
   show.columns(rows, { true, false, true }, function (line, row)
      local this = steps[row - 1]
      if not this then return context.paint("bold", line) end
      local painted = context.paint(STYLES[this.event], this.event)
      return (line:gsub(this.event, painted, 1))
   end)
end

---@param context elf64load.cli.context
---@return integer status
function trace.run (context)
   local steps, begin = {}, nil
   local runtime, why, what, more = context:runtime(function (event)
      begin = begin or event.when - event.took
      steps[#steps + 1] = step(event, begin)
   end)
   if not runtime then return context:fail(why, what, more) end
   local plugin, message, kind, detail = runtime:open(context.words[1])
   if plugin then plugin:close() end
   runtime:close()
   if context.json then
      local made = { steps = #steps > 0 and steps or json.array }
      if not plugin then
         made.error = context:failure(message, kind, detail)
      end
      print(json.encode(made, true))
   else
      show_steps(context, steps)
   end
   if plugin then return 0 end
   return context.json and 1 or context:fail(message, kind, detail)
end

return trace
