---@meta
-- luacheck: ignore 212 241
-- The typed half of elf64load.core, as the language server should know it.

---A type of C. tostring shows it as C writes it; two that are written alike are
---equal.
---@class elf64load.ctype
---@field kind "void"|"boolean"|"integer"|"enum"|"float"|"pointer"|"array"|"function"|"opaque"
---@field size integer|nil in bytes, when it is known
---@field align integer|nil
---@field unsigned boolean|nil of integers and enums

---What C has in its memory: a function, a variable, an array or a pointer.
---Elements count from 0. A function is called; the others are read and written
---by index; an array, and a pointer into one, keep to its bounds. One that lies
---in a plugin raises `closed` once the plugin has been stopped.
---@class elf64load.pointer
---@field [integer] any
---@operator call: any
---@operator len: integer
---@operator add(integer): elf64load.pointer
---@operator sub(integer): elf64load.pointer
---@operator sub(elf64load.pointer): integer

---@class elf64load.symbol
local symbol = {}

---The symbol with a type: a function to call, or a variable, whose element 0 is
---its value. Types of a plugin's own are given as `p:type "..."`.
---@param ctype string|elf64load.ctype
---@return elf64load.pointer
function symbol:as (ctype) end

---@class elf64load.typed
local typed = {}

---Zeroed memory of Lua's own, for C to read and to fill. It is there as long as
---the value is, or one made from it; C must not keep its address for longer.
---
---    elf.new "int"                 one int
---    elf.new("char", 100)          100 bytes
---    elf.new("char", "text")       the text and its end
---    elf.new("int", { 1, 2, 3 })   three
---    p:new "sqlite3 *"             one pointer, to pass as sqlite3 **
---@param ctype string|elf64load.ctype
---@param init integer|string|any[]|nil
---@return elf64load.pointer
function typed.new (ctype, init) end

---A pointer of another type, or one made of an address.
---@param ctype string|elf64load.ctype
---@param value elf64load.pointer|elf64load.symbol|lightuserdata|integer|nil
---@return elf64load.pointer|nil
function typed.cast (ctype, value) end

---A pointer to a Lua function for C to call: there as long as this value. The
---last argument of a variadic one is a function that gives the next of what
---stands in place of "..." when it is called with a type.
---@param ctype string|elf64load.ctype a function type, or a pointer to one
---@param f function or anything with __call
---@return elf64load.pointer
function typed.callback (ctype, f) end

---The type that a text means, or that a pointer has.
---@param what string|elf64load.ctype|elf64load.pointer
---@return elf64load.ctype
function typed.type (what) end

---A copy of bytes: up to the first zero, or of the size given. nil gives nil.
---@param pointer elf64load.pointer|nil
---@param size integer|nil
---@return string|nil
function typed.string (pointer, size) end

---@param pointer elf64load.pointer|elf64load.symbol|lightuserdata|nil
---@return integer
function typed.address (pointer) end

---`new`, `cast`, `callback` and `type` as methods of handles: they know the handle's types.
---@type table<string, function>
typed.methods = {}

---A runtime has given a callback to plugins, or has taken it back. While it is given
---its memory stays, even when the Lua state is closed.
---@param callback elf64load.pointer
---@param given boolean
function typed.pin (callback, given) end

---The address of a pointer that is there as long as C may call the callback.
---@param callback elf64load.pointer
---@return integer
function typed.cell (callback) end

-- What cdef.lua and ctypes.lua build with. What makes a type answers nil and the
-- reason when there is no such type.

---@param name string of C's own: "unsigned long"
---@return elf64load.ctype
function typed.scalar (name) end

---@param target elf64load.ctype
---@return elf64load.ctype|nil, string|nil
function typed.pointer (target) end

---@param element elf64load.ctype
---@param count integer|nil
---@return elf64load.ctype|nil, string|nil
function typed.array (element, count) end

---@param result elf64load.ctype
---@param parameters elf64load.ctype[]
---@param variadic boolean|nil
---@return elf64load.ctype|nil
---@return string|nil why
---@return integer|nil parameter the one that it is about
function typed.prototype (result, parameters, variadic) end

---@param tag string "struct sqlite3": the same tag is the same type
---@return elf64load.ctype
function typed.opaque (tag) end

---@param tag string|nil
---@param names string[]
---@param values integer[]
---@return elf64load.ctype
function typed.enum (tag, names, values) end

---@param ctype elf64load.ctype
---@return elf64load.ctype
function typed.const (ctype) end

---@param ctype elf64load.ctype
---@param name string what a typedef calls it
---@return elf64load.ctype
function typed.alias (ctype, name) end

---Whether two declarations agree.
---@param one elf64load.ctype
---@param other elf64load.ctype
---@return boolean
function typed.same (one, other) end

---Sets what reads C text wherever a type is taken.
---@param read fun(text: string, handle: any): elf64load.ctype|nil, string|nil
function typed.parser (read) end

---@param from elf64load.symbol
---@param ctype elf64load.ctype
---@return elf64load.pointer|nil
---@return boolean|string own each thread has one; or why it cannot be
function typed.reference (from, ctype) end

---@param used table<string, any> functions and constants by name
---@param variables table<string, elf64load.pointer>
---@param resolve fun(name: string): any, boolean the value; is it a variable
---@return elf64load.namespace
function typed.namespace (used, variables, resolve) end

return typed
