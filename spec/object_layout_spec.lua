--- How the image of objects is put together.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local elfedit = require "spec.support.elfedit"
local linking = require "spec.support.linking"
local objects = require "spec.support.objects"

local object = linking.object

local function readelf (...)
   return objects.shown("readelf", "-W", ...)
end

local sample <const> = [[
   #include <stdio.h>
   static const int constants[] = { 1, 2, 3 };
   const char *const names[] = { "a", "b" };
   int data = 5; int zero[1000]; static int (*pick)(const char *) = puts;
   __thread int own = 4; __thread int nought;
   int start(void) { pick("hi"); zero[999]++; nought++;
      return constants[data % 3] + own + nought + names[1][0]; }]]

describe("The image of objects", function ()
   it("has segments by permission, none writable and executable", function ()
      local text = readelf("-l", linking.image { object(sample) })
      local flags = {}
      for load in text:gmatch "LOAD +[^\n]* (R[ W][ E]) 0x%x+\n" do
         flags[#flags + 1] = load:gsub(" ", "") .. ""
      end
      assert.same({ "R", "RE", "RW" }, flags)
      assert.is_not_nil(text:find("GNU_RELRO", 1, true))
      assert.is_not_nil(text:find("GNU_EH_FRAME", 1, true))
      assert.is_not_nil(text:match "GNU_STACK[^\n]* RW ")
      assert.is_not_nil(text:match "TLS +[^\n]* 0x000004 0x000008 R ")
   end)

   it("is one that readelf has nothing to say about", function ()
      local path = linking.image { object(sample) }
      assert.is_nil(readelf("-a", path):match "[Ww]arning[^\n]*")
      assert.equal("hi\nstart: 106\nclosed\n",
         linking.like_ld { object(sample) })
   end)

   it("names static functions, and not what compilers make up", function ()
      local text = readelf("-s", linking.image { object [[
         __attribute__((noinline)) static int kept(int a) {
            static int inner = 1; return a * ++inner; }
         int start(void) { return kept(start != 0); }]] })
      assert.is_not_nil(text:match "FUNC +LOCAL +DEFAULT +%d+ kept\n")
      assert.is_not_nil(text:match "OBJECT +LOCAL +DEFAULT +%d+ inner%.%d+\n")
      assert.is_nil(text:find(" .L", 1, true))
   end)

   it("keeps alignments, of common variables and of whole pages", function ()
      assert.equal("start: 7\nclosed\n", linking.like_ld { object([[
         _Alignas(8192) char page[1]; _Alignas(64) int line;
         _Alignas(65536) static char large[1] = { 1 };
         int start(void) { return ((long)page % 8192 == 0)
            + 2 * ((long)&line % 64 == 0) + 4 * ((long)large % 65536 == 0);
         }]], "-fcommon") })
   end)

   it("runs constructors by priority, destructors against it", function ()
      local function part (name)
         local source = [[#include <stdio.h>
            #define RUN(kind, what, priority) __attribute__((kind priority)) \
               static void what##kind(void) { puts(#what " " #kind " NAME"); }
            RUN(constructor, late,) RUN(constructor, second, (300))
            RUN(constructor, first, (101)) RUN(destructor, late,)
            RUN(destructor, second, (300)) RUN(destructor, first, (101))
            ]]
         return object((source:gsub("NAME", name)))
      end
      local out = linking.like_ld { part "one", part "two",
         object "int start(void) { return 0; }" }
      assert.equal("first constructor one\n", out:match "^[^\n]*\n")
   end)

   it("runs what .ctors and .dtors hold, from the end", function ()
      local out = linking.like_ld { linking.assembly [[
         .text
         .macro say name text
         \name: lea 0f(%rip), %rdi; jmp puts@PLT
         .pushsection .rodata; 0: .asciz "\text"; .popsection
         .endm
         say one "one"
         say two "two"
         say three "three"
         say four "four"
         .globl start
         start: xor %eax, %eax; ret
         .section .ctors, "aw", @progbits
         .quad one, two
         .section .ctors.65000, "aw", @progbits
         .quad three
         .section .dtors, "aw", @progbits
         .quad one, four
      ]] }
      assert.equal("three\ntwo\none\nstart: 0\n", out:match "^.-start: 0\n")
   end)

   it("runs what stands in .init and .fini", function ()
      assert.equal("in\nstart: 0\nclosed\nout\n", (linking.like_ld {
         linking.assembly [[
         .section .init, "ax", @progbits
         lea in(%rip), %rdi
         call puts@PLT
         .section .fini, "ax", @progbits
         lea out(%rip), %rdi
         call puts@PLT
         .section .rodata
         in: .asciz "in"
         out: .asciz "out"
         .text
         .globl start
         start: xor %eax, %eax; ret
      ]] }:gsub("out\nclosed", "closed\nout")))
   end)

   it("puts constants that are relocated to what is sealed", function ()
      local path = linking.image { linking.assembly [[
         .section .rodata
         .quad start
         .text
         .globl start
         start: ret
      ]] }
      assert.is_nil(readelf("-d", path):find("TEXTREL", 1, true))
      assert.is_not_nil(readelf("-S", path):match "%.data%.rel%.ro +PROGBITS")
   end)

   it("has the bytes of sections whose name others have for zeros", function ()
      assert.equal("start: 7\nclosed\n", linking.like_ld {
         linking.assembly [[
            .section both, "awl", @nobits
            .zero 0x100000]],
         linking.assembly [[
            .section both, "aw", @progbits
            value: .quad seven
            .section .rodata
            seven: .long 7
            .text
            .globl start
            start: mov value(%rip), %rax
            mov (%rax), %eax
            ret]] })
   end)

   it("takes objects of more than 65,000 sections", function ()
      local path = linking.image { linking.assembly [[
         .altmacro
         .macro one n
         .section .text.f\n, "ax", @progbits
         .globl f\n
         f\n: mov $\n, %eax; ret
         .endm
         .set i, 0
         .rept 66000
         one %i
         .set i, i + 1
         .endr
         .globl start
         start: call f65999@PLT; ret
      ]] }
      assert.equal("start: 65999\nclosed\n", linking.started(path))
   end)

   it("has no sections for linkers alone", function ()
      local text = readelf("-p", ".rodata", linking.image { linking.assembly [[
         .section .secret, "ae", @progbits
         .asciz "left out"
         .section .rodata
         .asciz "taken in"
         .text
         .globl start
         start: ret
      ]] })
      assert.is_not_nil(text:find("taken in", 1, true))
      assert.is_nil(text:find("left out", 1, true))
   end)
end)

describe("Stack frames of objects", function ()
   local throwing <const> = [[
      #include <stdexcept>
      #include <cstdio>
      struct guard { ~guard() { std::puts("unwound"); } };
      __attribute__((noinline)) inline int inner(int n) { guard g;
         if (n > 2) throw std::runtime_error("too many");
         return n; }
   ]]

   it("are unwound, across objects and through groups", function ()
      local out = linking.like_ld({
         linking.cplusplus(throwing .. [[int outer(int);
            extern "C" int start() { int sum = inner(1);
               try { sum += outer(9); }
               catch (const std::exception &e) { std::puts(e.what()); sum++; }
               try { throw 40; } catch (int n) { sum += n; }
               return sum; }]]),
         linking.cplusplus(throwing .. "int outer(int n) { return inner(n); }",
            "-O1"),
      }, "-lstdc++")
      assert.equal("unwound\nunwound\ntoo many\nstart: 42\nclosed\n", out)
   end)

   it("have a table that is sorted, with what is alive only", function ()
      local path = linking.image {
         linking.cplusplus(throwing .. "int a(int n) { return inner(n); }"),
         linking.cplusplus(throwing .. "int b(int n) { return inner(n); }"),
      }
      local text = readelf("--debug-dump=frames", path)
      local alive, empty = 0, 0
      for from, to in text:gmatch "FDE cie=%x+ pc=(%x+)%.%.(%x+)" do
         if from == to then empty = empty + 1 else alive = alive + 1 end
      end
      assert.is_true(alive >= 3 and empty > 0, text)
      local bytes = campaign.contents(path)
      local at = tonumber(readelf("-l", path):match "GNU_EH_FRAME +0x(%x+)", 16)
      local count = ("<I4"):unpack(bytes, at + 9)
      assert.equal(alive, count)
      local last
      for row = 0, count - 1 do
         local start = ("<i4"):unpack(bytes, at + 13 + 8 * row)
         assert.is_true(not last or start > last)
         last = start
      end
   end)
end)

describe("Objects that no image is made of", function ()
   local function refused (kind, words, source)
      linking.refused(kind, words, { linking.assembly(source) })
   end

   it("want an executable stack", function ()
      refused("unsupported", { ".note.GNU-stack", "executable stack" },
         ".section .note.GNU-stack, \"x\", @progbits")
   end)

   it("have memory that is writable and executable", function ()
      refused("unsupported", { ".both", "writable and executable" },
         ".section .both, \"awx\", @progbits\nret")
   end)

   it("have constructors that only executables have", function ()
      refused("unsupported", { ".preinit_array" },
         ".section .preinit_array, \"aw\", @preinit_array\n.quad 0")
   end)

   it("have tables of constructors that are none", function ()
      for _, name in ipairs { ".init_array", ".fini_array.5", ".ctors.3",
         ".dtors" } do
         refused("badformat", { "section " .. name, "sh_size", "12" },
            (".section %s, \"aw\"\n.zero 12"):format(name))
      end
      for name, kind in pairs { [".init_array"] = 14, [".fini_array"] = 15,
         [".another"] = 14 } do
         local image = elfedit.read(linking.assembly((
            ".section %s, \"aw\", %%%d\n.zero 16"):format(name, kind)))
         linking.image { image:save() } -- zeros are told of at the start
         image:section(name).sh_entsize = 4
         linking.refused("badformat", { "section " .. name, "sh_entsize" },
            { image:save() })
         image:section(name).sh_entsize = 0
         linking.image { image:save() }
         image:section(name).sh_size = 7
         linking.refused("badformat", { "section " .. name, "sh_size" },
            { image:save() })
      end
   end)

   it("are larger than any memory", function ()
      refused("unsupported", { "would take more than" }, [[
         .section .bss.a, "aw", @nobits
         .zero 0x7fffffffffff
         .section .bss.b, "aw", @nobits
         .zero 0x7fffffffffff]])
   end)

   it("have tables of stack frames that lie", function ()
      refused("badformat", { ".eh_frame", "does not end inside" },
         ".section .eh_frame, \"a\", @progbits\n.long 100, 0, 0, 0")
      refused("badformat", { ".eh_frame", "CIE lies before" },
         ".section .eh_frame, \"a\", @progbits\n.long 8, 100, 0")
      -- One record in whose middle others come about.
      refused("badformat", { ".eh_frame", "records of what is none" }, [[
         .section .eh_frame, "a", @progbits
         .set length, 16
         .reloc ., R_X86_64_32, length
         .long 16 + 20 * 20, 0
         .byte 1
         .asciz "zR"
         .byte 1, 0x78, 16, 1, 0x1b, 0, 0, 0
         .rept 21
         .long 16
         .long . - .eh_frame, 0, 16, 0
         .endr
      ]])
   end)
end)
