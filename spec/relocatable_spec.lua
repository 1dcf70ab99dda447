--- Object files are read as readelf reads them, and those that lie are refused
--- by the field that does.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local objects = require "spec.support.objects"

-- With everything that there is.
local rich = assert(cc.object([[
   extern int other(int), weak_one(void) __attribute__((weak));
   int common, aligned_common __attribute__((aligned(64)));
   static int counted = 3;
   __thread int in_thread = 4, zero_in_thread;
   static const char text[] = "text";
   const char *table[] = { text, text + 2, "other" };
   int zeros[500];
   static int chosen(void) { return 1; }
   static void *choose(void) { return chosen; }
   int picked(void) __attribute__((ifunc("choose")));
   __attribute__((constructor(200))) static void start(void) { counted++; }
   __attribute__((visibility("hidden"))) int hidden_one(void) { return 2; }
   int f(int x) { return other(x) + counted + common + in_thread
      + (weak_one ? weak_one() : 0) + hidden_one() + zero_in_thread; }
   __asm__(".globl fixed; fixed = 0x1234");
   __asm__(".section .text.once,\"axG\",@progbits,once,comdat;"
      ".weak once; once: call f; ret; .previous");
   __asm__(".section .data.together,\"awG\",@progbits,together;"
      "together: .quad f; .previous");
]], "-fcommon -ffunction-sections -g"))


-- readelf's lines in the words of the reader's.
local SYMBOL_TYPES <const> = { NOTYPE = 0, OBJECT = 1, FUNC = 2, SECTION = 3,
   FILE = 4, COMMON = 5, TLS = 6, IFUNC = 10 }
local BINDINGS <const> = { LOCAL = 0, GLOBAL = 1, WEAK = 2, UNIQUE = 10 }
local VISIBILITIES <const> = { DEFAULT = 0, INTERNAL = 1, HIDDEN = 2,
   PROTECTED = 3 }

local function sections (path)
   local out = {}
   for line in objects.shown("readelf", "-SW", path):gmatch "[^\n]+" do
      local index, rest = line:match "^  %[ *(%d+)%] (.*)"
      if index and index ~= "0" then
         local name, size, entsize, tail = rest:match(
            "^(%S*) +%u.- " .. ("%x"):rep(16) .. " %x+ (%x+) (%x+)(.*)")
         local link, info, align = tail:match "(%d+) +(%d+) +(%d+)$"
         out[#out + 1] = ("section %d %x %x %d %s %s %s"):format(
            tonumber(index), tonumber(size, 16), tonumber(entsize, 16),
            math.max(1, tonumber(align)), link, info, name)
      end
   end
   return out
end

local function symbols (path)
   local out = {}
   for line in objects.shown("readelf", "-sW", path):gmatch "[^\n]+" do
      local index, value, size, kind, binding, visibility, place, name =
         line:match "^ *(%d+): (%x+) +(%w+) (%u+) +(%u+) +(%u+) +(%w+) ?(.*)$"
      if index then
         out[#out + 1] = ("symbol %s %x %d %d %d %d %s %s"):format(index,
            tonumber(value, 16), tonumber(size), SYMBOL_TYPES[kind],
            BINDINGS[binding], VISIBILITIES[visibility], place, name)
      end
   end
   return out
end

local function relocations (path)
   local out, targets, target = {}, {}, nil
   for line in objects.shown("readelf", "-SW", path):gmatch "[^\n]+" do
      local index, name = line:match "^  %[ *(%d+)%] (%S+)"
      if index then targets[name] = index end
   end
   for line in objects.shown("readelf", "-rW", path):gmatch "[^\n]+" do
      local name = line:match "^Relocation section '%.rela(%S+)'"
      if name then target = targets[name] end
      local offset, info = line:match "^(%x+)  (%x+) "
      if offset then
         out[#out + 1] = ("relocation %s %x %x"):format(target,
            tonumber(offset, 16), tonumber(info, 16))
      end
   end
   return out
end

local function groups (path)
   local out = {}
   for line in objects.shown("readelf", "-gW", path):gmatch "[^\n]+" do
      local comdat, index, signature = line:match
         "^(%u*) ?group section %[ *(%d+)%] `[^']*' %[([^%]]*)%]"
      if index then
         out[#out + 1] = ("group %s %s %s"):format(index,
            comdat == "COMDAT" and comdat or "any", signature)
      end
      local member = line:match "^   %[ *(%d+)%]   "
      if member then out[#out] = out[#out] .. " " .. member end
   end
   return out
end

local function of (text, word)
   local out = {}
   for line in text:gmatch "[^\n]+" do
      if line:find(word, 1, true) == 1 then out[#out + 1] = line end
   end
   return out
end

local function sorted (list)
   table.sort(list)
   return list
end

local function compare (path, many)
   local text = objects.read("object", path)
   assert.same(sections(path), of(text, "section "))
   assert.same(symbols(path), of(text, "symbol "))
   assert.same(groups(path), of(text, "group "))
   -- readelf goes by the tables, the reader by what they relocate; and where
   -- there are many it takes minutes.
   if many then
      assert.equal(many, #of(text, "relocation "))
   else
      assert.same(sorted(relocations(path)), sorted(of(text, "relocation ")))
   end
   assert.is_not_nil(text:find "\nis one\n$")
   return text
end

describe("An object file", function ()
   it("is read as readelf reads it", function ()
      local text = compare(rich)
      for _, sign in ipairs { " COM common\n", " ABS fixed\n", "COMDAT once",
         "any together", " 40 4 1 1 0 COM aligned_common\n" } do
         assert.is_not_nil(text:find(sign, 1, true), sign)
      end
   end)

   it("is read alike without any symbol or section of its own", function ()
      compare(assert(cc.object ""))
   end)

   it("may have more than 65,000 sections", function ()
      local text = {}
      for number = 1, 65600 do
         text[number] = (".section .text.s%d,\"ax\"\nf%d: call f%d"):format(
            number, number, number % 65600 + 1)
      end
      local path = assert(cc.object(('__asm__(".include \\"%s\\"");'):format(
         fixtures.text(table.concat(text, "\n") .. "\n", ".s"))))
      local image = elfedit.read(path)
      assert.equal(0, image.header.e_shnum)
      assert.equal(0xffff, image.header.e_shstrndx)
      compare(path, 65600)
      -- Its escapes are checked like what they stand for.
      for _, case in ipairs {
         { "sh_size", function (first) first.sh_size = 1 << 40 end },
         { "sh_size", function (first) first.sh_size = 0 end },
         { "sh_size", function (first) first.sh_size = -1 end },
         { "sh_link", function (first) first.sh_link = 0xfffffff end },
      } do
         local changed = elfedit.read(path)
         changed.header.e_shnum = 1
         local first = changed:sections()[1]
         changed.header.e_shnum = 0
         case[2](first)
         -- Too large to be named after its bytes.
         local file = fixtures.folder .. "/many-sections.o"
         campaign.write(file, changed.bytes)
         objects.refused("badformat", case[1], "object", file)
         os.remove(file)
      end
   end)

   it("is known by its first bytes", function ()
      for path, known in pairs {
         [rich] = true, [assert(cc.shared "int f;")] = false,
         [fixtures.text("BC\xc0\xde and what else", ".o")] = true,
      } do
         local text = objects.read("object", path)
         assert.equal(known, text:find "is one" ~= nil
            or text:find "bitcode" ~= nil, text)
      end
   end)
end)

-- Changes a copy of the rich one.
local function edited (change)
   local image = elfedit.read(rich)
   local other = change(image)
   return (other or image):save()
end

local function cases (title, kind, list)
   describe(title, function ()
      for _, case in ipairs(list) do
         it(case[1] .. " is refused", function ()
            objects.refused(case.kind or kind, case[2], "object",
               edited(case[3]))
         end)
      end
   end)
end

cases("In an object's header,", "badformat", {
   { "another magic", "e_ident", function (i) i:write(0, "\127ELG") end },
   { "another class", "EI_CLASS", function (i) i.header.e_class = 1 end },
   { "another byte order", "EI_DATA", function (i) i.header.e_data = 2 end,
      kind = "badarch" },
   { "another version", "EI_VERSION",
      function (i) i.header.e_iversion = 2 end },
   { "another version of the format", "e_version",
      function (i) i.header.e_version = 0 end },
   { "another machine", { "e_machine", "AArch64" },
      function (i) i.header.e_machine = 183 end, kind = "badarch" },
   { "another system's ABI", "EI_OSABI",
      function (i) i.header.e_osabi = 9 end, kind = "unsupported" },
   { "the type of a shared object", { "e_type", "ET_DYN", "ET_REL" },
      function (i) i.header.e_type = 3 end, kind = "unsupported" },
   { "the type of a program", "ET_EXEC",
      function (i) i.header.e_type = 2 end, kind = "unsupported" },
   { "no section headers", "e_shoff", function (i) i.header.e_shoff = 0 end },
   { "a place of them beyond the file", "e_shoff",
      function (i) i.header.e_shoff = #i.bytes - 8 end },
   { "a place of them that overflows", "e_shoff",
      function (i) i.header.e_shoff = -64 end },
   { "more of them than the file has", "e_shnum",
      function (i) i.header.e_shnum = 0xfe00 end },
   { "none of them", "e_shnum", function (i) i.header.e_shnum = 0 end },
   { "another size of them", "e_shentsize",
      function (i) i.header.e_shentsize = 40 end },
   { "a table of their names that is no section", "e_shstrndx",
      function (i) i.header.e_shstrndx = 0xfeff end },
   { "a table of their names that is none", "SHT_STRTAB",
      function (i) i.header.e_shstrndx = 1 end },
   { "a header that is cut short", "the file ends",
      function (i) return i:truncate(40) end },
   { "nothing but its beginning", "e_ident",
      function (i) return i:truncate(3) end },
})

-- Gives a field of a section a value.
local function set (name, field, value)
   return function (image) image:section(name)[field] = value end
end

cases("In an object's section headers,", "badformat", {
   { "a name outside the table", "sh_name", set(".data", "sh_name", 1 << 30) },
   { "a table of names without an end", "NUL", function (i)
      local names = i:section ".shstrtab"
      names.sh_size = names.sh_size - 1
   end },
   { "an alignment that is no power", "sh_addralign",
      set(".data", "sh_addralign", 3) },
   { "an alignment beyond all use", "sh_addralign",
      set(".data", "sh_addralign", 1 << 40) },
   { "bytes beyond the file", { "sh_offset", ".data" },
      set(".data", "sh_offset", 1 << 40) },
   { "bytes at an offset that overflows", "sh_offset",
      set(".data", "sh_offset", -4) },
   { "a size beyond the file", "sh_size", set(".data", "sh_size", 1 << 40) },
   { "a size beyond the address space", "sh_size",
      set(".bss", "sh_size", 1 << 47) },
   { "a size that overflows", "sh_size", set(".bss", "sh_size", -1) },
   { "sections on one another", { "sh_offset", "sh_size" }, function (i)
      for _, name in ipairs { ".data", ".comment", ".rodata" } do
         i:section(name).sh_offset = 0
         i:section(name).sh_size = #i.bytes
      end
   end },
   { "compressed code", "SHF_COMPRESSED", function (i)
      local data = i:section ".data"
      data.sh_flags = data.sh_flags | 1 << 11
   end },
   { "an order by a section that is not there", "SHF_LINK_ORDER",
      function (i)
         local data = i:section ".data"
         data.sh_flags, data.sh_link = data.sh_flags | 1 << 7, 0xffff
      end },
   { "relocations without addends", "SHT_REL",
      set(".rela.data.rel.local", "sh_type", 9), kind = "unsupported" },
   { "packed relocations", "SHT_CREL",
      set(".rela.data.rel.local", "sh_type", 0x40000014),
      kind = "unsupported" },
   { "a wish for an executable stack", ".note.GNU-stack",
      set(".note.GNU-stack", "sh_flags", 4), kind = "unsupported" },
})

-- Gives a field of a symbol that is found by its type or section a value.
local function symbol (want, field, value)
   return function (image)
      local names = image:section ".strtab".sh_offset
      for _, one in ipairs(image:records ".symtab") do
         if string.unpack("z", image.bytes, names + one.st_name + 1) == want then
            one[field] = value
            return
         end
      end
      error("no symbol " .. want)
   end
end

cases("In an object's symbols,", "badformat", {
   { "a second table", "SHT_SYMTAB", set(".comment", "sh_type", 2) },
   { "another size of an entry", "sh_entsize", set(".symtab", "sh_entsize", 16) },
   { "a size that is no number of them", "sh_size", function (i)
      i:section ".symtab".sh_size = i:section ".symtab".sh_size - 1
   end },
   { "more local ones than there are", "sh_info",
      set(".symtab", "sh_info", 1000) },
   { "no local one, not even the first", "sh_info",
      set(".symtab", "sh_info", 0) },
   { "fewer local ones than there are", { "sh_info", "st_info" },
      set(".symtab", "sh_info", 1) },
   { "a table of strings that is no section", "sh_link",
      set(".symtab", "sh_link", 500) },
   { "no table of strings", "sh_link", set(".symtab", "sh_link", 0) },
   { "a table of strings that is none", "SHT_STRTAB",
      set(".symtab", "sh_link", 1) },
   { "a table of strings without an end", "NUL", function (i)
      local names = i:section ".strtab"
      names.sh_size = names.sh_size - 1
   end },
   { "a name outside of it", "st_name", symbol("f", "st_name", 1 << 28) },
   { "a section that is not there", "st_shndx", symbol("f", "st_shndx", 999) },
   { "a reserved section", "st_shndx", symbol("f", "st_shndx", 0xff20) },
   { "a section in a table that is not there", "SHT_SYMTAB_SHNDX",
      symbol("f", "st_shndx", 0xffff) },
   { "a binding that is none", "st_info", symbol("f", "st_info", 0x52) },
   { "a local one among the others", "st_info", symbol("f", "st_info", 0x02) },
   { "a common one's alignment", "st_value", symbol("common", "st_value", 12) },
   { "a common one's size", "st_size", symbol("common", "st_size", 1 << 50) },
   { "a common one that is local", { "SHN_COMMON", "local" },
      symbol("text", "st_shndx", 0xfff2) },
   { "a table of sections that belongs to none", "sh_link",
      set(".comment", "sh_type", 18) },
   { "a table of sections that is too short", "sh_size", function (i)
      local names = i:section ".comment"
      names.sh_type = 18
      for at, section in ipairs(i:sections()) do
         if section.sh_type == 2 then names.sh_link = at - 1 end
      end
   end },
})

local RELA <const> = ".rela.data.rel.local"

cases("In an object's relocations,", "badformat", {
   { "another size of an entry", "sh_entsize", set(RELA, "sh_entsize", 16) },
   { "a size that is no number of them", "sh_size", set(RELA, "sh_size", 25) },
   { "another table of symbols", "sh_link", set(RELA, "sh_link", 1) },
   { "no section that they are of", "sh_info", set(RELA, "sh_info", 0) },
   { "a section that is not there", "sh_info", set(RELA, "sh_info", 7777) },
   { "a section that has relocations already", "sh_info", function (i)
      i:section(RELA).sh_info = i:section ".rela.eh_frame".sh_info
   end },
   { "a section without bytes", "SHT_NOBITS", function (i)
      for at, section in ipairs(i:sections()) do
         if section.sh_type == 8 then i:section(RELA).sh_info = at - 1 end
      end
   end },
   { "a symbol that is not there", "r_info",
      function (i) i:records(RELA)[1].r_sym = 5000 end },
   { "a place outside of the section", "r_offset",
      function (i) i:records(RELA)[2].r_offset = 1000 end },
   { "a place that overflows", "r_offset",
      function (i) i:records(RELA)[2].r_offset = -1 end },
})

cases("In an object's groups,", "badformat", {
   { "a member that is not there", "member 0",
      function (i) i:records ".group"[2].value = 5000 end },
   { "the null section", "member 0",
      function (i) i:records ".group"[2].value = 0 end },
   { "a group in a group", "member 0", function (i)
      for at, section in ipairs(i:sections()) do
         if section.sh_type == 17 then
            i:records ".group"[2].value = at - 1
         end
      end
   end },
   { "a section twice", "already", function (i)
      local words = i:records ".group"
      words[3].value = words[2].value
   end },
   { "flags that mean nothing here", "GRP_COMDAT",
      function (i) i:records ".group"[1].value = 6 end, kind = "unsupported" },
   { "a size that is no number of words", "sh_size",
      set(".group", "sh_size", 6) },
   { "a size without its flags", "sh_size", set(".group", "sh_size", 0) },
   { "a name that is no symbol", "sh_info", set(".group", "sh_info", 3000) },
   { "another table of symbols", "sh_link", set(".group", "sh_link", 2) },
})

describe("What a compiler writes in place of an object", function ()
   it("is refused by name when it is LLVM bitcode", function ()
      for _, magic in ipairs { "BC\xc0\xde", "\xde\xc0\x17\x0b" } do
         objects.refused("unsupported", { "bitcode", "-flto" }, "object",
            fixtures.text(magic .. ("x"):rep(100), ".o"))
      end
   end)

   it("is refused by name when only gcc can make code of it", function ()
      objects.refused("unsupported", { "-flto", "-ffat-lto-objects" }, "object",
         assert(cc.object("int f(void) { return 1; }", "-flto")))
      local fat = objects.read("object", assert(cc.object(
         "int f(void) { return 1; }", "-flto -ffat-lto-objects")))
      assert.is_not_nil(fat:find " f\n")
      -- A file without code can be fat as well.
      assert.is_not_nil(objects.read("object", assert(cc.object("",
         "-flto -ffat-lto-objects"))):find "is one")
   end)
end)
