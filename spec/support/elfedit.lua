--- Reads and changes the tables of an ELF64 file, for fixtures that no linker
--- makes.
--
--    local image = elfedit.read(path)
--    image.header.e_machine = 3
--    image:segment("PT_LOAD", 2).p_filesz = 1 << 40
--    image:dynamic("DT_SYMTAB").d_val = 8
--    image:symbol("f").st_value = 0
--    image:relocation { symbol = "f" }.r_type = elfedit.R_X86_64_PC64
--    image:save()                                --> path of the changed file
--
-- A record reads and writes through to the bytes. Nothing is checked: that is
-- what the files are for.

local fixtures = require "spec.support.fixtures"
local lfs = require "lfs"
local disk = require "spec.support.disk"

---@class elfedit
local elfedit = {
   PT_NULL = 0, PT_LOAD = 1, PT_DYNAMIC = 2, PT_INTERP = 3, PT_NOTE = 4,
   PT_PHDR = 6, PT_TLS = 7, PT_GNU_EH_FRAME = 0x6474e550,
   PT_GNU_STACK = 0x6474e551, PT_GNU_RELRO = 0x6474e552,
   PT_GNU_PROPERTY = 0x6474e553,

   PF_X = 1, PF_W = 2, PF_R = 4,

   ET_NONE = 0, ET_REL = 1, ET_EXEC = 2, ET_DYN = 3, ET_CORE = 4,

   DT_NULL = 0, DT_NEEDED = 1, DT_PLTRELSZ = 2, DT_PLTGOT = 3, DT_HASH = 4,
   DT_STRTAB = 5, DT_SYMTAB = 6, DT_RELA = 7, DT_RELASZ = 8, DT_RELAENT = 9,
   DT_STRSZ = 10, DT_SYMENT = 11, DT_INIT = 12, DT_FINI = 13, DT_SONAME = 14,
   DT_RPATH = 15, DT_SYMBOLIC = 16, DT_REL = 17, DT_RELSZ = 18,
   DT_RELENT = 19, DT_PLTREL = 20, DT_DEBUG = 21, DT_TEXTREL = 22,
   DT_JMPREL = 23, DT_BIND_NOW = 24, DT_INIT_ARRAY = 25, DT_FINI_ARRAY = 26,
   DT_INIT_ARRAYSZ = 27, DT_FINI_ARRAYSZ = 28, DT_RUNPATH = 29, DT_FLAGS = 30,
   DT_RELRSZ = 35, DT_RELR = 36, DT_RELRENT = 37,
   DT_GNU_HASH = 0x6ffffef5, DT_VERSYM = 0x6ffffff0, DT_RELACOUNT = 0x6ffffff9,
   DT_FLAGS_1 = 0x6ffffffb, DT_VERDEF = 0x6ffffffc, DT_VERDEFNUM = 0x6ffffffd,
   DT_VERNEED = 0x6ffffffe, DT_VERNEEDNUM = 0x6fffffff,
   DT_AUXILIARY = 0x7ffffffd, DT_FILTER = 0x7fffffff,

   DF_ORIGIN = 1, DF_SYMBOLIC = 2, DF_TEXTREL = 4, DF_BIND_NOW = 8,
   DF_STATIC_TLS = 16,
   DF_1_NOW = 1, DF_1_GLOBAL = 2, DF_1_NODELETE = 8, DF_1_INITFIRST = 0x20,
   DF_1_NOOPEN = 0x40, DF_1_ORIGIN = 0x80, DF_1_NODEFLIB = 0x800,
   DF_1_PIE = 0x8000000,

   STB_LOCAL = 0, STB_GLOBAL = 1, STB_WEAK = 2, STB_GNU_UNIQUE = 10,
   STT_NOTYPE = 0, STT_OBJECT = 1, STT_FUNC = 2, STT_SECTION = 3, STT_FILE = 4,
   STT_COMMON = 5, STT_TLS = 6, STT_GNU_IFUNC = 10,
   STV_DEFAULT = 0, STV_INTERNAL = 1, STV_HIDDEN = 2, STV_PROTECTED = 3,
   SHN_UNDEF = 0, SHN_ABS = 0xfff1, SHN_COMMON = 0xfff2,

   SHT_DYNSYM = 11,

   R_X86_64_NONE = 0, R_X86_64_64 = 1, R_X86_64_PC32 = 2, R_X86_64_GOT32 = 3,
   R_X86_64_PLT32 = 4, R_X86_64_COPY = 5, R_X86_64_GLOB_DAT = 6,
   R_X86_64_JUMP_SLOT = 7, R_X86_64_RELATIVE = 8, R_X86_64_32 = 10,
   R_X86_64_32S = 11, R_X86_64_16 = 12, R_X86_64_PC16 = 13, R_X86_64_8 = 14,
   R_X86_64_PC8 = 15, R_X86_64_DTPMOD64 = 16, R_X86_64_DTPOFF64 = 17,
   R_X86_64_TPOFF64 = 18, R_X86_64_PC64 = 24, R_X86_64_SIZE32 = 32,
   R_X86_64_SIZE64 = 33, R_X86_64_TLSDESC = 36, R_X86_64_IRELATIVE = 37,
   R_X86_64_RELATIVE64 = 38,
}

-- Each field: where it is in its record and how it is packed.
local EHDR = {
   e_class = { 4, "B" }, e_data = { 5, "B" }, e_iversion = { 6, "B" },
   e_osabi = { 7, "B" }, e_abiversion = { 8, "B" },
   e_type = { 16, "<I2" }, e_machine = { 18, "<I2" }, e_version = { 20, "<I4" },
   e_entry = { 24, "<i8" }, e_phoff = { 32, "<i8" }, e_shoff = { 40, "<i8" },
   e_flags = { 48, "<I4" }, e_ehsize = { 52, "<I2" },
   e_phentsize = { 54, "<I2" }, e_phnum = { 56, "<I2" },
   e_shentsize = { 58, "<I2" }, e_shnum = { 60, "<I2" },
   e_shstrndx = { 62, "<I2" }, size = 64,
}
local PHDR = {
   p_type = { 0, "<I4" }, p_flags = { 4, "<I4" }, p_offset = { 8, "<i8" },
   p_vaddr = { 16, "<i8" }, p_paddr = { 24, "<i8" }, p_filesz = { 32, "<i8" },
   p_memsz = { 40, "<i8" }, p_align = { 48, "<i8" }, size = 56,
}
local SHDR = {
   sh_name = { 0, "<I4" }, sh_type = { 4, "<I4" }, sh_flags = { 8, "<i8" },
   sh_addr = { 16, "<i8" }, sh_offset = { 24, "<i8" }, sh_size = { 32, "<i8" },
   sh_link = { 40, "<I4" }, sh_info = { 44, "<I4" }, sh_addralign = { 48, "<i8" },
   sh_entsize = { 56, "<i8" }, size = 64,
}
local DYN = { d_tag = { 0, "<i8" }, d_val = { 8, "<i8" }, size = 16 }
local SYM = {
   st_name = { 0, "<I4" }, st_info = { 4, "B" }, st_other = { 5, "B" },
   st_shndx = { 6, "<I2" }, st_value = { 8, "<i8" }, st_size = { 16, "<i8" },
   size = 24,
}
local RELA = {
   r_offset = { 0, "<i8" }, r_type = { 8, "<I4" }, r_sym = { 12, "<I4" },
   r_info = { 8, "<i8" }, r_addend = { 16, "<i8" }, size = 24,
}
local VERNEED = {
   vn_version = { 0, "<I2" }, vn_cnt = { 2, "<I2" }, vn_file = { 4, "<I4" },
   vn_aux = { 8, "<I4" }, vn_next = { 12, "<I4" }, size = 16,
}
local VERNAUX = {
   vna_hash = { 0, "<I4" }, vna_flags = { 4, "<I2" }, vna_other = { 6, "<I2" },
   vna_name = { 8, "<I4" }, vna_next = { 12, "<I4" }, size = 16,
}
local VERDEF = {
   vd_version = { 0, "<I2" }, vd_flags = { 2, "<I2" }, vd_ndx = { 4, "<I2" },
   vd_cnt = { 6, "<I2" }, vd_hash = { 8, "<I4" }, vd_aux = { 12, "<I4" },
   vd_next = { 16, "<I4" }, size = 20,
}
local WORD = { value = { 0, "<I4" }, size = 4 }
local VERDAUX = { vda_name = { 0, "<I4" }, vda_next = { 4, "<I4" }, size = 8 }

---@class image
---@field bytes string
local image = {}
image.__index = image

-- A record at an offset. Its fields are read from and written to the bytes.
local function record (of, offset, layout)
   return setmetatable({}, {
      __index = function (_, name)
         if name == "offset" then return offset end
         local field = layout[name] or error("no field " .. name, 2)
         return (string.unpack(field[2], of.bytes, offset + field[1] + 1))
      end,
      __newindex = function (_, name, value)
         local field = layout[name] or error("no field " .. name, 2)
         of:write(offset + field[1], string.pack(field[2], value))
      end,
   })
end

--- An image of these bytes.
---@param bytes string
---@return image
function elfedit.new (bytes)
   local self = setmetatable({ bytes = bytes }, image)
   self.header = record(self, 0, EHDR)
   return self
end

--- An image of what is in a file now. The file itself is never changed.
---@param path string
---@return image
function elfedit.read (path)
   local file = assert(io.open(path, "rb"))
   local self = elfedit.new(file:read "a")
   file:close()
   return self
end

-- How many records of `size` bytes a table of so many bytes at an offset has,
-- within the file: sizes may lie.
local function count (of, offset, bytes, size)
   if bytes < 0 or offset < 0 then return 0 end
   return math.min(bytes, math.max(#of.bytes - offset, 0)) // size
end

--- Puts bytes over those at an offset.
---@param offset integer
---@param bytes string
function image:write (offset, bytes)
   assert(offset >= 0 and offset + #bytes <= #self.bytes, "outside the file")
   self.bytes = self.bytes:sub(1, offset) .. bytes
      .. self.bytes:sub(offset + #bytes + 1)
end

--- The same for whoever puts a `write` of its own into an image.
elfedit.write = image.write

--- Cuts the file off.
---@param size integer
---@return image self
function image:truncate (size)
   self.bytes = self.bytes:sub(1, size)
   return self
end

--- All program headers, in file order.
---@return table[]
function image:segments ()
   local out = {}
   for at = 0, self.header.e_phnum - 1 do
      out[#out + 1] = record(self, self.header.e_phoff + at * PHDR.size, PHDR)
   end
   return out
end

--- The nth program header of a type.
---@param name string "PT_LOAD" and so on
---@param nth? integer
---@return table
function image:segment (name, nth)
   nth = nth or 1
   for _, segment in ipairs(self:segments()) do
      if segment.p_type == elfedit[name] then
         nth = nth - 1
         if nth == 0 then return segment end
      end
   end
   error("the file has no such " .. name, 2)
end

--- The PT_LOAD that has these flags.
---@param flags integer
---@return table
function image:load (flags)
   for _, segment in ipairs(self:segments()) do
      if segment.p_type == elfedit.PT_LOAD and segment.p_flags == flags then
         return segment
      end
   end
   error("no PT_LOAD has these flags", 2)
end

--- Where in the file an address is.
---@param address integer
---@return integer
function image:offset (address)
   for _, segment in ipairs(self:segments()) do
      if segment.p_type == elfedit.PT_LOAD and address >= segment.p_vaddr
            and address < segment.p_vaddr + segment.p_filesz then
         return address - segment.p_vaddr + segment.p_offset
      end
   end
   error(("no segment holds address 0x%x"):format(address), 2)
end

--- All dynamic entries, DT_NULL and what follows it included.
---@return table[]
function image:entries ()
   local segment = self:segment "PT_DYNAMIC"
   local out = {}
   for at = 0, count(self, segment.p_offset, segment.p_filesz, DYN.size) - 1 do
      out[#out + 1] = record(self, segment.p_offset + at * DYN.size, DYN)
   end
   return out
end

--- The nth dynamic entry of a tag, or nil.
---@param name string "DT_HASH" and so on
---@param nth? integer
---@return table|nil
function image:dynamic (name, nth)
   nth = nth or 1
   for _, entry in ipairs(self:entries()) do
      if entry.d_tag == elfedit[name] then
         nth = nth - 1
         if nth == 0 then return entry end
      end
      if entry.d_tag == elfedit.DT_NULL then break end
   end
   return nil
end

--- Adds a dynamic entry in one of the spare places that ld leaves at the end.
---@param name string
---@param value integer
function image:add (name, value)
   local entries = self:entries()
   for at, entry in ipairs(entries) do
      if entry.d_tag == elfedit.DT_NULL then
         assert(entries[at + 1], "no spare dynamic entry")
         entry.d_tag, entry.d_val = elfedit[name], value
         return
      end
   end
end

--- Takes a dynamic entry out, by a tag that means nothing.
---@param name string
function image:remove (name)
   local entry = assert(self:dynamic(name), "no such dynamic entry")
   entry.d_tag = 0x6ffffd00
end

--- All section headers.
---@return table[]
function image:sections ()
   local out = {}
   for at = 0, self.header.e_shnum - 1 do
      out[#out + 1] = record(self, self.header.e_shoff + at * SHDR.size, SHDR)
   end
   return out
end

--- A section header by its name.
---@param name string
---@return table
function image:section (name)
   local sections = self:sections()
   local names = sections[self.header.e_shstrndx + 1].sh_offset
   for _, section in ipairs(sections) do
      if string.unpack("z", self.bytes, names + section.sh_name + 1) == name then
         return section
      end
   end
   error("no section " .. name, 2)
end

-- What a section of such a type is made of.
local MADE_OF = { [2] = SYM, [4] = RELA, [17] = WORD, [18] = WORD }

--- The records of a symbol table, of relocations, of a group or of
--- SHT_SYMTAB_SHNDX: the field of a word is `value`.
---@param name string of the section
---@return table[]
function image:records (name)
   local out = {}
   local section = self:section(name)
   local layout = MADE_OF[section.sh_type]
   for at = 0, section.sh_size // layout.size - 1 do
      out[#out + 1] = record(self, section.sh_offset + at * layout.size, layout)
   end
   return out
end

--- A dynamic string.
---@param offset integer
---@return string
function image:string (offset)
   local table_at = self:offset(self:dynamic "DT_STRTAB".d_val)
   return (string.unpack("z", self.bytes, table_at + offset + 1))
end

--- All dynamic symbols; the first is index 0's. They have a field `name` more.
---@return table[]
function image:symbols ()
   local out = {}
   for _, section in ipairs(self:sections()) do
      if section.sh_type == elfedit.SHT_DYNSYM then
         local symbols = count(self, section.sh_offset, section.sh_size, SYM.size)
         for at = 0, symbols - 1 do
            out[#out + 1] = record(self, section.sh_offset + at * SYM.size, SYM)
         end
      end
   end
   return out
end

--- A dynamic symbol and its index.
---@param name string
---@return table symbol
---@return integer index
function image:symbol (name)
   for at, symbol in ipairs(self:symbols()) do
      if self:string(symbol.st_name) == name then return symbol, at - 1 end
   end
   error("no symbol " .. name, 2)
end

--- The version entry of a symbol, as a record with the field `index`.
---@param name string
---@return table
function image:versym (name)
   local _, index = self:symbol(name)
   local at = self:offset(self:dynamic "DT_VERSYM".d_val) + 2 * index
   return record(self, at, { index = { 0, "<I2" } })
end

--- All relocations of DT_RELA and DT_JMPREL, each once.
---@return table[]
function image:relocations ()
   local out, seen = {}, {}
   for _, names in ipairs { { "DT_RELA", "DT_RELASZ" },
      { "DT_JMPREL", "DT_PLTRELSZ" } } do
      local first, size = self:dynamic(names[1]), self:dynamic(names[2])
      if first and size and size.d_val > 0 then
         local at = self:offset(first.d_val)
         local last = at + count(self, at, size.d_val, RELA.size) * RELA.size
         for place = at, last - RELA.size, RELA.size do
            if not seen[place] then
               seen[place] = true
               out[#out + 1] = record(self, place, RELA)
            end
         end
      end
   end
   return out
end

--- The first relocation that fits: symbol = name, type = number, offset = of
--- the relocated word, nth = which of those.
---@param what { symbol?: string, type?: integer, offset?: integer, nth?: integer }
---@return table
function image:relocation (what)
   local index
   if what.symbol then
      local _
      _, index = self:symbol(what.symbol)
   end
   local nth = what.nth or 1
   for _, relocation in ipairs(self:relocations()) do
      if (not index or relocation.r_sym == index)
            and (not what.type or relocation.r_type == what.type)
            and (not what.offset or relocation.r_offset == what.offset) then
         nth = nth - 1
         if nth == 0 then return relocation end
      end
   end
   error("no such relocation", 2)
end

--- The version needs: each a Verneed with `versions`, its Vernaux records.
---@return table[]
function image:needs ()
   local out = {}
   local at = self:offset(self:dynamic "DT_VERNEED".d_val)
   repeat
      local need = record(self, at, VERNEED)
      local versions, place = {}, at + need.vn_aux
      repeat
         local version = record(self, place, VERNAUX)
         versions[#versions + 1] = version
         place = place + version.vna_next
      until version.vna_next == 0
      out[#out + 1] = { need = need, versions = versions,
         file = self:string(need.vn_file) }
      at = at + need.vn_next
   until need.vn_next == 0
   return out
end

--- The version definitions: each a Verdef with its first Verdaux.
---@return table[]
function image:definitions ()
   local out = {}
   local at = self:offset(self:dynamic "DT_VERDEF".d_val)
   repeat
      local definition = record(self, at, VERDEF)
      local name = record(self, at + definition.vd_aux, VERDAUX)
      out[#out + 1] = { definition = definition, name = name,
         text = self:string(name.vda_name) }
      at = at + definition.vd_next
   until definition.vd_next == 0
   return out
end

--- The words of DT_GNU_HASH's or DT_HASH's header, or any 32-bit words at an
--- address: words[0], words[1] and so on.
---@param name string
---@return table
function image:words (name)
   local at = self:offset(assert(self:dynamic(name), "no " .. name).d_val)
   return setmetatable({}, {
      __index = function (_, index)
         return (string.unpack("<I4", self.bytes, at + 4 * index + 1))
      end,
      __newindex = function (_, index, value)
         self:write(at + 4 * index, string.pack("<I4", value))
      end,
   })
end

--- Puts the bytes into a file of their own, named after them.
---@return string path
function image:save ()
   local folder = fixtures.folder .. "/edited"
   if not lfs.attributes(folder, "mode") then
      fixtures.text("", ".empty")
      lfs.mkdir(folder)
   end
   local path = ("%s/%s.so"):format(folder, fixtures.digest(self.bytes))
   if lfs.attributes(path, "size") ~= #self.bytes then
      disk.write(path, self.bytes)
   end
   return path
end

return elfedit
