--- C declarations bound to a plugin: `p:cdef` and what it returns.
---
--- What is declared: functions, variables, typedefs, enums, and structs and
--- unions, which stay opaque: they are used by pointer. Each text makes a
--- namespace of its own; its types and constants are known to later texts of the
--- same handle, and to `p:type`, `p:new` and `p:cast`. What `elf.cdef` declares is
--- known to all. C's standard typedefs (size_t, int32_t, off_t ...) always are.
---
--- What a value is in Lua:
---   integers    integers; an argument that its type cannot hold, or with a
---               fraction, raises; unsigned 64 bits wrap (math.ult compares)
---   float ...   numbers
---   _Bool       booleans
---   enums       integers; their names are accepted on writing
---   pointers    nil for NULL, else a pointer value, indexed from 0 as in C;
---               nil, pointers, arrays, functions and symbols are accepted, of
---               the type, of void *, or const where the type is
---   const char * and its like also accept strings, without a copy, for as long
---               as the call lasts; what is stored in a variable or an array is
---               kept until it is overwritten
---   arrays      references, which know their bounds
---   "..."       integers as long, numbers as double, booleans as int, strings
---               as const char *, nil and pointers as void *

local core = require "elf64load.core"
local ctypes = require "elf64load.ctypes"
local near = require "elf64load.near"

local typed = core.typed
local cdef = {}

---Names that C text declared, looked up in the plugin when they are first used:
---functions to call, variables to read and write, constants of enums.
---@class elf64load.namespace
---@field [string] any

local function hint (name, names, constants)
   local all = {}
   for other in pairs(names) do all[#all + 1] = other end
   for other in pairs(constants) do all[#all + 1] = other end
   return near.hint(name, all)
end

---@param lookup fun(name: string): any, string?
---@param names table<string, elf64load.declared>
---@param constants table<string, integer>
---@return elf64load.namespace
local function namespace (lookup, names, constants)
   local used, variables = {}, {}
   for name, value in pairs(constants) do used[name] = value end

   -- Called from C, which the script called by naming something: level 3.
   local function resolve (name)
      -- Not as the script does it, which would come here again.
      local before = rawget(used, name)
      if before ~= nil then return before, false end
      local declared = names[name]
      if not declared then
         error(("'%s' is not declared in this cdef%s"):format(tostring(name),
            hint(tostring(name), names, constants)), 3)
      end
      local symbol, why = lookup(declared.symbol)
      if not symbol then error(why, 3) end
      local reference, own = typed.reference(symbol, declared.ctype)
      if not reference then error(own, 3) end
      if declared.ctype.kind == "function" then
         used[name] = reference
         return reference, false
      elseif not own then
         variables[name] = reference
      end
      return reference, true
   end

   return typed.namespace(used, variables, resolve)
end

---Declares for a handle and returns what was declared as a namespace. Types and
---constants of earlier texts of the same handle are known.
---@param handle any
---@param text string
---@return elf64load.namespace
function cdef.bind (handle, text)
   if type(text) ~= "string" then
      error("cdef needs C declarations as a string", 2)
   elseif handle.state == "closed" then
      error(("closed: the handle of %s has been closed"):format(handle.path), 2)
   end
   local names, constants = ctypes.declare(handle, text)
   if not names then error("cdef: " .. constants, 2) end
   return namespace(function (name)
      return core.find(handle, name)
   end, names, constants)
end

---Declares types and constants for all handles: `elf.cdef`. Functions and
---variables belong to a plugin; those of the process to elf.host.
---@param text string
---@return elf64load.namespace constants
function cdef.share (text)
   if type(text) ~= "string" then
      error("cdef needs C declarations as a string", 2)
   end
   local names, constants = ctypes.declare(nil, text)
   if not names then error("cdef: " .. constants, 2) end
   return namespace(function (name)
      return nil, ("'%s' is declared for all; to use one, declare it by the "
         .. "cdef of a plugin, or of elf.host"):format(name)
   end, names, constants)
end

return cdef
