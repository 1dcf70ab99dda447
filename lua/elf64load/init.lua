--- elf64load: a dynamic linker that a program carries inside itself.
---
---    local elf = require "elf64load"
---    local z <close> = assert(elf.open "libz.so.1")
---    print(elf.string(z:cdef "const char *zlibVersion(void);".zlibVersion()))
---
--- Functions that fail because of the world return nil, a message, a kind and a
--- table of details; the kinds are those of e64_status. Programmers' errors
--- raise.

local core = require "elf64load.core"
local cdef = require "elf64load.cdef"
local grants = require "elf64load.grants"
local runtime = require "elf64load.runtime"
local source = require "elf64load.source"
local why = require "elf64load.why"

local typed = core.typed

-- What handles have besides what C gives them.
core.methods.cdef = cdef.bind
core.methods.why = why.plugin
core.methods.pins = grants.pins
for name, method in pairs(typed.methods) do core.methods[name] = method end

---@class elf64load
local elf = {
   ---The version of the library: "0.1.0".
   version = core.version,
   cdef = cdef.share,
   new = typed.new,
   cast = typed.cast,
   callback = typed.callback,
   type = typed.type,
   string = typed.string,
   address = typed.address,
   source = source.new,
   runtime = runtime.new,
}

-- The runtime of those who make none: its methods are the module's functions,
-- its fields the module's.
local default = runtime.new {}

for _, name in ipairs {
   "open", "load", "link", "plan", "bindings", "searchpath",
} do
   elf[name] = function (...) return default[name](default, ...) end
end

---What lies at an address (an integer, a symbol, a pointer or a function).
---@param place any
---@return table? where path base host, symbol version offset size address
---@return string? message
---@return string? kind
---@return table? detail
function elf.whence (place)
   if math.type(place) == "integer" then return core.whence(place) end
   if type(place) ~= "userdata" then
      error(("whence needs an address: an integer, a symbol, a pointer or a "
         .. "function of C, not a %s"):format(type(place)), 2)
   end
   local done, address = pcall(typed.address, place)
   if not done then error(address, 2) end
   return core.whence(address)
end

local shared = {
   path = true, searchers = true, preload = true, host = true, loaded = true,
}

return setmetatable(elf, {
   __index = function (_, name)
      if shared[name] then return default[name] end
   end,
   __newindex = function (_, name, value)
      return runtime.set(default, name, value)
   end,
})
