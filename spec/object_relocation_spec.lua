--- Every relocation that an object may hold (psABI, table 4.9), by what code
--- that uses it computes.

local assert = require "spec.support.assert"
local linking = require "spec.support.linking"
local objects = require "spec.support.objects"

local assembly = linking.assembly

-- What is computed is printed; `theirs` is in another object, `outside` in none.
local frame <const> = [[
   .macro answer
   mov %rax, %rsi
   lea format(%rip), %rdi
   xor %eax, %eax
   call printf@PLT
   xor %eax, %eax
   add $8, %rsp
   ret
   .endm
   .section .rodata
   format: .asciz "%ld\n"
   .data
   .balign 8
   own: .quad 41, 42
   .globl mine
   mine: .quad 43
   .type mine, @object
   .size mine, 24
   .text
   function: mov $7, %eax
   ret
   .globl global_function
   global_function: mov $8, %eax
   ret
   .globl start
   start: sub $8, %rsp
]]
local other <const> = [[
   .globl fixed, near
   .set fixed, 0x1234
   .set near, 0x12
   .data
   .globl theirs
   theirs: .quad 99
   .type theirs, @object
   .size theirs, 8
   .text
   .globl their_function
   their_function: mov $9, %eax
   ret]]

local function computes (text)
   local inputs = { assembly(frame .. text .. "\nanswer"), assembly(other) }
   return tonumber(linking.started(linking.image(inputs)):match "^(-?%d+)\n"),
      inputs
end

-- The same, and ld's image computes the same.
local function like_ld (text)
   local number, inputs = computes(text)
   assert.equal(number, tonumber(linking.like_ld(inputs):match "^(-?%d+)\n"))
   return number
end

describe("The relocation of an object", function ()
   -- ld refuses some, as no shared object for itself has them.
   local cases = {
      { "R_X86_64_64 of an own address", 42, [[.data; 1: .quad own + 8
         .text; mov 1b(%rip), %rax; mov (%rax), %rax]] },
      { "R_X86_64_64 of another object's", 99, [[.data; 1: .quad theirs
         .text; mov 1b(%rip), %rax; mov (%rax), %rax]] },
      { "R_X86_64_64 of what does not move", 0x1236,
         [[.data; 1: .quad fixed + 2; .text; mov 1b(%rip), %rax]] },
      { "R_X86_64_64 of the host's", 1, [[.data; 1: .quad stdout
         .text; mov 1b(%rip), %rax; mov stdout@GOTPCREL(%rip), %rcx
         cmp %rax, %rcx; sete %al; movzbl %al, %eax]] },
      { "R_X86_64_32 of what does not move", 0x1234,
         "mov $fixed, %eax", refused = true },
      { "R_X86_64_32S of what does not move", 0x1234, "mov $fixed, %rax",
         refused = true },
      { "R_X86_64_16 of what does not move", 0x1234,
         "xor %eax, %eax; mov $fixed, %ax", refused = true },
      { "R_X86_64_8 of what does not move", 0x12,
         "xor %eax, %eax; mov $near, %al", refused = true },
      { "R_X86_64_PC32 of an own address", 41, "mov own(%rip), %rax" },
      { "R_X86_64_PC32 of another object's", 99, "mov theirs(%rip), %rax" },
      { "R_X86_64_PC64", 99, [[.balign 8; jmp 2f; 1: .quad theirs - .
         2: lea 1b(%rip), %rax; add 1b(%rip), %rax; mov (%rax), %rax]] },
      { "R_X86_64_PC16", 42, [[jmp 2f; 1: .value own + 8 - .
         2: movswq 1b(%rip), %rax; lea 1b(%rip), %rcx
         mov (%rax, %rcx), %rax]] },
      { "R_X86_64_PC8", 7, [[jmp 2f; .globl close; close: mov $7, %eax; ret
         1: .byte close - .
         2: movsbq 1b(%rip), %rax; lea 1b(%rip), %rcx; add %rcx, %rax
         call *%rax]] },
      { "R_X86_64_PLT32 of an own function", 7, "call function@PLT" },
      { "R_X86_64_PLT32 of another object's", 9, "call their_function@PLT" },
      { "R_X86_64_PLT32 of the host's", 12,
         "mov $-12, %edi; call abs@PLT" },
      { "R_X86_64_GOTPCREL", 99, [[.byte 0x48, 0x8b, 0x05
         .reloc ., R_X86_64_GOTPCREL, theirs - 4; .long 0
         mov (%rax), %rax]] },
      { "R_X86_64_GOTPCREL of an own address", 41, [[.byte 0x48, 0x8b, 0x05
         .reloc ., R_X86_64_GOTPCREL, own - 4; .long 0
         mov (%rax), %rax]] },
      { "R_X86_64_GOTPCREL of what does not move", 0x1234,
         "mov fixed@GOTPCREL(%rip), %rax" },
      { "R_X86_64_REX_GOTPCRELX in a mov", 99,
         "mov theirs@GOTPCREL(%rip), %rax; mov (%rax), %rax" },
      { "R_X86_64_REX_GOTPCRELX in a comparison", 1,
         [[lea mine(%rip), %rcx; xor %eax, %eax
         cmp mine@GOTPCREL(%rip), %rcx; sete %al]] },
      { "R_X86_64_GOTPCRELX in a call", 9,
         "call *their_function@GOTPCREL(%rip)" },
      { "R_X86_64_GOTPCRELX in a jump", 9, [[call 1f; jmp 2f
         1: jmp *their_function@GOTPCREL(%rip); ud2; 2:]] },
      { "R_X86_64_GOTPCRELX of the host's", 12,
         "mov $-12, %edi; call *abs@GOTPCREL(%rip)" },
      { "R_X86_64_GOTPC32 and GOT32", 43, [[
         lea _GLOBAL_OFFSET_TABLE_(%rip), %rcx
         mov mine@GOT(%rcx), %rax; mov (%rax), %rax]] },
      { "R_X86_64_GOTPC64, GOT64 and GOTOFF64", 84, [[
         1: lea 1b(%rip), %rcx
         movabs $_GLOBAL_OFFSET_TABLE_ - 1b, %rdx; add %rdx, %rcx
         movabs $mine@GOT, %rax; mov (%rcx, %rax), %rax; mov (%rax), %rsi
         movabs $own@GOTOFF, %rax; mov (%rcx, %rax), %rax; add %rsi, %rax]] },
      { "R_X86_64_PLTOFF64 of an own function", 8, [[
         lea _GLOBAL_OFFSET_TABLE_(%rip), %rcx
         movabs $global_function@PLTOFF, %rax; add %rcx, %rax; call *%rax]] },
      { "R_X86_64_PLTOFF64 of the host's", 12, [[
         lea _GLOBAL_OFFSET_TABLE_(%rip), %rcx
         movabs $abs@PLTOFF, %rax; add %rcx, %rax; mov $-12, %edi
         call *%rax]] },
      { "R_X86_64_GOTPCREL64", 99, [[
         1: lea 1b(%rip), %rcx; .byte 0x48, 0xb8
         2: .reloc ., R_X86_64_GOTPCREL64, theirs; .quad 0
         lea 2b(%rip), %rcx; mov (%rax, %rcx), %rax; mov (%rax), %rax]] },
      { "R_X86_64_GOTPLT64", 43, [[
         lea _GLOBAL_OFFSET_TABLE_(%rip), %rcx; movabs $mine@GOTPLT, %rax
         mov (%rcx, %rax), %rax; mov (%rax), %rax]] },
      { "R_X86_64_SIZE32", 25, "mov $mine@SIZE + 1, %eax" },
      { "R_X86_64_SIZE64", 8, "movabs $theirs@SIZE, %rax" },
   }
   for _, case in ipairs(cases) do
      it(case[1] .. " is right", function ()
         assert.equal(case[2], (computes(case[3])))
      end)
   end

   it("is what ld makes of it", function ()
      for _, case in ipairs(cases) do
         if not case.refused then assert.equal(case[2], like_ld(case[3])) end
      end
   end)
end)

describe("Words that the image's place decides", function ()
   local function shown (text)
      local said, path = linking.run { assembly(text) }
      local out = {}
      for kind, rest in objects.shown("readelf", "-rW", path):gmatch
            "(R_X86_64_[%w_]+) +([^\n]*)" do
         out[#out + 1] = kind:sub(10) .. " " .. (rest:match "%S+ %+ %x+$"
            or rest:match "%S+$")
      end
      return said, table.concat(out, ", "),
         objects.shown("readelf", "-dW", path):find("TEXTREL", 1, true) ~= nil
   end

   it("are relocations of text, and want a low place if they are narrow",
      function ()
         local said, table_, text = shown [[
            .text
            mov $own, %edi
            mov own(, %rax, 8), %rax
            .data
            own: .quad 0]]
         assert.is_true(text)
         assert.is_not_nil(said:find("low\nrelocates text\n", 1, true))
         assert.is_nil(said:find("far", 1, true))
         assert.is_not_nil(table_:match "%f[%w]32 %x+")
         assert.is_not_nil(table_:match "%f[%w]32S %x+")
      end)

   it("have room for stubs where they refer to others", function ()
      local said, table_, text = shown [[
         .text
         .globl f
         .type f, @function
         f: nop
         mov outside(%rip), %rax
         .type g, @function
         g: mov $outside, %edi
         mov outside(%rip), %ecx]]
      assert.is_true(text)
      assert.is_not_nil(said:match
         "far: %S+ %.text%+0x4 from %+0x4\nfar: %S+ %.text%+0x9 from %+0x1\n"
         .. "far: %S+ %.text%+0xf from %+0x7\n")
      assert.is_not_nil(table_:find("PC32 ", 1, true))
   end)

   it("are none where code is position-independent", function ()
      for _, flags in ipairs { "-fPIC", "-fPIC -fno-plt", "-O2 -mcmodel=large "
            .. "-fPIC" } do
         local said = linking.run { linking.object([[
            #include <stdio.h>
            extern int x; static int y[9]; int *p = &x, *q = y + 1;
            int f(int i) { fprintf(stdout, "%d", x); return y[i]; }]], flags) }
         assert.is_nil(said:find("text", 1, true))
         assert.is_nil(said:find("low", 1, true))
      end
   end)

   it("are calls by the PLT, whatever they are named", function ()
      local said, table_ = shown [[
         .text
         .byte 0xe8
         .reloc ., R_X86_64_PC32, outside - 4
         .long 0
         .byte 0x0f, 0x84
         .reloc ., R_X86_64_PC32, outside - 4
         .long 0]]
      assert.is_nil(said:find("text\n", 1, true))
      assert.is_not_nil(table_:find "JUMP_SLO")
   end)
end)

describe("Words in the GOT", function ()
   it("are read where the medium model has what may be far", function ()
      local text = objects.shown("objdump", "-d", linking.image {
         linking.object([[
            char large[3ll << 30], larger[3ll << 30], small[8];
            char *first(void) { return large; }
            char *second(void) { return larger; }
            char *third(void) { return small; }]], "-O2 -mcmodel=medium") })
      for name, code in pairs { first = "mov", second = "mov",
            third = "lea" } do
         assert.is_not_nil(text:find("<" .. name .. ">:[^<]-" .. code
            .. " +0x%x+%(%%rip%),%%rax"), text)
      end
   end)
end)

describe("Indirect functions", function ()
   local definer <const> = [[
      static int two(void) { return 2; }
      static void *resolve(void) { return two; }
      int chosen(void) __attribute__((ifunc("resolve")));
      static int own(void) __attribute__((ifunc("resolve")));
      int (*pointer)(void) = chosen;
      extern int (*theirs(void))(void);
      int start(void) { return chosen() + 10 * own()
         + 100 * (pointer == theirs()) + 1000 * (pointer == chosen)
         + 10000 * (theirs()() == 2); }]]
   local user <const> = [[
      extern int chosen(void);
      int (*theirs(void))(void) { return chosen; }]]

   for _, flags in ipairs { "", "-O2", "-fno-plt -O1" } do
      it("are called, and their addresses are equal " .. flags, function ()
         assert.equal("start: 11122\nclosed\n", linking.like_ld {
            linking.object(definer, flags), linking.object(user, flags) })
      end)
   end

   it("have one address where code has it without the GOT", function ()
      local out = linking.started(linking.image {
         linking.object(definer),
         assembly [[.globl theirs
            theirs: lea chosen(%rip), %rax
            ret]],
      })
      assert.equal("start: 11122\nclosed\n", out)
   end)
end)

describe("Relocations that are refused", function ()
   local function refused (kind, words, text)
      linking.refused(kind, words, { assembly(text) })
   end

   it("name object, section, offset, type and symbol", function ()
      refused("unsupported", { ".o: section .text.here: ", "R_X86_64_PC8",
         "offset 0x1 ", "'away'", "too far away" }, [[
         .section .text.here, "ax", @progbits
         nop
         .reloc ., R_X86_64_PC8, away
         .byte 0
         .data
         .zero 8192
         .globl away
         away: .quad 0]])
      refused("unsupported", { "R_X86_64_8", "cannot hold 0x1234" }, [[
         .set wide, 0x1234
         .globl wide
         .data
         .reloc ., R_X86_64_8, wide
         .byte 0]])
   end)

   it("are of types that no object holds", function ()
      refused("unsupported", { "R_X86_64_JUMP_SLOT", "(type 7)" },
         ".data\n.reloc ., R_X86_64_JUMP_SLOT, f\n.quad 0")
      refused("unsupported", { "R_X86_64_COPY" },
         ".data\n.reloc ., R_X86_64_COPY, f\n.quad 0")
   end)

   it("end outside of their sections", function ()
      refused("badformat", { "does not end inside", ".data" },
         ".data\n.byte 0\n.reloc .data, R_X86_64_64, f\n.byte 0")
   end)

   it("refer to what is not there", function ()
      refused("badformat", { "'debug'", "not loaded" }, [[
         .section .debug_info
         debug: .quad 0
         .globl debug
         .data
         .quad debug]])
   end)

   it("take the address of what is thread-local", function ()
      refused("badformat", { "'variable'", "thread-local" }, [[
         .section .tdata, "awT", @progbits
         .globl variable
         variable: .quad 0
         .data
         .reloc ., R_X86_64_64, variable
         .quad 0]])
   end)
end)
