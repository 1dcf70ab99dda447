--- Reads ELF files for comparisons: a reader of its own, so that it cannot repeat
--- what the loader's gets wrong. Files are trusted: compilers and linkers have
--- just written them.

local campaign = require "spec.support.campaign"

---@class elfread
local elfread = {}

---@class elfread.section
---@field index integer
---@field name string
---@field type integer
---@field flags integer
---@field address integer
---@field offset integer
---@field size integer
---@field link integer
---@field info integer
---@field entsize integer
---@field group? elfread.group
---@field bytes? string of what has some
---@field relocated? boolean words of it are

---@class elfread.symbol
---@field name string
---@field value integer
---@field size integer
---@field section integer
---@field binding integer
---@field type integer

---@class elfread.relocation
---@field section elfread.section that it relocates
---@field offset integer
---@field type integer
---@field symbol integer
---@field addend integer

---@class elfread.group
---@field signature string
---@field dropped? boolean

---@class elfread.file
---@field path string
---@field bytes string
---@field kind integer
---@field sections elfread.section[] by index, from 0 on
---@field symbols elfread.symbol[] by index, from 0 on

local SHT <const> = { SYMTAB = 2, RELA = 4, NOBITS = 8, DYNSYM = 11, GROUP = 17 }
elfread.SHF = { WRITE = 1, ALLOC = 2, MERGE = 16, STRINGS = 32, TLS = 0x400 }

local function sections (file)
   local bytes = file.bytes
   local at, size, count, names = ("<I8"):unpack(bytes, 0x28 + 1),
      ("<I2I2I2"):unpack(bytes, 0x3a + 1)
   assert(size == 64, file.path .. " has section headers of another size")
   local out = {}
   for index = 0, count - 1 do
      local name, kind, flags, address, offset, length, link, info, _, entsize =
         ("<I4I4I8I8I8I8I4I4I8I8"):unpack(bytes, at + 64 * index + 1)
      out[index] = { index = index, name = name, type = kind, flags = flags,
         address = address, offset = offset, size = length, link = link,
         info = info, entsize = entsize }
      if kind ~= SHT.NOBITS and kind ~= 0 then
         out[index].bytes = bytes:sub(offset + 1, offset + length)
      end
   end
   for index = 0, count - 1 do
      out[index].name = ("z"):unpack(out[names].bytes, out[index].name + 1)
   end
   return out, count
end

-- Of a section of symbols; its strings are in another.
local function symbols (file, section)
   local out, strings = {}, file.sections[section.link].bytes
   for number = 0, section.size // 24 - 1 do
      local name, info, _, index, value, size =
         ("<I4I1I1I2I8I8"):unpack(section.bytes, 24 * number + 1)
      out[number] = { name = ("z"):unpack(strings, name + 1), value = value,
         size = size, section = index, binding = info >> 4, type = info & 15 }
   end
   return out
end

local function groups (file, count)
   for index = 0, count - 1 do
      local section = file.sections[index]
      if section.type == SHT.GROUP then
         local symbol = file.symbols[section.info]
         local group = { signature = symbol.type == 3
            and file.sections[symbol.section].name or symbol.name }
         for at = 5, section.size, 4 do
            file.sections[("<I4"):unpack(section.bytes, at)].group = group
         end
      end
   end
end

-- Entries of a section of relocations.
local function entries (section)
   local number, count = -1, section.size // 24
   return function ()
      number = number + 1
      if number < count then
         local offset, info, addend =
            ("<I8I8i8"):unpack(section.bytes, 24 * number + 1)
         return offset, info & 0xffffffff, info >> 32, addend
      end
   end
end

--- A file of any kind.
---@param path string
---@return elfread.file
function elfread.file (path)
   local file = { path = path, bytes = assert(campaign.contents(path), path),
      symbols = {} }
   local count
   assert(file.bytes:sub(1, 5) == "\x7fELF\2", path .. " is no ELF64 file")
   file.kind = ("<I2"):unpack(file.bytes, 17)
   file.sections, count = sections(file)
   file.section_count = count
   for index = 0, count - 1 do
      if file.sections[index].type == SHT.SYMTAB then
         file.symbols = symbols(file, file.sections[index])
      end
   end
   for index = 0, count - 1 do
      local section = file.sections[index]
      if section.type == SHT.RELA and file.kind == 1 and section.size > 0 then
         file.sections[section.info].relocated = true
      end
   end
   if file.kind == 1 then groups(file, count) end
   return file
end

--- May linkers put entries of a section together with equal ones of others? Not
--- where words of it are relocated: they would have to look at what these mean.
---@param section elfread.section
---@return boolean
function elfread.is_merged (section)
   return section.flags & elfread.SHF.MERGE ~= 0 and not section.relocated
end

--- The relocations of an object, in its order.
---@param file elfread.file
---@return elfread.relocation[]
function elfread.relocations (file)
   local out = {}
   for index = 0, file.section_count - 1 do
      local section = file.sections[index]
      if section.type == SHT.RELA then
         for offset, kind, symbol, addend in entries(section) do
            out[#out + 1] = { section = file.sections[section.info],
               offset = offset, type = kind, symbol = symbol,
               addend = addend }
         end
      end
   end
   return out
end

---@class elfread.dynamic
---@field type integer
---@field symbol? elfread.symbol
---@field addend integer

--- What a linked file leaves to ld.so, by the vaddr of the word, and the symbols
--- for that.
---@param file elfread.file
---@return table<integer, elfread.dynamic> relocations
---@return elfread.symbol[] symbols from 1 on
function elfread.dynamics (file)
   local out, own = {}, {}
   for index = 0, file.section_count - 1 do
      if file.sections[index].type == SHT.DYNSYM then
         own = symbols(file, file.sections[index])
      end
   end
   for index = 0, file.section_count - 1 do
      local section = file.sections[index]
      if section.type == SHT.RELA and section.flags & elfread.SHF.ALLOC ~= 0 then
         for offset, kind, symbol, addend in entries(section) do
            assert(not out[offset], "two relocations of one word")
            out[offset] = { type = kind, addend = addend,
               symbol = symbol ~= 0 and own[symbol] or nil }
         end
      end
   end
   return out, own
end

---@class elfread.segment
---@field type integer
---@field offset integer
---@field address integer
---@field filled integer how many bytes of the file it has
---@field size integer
---@field align integer

--- The segments of a linked file.
---@param file elfread.file
---@return elfread.segment[]
function elfread.segments (file)
   local out, bytes = {}, file.bytes
   local at = ("<I8"):unpack(bytes, 0x20 + 1)
   for number = 0, ("<I2"):unpack(bytes, 0x38 + 1) - 1 do
      local kind, _, offset, address, _, filled, size, align =
         ("<I4I4I8I8I8I8I8I8"):unpack(bytes, at + 56 * number + 1)
      out[#out + 1] = { type = kind, offset = offset, address = address,
         filled = filled, size = size, align = align }
   end
   return out
end

return elfread
