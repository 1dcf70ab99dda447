-- Every relocation type that a shared object can have, against ld.so where
-- ld.so knows it and against the psABI's formula where it does not. No linker
-- makes all of them: one library is linked with R_X86_64_64 in each slot of a
-- table, and its relocations are rewritten.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

local SLOTS = [[
extern char base[] __asm__("__ehdr_start")
    __attribute__((visibility("hidden")));
extern long nowhere __attribute__((weak));

long data[4] = { 11, 22, 33, 44 };
long function(void) { return 7; }
extern char constant[], negative[], big[];
__asm__(".globl constant, negative, big\n"
        ".set constant, 0x1234\n.set negative, -5\n.set big, 0x123456789\n");
__thread long local = 9;

static long chosen(void) { return 21; }
static long other(void) { return 22; }
long calls;
long (*resolver(void))(void) { calls++; return calls ? chosen : other; }

#define S8 (unsigned long)data, (unsigned long)data, (unsigned long)data, \
    (unsigned long)data, (unsigned long)data, (unsigned long)data, \
    (unsigned long)data, (unsigned long)data
volatile unsigned long slots[16] __attribute__((aligned(64))) = { S8, S8 };
void *const names[] = { constant, negative, big, function, &nowhere };
volatile unsigned long zeros[4];

long local_user(void) { return local; }
long word(long i) { return slots[i]; }
long relative(long i) { return slots[i] - (unsigned long)base; }
long place(long i) { return (unsigned long)&slots[i] - (unsigned long)base; }
long byte(long i) { return ((volatile unsigned char *)slots)[i]; }
long unaligned(long at)
{
    long x;
    __builtin_memcpy(&x, (char *)slots + at, 8);
    return x - (unsigned long)base;
}
long at_zeros(long i) { return zeros[i] - (unsigned long)base; }
long call(long i) { return ((long (*)(void))slots[i])(); }
long through(long i)
{
    extern void *__tls_get_addr(void *);
    return *(long *)__tls_get_addr((void *)&slots[i]);
}
]]

-- The library with some of its slots' relocations changed: each change has a
-- slot, a type, a symbol ("" for index 0), an addend, and how far from the
-- slot it writes. All slots hold 0xaa bytes in the file.
local function slots (changes, flags)
   local image = elfedit.read(assert(cc.shared(SLOTS, flags)))
   local first = image:symbol "slots".st_value
   image:write(image:offset(first), ("\xaa"):rep(8 * 16))
   for _, change in ipairs(changes) do
      local relocation = image:relocation { offset = first + 8 * change.slot }
      relocation.r_type = elfedit["R_X86_64_" .. change.type]
         or math.tointeger(change.type)
      if change.symbol == "" then
         relocation.r_sym = 0
      elseif change.symbol then
         local _, index = image:symbol(change.symbol)
         relocation.r_sym = index
      end
      local addend = change.addend or 0
      if type(addend) == "string" then addend = image:symbol(addend).st_value end
      relocation.r_addend = addend
      if change.to then relocation.r_offset = change.to end
      relocation.r_offset = relocation.r_offset + (change.by or 0)
   end
   return image
end

-- ld.so and this loader agree about it, and say this.
local function agree (changes, calls, texts)
   local script = { "open a " .. slots(changes):save() }
   for _, call in ipairs(calls) do script[#script + 1] = "call a " .. call end
   assert.like_ldso(script, texts)
end

-- ld.so refuses the type; here the psABI's formula holds.
local function follow (changes, calls, texts)
   local path = slots(changes):save()
   local script = { "open a " .. path }
   for _, call in ipairs(calls) do script[#script + 1] = "call a " .. call end
   assert.opens_as(script, texts)
end

local function refused (kind, words, changes)
   local path = slots(changes):save()
   assert.says(words, elf.open, path)
   return assert.fails_with(kind, elf.open, path)
end

local UNTOUCHED <const> = 0xaaaaaaaaaaaaaaaa -- what a slot holds in the file

describe("A relocation of type", function ()
   it("R_X86_64_NONE writes nothing, wherever it points", function ()
      agree({ { slot = 0, type = "NONE" },
         { slot = 1, type = "NONE", to = 1 << 40 } },
         { "word 0", "word 1" }, { ("word() = %d"):format(UNTOUCHED) })
   end)

   it("R_X86_64_64 writes S + A", function ()
      agree({ { slot = 0, type = "64", addend = 16 },
         { slot = 1, type = "64", addend = -3 },
         { slot = 2, type = "64", symbol = "constant", addend = 1 },
         { slot = 3, type = "64", symbol = "function" } },
         { "relative 0", "relative 1", "word 2", "call 3" },
         { "word() = " .. 0x1235, "call() = 7" })
   end)

   it("R_X86_64_64 with symbol index 0 writes the bias + A", function ()
      agree({ { slot = 0, type = "64", symbol = "", addend = 0x321 } },
         { "relative 0" }, { "relative() = " .. 0x321 })
   end)

   it("R_X86_64_64 to a weak symbol that nothing defines writes A", function ()
      agree({ { slot = 0, type = "64", symbol = "nowhere", addend = 0x77 } },
         { "word 0" }, { "word() = " .. 0x77 })
   end)

   it("R_X86_64_GLOB_DAT writes S and leaves the addend alone", function ()
      agree({ { slot = 0, type = "GLOB_DAT" },
         { slot = 1, type = "GLOB_DAT", addend = 8 },
         { slot = 2, type = "GLOB_DAT", symbol = "nowhere" } },
         { "relative 0", "relative 1", "word 2" }, { "word() = 0" })
   end)

   it("R_X86_64_JUMP_SLOT writes S and leaves the addend alone", function ()
      agree({ { slot = 0, type = "JUMP_SLOT", symbol = "function" },
         { slot = 1, type = "JUMP_SLOT", symbol = "function", addend = 1 } },
         { "call 0", "relative 1" }, { "call() = 7" })
   end)

   it("R_X86_64_RELATIVE writes B + A", function ()
      agree({ { slot = 0, type = "RELATIVE", addend = 0x1003 },
         { slot = 1, type = "RELATIVE", addend = -1 },
         -- The symbol does not matter.
         { slot = 2, type = "RELATIVE", symbol = "function", addend = 2 } },
         { "relative 0", "relative 1", "relative 2" },
         { "relative() = " .. 0x1003, "relative() = -1", "relative() = 2" })
   end)

   it("R_X86_64_RELATIVE64 writes B + A", function ()
      agree({ { slot = 0, type = "RELATIVE64", addend = 0x1003 } },
         { "relative 0" }, { "relative() = " .. 0x1003 })
   end)

   it("R_X86_64_IRELATIVE writes what the resolver at B + A answers", function ()
      local image = slots { { slot = 0, type = "IRELATIVE", symbol = "",
         addend = "resolver" } }
      assert.like_ldso({ "open a " .. image:save(), "call a call 0",
         "value a calls" }, { "call() = 21", "calls = 1" })
   end)

   it("R_X86_64_PC32 writes S + A - P in 32 bits", function ()
      agree({ { slot = 0, type = "PC32", addend = 4 },
         { slot = 1, type = "PC32", symbol = "function", by = 4 } },
         { "word 0", "word 1", "place 0", "place 1" })
   end)

   it("R_X86_64_PC64 writes S + A - P in 64 bits", function ()
      local image = slots { { slot = 0, type = "PC64", addend = 0x100000000 } }
      local distance = image:symbol "data".st_value - image:symbol "slots".st_value
      follow({ { slot = 0, type = "PC64", addend = 0x100000000 } },
         { "word 0" }, { "word() = " .. 0x100000000 + distance })
   end)

   it("R_X86_64_32 writes S + A in 32 bits, zero-extended", function ()
      agree({ { slot = 0, type = "32", symbol = "constant", addend = 2 },
         { slot = 1, type = "32", symbol = "nowhere", addend = 0xfffffffe } },
         { "word 0", "word 1" },
         { ("word() = %d"):format(0xaaaaaaaa00001236),
            ("word() = %d"):format(0xaaaaaaaafffffffe) })
   end)

   it("R_X86_64_32S writes S + A in 32 bits, sign-extended", function ()
      follow({ { slot = 0, type = "32S", symbol = "negative", addend = 2 },
         { slot = 1, type = "32S", symbol = "constant" } },
         { "word 0", "word 1" },
         { ("word() = %d"):format(0xaaaaaaaafffffffd),
            ("word() = %d"):format(0xaaaaaaaa00001234) })
   end)

   it("R_X86_64_16 writes S + A in 16 bits", function ()
      follow({ { slot = 0, type = "16", symbol = "constant", addend = 1 } },
         { "word 0" }, { ("word() = %d"):format(0xaaaaaaaaaaaa1235) })
   end)

   it("R_X86_64_8 writes S + A in 8 bits", function ()
      follow({ { slot = 0, type = "8", symbol = "negative", addend = 10 } },
         { "word 0" }, { ("word() = %d"):format(0xaaaaaaaaaaaaaa05) })
   end)

   it("R_X86_64_SIZE32 writes Z + A in 32 bits", function ()
      agree({ { slot = 0, type = "SIZE32", addend = 1 } }, { "word 0" },
         { ("word() = %d"):format(0xaaaaaaaa00000021) })
   end)

   it("R_X86_64_SIZE64 writes Z + A in 64 bits", function ()
      agree({ { slot = 0, type = "SIZE64", addend = -33 } }, { "word 0" },
         { "word() = -1" })
   end)

   it("R_X86_64_DTPMOD64 and R_X86_64_DTPOFF64 name a thread's variable", function ()
      local path = slots({
         { slot = 0, type = "DTPMOD64", symbol = "local" },
         { slot = 1, type = "DTPOFF64", symbol = "local" },
         { slot = 2, type = "DTPMOD64", symbol = "" },
         { slot = 3, type = "DTPOFF64", symbol = "local" },
         { slot = 4, type = "DTPMOD64", symbol = "local" },
         { slot = 5, type = "DTPOFF64", symbol = "local", addend = 1 },
      }):save()
      assert.like_ldso({ "open a " .. path, "call a through 0",
         "call a through 2", "call a word 5" },
         { "through() = 9", "word() = 1" })
   end)
end)

describe("A 32-bit relocation that overflows", function ()
   -- ld.so prints a line and goes on with the low bits.
   for _, case in ipairs {
      { type = "32", symbol = "data" },
      { type = "32", symbol = "big" },
      { type = "32", symbol = "negative" },
      { type = "32S", symbol = "data" },
      { type = "32S", symbol = "nowhere", addend = 0x80000000 },
      { type = "16", symbol = "nowhere", addend = 0x10000 },
      { type = "8", symbol = "nowhere", addend = 0x100 },
      { type = "PC32", symbol = "constant" },
      { type = "PC32", symbol = "nowhere" },
      { type = "SIZE32", symbol = "data", addend = 1 << 32 },
   } do
      local title = ("of type R_X86_64_%s against '%s'%s is an error"):format(
         case.type, case.symbol, case.addend and " + " .. case.addend or "")
      it(title, function ()
         refused("unsupported", { "R_X86_64_" .. case.type },
            { { slot = 0, type = case.type, symbol = case.symbol,
               addend = case.addend } })
      end)
   end
end)

describe("A relocation", function ()
   it("of type R_X86_64_COPY is refused, because only executables have copies",
      function ()
         refused("unsupported", { "R_X86_64_COPY" },
            { { slot = 3, type = "COPY" } })
      end)

   for _, number in ipairs { 3, 4, 13, 15, 19, 25, 39, 99, 0x7fffffff } do
      it(("of type %d is refused, as by ld.so"):format(number), function ()
         local path = slots { { slot = 0, type = number } } :save()
         assert.like_ldso({ "open a " .. path }, { "open a: failed" },
            { kind = "unsupported" })
         assert.says({ tostring(number) }, elf.open, path)
      end)
   end

   it("may write to any byte: slots need not be aligned", function ()
      for _, by in ipairs { 1, 3, 4, 7 } do
         agree({ { slot = 1, type = "NONE" }, { slot = 5, type = "NONE" },
            { slot = 9, type = "NONE" }, { slot = 13, type = "NONE" },
            { slot = 0, type = "64", by = by },
            { slot = 4, type = "RELATIVE", by = by, addend = 99 },
            { slot = 8, type = "32", by = by, symbol = "constant" },
            { slot = 12, type = "GLOB_DAT", by = by, symbol = "function" } },
            { "byte 0", "unaligned " .. by, "byte " .. by + 8,
               "unaligned " .. 32 + by, "byte " .. 64 + by, "byte " .. 67 + by,
               "byte " .. 68 + by, "unaligned " .. 96 + by,
               "byte " .. 96 + by + 8 },
            { "byte() = 170", "unaligned() = 99", "byte() = 52" })
      end
   end)

   it("may write over the boundary of two pages", function ()
      local source = SLOTS .. [[
         char room[12288] __attribute__((aligned(4096))) = { 1 };
         long cross(long at) { long x; __builtin_memcpy(&x, room + at, 8);
            return x - (unsigned long)base; }
      ]]
      local image = elfedit.read(assert(cc.shared(source)))
      local relocation = image:relocation {
         offset = image:symbol "slots".st_value }
      relocation.r_offset = image:symbol "room".st_value + 4091
      assert.like_ldso({ "open a " .. image:save(), "call a cross 4091",
         "offset a data" }, { "cross() = " .. image:symbol "data".st_value })
   end)

   it("may write to what the file does not hold (.bss)", function ()
      local image = slots {}
      local relocation = image:relocation {
         offset = image:symbol "slots".st_value }
      relocation.r_offset = image:symbol "zeros".st_value + 8
      assert.like_ldso({ "open a " .. image:save(), "call a at_zeros 1",
         "offset a data" }, { "at_zeros() = " .. image:symbol "data".st_value })
   end)

   it("is applied in the order of the table: the last one wins", function ()
      local image = slots {}
      local first = image:symbol "slots".st_value
      local one = image:relocation { offset = first }
      local two = image:relocation { offset = first + 8 }
      one.r_addend, two.r_addend = 1, 2
      one.r_offset, two.r_offset = first + 16, first + 16
      local three = image:relocation { offset = first + 16, nth = 3 }
      three.r_type = elfedit.R_X86_64_NONE
      assert.like_ldso({ "open a " .. image:save(), "call a relative 2" },
         { "relative() = " .. image:symbol "data".st_value + 2 })
   end)

   it("to a local symbol of its own uses that symbol", function ()
      local image = slots { { slot = 0, type = "64", symbol = "constant" },
         { slot = 1, type = "64", symbol = "function" } }
      local symbol = image:symbol "function"
      symbol.st_info = elfedit.STB_LOCAL << 4 | elfedit.STT_FUNC
      assert.like_ldso({ "open a " .. image:save(), "call a call 1" },
         { "call() = 7" })
   end)

   it("of DT_JMPREL that DT_RELASZ counts in too is applied once", function ()
      local image = slots { { slot = 0, type = "IRELATIVE", symbol = "",
         addend = "resolver" } }
      local rela, size = image:dynamic "DT_RELA", image:dynamic "DT_RELASZ"
      local jmprel = image:dynamic "DT_JMPREL"
      local plt = image:dynamic "DT_PLTRELSZ"
      assert.equal(rela.d_val + size.d_val, jmprel.d_val)
      size.d_val = size.d_val + plt.d_val
      assert.like_ldso({ "open a " .. image:save(), "value a calls",
         "call a local_user" },
         { "calls = 1", "local_user() = 9" })
   end)

   it("is found whatever DT_RELACOUNT says", function ()
      local image = slots { { slot = 0, type = "RELATIVE", addend = 5 } }
      image:dynamic "DT_RELACOUNT".d_val = 0
      assert.like_ldso({ "open a " .. image:save(), "call a relative 0",
         "call a local_user" }, { "relative() = 5", "local_user() = 9" })
   end)
end)

describe("Relative relocations packed as DT_RELR", function ()
   -- Runs of neighbours, lone ones, and gaps longer than a bitmap's 63 words.
   local source = [[
      extern char base[] __asm__("__ehdr_start")
          __attribute__((visibility("hidden")));
      static long a, b, c;
      #define T10 &a, &b, 0, &c, &a, 0, 0, &b, &c, &a
      #define T100 T10, T10, T10, T10, T10, T10, T10, T10, T10, T10
      void *table[] = { T100, T100, T100 };
      void *far[500] = { [0] = &a, [63] = &b, [64] = &c, [127] = &a,
                         [190] = &b, [320] = &c, [499] = &a };
      char odd[3] = { 1, 2, 3 };
      void *last[] = { &c, &b };
      static unsigned long sum(void **at, long count)
      {
          unsigned long sum = 0;
          for (long i = 0; i < count; i++)
              sum = sum * 31 + (at[i] ? (char *)at[i] - base : 0);
          return sum;
      }
      long sum_table(void) { return sum(table, 300); }
      long sum_far(void) { return sum(far, 500); }
      long sum_last(void) { return sum(last, 2); }
      long one(long i) { return (char *)far[i] - base; }
      long libc(void) { return getpid() != 0; }
   ]]
   local packed = "-Wl,-z,pack-relative-relocs"

   it("(R_X86_64_RELATIVE in bitmaps) are applied as by ld.so", function ()
      local path = assert(cc.shared(source, packed))
      local image = elfedit.read(path)
      assert.truthy(image:dynamic "DT_RELR")
      local steps = { "open a " .. path, "call a sum_table", "call a sum_far",
         "call a sum_last" }
      for _, i in ipairs { 0, 63, 64, 127, 190, 320, 499 } do
         steps[#steps + 1] = "call a one " .. i
      end
      assert.like_ldso(steps, { "sum_table() = ", "one() = " })
   end)

   it("give what DT_RELA gives", function ()
      local script = function (path)
         return { "open a " .. path, "call a sum_table", "call a sum_far" }
      end
      assert.like_ldso(script(assert(cc.shared(source, packed))))
      assert.like_ldso(script(assert(cc.shared(source))))
   end)

   it("work without the version need GLIBC_ABI_DT_RELR, which ld.so asks for",
      function ()
         local image = elfedit.read(assert(cc.shared(source, packed)))
         local found
         for _, need in ipairs(image:needs()) do
            for _, version in ipairs(need.versions) do
               if image:string(version.vna_name) == "GLIBC_ABI_DT_RELR" then
                  found = version
               end
            end
         end
         assert.truthy(found)
         assert.opens_as({ "open a " .. assert(cc.shared(source, packed)),
            "call a sum_far" }, { "open a: ok", "sum_far() = " })
      end)
end)
