-- Tables that lie: each has its kind of error and a message that names the
-- field, and leaves mappings, descriptors and heap as they were.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

local provider = assert(cc.shared([[
   long v1(void) { return 1; }
   long v2(void) { return 2; }
]], "-Wl,--version-script=" .. fixtures.text(
   "V1 { global: v1; local: *; }; V2 { global: v2; } V1;", ".map")))

-- One with every table that there is.
local good = assert(cc.shared([[
   extern long v1(void), v2(void);
   long value = 1;
   __thread long local = 5;
   long *table[100] = { &value, &value };
   static long chosen(void) { return 3; }
   static void *choose(void) { return chosen; }
   long picked(void) __attribute__((ifunc("choose")));
   __attribute__((constructor)) static void start(void) { value++; }
   __attribute__((destructor)) static void stop(void) { value--; }
   void dt_init(void) { value++; }
   long f(void) { return v1() + v2() + local + picked(); }
   long own_version(void) { return 4; }
   char zeros[5000];
]], ("-Wl,--no-as-needed %s -Wl,--hash-style=both,-z,lazy,-init,dt_init,"
   .. "-fini,dt_init,-rpath,/nowhere,-soname,good.so,--version-script=%s")
   :format(provider, fixtures.text("OWN { global: own_version; };"
   .. "OWN2 { global: value; } OWN;", ".map"))))

local packed = assert(cc.shared([[
   static long a, b;
   long *table[200] = { &a, &b, &a, 0, &b, [150] = &b };
   long f(void) { return table[0] == &a; }
]], "-Wl,-z,pack-relative-relocs"))

-- Changes the good file and expects its refusal, by path and from memory.
local function refused (kind, words, change, base)
   local image = elfedit.read(base or good)
   change(image)
   local path = image:save()
   local _, detail = assert.fails_with(kind, elf.open, path)
   assert.says(words, elf.open, path)
   assert.says(path, elf.open, path)
   assert.equal(path, detail.path)
   assert.leaves_nothing(elf.open, path)
   assert.keeps_heap(elf.open, path)
   assert.fails_with(kind, elf.load, image.bytes, "bytes")
   assert.leaves_nothing(elf.load, image.bytes, "bytes")
   assert.keeps_heap(elf.load, image.bytes, "bytes")
end

-- Values that overflow in one way or another.
local WILD <const> = { -1, -8, math.maxinteger, math.mininteger, 1 << 47,
   0xffffffff, 0x7ffffffffff0 }

-- The good file itself, so that each change below is what is refused.
describe("The file that is changed", function ()
   it("can be opened", function ()
      assert.like_ldso({ "open a " .. good, "call a f" }, { "f() = 11" })
      assert.like_ldso({ "open a " .. packed, "call a f" }, { "f() = 1" })
   end)
end)

local function cases (title, kind, list)
   describe(title, function ()
      for _, case in ipairs(list) do
         it(case[1] .. " is refused", function ()
            refused(case.kind or kind, case[2], case[3], case.base)
         end)
      end
   end)
end

cases("In the ELF header,", "badformat", {
   { "e_phentsize that is not 56", "e_phentsize",
      function (image) image.header.e_phentsize = 32 end },
   { "e_phnum of zero", "e_phnum",
      function (image) image.header.e_phnum = 0 end },
   { "e_phnum beyond the file", "e_phnum",
      function (image) image.header.e_phnum = 0xfffe end },
   { "e_phoff beyond the file", "e_phoff",
      function (image) image.header.e_phoff = #image.bytes - 60 end },
   { "e_phoff that overflows", "e_phoff",
      function (image) image.header.e_phoff = -56 end },
})

local function load (flags)
   return function (image) return image:load(flags) end
end
local text, data = load(5), load(6)

cases("In a PT_LOAD,", "badformat", {
   { "p_filesz above p_memsz", { "p_filesz", "p_memsz" },
      function (image) data(image).p_memsz = data(image).p_filesz - 1 end },
   { "p_offset beyond the file", "p_offset",
      function (image) data(image).p_offset = 1 << 30 | data(image).p_offset end },
   { "p_offset that overflows", "p_offset",
      function (image) data(image).p_offset = data(image).p_offset - (1 << 63) end },
   { "p_filesz beyond the file", "p_filesz",
      function (image) data(image).p_filesz = 1 << 30
         data(image).p_memsz = 1 << 30 end },
   { "p_vaddr beyond the address space", "p_vaddr",
      function (image) data(image).p_vaddr = data(image).p_vaddr | 1 << 47 end },
   { "p_vaddr that overflows", "p_vaddr",
      function (image) data(image).p_vaddr = data(image).p_vaddr - (1 << 62) end },
   { "p_memsz beyond the address space", "p_memsz",
      function (image) data(image).p_memsz = 1 << 47 end },
   { "p_memsz that overflows", "p_memsz",
      function (image) data(image).p_memsz = -1 end },
   { "p_align that is no power of two", "p_align",
      function (image) data(image).p_align = 0x1800 end },
   { "p_align beyond the address space", "p_align",
      function (image) data(image).p_align = 1 << 50 end },
   { "p_vaddr that does not fit p_offset", { "p_vaddr", "p_offset" },
      function (image) data(image).p_vaddr = data(image).p_vaddr + 8 end },
   { "a range that overlaps another's", "PT_LOAD",
      function (image) text(image).p_memsz = 0x4000 end },
   { "an address below another's", "PT_LOAD", function (image)
      local a, b = text(image), data(image)
      for _, field in ipairs { "p_offset", "p_vaddr", "p_filesz", "p_memsz",
         "p_flags" } do
         a[field], b[field] = b[field], a[field]
      end
   end },
})

cases("Among the segments,", "badformat", {
   { "no PT_LOAD at all", "PT_LOAD", function (image)
      for _, segment in ipairs(image:segments()) do
         if segment.p_type == 1 then segment.p_type = 0 end
      end
   end },
   { "no PT_DYNAMIC", "PT_DYNAMIC",
      function (image) image:segment "PT_DYNAMIC".p_type = 0 end },
   { "PT_DYNAMIC outside the others", "PT_DYNAMIC",
      function (image) image:segment "PT_DYNAMIC".p_vaddr = 1 << 40 end },
   { "PT_DYNAMIC that overflows", "PT_DYNAMIC",
      function (image) image:segment "PT_DYNAMIC".p_memsz = -16
         image:segment "PT_DYNAMIC".p_filesz = -16 end },
   { "PT_DYNAMIC without DT_NULL", "DT_NULL", function (image)
      local segment, count = image:segment "PT_DYNAMIC", 0
      for _, entry in ipairs(image:entries()) do
         if entry.d_tag == 0 then break end
         count = count + 1
      end
      segment.p_filesz, segment.p_memsz = count * 16, count * 16
   end },
   { "PT_TLS with p_filesz above p_memsz", "PT_TLS",
      function (image) image:segment "PT_TLS".p_memsz = 1 end },
   { "PT_TLS outside the others", "PT_TLS",
      function (image) image:segment "PT_TLS".p_vaddr = 1 << 40 end },
   { "PT_TLS of absurd size", "PT_TLS",
      function (image) image:segment "PT_TLS".p_memsz = 1 << 60 end },
   { "PT_TLS with p_align that is no power of two", { "PT_TLS", "p_align" },
      function (image) image:segment "PT_TLS".p_align = 24 end },
   { "PT_TLS with p_align that is absurd", { "PT_TLS", "p_align" },
      function (image) image:segment "PT_TLS".p_align = 1 << 48 end },
   { "PT_GNU_RELRO outside the others", "PT_GNU_RELRO",
      function (image) image:segment "PT_GNU_RELRO".p_vaddr = 1 << 40 end },
   { "PT_GNU_RELRO that overflows", "PT_GNU_RELRO",
      function (image) image:segment "PT_GNU_RELRO".p_memsz = -1 end },
})

-- A dynamic entry with wild values: each is refused by its name.
local function wild (name, base)
   local list = {}
   for _, value in ipairs(WILD) do
      list[#list + 1] = { ("%s of 0x%x"):format(name, value), name,
         function (image) image:dynamic(name).d_val = value end, base = base }
   end
   return list
end

for _, name in ipairs { "DT_STRTAB", "DT_STRSZ", "DT_SYMTAB", "DT_GNU_HASH",
   "DT_VERSYM", "DT_VERNEED", "DT_VERDEF", "DT_RELA", "DT_JMPREL", "DT_INIT",
   "DT_FINI", "DT_INIT_ARRAY", "DT_FINI_ARRAY", "DT_INIT_ARRAYSZ",
   "DT_FINI_ARRAYSZ", "DT_NEEDED", "DT_SONAME", "DT_RUNPATH" } do
   cases("In the dynamic section,", "badformat", wild(name))
end

cases("In the dynamic section,", "badformat", {
   { "no DT_STRTAB", "DT_STRTAB",
      function (image) image:remove "DT_STRTAB" end },
   { "no DT_STRSZ", "DT_STRSZ", function (image) image:remove "DT_STRSZ" end },
   { "no DT_SYMTAB", "DT_SYMTAB",
      function (image) image:remove "DT_SYMTAB" end },
   { "DT_SYMENT that is not 24", "DT_SYMENT",
      function (image) image:dynamic "DT_SYMENT".d_val = 16 end },
   { "DT_STRTAB that does not end with a NUL", "DT_STRTAB", function (image)
      local size = image:dynamic "DT_STRSZ"
      size.d_val = size.d_val - 1
   end },
   { "DT_RELAENT that is not 24", "DT_RELAENT",
      function (image) image:dynamic "DT_RELAENT".d_val = 16 end },
   { "DT_RELASZ that is no multiple of 24", "DT_RELASZ", function (image)
      local size = image:dynamic "DT_RELASZ"
      size.d_val = size.d_val + 8
   end },
   { "DT_RELASZ beyond the file", "DT_RELASZ",
      function (image) image:dynamic "DT_RELASZ".d_val = 24 << 30 end },
   { "DT_RELASZ that overflows", "DT_RELASZ",
      function (image) image:dynamic "DT_RELASZ".d_val = -16 end },
   { "DT_PLTRELSZ that is no multiple of 24", "DT_PLTRELSZ",
      function (image) image:dynamic "DT_PLTRELSZ".d_val = 25 end },
   { "DT_PLTRELSZ beyond the file", "DT_PLTRELSZ",
      function (image) image:dynamic "DT_PLTRELSZ".d_val = 24 << 30 end },
   { "DT_PLTREL that is not DT_RELA", "DT_PLTREL",
      function (image) image:dynamic "DT_PLTREL".d_val = 17 end },
   { "DT_REL", "DT_REL", function (image)
      image:add("DT_REL", image:dynamic "DT_RELA".d_val) end },
   { "DT_RELRENT that is not 8", "DT_RELRENT",
      function (image) image:dynamic "DT_RELRENT".d_val = 4 end,
      base = packed },
   { "DT_RELRSZ that is no multiple of 8", "DT_RELRSZ", function (image)
      local size = image:dynamic "DT_RELRSZ"
      size.d_val = size.d_val + 4
   end, base = packed },
   { "DT_RELRSZ beyond the file", "DT_RELRSZ",
      function (image) image:dynamic "DT_RELRSZ".d_val = 8 << 40 end,
      base = packed },
   { "DT_RELR outside the segments", "DT_RELR",
      function (image) image:dynamic "DT_RELR".d_val = 1 << 40 end,
      base = packed },
   { "DT_INIT that is not in code", "DT_INIT", function (image)
      image:dynamic "DT_INIT".d_val = image:symbol "value".st_value end },
   { "DT_FINI that is not in code", "DT_FINI", function (image)
      image:dynamic "DT_FINI".d_val = image:symbol "value".st_value end },
   { "DT_INIT_ARRAYSZ that is no multiple of 8", "DT_INIT_ARRAYSZ",
      function (image) image:dynamic "DT_INIT_ARRAYSZ".d_val = 12 end },
})

cases("In a hash table,", "badformat", {
   { "DT_GNU_HASH with more buckets than the file holds", "DT_GNU_HASH",
      function (image) image:words "DT_GNU_HASH"[0] = 0xffffffff end },
   { "DT_GNU_HASH with no bloom words", "DT_GNU_HASH",
      function (image) image:words "DT_GNU_HASH"[2] = 0 end },
   { "DT_GNU_HASH with bloom words that are no power of two", "DT_GNU_HASH",
      function (image) image:words "DT_GNU_HASH"[2] = 3 end },
   { "DT_GNU_HASH with more bloom words than the file holds", "DT_GNU_HASH",
      function (image) image:words "DT_GNU_HASH"[2] = 0x80000000 end },
   { "DT_HASH with more buckets than the file holds", "DT_HASH",
      function (image)
         image:words "DT_HASH"[0] = 0xffffffff
         image:remove "DT_GNU_HASH"
      end },
   { "DT_HASH with more chains than the file holds", "DT_HASH",
      function (image)
         image:words "DT_HASH"[1] = 0xffffffff
         image:remove "DT_GNU_HASH"
      end },
   { "DT_HASH outside the segments", "DT_HASH", function (image)
      image:dynamic "DT_HASH".d_val = 1 << 40
      image:remove "DT_GNU_HASH"
   end },
})

describe("A hash chain", function ()
   local names = { "value", "f", "g", "h", "other", "none", "nothing", "_", "" }
   -- It refers to nothing of its own by name.
   local plain = assert(cc.shared([[
      long value, other; long f(void) { return 1; } long g(void) { return 2; }
      long h(void) { return 3; }
   ]], "-Wl,--hash-style=both"))

   -- Looks names up in a child: a chain without an end would hang it.
   local function ends (change)
      local image = elfedit.read(plain)
      change(image)
      local result = child.lua([[
         local elf = require "elf64load"
         local p, message, kind = elf.open(arg[1], { start = false })
         if not p then print(kind, message) os.exit(0) end
         for at = 2, #arg do p:lookup(arg[at]) end
         print("ended", #p:symbols() < 100000)
      ]], { image:save(), table.unpack(names) }, { seconds = 200 })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      assert.truthy(result.out:find "^ended\ttrue"
         or result.out:find "^badformat\t.*HASH", result.out)
   end

   it("of DT_HASH that runs in a circle is not followed for ever", function ()
      for _, step in ipairs { 0, 1 } do
         ends(function (image)
            image:remove "DT_GNU_HASH"
            local words = image:words "DT_HASH"
            local buckets, chains = words[0], words[1]
            for chain = 1, chains - 1 do
               words[2 + buckets + chain] = 1 + (chain - 1 + step) % (chains - 1)
            end
         end)
      end
   end)

   it("of DT_HASH that leads outside its table ends there", function ()
      ends(function (image)
         image:remove "DT_GNU_HASH"
         local words = image:words "DT_HASH"
         for bucket = 0, words[0] - 1 do words[2 + bucket] = 0xfffffff0 end
      end)
      ends(function (image)
         image:remove "DT_GNU_HASH"
         local words = image:words "DT_HASH"
         for chain = 1, words[1] - 1 do
            words[2 + words[0] + chain] = 0x7fffffff
         end
      end)
   end)

   it("of DT_GNU_HASH without an end ends with the file", function ()
      ends(function (image)
         local words = image:words "DT_GNU_HASH"
         local first = 4 + 2 * words[2] + words[0]
         for chain = 0, #image:symbols() - words[1] - 1 do
            words[first + chain] = words[first + chain] & ~1
         end
         -- All names pass the filter.
         for bloom = 0, 2 * words[2] - 1 do words[4 + bloom] = 0xffffffff end
      end)
   end)

   it("of DT_GNU_HASH that begins outside the table is empty", function ()
      for _, index in ipairs { 1, 0x7fffffff, 0xffffffff } do
         ends(function (image)
            local words = image:words "DT_GNU_HASH"
            for bucket = 0, words[0] - 1 do
               words[4 + 2 * words[2] + bucket] = index
            end
            for bloom = 0, 2 * words[2] - 1 do words[4 + bloom] = 0xffffffff end
         end)
      end
      ends(function (image) image:words "DT_GNU_HASH"[1] = 0xffffffff end)
   end)
end)

local function needs (image)
   for _, entry in ipairs(image:needs()) do
      if entry.file == provider then return entry end
   end
end

cases("In a version table,", "badformat", {
   { "vn_version that is not 1", { "DT_VERNEED", "vn_version" },
      function (image) needs(image).need.vn_version = 2 end },
   { "vn_next that leads outside", { "DT_VERNEED", "vn_next" },
      function (image) image:needs()[#image:needs()].need.vn_next = 0x7ffffff0 end },
   { "vn_aux that leads outside", { "DT_VERNEED", "vn_aux" },
      function (image) needs(image).need.vn_aux = 0xfffffff0 end },
   { "vna_next that leads outside", { "DT_VERNEED", "vna_next" },
      function (image) needs(image).versions[1].vna_next = 0x10000000 end },
   { "vn_file that is no string", "string table",
      function (image) needs(image).need.vn_file = 0xffffff end },
   { "vn_file that names what is not in DT_NEEDED", { "DT_VERNEED", "DT_NEEDED" },
      function (image) needs(image).need.vn_file = needs(image).need.vn_file + 1 end },
   { "vna_name that is no string", "string table",
      function (image) needs(image).versions[1].vna_name = 0xffffff end },
   { "vd_version that is not 1", { "DT_VERDEF", "vd_version" },
      function (image) image:definitions()[1].definition.vd_version = 9 end },
   { "vd_next that leads outside", { "DT_VERDEF", "vd_next" },
      function (image) image:definitions()[1].definition.vd_next = 0xfffffff0 end },
   { "vd_aux that leads outside", { "DT_VERDEF", "vd_aux" },
      function (image) image:definitions()[2].definition.vd_aux = 0xfffffff0 end },
   { "vda_name that is no string", "string table",
      function (image) image:definitions()[2].name.vda_name = 0xffffff end },
})

local function slot (image)
   return image:relocation { offset = image:symbol "table".st_value }
end

cases("In a relocation,", "badformat", {
   { "r_offset beyond the segments", "r_offset",
      function (image) slot(image).r_offset = 1 << 40 end },
   { "r_offset that overflows", "r_offset",
      function (image) slot(image).r_offset = -4 end },
   { "r_offset that overflows with the bias", "r_offset",
      function (image) slot(image).r_offset = math.maxinteger - 7 end },
   { "r_offset in a read-only segment", { "r_offset", "DT_TEXTREL" },
      function (image) slot(image).r_offset = text(image).p_vaddr end },
   { "r_offset in the ELF header", "r_offset",
      function (image) slot(image).r_offset = 16 end },
   { "r_offset at the last bytes of a segment", "r_offset", function (image)
      slot(image).r_offset = data(image).p_vaddr + data(image).p_memsz - 7
   end },
   { "r_offset in a hole between segments", "r_offset", function (image)
      slot(image).r_offset = data(image).p_vaddr - 8
   end },
   { "a symbol index that the table just does not reach", "r_info",
      function (image) slot(image).r_sym = #image:symbols() end },
   { "a symbol index beyond the table", "r_info",
      function (image) slot(image).r_sym = 0x00ffffff end },
   { "a symbol index that overflows", "r_info",
      function (image) slot(image).r_sym = 0xffffffff end },
   { "a symbol whose st_name is no string", "st_name", function (image)
      image:symbol "value".st_name = 0xfffffff
   end },
   { "a resolver (R_X86_64_IRELATIVE) outside code", "R_X86_64_IRELATIVE",
      function (image)
         slot(image).r_type = elfedit.R_X86_64_IRELATIVE
         slot(image).r_addend = image:symbol "value".st_value
      end },
   { "a resolver that overflows", "R_X86_64_IRELATIVE", function (image)
      slot(image).r_type = elfedit.R_X86_64_IRELATIVE
      slot(image).r_addend = -1
   end },
   { "an IFUNC whose value is outside code", "IFUNC", function (image)
      image:symbol "picked".st_value = image:symbol "value".st_value
   end },
   { "DTPMOD64 of a file without PT_TLS", { "R_X86_64_DTPMOD64", "PT_TLS" },
      function (image)
         image:relocation { type = elfedit.R_X86_64_DTPMOD64 }.r_sym = 0
         image:segment "PT_TLS".p_type = 0
      end },
   { "a DT_RELR address outside the segments", "r_offset", function (image)
      image:write(image:offset(image:dynamic "DT_RELR".d_val),
         string.pack("<i8", 1 << 40))
   end, base = packed },
   { "a DT_RELR bitmap without an address before it", "r_offset",
      function (image)
         image:write(image:offset(image:dynamic "DT_RELR".d_val),
            string.pack("<i8", 0x7fffffff))
      end, base = packed },
   { "a DT_RELR address in a read-only segment", "r_offset", function (image)
      image:write(image:offset(image:dynamic "DT_RELR".d_val),
         string.pack("<i8", text(image).p_vaddr & ~1))
   end, base = packed },
})

describe("A lookup of a symbol that lies", function ()
   it("of type STT_TLS without PT_TLS, or beyond it, is refused", function ()
      local source = "long value = 1; long f(void) { return 1; }"
      local image = elfedit.read(assert(cc.shared(source)))
      image:symbol "value".st_info = elfedit.STB_GLOBAL << 4 | elfedit.STT_TLS
      local p <close> = assert(elf.open(image:save()))
      assert.fails_with("badformat", p.lookup, p, "value")
      assert.says({ "'value'", "STT_TLS", "PT_TLS" }, p.lookup, p, "value")
      assert.truthy(p:lookup "f")
      for _, value in ipairs(WILD) do
         image = elfedit.read(assert(cc.shared(source .. " __thread long t = 1;")))
         image:symbol "t".st_value = value
         local q <close> = assert(elf.open(image:save()))
         assert.fails_with("badformat", q.lookup, q, "t")
      end
   end)

   it("an IFUNC, before the start fails as 'start'", function ()
      local p <close> = assert(elf.open(assert(cc.shared [[
         static long chosen(void) { return 3; }
         static void *choose(void) { return chosen; }
         long picked(void) __attribute__((ifunc("choose")));
      ]]), { start = false }))
      assert.fails_with("start", p.lookup, p, "picked")
      assert(p:start())
      assert.equal("ifunc", assert(p:lookup "picked").kind)
   end)
end)

describe("A relocation that overwrites a table", function ()
   -- Text relocations make every segment writable for a while.
   local source = [[
      extern long getpid(void);
      long value = 1, other = 2;
      long *table[20] = { &value, &value, &value, &value, &value, &value,
                          &value, &value, &other };
      long f(void) { return *table[0] + *table[8] + (getpid() > 0); }
   ]]

   local function overwriting (place)
      local image = elfedit.read(assert(cc.shared(source, "-Wl,--hash-style=both")))
      image:add("DT_TEXTREL", 0)
      local relocation = image:relocation { offset = image:symbol "table".st_value
         + 8 }
      relocation.r_offset = place(image)
      local script = fixtures.text([[
         local elf = require "elf64load"
         local p, message, kind = elf.open(arg[1])
         if not p then print(kind, message) os.exit(0) end
         for _, name in ipairs { "value", "other", "table", "f", "none" } do
            p:lookup(name)
         end
         print("open", #p:symbols(), p:cdef "long f(void);".f())
         p:close()
      ]], ".lua")
      local file = assert(io.open(script))
      local result = child.lua(file:read "a", { image:save() }, { seconds = 200 })
      file:close()
      assert.equal(0, result.code, child.describe(result) .. result.err)
      return result.out
   end

   it("of relocations, symbols, strings, hashes or versions changes nothing of what was checked",
      function ()
         for _, name in ipairs { "DT_RELA", "DT_SYMTAB", "DT_STRTAB",
            "DT_HASH", "DT_GNU_HASH", "DT_VERSYM", "DT_VERNEED", "DT_JMPREL" } do
            for _, by in ipairs { 0, 8, 13, 16 } do
               local out = overwriting(function (image)
                  return (image:dynamic(name) or image:dynamic "DT_RELA").d_val
                     + by
               end)
               assert.truthy(out:find "^open\t%d+\t4\n$",
                  ("%s + %d: %s"):format(name, by, out))
            end
         end
      end)

   it("of the dynamic section or the program headers does not matter either",
      function ()
         for at = 0, 400, 40 do
            local out = overwriting(function (image)
               return image:segment "PT_DYNAMIC".p_vaddr + at
            end)
            assert.truthy(out:find "^open\t%d+\t4\n$", out)
            out = overwriting(function () return 64 + at end)
            assert.truthy(out:find "^open\t%d+\t4\n$", out)
         end
      end)

   it("of the relocation table by itself is applied as it was checked", function ()
      -- A relocation rewrites the type and the symbol of the next one.
      local image = elfedit.read(assert(cc.shared(source)))
      image:add("DT_TEXTREL", 0)
      local all, at = image:relocations(), 1
      while all[at].r_offset ~= image:symbol "table".st_value + 8 do
         at = at + 1
      end
      all[at].r_type, all[at].r_sym = elfedit.R_X86_64_RELATIVE, 0
      all[at].r_addend = 0x12345678
      all[at].r_offset = image:dynamic "DT_RELA".d_val + 24 * at + 8
      local result = child.lua([[
         local p, message, kind = require "elf64load".open(arg[1])
         print(p and "open" or kind, message)
      ]], { image:save() }, { seconds = 200 })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      assert.truthy(result.out:find "^open", result.out)
   end)
end)

describe("Memory that a file asks for and that there is not", function ()
   it("fails the open, and leaves nothing", function ()
      local image = elfedit.read(good)
      data(image).p_memsz = 1 << 46
      local path = image:save()
      local _, detail = assert.fails_with("nomemory", elf.open, path)
      assert.equal(path, detail.path)
      assert.leaves_nothing(elf.open, path)
      assert.keeps_heap(elf.open, path)
   end)
end)
