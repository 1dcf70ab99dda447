--- Where the bytes of a plugin come from.

local source = {}

local fields = {
   path = "string", bytes = "string", read = "function",
   offset = "number", size = "number", name = "string",
}

---@class elf64load.source
---@field path? string a file
---@field bytes? string the file's bytes
---@field read? fun(offset: integer, size: integer): string?, string? gives bytes, at
---most `size` of them, or nil and why not, which fails as `hook`, and so does what it
---raises; `size` of the source must be given
---@field offset? integer where in the file the ELF file begins
---@field size? integer its size; all that follows when not given
---@field name? string what messages and debuggers show

---Checks the fields and gives them back as a source, for `load` and for answers
---of a search.
---@param given elf64load.source
---@return elf64load.source
function source.new (given)
   if type(given) ~= "table" then
      error("elf.source needs a table such as { path = \"pack.bin\", offset = "
         .. "4096 }", 2)
   end
   local made, kinds = {}, 0
   for name, value in pairs(given) do
      if not fields[name] then
         error(("a source has no field '%s'"):format(tostring(name)), 2)
      elseif type(value) ~= fields[name] then
         error(("a source's '%s' must be a %s"):format(name, fields[name]), 2)
      end
      made[name] = value
   end
   for _, name in ipairs { "path", "bytes", "read" } do
      if made[name] then kinds = kinds + 1 end
   end
   if kinds ~= 1 then
      error("a source needs one of 'path', 'bytes' and 'read'", 2)
   end
   return made
end

return source
