--- Where the bytes of a plugin come from.

local near = require "elf64load.near"

local source = {}

local fields = {
   path = "string", bytes = "string", read = "function",
   offset = "number", size = "number", name = "string",
}

local names = {}
for name in pairs(fields) do names[#names + 1] = name end

---@class elf64load.source
---@field path? string a file
---@field bytes? string the file's bytes
---@field read? fun(offset: integer, size: integer): string?, string? gives bytes, at
---most `size` of them, or nil and why not, which fails as `hook`, and so does what it
---raises; `size` of the source must be given
---@field offset? integer where in the file the ELF file begins
---@field size? integer its size; all that follows when not given
---@field name? string what messages and debuggers show

local kinds = { "path", "bytes", "read" }

local function wrong_field (name, value)
   if not fields[name] then
      return ("a source has no field '%s'%s"):format(tostring(name),
         near.hint(tostring(name), names))
   elseif type(value) ~= fields[name] then
      return ("a source's '%s' must be a %s"):format(name, fields[name])
   elseif fields[name] == "number" and (math.tointeger(value) or -1) < 0 then
      return ("a source's '%s' must be a non-negative integer"):format(name)
   elseif (name == "path" or name == "name") and value:find("\0", 1, true) then
      return ("there is a zero byte in a source's '%s'"):format(name)
   end
end

-- One of the three, and a size that goes with it.
local function wrong_whole (made)
   local given = {}
   for _, name in ipairs(kinds) do
      if made[name] then given[#given + 1] = name end
   end
   if #given == 0 then
      return "a source needs one of 'path', 'bytes' and 'read'"
   elseif #given > 1 then
      return ("a source has one of 'path', 'bytes' and 'read', not '%s' and '%s'")
         :format(given[1], given[2])
   elseif made.read and (made.size or 0) == 0 then
      return "a source with 'read' needs its 'size'"
   elseif made.bytes
      and (made.offset or 0) + (made.size or 0) > #made.bytes then
      return "a source's 'offset' and 'size' reach beyond its bytes"
   end
end

---Checks the fields and gives them back as a source, or nil and what is wrong.
---@param given table
---@return elf64load.source|nil
---@return string? why
function source.make (given)
   local made = {}
   for name, value in pairs(given) do
      local why = wrong_field(name, value)
      if why then return nil, why end
      made[name] = value
   end
   local why = wrong_whole(made)
   if why then return nil, why end
   return made
end

---Checks the fields and gives them back as a source, for `load` and for answers
---of a search.
---@param given elf64load.source
---@return elf64load.source
function source.new (given)
   if type(given) ~= "table" then
      error("elf.source needs a table such as { path = \"pack.bin\", offset = "
         .. "4096 }", 2)
   end
   local made, why = source.make(given)
   if not made then error(why, 2) end
   return made
end

return source
