--- What a name of C shall mean: a Lua function, a variable or an address, made into
--- what plugins can be bound to.

local core = require "elf64load.core"
local ctypes = require "elf64load.ctypes"

local typed = core.typed
local definition = {}

---A name, and its type unless there was the name alone.
---@class elf64load.prototype
---@field name string
---@field ctype elf64load.ctype|nil
---@field text string as it was written

---Something at an address, which is there as long as what is kept.
---@class elf64load.made
---@field address integer
---@field size integer 0 where it is not known
---@field kept any
---@field callback elf64load.pointer|nil when it is a Lua function
---@field ctype elf64load.ctype|nil
---@field foreign boolean|nil a variable that was there before

---@param value any
---@return boolean
function definition.callable (value)
   if type(value) == "function" then return true end
   local meta = getmetatable(value)
   return type(meta) == "table" and meta.__call ~= nil
      and meta.__name ~= "elf64load.symbol"
      and meta.__name ~= "elf64load.pointer"
end

---Reads "int puts(const char *)", "extern int level" or a name alone; where the name
---is known also a type alone: "int (const char *)".
---@param text string
---@param scope any whose types are known: a handle, or any table
---@param known? string the name
---@return elf64load.prototype|nil
---@return string|nil why
function definition.read (text, scope, known)
   if type(text) ~= "string" then
      return nil, "a prototype must be a string such as \"int puts(const char *)\""
   end
   if known and text ~= known then
      local ctype = ctypes.read(scope, text)
      if ctype then return { name = known, ctype = ctype, text = text } end
   end
   if text:find "^%s*[%a_][%w_]*%s*$" then
      return { name = text:match "[%w_]+", text = text }
   end
   local names, why = ctypes.declare(scope, text:find ";%s*$" and text
      or text .. ";")
   if not names then return nil, ("'%s': %s"):format(text, why) end
   local name, declared = next(names)
   if not name or next(names, name) then
      return nil, ("'%s' must declare one name"):format(text)
   end
   return { name = declared.symbol, ctype = declared.ctype, text = text }
end

-- The address that a value is or has, or nil.
local function address_of (value)
   local address = math.type(value) == "integer" and value
   if type(value) == "userdata" then
      local done, own = pcall(typed.address, value)
      address = done and own
   end
   return address and address ~= 0 and address or nil
end

local function of_function (prototype, value)
   if definition.callable(value) then
      local callback = typed.callback(prototype.ctype, value)
      return { address = typed.address(callback), size = 0, kept = callback,
         callback = callback }
   end
   local address = address_of(value)
   if address then return { address = address, size = 0, kept = value } end
   return nil, ("'%s' is a function: a Lua function, a symbol, a pointer or an "
      .. "address other than 0 expected"):format(prototype.name)
end

-- Is it memory of that type, which is the variable itself?
local function is_variable (ctype, value)
   if type(value) ~= "userdata" then return false end
   local done, own = pcall(typed.type, value)
   if not done then return false end
   return typed.same(own, ctype)
      or own.kind == "array" and typed.same(own, typed.array(ctype, 1))
end

local function of_variable (prototype, value)
   local ctype = prototype.ctype
   local memory, foreign = value, true
   local symbol = type(value) == "userdata"
      and (getmetatable(value) or {}).__name == "elf64load.symbol"
   if not symbol and ctype.kind == "opaque" then
      return nil, ("'%s' is opaque here, and cannot be made: the symbol of one "
         .. "expected"):format(prototype.text)
   elseif not symbol and not is_variable(ctype, value) then
      local initial = value
      if ctype.kind ~= "array" then initial = { value } end
      local done, made = pcall(typed.new, ctype.kind == "array" and ctype
         or typed.array(ctype, 1), value ~= nil and initial or nil)
      if not done then
         return nil, ("'%s' cannot be made: %s"):format(prototype.text, made)
      end
      memory, foreign = made, false
   end
   return { address = typed.address(memory), size = ctype.size or 0,
      kept = memory, foreign = foreign }
end

---@param prototype elf64load.prototype
---@param value any
---@return elf64load.made|nil
---@return string|nil why
function definition.make (prototype, value)
   if not prototype.ctype then
      local address = address_of(value)
      if address then
         return { address = address, size = 0, kept = value }
      end
      return nil, definition.callable(value)
         and ("a Lua function for '%s' needs its prototype: \"void %s(void)\" "
            .. "or the like"):format(prototype.name, prototype.name)
         or ("'%s' without a type needs a symbol, a pointer or an address")
            :format(prototype.name)
   elseif prototype.ctype.kind == "function" then
      return of_function(prototype, value)
   end
   return of_variable(prototype, value)
end

---A row for the core, as it defines names, and what was made for it.
---@param text string
---@param value any
---@param scope any
---@return table|nil row
---@return elf64load.made|string made or why not
function definition.row (text, value, scope)
   local prototype, why = definition.read(text, scope)
   if not prototype then return nil, why end
   local made
   made, why = definition.make(prototype, value)
   if not made then return nil, why end
   local kind = prototype.ctype and prototype.ctype.kind
   made.ctype = prototype.ctype
   return {
      name = prototype.name, address = made.address, size = made.size,
      kind = kind == "function" and "function" or kind and "object" or "notype",
   }, made
end

---A Lua function that stands before another one, which it is given: what the name
---would have meant, or nil.
---@param prototype elf64load.prototype
---@param value function
---@return elf64load.made|nil made
---@return integer|string cell where the address of the other one is to be put
function definition.interpose (prototype, value)
   local pointer = typed.pointer(prototype.ctype)
   local cell, last, original
   local done, callback = pcall(typed.callback, prototype.ctype, function (...)
      local now = cell[0]
      if now ~= last then
         last, original = now, now and typed.cast(pointer, now)
      end
      return value(original, ...)
   end)
   if not done then return nil, callback end
   local place = typed.cell(callback)
   cell = typed.cast("void **", place)
   return { address = typed.address(callback), size = 0, kept = callback,
      callback = callback }, place
end

return definition
