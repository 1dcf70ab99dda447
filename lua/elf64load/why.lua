--- Why something is as it is: `plugin:why()` and the bindings of a runtime.

local core = require "elf64load.core"

local why = {}

---Another plugin that keeps one open.
---@class elf64load.dependent
---@field path string
---@field as string|nil the name by which it needs it; nil: it is bound to it alone

---@class elf64load.why
---@field path string of its file
---@field name string by which it was asked for when it was mapped
---@field wanter string|nil who needed it then; nil: it was opened
---@field wanters string[] who needed it, who needed that, up to what was opened
---@field found string|nil by what the search found it: "DT_RUNPATH", ...
---@field probes elf64load.probe[] each file that was tried, in order
---@field asked boolean|nil the policy's search, or what was preloaded, answered
---@field names string[] by which it is known besides
---@field handles integer opens that were not closed
---@field dependents elf64load.dependent[]
---@field circle string|nil in words, when it needs what needs it
---@field message string all of that, a line each

local take = {
   asked = function (to, reason)
      if not to.name then to.name, to.wanter = reason.as, reason.path end
      to.wanters[#to.wanters + 1] = reason.path
   end,
   probe = function (to, reason)
      to.probes[#to.probes + 1] = { path = reason.path, place = reason.place,
         owner = reason.owner, result = reason.result }
      if reason.result == "taken" then to.found = reason.place end
   end,
   hook = function (to) to.asked = true end,
   name = function (to, reason) to.names[#to.names + 1] = reason.as end,
   handle = function (to, reason) to.handles = reason.number end,
   dependent = function (to, reason)
      to.dependents[#to.dependents + 1] = { path = reason.path, as = reason.as }
   end,
   circle = function (to, reason) to.circle = reason.message end,
}
take.bound = take.dependent

---Why a plugin is mapped.
---@param plugin elf64load.plugin
---@return elf64load.why
function why.plugin (plugin)
   if plugin.state == "closed" then
      error(("closed: the handle of %s has been closed"):format(plugin.path), 2)
   end
   local told = { path = plugin.path, wanters = {}, probes = {}, names = {},
      handles = 0, dependents = {} }
   local lines = {}
   for at, reason in ipairs(core.reasons(plugin)) do
      take[reason.kind](told, reason)
      lines[at] = reason.message
   end
   told.message = table.concat(lines, "\n")
   return told
end

---Every binding of that symbol in what a runtime has open.
---@param runtime elf64load.core.runtime
---@param symbol string
---@return elf64load.binding[]
function why.bindings (runtime, symbol)
   local list = {}
   for _, plugin in ipairs(runtime:plugins()) do
      table.move(plugin:bindings(symbol), 1, 1000, #list + 1, list)
   end
   return list
end

return why
