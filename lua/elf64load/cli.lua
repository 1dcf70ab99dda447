--- What the command `elf64load` does with its arguments.

local cli = {}

local json = require "elf64load.json"
local manual = require "elf64load.manual"
local near = require "elf64load.near"
local show = require "elf64load.clishow"

local function complain (...)
   io.stderr:write("elf64load: ", ..., "\n")
end

---What a failed script leaves, with the way to it: as lua5.4 shows it.
---@param message any
---@return string
local function explain (message)
   if type(message) == "number" then
      message = tostring(message)
   elseif type(message) ~= "string" then
      local meta = getmetatable(message)
      if type(meta) == "table" and meta.__tostring then
         return tostring(message)
      end
      message = ("(error object is a %s value)"):format(type(message))
   end
   return debug.traceback(message, 2)
end

---@param chunk function? what load or loadfile gave
---@param message string? why it gave nothing
---@param arguments table the script's `arg`
---@return integer status
local function run (chunk, message, arguments)
   if not chunk then
      complain(message)
      return 1
   end
   _G.arg = arguments
   local done, why = xpcall(chunk, explain, table.unpack(arguments))
   if not done then
      complain(why)
      return 1
   end
   return 0
end

---The table `arg`: the script is number 0, what stands before it is negative.
---@param words table the command's words, its own name being number 0
---@param script integer which of them is the script
local function shifted (words, script)
   local arguments = {}
   for index = 0, #words do
      arguments[index - script] = words[index]
   end
   return arguments
end

-- ------------------------------------------------------------------ failures

-- What was raised may be anything, and hold itself.
local function flat (detail)
   local out = {}
   for name, value in pairs(detail or {}) do out[name] = value end
   if out.error ~= nil then out.error = tostring(out.error) end
   return out
end

---@class elf64load.cli.context
---@field words string[] what follows the command's name
---@field policy string?
---@field json boolean?
---@field dot boolean?
---@field color "auto"|"always"|"never"
---@field terminal boolean standard output is one
---@field paint fun(style: string, text: string): string
local Context = {}
Context.__index = Context

---What could not be done, for JSON.
---@return table
function Context.failure (_, message, kind, detail)
   return { kind = kind, message = message, detail = flat(detail) }
end

---Says what could not be done.
---@return integer status
function Context:fail (message, kind, detail)
   if self.json then
      print(json.encode({ error = self:failure(message, kind, detail) }, true))
   else
      complain(message)
   end
   return 1
end

---A runtime under the policy that was asked for.
---@param watch? fun(event: elf64load.event) told of its events, too
---@return elf64load.runtime|nil
---@return string? message
---@return string? kind
---@return table? detail
function Context:runtime (watch)
   local runtime = require "elf64load.runtime"
   require "elf64load"
   local done, made, message, kind, detail = pcall(runtime.new,
      self.policy or {}, watch)
   if not done then return nil, made end
   return made, message, kind, detail
end

-- ------------------------------------------------------------------ commands

local actions = {}

local function address_of (symbol)
   local address = symbol.address
   if math.type(address) ~= "integer" then return address end
   return address ~= 0 and address or nil
end

-- The rows of symbols with what stands in the fourth column, or the same as
-- JSON.
local function show_symbols (context, symbols, title, value_of)
   local rows, list = { { "kind", "size", "version", title, "name" } }, {}
   for at, symbol in ipairs(symbols) do
      local value = value_of(symbol)
      local text = math.type(value) == "integer" and ("0x%x"):format(value)
         or value and tostring(value)
      rows[at + 1] = { symbol.kind or "-", tostring(symbol.size or 0),
         symbol.version or "-", text or "-", symbol.name }
      list[at] = { kind = symbol.kind, size = symbol.size, name = symbol.name,
         version = symbol.version, [title] = text }
   end
   if context.json then
      print(json.encode(#list > 0 and list or json.array, true))
   elseif #symbols > 0 then
      show.columns(rows, { false, true })
   end
end

-- With `close` at the end of both, whatever happens.
local function with_plugin (context, options, act)
   local runtime <close>, why, what, more = context:runtime()
   if not runtime then return context:fail(why, what, more) end
   local plugin <close>, message, kind, detail = runtime:open(context.words[1],
      options)
   if not plugin then return context:fail(message, kind, detail) end
   return act(plugin)
end

function actions.open (context)
   return with_plugin(context, nil, function (plugin)
      local symbols, status = {}, 0
      if #context.words == 1 then symbols = plugin:symbols() end
      for at = 2, #context.words do
         local symbol, message, kind, detail = plugin:lookup(context.words[at])
         if symbol then
            symbols[#symbols + 1] = symbol
         else
            status = context:fail(message, kind, detail)
            if context.json then return status end
         end
      end
      show_symbols(context, symbols, "address", address_of)
      return status
   end)
end

function actions.symbols (context)
   local options = { start = false, lazy = true }
   return with_plugin(context, options, function (plugin)
      local globs, symbols = table.move(context.words, 2, #context.words, 1, {}),
         {}
      for _, symbol in ipairs(plugin:symbols()) do
         if show.fits(symbol.name, globs) then
            symbols[#symbols + 1] = symbol
         end
      end
      show_symbols(context, symbols, "offset", function (symbol)
         local address = address_of(symbol)
         return address and address - plugin.base
      end)
      return 0
   end)
end

function actions.plan (context)
   return require "elf64load.cliplan".run(context)
end

function actions.why (context)
   return require "elf64load.cliwhy".run(context)
end

function actions.trace (context)
   return require "elf64load.clitrace".run(context)
end

function actions.help (context)
   local name = context.words[1]
   local text = not name and manual.usage() or manual.explain(name)
   if text then
      io.write(text)
      return 0
   end
   complain(("there is no help on '%s'; there is on %s and %s"):format(name,
      table.concat(manual.names(manual.commands), ", "),
      table.concat(manual.names(manual.topics), ", ")))
   return 2
end

-- --------------------------------------------------------------- the command

-- The command was not understood.
local function misunderstood (...)
   if ... then complain(...) end
   io.stderr:write(manual.usage())
   return 2
end

-- Takes an option at words[at] into `given`: the index of its last word, or nil
-- and what is wrong.
local function take_option (words, at, given)
   local name, value = words[at]:match "^(%-%-%l+)=(.*)$"
   name = name or words[at]
   local option = manual.option(name)
   if not option then return nil, ("unknown option '%s'"):format(words[at]) end
   if option.value and not value then
      at = at + 1
      value = words[at]
   end
   if option.value and not value then
      return nil, ("%s needs %s"):format(name, option.value)
   elseif value and not option.value then
      return nil, ("%s takes no value"):format(name)
   elseif option.of and option.of ~= "file"
      and not (" " .. option.of .. " "):find(" " .. value .. " ", 1, true) then
      return nil, ("%s is one of %s"):format(name, option.of)
   end
   given[option.long:sub(3)] = value or true
   return at
end

-- Options stand before and after a command's words.
local function parse (words, at, given)
   local rest, options = {}, true
   while at <= #words do
      local word = words[at]
      if options and word == "--" then
         options = false
      elseif options and word:find "^%-." then
         local last, why = take_option(words, at, given)
         if not last then return nil, why end
         at = last
      else
         rest[#rest + 1] = word
      end
      at = at + 1
   end
   return rest
end

local function check (command, given)
   local count = #given.words
   if count < command.least or (command.most and count > command.most) then
      return ("usage: elf64load %s %s"):format(command.name, command.words)
   elseif given.dot and command.name ~= "plan" then
      return "--dot is for plan"
   elseif given.dot and given.json then
      return "--dot and --json are two ways to show the same"
   end
end

local function run_command (command, words, at, given, terminal)
   local rest, why = parse(words, at, given)
   given.words = rest
   why = why or (not given.help and check(command, given))
   if why then return misunderstood(why) end
   if given.help then
      io.write(manual.explain(command.name))
      return 0
   end
   local context = setmetatable(given, Context)
   context.paint = show.painter(given.color or "auto", terminal)
   local status = actions[command.name](context)
   io.stdout:flush()
   return status
end

---@param words table the command's words, its own name being number 0
---@param version string
---@param terminal boolean is standard output one?
---@return integer status the command's exit status
function cli.main (words, version, terminal)
   local given, at = {}, 1
   while words[at] and words[at]:find "^%-" and words[at] ~= "-e" do
      local last, why = take_option(words, at, given)
      if not last then return misunderstood(why) end
      at = last + 1
   end
   local first = words[at]
   if given.help and not first then
      io.write(manual.usage())
      return 0
   elseif given.version then
      print("elf64load " .. version .. ", " .. _VERSION)
      return 0
   elseif not first then
      return misunderstood()
   end
   local command = manual.command(first)
   if command then
      return run_command(command, words, at + 1, given, terminal)
   elseif next(given) then
      return misunderstood("a script has no options of the command's")
   elseif first ~= "-e" then
      local chunk, message = loadfile(first)
      if not chunk and message:find "^cannot open" then
         message = message .. near.hint(first, manual.names(manual.commands))
      end
      return run(chunk, message, shifted(words, at))
   elseif words[at + 1] then
      local chunk, message = load(words[at + 1], "=(command line)")
      return run(chunk, message, shifted(words, at + 1))
   end
   return misunderstood("-e needs a piece of Lua")
end

return cli
