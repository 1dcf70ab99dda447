--- What a runtime has given to plugins: Lua functions, variables and addresses under
--- names of C. It is the runtime's as long as plugins may use it.

local core = require "elf64load.core"
local definition = require "elf64load.definition"

local typed = core.typed
local grants = {}

-- What is defined is kept under its name.
local function key_of (name) return "define " .. name end

-- The table of it, made when there is first something to keep.
local function all (self)
   if not rawget(self, "given") then rawset(self, "given", self.core:given()) end
   return self.given
end

local function pin (made, whether)
   if made and made.callback then typed.pin(made.callback, whether) end
end

---Keeps it under a key, in place of what was there.
---@param self elf64load.runtime
---@param key any
---@param made elf64load.made|nil
function grants.keep (self, key, made)
   local kept = all(self)
   local before = kept[key]
   kept[key] = made
   pin(made, true)
   pin(before, false)
end

---Lets go of what was resolved for plugins that are gone.
---@param self elf64load.runtime
function grants.sweep (self)
   if not rawget(self, "resolved") then return end
   local left = false
   for key, made in pairs(self.given) do
      local wanter = made and made.wanter
      if wanter and wanter.state == "closed" then
         grants.keep(self, key, nil)
      end
      left = left or wanter ~= nil
   end
   rawset(self, "resolved", left)
end

---Lets go of everything: no plugin is left.
---@param self elf64load.runtime
function grants.release (self)
   for key in pairs(rawget(self, "given") or {}) do grants.keep(self, key, nil) end
end

-- ----------------------------------------------------------------------- pins

-- The Lua functions among what a runtime gave: by their addresses, and by the names
-- that it defines, whose address is that of a cell.
local function callbacks (granted)
   local found = {}
   for key, made in pairs(granted) do
      if made and made.callback then
         found[made.address] = made.callback
         if type(key) == "string" then found[key] = made.callback end
      end
   end
   return found
end

local function add_callbacks (list, handle)
   local found = callbacks(core.granted(handle) or {})
   if next(found) == nil then return end
   for _, binding in ipairs(handle:bindings()) do
      local callback = binding.how == "defined"
         and found[key_of(binding.symbol)] or found[binding.address]
      if callback then
         list[#list + 1] = {
            kind = "callback", symbol = binding.symbol,
            message = ("'%s' is a Lua function: %s"):format(binding.symbol,
               tostring(typed.type(callback))),
         }
      end
   end
end

---What points into a plugin, as the core knows it, and which Lua functions its
---runtime keeps because the plugin is bound to them.
---@param handle elf64load.plugin
---@return elf64load.pin[]
function grants.pins (handle)
   local list = core.pins(handle)
   if handle.state ~= "closed" and handle.state ~= "host" then
      add_callbacks(list, handle)
   end
   return list
end

-- ---------------------------------------------------------------- definitions

-- A variable that is defined already, as a value of that type, takes a new one.
local function assign (self, row, made, value)
   local before = all(self)[key_of(row.name)]
   if row.kind ~= "object" or not before or before.foreign or made.foreign
      or not typed.same(before.ctype, made.ctype)
      or made.ctype.kind == "array" then
      return false
   end
   before.kept[0] = value
   return true
end

---Defines a name for the plugins that the runtime opens from then on, before what the
---host and other plugins define: a Lua function, a variable with its value, or an
---address. Defining a function again has those that are bound to it call the new one;
---a variable takes the new value.
---@param self elf64load.runtime
---@param text string "int score(int)", "int level", or for an address the name alone
---@param value any
---@return true|nil done
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function grants.define (self, text, value)
   local row, made = definition.row(text, value, self)
   if not row then error("define: " .. made, 2) end
   row.cell = row.kind == "function"
   if assign(self, row, made, value) then return true end
   -- Should memory lack, it lacks before plugins can find the name.
   local kept, key = all(self), key_of(row.name)
   local before = kept[key]
   kept[key] = before or false
   local done, message, kind, detail = self.core:define { definitions = { row } }
   if not done then
      kept[key] = before
      return nil, message, kind, detail
   end
   kept[key] = made
   pin(made, true)
   pin(before, false)
   return true
end

-- What is called in place of a Lua function that was taken back: one for each
-- type, for good, as plugins may have its address.
local function gone (self, ctype)
   local key = "gone " .. tostring(ctype)
   if not all(self)[key] then
      local callback = typed.callback(ctype, function ()
         error("a function was called that its runtime does not define any more",
            0)
      end)
      grants.keep(self, key, { address = typed.address(callback), size = 0,
         kept = callback, callback = callback })
   end
   return all(self)[key]
end

---Takes a definition back. A variable or an address that a plugin is bound to is
---`inuse`; who is bound to a Lua function gets an error from it from then on.
---@param self elf64load.runtime
---@param text string the name, or what it was defined by
---@return true|nil done
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function grants.undefine (self, text)
   local prototype, why = definition.read(text, self)
   if not prototype then error("undefine: " .. why, 2) end
   local name = prototype.name
   local before = all(self)[key_of(name)]
   if before and before.callback then
      self.core:define { definitions = { { name = name, kind = "function",
         cell = true, address = gone(self, before.ctype).address } } }
   end
   local done, message, kind, detail = self.core:undefine(name)
   if not done then return nil, message, kind, detail end
   grants.keep(self, key_of(name), nil)
   return true
end

return grants
