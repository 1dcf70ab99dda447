--- What specs of plans have in common.

local assert = require "luassert"
local cc = require "elf64load.cc"
local child = require "spec.support.child"

---@class planning
local planning = {}

---@type string two libraries that define a name both
planning.leaf = assert(cc.shared [[
   long leaf(void) { return 1; }
   long twice(void) { return 10; }]])
planning.other = assert(cc.shared [[ long twice(void) { return 20; } ]])

--- What takes part in a plan by a name.
---@param plan elf64load.plan
---@param name string
---@return table?
function planning.object (plan, name)
   for _, one in ipairs(plan.objects) do
      if one.name == name then return one end
   end
end

--- What a script prints in another process: what is open here would be "host"
--- or "open" in a plan.
---@param code string
---@param ... string
---@return string
function planning.run (code, ...)
   local result = child.lua("local elf = require 'elf64load'\n" .. code, { ... })
   assert.equal(0, result.code, child.describe(result) .. "\n" .. result.err)
   return result.out
end

return planning
