--- What C declarations mean: from elf64load.grammar's tables to C types, with
--- the names that are known where they stand.

local core = require "elf64load.core"
local constant = require "elf64load.constant"
local grammar = require "elf64load.grammar"
local near = require "elf64load.near"

local typed = core.typed
local ctypes = {}

-- --------------------------------------------------------------------- faults

-- What is wrong in a text travels as a table of this kind up to where the text
-- came in.
local Fault = {}

local function fault (position, message)
   error(setmetatable({ position = position, message = message }, Fault), 0)
end

---@param text string
---@param position integer
---@return integer line
---@return integer column counted in bytes from 1
local function locate (text, position)
   local line, start = 1, 1
   for newline in text:gmatch "()\n" do
      if newline >= position then break end
      line, start = line + 1, newline + 1
   end
   return line, position - start + 1
end

---Runs `f(...)`; a fault in `text` becomes nil and a message that says where.
local function guarded (text, f, ...)
   local done, result = pcall(f, ...)
   if done then return result end
   if getmetatable(result) ~= Fault then error(result, 0) end
   local line, column = locate(text, result.position)
   return nil, ("line %d, column %d: %s"):format(line, column, result.message)
end

-- --------------------------------------------------------------------- scopes

---The names that mean something in C text: of C itself, of all, of one handle,
---and of one text that is being read.
---@class elf64load.scope
---@field types table<string, elf64load.ctype> typedefs
---@field enums table<string, elf64load.ctype> by tag
---@field constants table<string, integer> enumerators

---@param outer elf64load.scope|nil
---@return elf64load.scope
local function scope (outer)
   local function chained (what)
      return setmetatable({}, outer and { __index = outer[what] })
   end
   return {
      outer = outer,
      types = chained "types", enums = chained "enums",
      constants = chained "constants",
   }
end

local scalars = {}

---The base type of all orders of these words, and its names.
local function scalar (spelling, orders)
   local ctype = typed.scalar(spelling)
   for order in (spelling .. "," .. orders):gmatch "[^,]+" do
      local words = {}
      for word in order:gmatch "%S+" do words[#words + 1] = word end
      table.sort(words)
      scalars[table.concat(words, " ")] = ctype
   end
   return ctype
end

scalar("void", "")
scalar("_Bool", "")
scalar("char", "")
scalar("signed char", "")
scalar("unsigned char", "")
scalar("short", "signed short,short int,signed short int")
scalar("unsigned short", "unsigned short int")
scalar("int", "signed,signed int")
scalar("unsigned int", "unsigned")
scalar("long", "signed long,long int,signed long int")
scalar("unsigned long", "unsigned long int")
scalar("long long", "signed long long,long long int,signed long long int")
scalar("unsigned long long", "unsigned long long int")
scalar("float", "")
scalar("double", "")
scalar("long double", "")

-- The types of <stddef.h>, <stdint.h> and <sys/types.h> on x86-64 GNU/Linux.
local standard = scope()

for base, names in pairs {
   ["_Bool"] = "bool",
   ["signed char"] = "int8_t int_least8_t int_fast8_t",
   ["unsigned char"] = "uint8_t uint_least8_t uint_fast8_t",
   ["short"] = "int16_t int_least16_t",
   ["unsigned short"] = "uint16_t uint_least16_t char16_t",
   ["int"] = "int32_t int_least32_t wchar_t pid_t clockid_t key_t",
   ["unsigned int"] = [[uint32_t uint_least32_t char32_t wint_t uid_t gid_t
      id_t mode_t socklen_t useconds_t]],
   ["long"] = [[int64_t int_least64_t int_fast16_t int_fast32_t int_fast64_t
      intptr_t intmax_t ptrdiff_t ssize_t off_t off64_t time_t clock_t
      suseconds_t blksize_t blkcnt_t]],
   ["unsigned long"] = [[uint64_t uint_least64_t uint_fast16_t uint_fast32_t
      uint_fast64_t uintptr_t uintmax_t size_t dev_t ino_t nlink_t]],
} do
   for name in names:gmatch "%S+" do
      standard.types[name] = typed.alias(typed.scalar(base), name)
   end
end
standard.types.FILE = typed.alias(typed.opaque "struct _IO_FILE", "FILE")
-- psABI 3.5.7: an array of one struct, and so a pointer when it is passed.
standard.types.va_list = typed.alias(
   typed.pointer(typed.opaque "struct __va_list_tag"), "va_list")
standard.types.__builtin_va_list = standard.types.va_list

---What elf.cdef has declared for all.
local shared = scope(standard)

---@type table<any, elf64load.scope>
local of_handle = setmetatable({}, { __mode = "k" })

---@param handle any nil for what all share
---@return elf64load.scope
local function scope_of (handle)
   if handle == nil then return shared end
   local own = of_handle[handle]
   if not own then
      own = scope(shared)
      of_handle[handle] = own
   end
   return own
end

local function all_names (within, what)
   local names = {}
   while within do
      for name in pairs(within[what]) do names[#names + 1] = name end
      within = within.outer
   end
   return names
end

---Puts a name where there was none, or the same.
local function enter (within, what, name, value, position, shown)
   local before = rawget(within[what], name)
   if before == nil and within.text then
      before = rawget(within.outer[what], name)
   end
   if before ~= nil and before ~= value then
      fault(position, ("'%s' is declared already, as %s"):format(name,
         shown(before)))
   end
   within[what][name] = value
end

-- ---------------------------------------------------------------------- types

local build

---@return elf64load.surroundings
local function surroundings (within)
   return {
      fault = fault,
      named = function (name, position)
         local value = within.constants[name]
         if not value then
            fault(position, ("'%s' is no constant that is known here%s")
               :format(name, near.hint(name, all_names(within, "constants"))))
         end
         return value
      end,
      sizeof = function (typename)
         local ctype = build(typename, within)
         if not ctype.size then
            fault(typename.specifiers.position,
               ("the size of %s is not known%s"):format(tostring(ctype),
                  ctype.kind == "opaque" and "; structs and unions are opaque "
                     .. "here" or ""))
         end
         return ctype.size
      end,
      integer = function (typename)
         local ctype = build(typename, within)
         if ctype.kind ~= "integer" and ctype.kind ~= "enum" then
            fault(typename.specifiers.position,
               ("a constant cannot be cast to %s"):format(tostring(ctype)))
         end
         return ctype
      end,
   }
end

---The C type that a maker gave, or its refusal at this place of the text.
local function made (position, ctype, why)
   return ctype or fault(position, why)
end

local function enumerate (specifiers, within)
   local names, values, next_value = {}, {}, 0
   local with = surroundings(within)
   for index, item in ipairs(specifiers.enumerators) do
      local value = item.value and constant.value(item.value, with)
         or next_value
      enter(within, "constants", item.name, value, item.position, tostring)
      names[index], values[index], next_value = item.name, value, value + 1
   end
   local tag = specifiers.tag and "enum " .. specifiers.tag
   local ctype = typed.enum(tag, names, values)
   if tag then
      enter(within, "enums", tag, ctype, specifiers.position, tostring)
   end
   return ctype
end

local function enum (specifiers, within)
   if specifiers.enumerators then return enumerate(specifiers, within) end
   local tag = "enum " .. specifiers.tag
   return within.enums[tag] or fault(specifiers.position,
      ("'%s' is not declared%s"):format(tag,
         near.hint(tag, all_names(within, "enums"))))
end

---A struct without a tag is called by the typedef that it is for.
local function record (specifiers, typedef, within)
   local tag = specifiers.tag
   if tag then
      return typed.opaque(specifiers.record .. " " .. tag)
   end
   return typed.opaque(typedef or ("%s (line %d, column %d)"):format(
      specifiers.record, locate(within.text, specifiers.position)))
end

local function words (specifiers)
   local sorted = table.move(specifiers, 1, #specifiers, 1, {})
   table.sort(sorted)
   local ctype = scalars[table.concat(sorted, " ")]
   if ctype then return ctype end
   local spelling = table.concat(specifiers, " ")
   if spelling:find "_?[Cc]omplex" or spelling:find "_%a*%d" then
      fault(specifiers.position, ("%s is not supported"):format(spelling))
   end
   fault(specifiers.position, ("'%s' is no type of C"):format(spelling))
end

---@param typedef string|nil the name that a struct without a tag is to have
local function base (specifiers, within, typedef)
   local ctype
   if specifiers.name then
      ctype = within.types[specifiers.name]
   elseif specifiers.enum then
      ctype = enum(specifiers, within)
   elseif specifiers.record then
      ctype = record(specifiers, typedef, within)
   else
      ctype = words(specifiers)
   end
   return specifiers.const and typed.const(ctype) or ctype
end

local function prototype (suffix, result, within)
   local parameters = {}
   for index, parameter in ipairs(suffix.parameters) do
      parameters[index] = build(parameter, within, true)
   end
   local ctype, why, at = typed.prototype(result, parameters,
      suffix.parameters.variadic)
   local culprit = at and suffix.parameters[at].specifiers or suffix
   return made(culprit.position, ctype, why)
end

local function array (suffix, element, within)
   local count
   if suffix.count then
      count = constant.value(suffix.count, surroundings(within))
   end
   return made(suffix.position, typed.array(element, count))
end

---Applies what stands around a name to the type that it starts from: first the
---stars, then what follows, its end first, then what is in the parentheses.
local function compose (ctype, declarator, within, parameter)
   local position = declarator.position
   for _, pointer in ipairs(declarator.pointers) do
      ctype = made(position, typed.pointer(ctype))
      if pointer.const then ctype = typed.const(ctype) end
   end
   for index = #declarator.suffixes, 1, -1 do
      local suffix = declarator.suffixes[index]
      if suffix.parameters then
         ctype = prototype(suffix, ctype, within)
      elseif parameter and index == 1 and not declarator.inner then
         -- The size may be another parameter, and means nothing to the call.
         ctype = made(position, typed.pointer(ctype))
      else
         ctype = array(suffix, ctype, within)
      end
   end
   if declarator.inner then
      return compose(ctype, declarator.inner, within, parameter)
   end
   return ctype, declarator
end

---@return elf64load.ctype
function build (typename, within, parameter)
   return (compose(base(typename.specifiers, within), typename.declarator,
      within, parameter))
end

-- --------------------------------------------------------------- declarations

---A function or a variable as it was declared.
---@class elf64load.declared
---@field name string
---@field symbol string what to look up: the asm label, if there is one
---@field ctype elf64load.ctype

local function typedef_name (declaration)
   for _, item in ipairs(declaration.declarators) do
      local declarator = item.declarator
      if declarator.name and #declarator.pointers == 0
         and #declarator.suffixes == 0 then
         return declarator.name
      end
   end
end

-- gcc's machine modes: an integer of that many bytes.
local modes = {
   QI = "char", HI = "short", SI = "int", DI = "long", byte = "char",
   word = "long", pointer = "long",
}

local function resized (ctype, mode, position)
   local spelling = modes[mode:match "^_*(.-)_*$"]
   if not spelling or ctype.kind ~= "integer" then
      fault(position, ("%s in mode %s is not supported"):format(
         tostring(ctype), mode))
   end
   return typed.scalar(ctype.unsigned and "unsigned " .. spelling
      or spelling == "char" and "signed char" or spelling)
end

-- What typedefs were declared as: an alias itself shows its name alone.
local aliased = setmetatable({}, { __mode = "k" })

local function meant (alias) return tostring(aliased[alias]) end

local function declare (declaration, within, names)
   local specifiers = declaration.specifiers
   local storage = specifiers.storage
   if storage == "static" then
      fault(specifiers.position,
         "what is static cannot be seen outside its file")
   end
   local typedef = storage == "typedef"
   local start = base(specifiers, within,
      typedef and typedef_name(declaration))
   for _, item in ipairs(declaration.declarators) do
      local ctype, declarator = compose(start, item.declarator, within)
      local name, position = declarator.name, declarator.position
      if item.mode then ctype = resized(ctype, item.mode, position) end
      if typedef then
         local alias = typed.alias(ctype, name)
         aliased[alias] = ctype
         enter(within, "types", name, alias, position, meant)
      elseif ctype.kind == "void" then
         fault(position, ("'%s' cannot be void"):format(name))
      elseif names[name] and not typed.same(names[name].ctype, ctype) then
         fault(position, ("'%s' is declared already, as %s"):format(name,
            tostring(names[name].ctype)))
      else
         names[name] = {
            name = name, symbol = item.label or name, ctype = ctype,
         }
      end
   end
end

---Raises what the grammar found wrong.
local function refuse (why, within)
   local message = why.message
   if why.unknown then
      message = ("%s, which is no type that is known here%s"):format(message,
         near.hint(why.unknown, all_names(within, "types")))
   end
   fault(why.position, message)
end

local function knower (within)
   return function (name)
      return within.types[name] ~= nil
   end
end

local function declarations (text, within)
   local names, position = {}, 1
   local knows = knower(within)
   while true do
      local declaration, next_position = grammar.declaration(text, position,
         knows)
      if not declaration then
         if not next_position then return names end
         refuse(next_position, within)
      end
      if declaration.specifiers then declare(declaration, within, names) end
      position = next_position
   end
end

-- What texts of types meant, until something is declared.
local meanings = setmetatable({}, { __mode = "k" })

---Reads declarations. Types and constants are kept for the handle, all of them
---or, when the text is wrong, none.
---@param handle any nil for all handles
---@param text string
---@return table<string, elf64load.declared>|nil names
---@return string|table<string, integer> why or the constants declared
function ctypes.declare (handle, text)
   local outer = scope_of(handle)
   local within = scope(outer)
   within.text = text
   local names, why = guarded(text, declarations, text, within)
   if not names then return nil, why end
   for _, what in ipairs { "types", "enums", "constants" } do
      for name, value in pairs(within[what]) do outer[what][name] = value end
   end
   meanings = setmetatable({}, { __mode = "k" })
   return names, within.constants
end

local function typename (text, within)
   local node, why = grammar.typename(text, knower(within))
   if not node then refuse(why, within) end
   return build(node, within)
end

---Reads a type: `sqlite3 *[1]`.
---@param handle any nil for what all share
---@param text string
---@return elf64load.ctype|nil
---@return string|nil why
function ctypes.read (handle, text)
   local outer = scope_of(handle)
   local known = meanings[outer]
   if not known then
      known = setmetatable({}, { __mode = "v" })
      meanings[outer] = known
   end
   if known[text] then return known[text] end
   local within = scope(outer)
   within.text = text
   local ctype, why = guarded(text, typename, text, within)
   known[text] = ctype
   return ctype, why
end

typed.parser(function (text, handle)
   return ctypes.read(handle, text)
end)

return ctypes
