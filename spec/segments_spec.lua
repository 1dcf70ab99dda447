-- How segments lie in memory: any legal arrangement of PT_LOAD, .bss, RELRO, and
-- protections that never allow writing and executing at once.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

local BASE = [[
extern char base[] __asm__("__ehdr_start")
    __attribute__((visibility("hidden")));
]]

-- Reads, writes and runs something in each segment of the usual arrangement.
local USUAL = BASE .. [[
static const char text[] = "read-only";
char odd[4097] = { 1, 2, 3 };
char zeros[3 * 4096 + 5];
static long hidden_zero;
const long *const pointer = &hidden_zero;
long read_only(long i) { return text[i]; }
long odd_sum(void) { long s = 0; for (int i = 0; i < 4097; i++) s += odd[i];
    return s; }
long zero_sum(void) { long s = 0; for (unsigned i = 0; i < sizeof zeros; i++)
    s += zeros[i] != 0; return s; }
long fill(long value)
{
    for (unsigned i = 0; i < sizeof zeros; i++)
        zeros[i] = value;
    for (unsigned i = 0; i < sizeof odd; i++)
        odd[i] = value;
    hidden_zero += value;
    return *pointer;
}
long where(void) { return (char *)pointer - base; }
]]

-- The range of pages of all PT_LOADs, for the step `pages`.
local function span (path)
   local first, last = math.maxinteger, 0
   for _, segment in ipairs(elfedit.read(path):segments()) do
      if segment.p_type == elfedit.PT_LOAD then
         first = math.min(first, segment.p_vaddr)
         last = math.max(last, segment.p_vaddr + segment.p_memsz)
      end
   end
   return first & ~4095, (last + 4095) & ~4095
end

local function steps (path)
   local first, last = span(path)
   local lines = { "open a " .. path, "call a read_only 3", "call a odd_sum",
      "call a zero_sum", "call a where", "call a fill 7", "call a odd_sum",
      "call a zero_sum" }
   -- Unmapped pages of a hole are as good as protected ones.
   if last - first < 1 << 20 then
      table.insert(lines, 2, ("pages a %d %d"):format(first, last))
   end
   return lines
end

local USUAL_TEXTS = { "read_only() = 100", "odd_sum() = 6", "zero_sum() = 0",
   "fill() = 7", "zero_sum() = 12293" }

local function behaves (path)
   assert.like_ldso(steps(path), USUAL_TEXTS)
end

describe("Segments", function ()
   it("are mapped as ld.so maps them, page by page", function ()
      behaves(assert(cc.shared(USUAL)))
   end)

   it("may be without RELRO", function ()
      behaves(assert(cc.shared(USUAL, "-Wl,-z,norelro")))
   end)

   it("may share pages of the file (-z noseparate-code)", function ()
      behaves(assert(cc.shared(USUAL, "-Wl,-z,noseparate-code")))
   end)

   it("may be two only (--no-rosegment style, -z noseparate-code, norelro)",
      function ()
         behaves(assert(cc.shared(USUAL,
            "-Wl,-z,noseparate-code,-z,norelro,--hash-style=sysv")))
      end)

   it("may have holes between them and a p_align above the page size",
      function ()
         for _, size in ipairs { "0x10000", "0x200000" } do
            behaves(assert(cc.shared(USUAL,
               "-Wl,-z,max-page-size=" .. size .. ",-z,separate-code")))
         end
      end)

   it("leave holes unmapped or without access", function ()
      local path = assert(cc.shared(USUAL, "-Wl,-z,max-page-size=0x10000"))
      local image = elfedit.read(path)
      local code = image:load(elfedit.PF_R | elfedit.PF_X)
      local hole = (code.p_vaddr + code.p_memsz + 4095) & ~4095
      assert.opens_as({ "open a " .. path,
         ("pages a %d %d"):format(hole, hole + 2 * 4096) },
         { "pages --- ---" })
   end)

   it("begin at addresses that fit p_align", function ()
      local source = BASE .. [[
         char aligned[64] __attribute__((aligned(65536))) = { 1 };
         long rest(void) { return (unsigned long)aligned % 65536; }
         long zero(void) { return (unsigned long)base % 65536; }
      ]]
      local path = assert(cc.shared(source, "-Wl,-z,max-page-size=0x10000"))
      assert.like_ldso({ "open a " .. path, "call a rest", "call a zero" },
         { "rest() = 0", "zero() = 0" })
   end)

   it("begin at addresses that fit a p_align of two megabytes", function ()
      local path = assert(cc.shared(BASE .. [[
         char aligned[64] __attribute__((aligned(0x200000))) = { 1 };
         long rest(void) { return (unsigned long)aligned % 0x200000; }
      ]], "-Wl,-z,max-page-size=0x200000"))
      assert.like_ldso({ "open a " .. path, "call a rest" }, { "rest() = 0" })
   end)

   it("may begin at an address that is not zero", function ()
      local path = assert(cc.shared(USUAL, "-Wl,-Ttext-segment=0x50000"))
      assert.equal(0x50000, (span(path)))
      behaves(path)
   end)

   it("may hold memory that is in no file at all", function ()
      local path = assert(cc.shared([[
         .globl touch
         .type touch, @function
         touch:
            mov room@GOTPCREL(%rip), %rcx
            mov (%rcx), %rax
            add %rdi, %rax
            mov %rax, (%rcx)
            ret
         .size touch, . - touch
         .globl room
         .type room, @object
         .size room, 8
         .section .bss
         .skip 20000
         room: .skip 8
      ]], { language = "assembly",
      flags = "-nostdlib" }))
      assert.like_ldso({ "open a " .. path, "call a touch 5", "call a touch 6" },
         { "touch() = 5", "touch() = 11" })
   end)

   it("go on with zeros where the file ends, at any odd size", function ()
      for _, size in ipairs { 1, 8, 4095, 4096, 4097 } do
         local path = assert(cc.shared(([[
            char data[%d] = { 1 };
            char zeros[%d];
            long sum(void) { long s = 0;
               for (unsigned i = 0; i < sizeof zeros; i++) s += zeros[i];
               for (unsigned i = 0; i < sizeof data; i++) s += data[i];
               return s; }
         ]]):format(size, 5000 - size)))
         assert.like_ldso({ "open a " .. path, "call a sum" }, { "sum() = 1" })
      end
   end)

   it("that share a page of memory are mapped in their order", function ()
      -- Two segments, readable and writable, meet within one page; file offsets
      -- equal addresses, so that both see the same bytes there.
      local script = fixtures.text([[
PHDRS { text PT_LOAD FLAGS(5); more PT_LOAD FLAGS(4); data PT_LOAD FLAGS(6);
        dynamic PT_DYNAMIC FLAGS(6); stack PT_GNU_STACK FLAGS(6); }
SECTIONS {
   . = SIZEOF_HEADERS;
   .hash : { *(.hash) } :text
   .gnu.hash : { *(.gnu.hash) } :text
   .dynsym : { *(.dynsym) } :text
   .dynstr : { *(.dynstr) } :text
   .rela.dyn : { *(.rela.*) } :text
   .text : { *(.text*) } :text
   . = ALIGN(4096);
   .rodata : { *(.rodata*) } :more
   . = ALIGN(64);
   .data : { *(.data*) } :data
   .dynamic : { *(.dynamic) } :data :dynamic
   .got : { *(.got*) } :data
   .bss : { *(.bss*) } :data
   /DISCARD/ : { *(.note*) *(.comment) *(.eh_frame*) }
}]], ".ld")
      local image = elfedit.read(assert(cc.shared([[
         const char words[] = "of the read-only segment";
         char data[] = "of the writable one";
         char zeros[100];
         long word(long i) { return words[i]; }
         long swap(long i, long c) { long old = data[i]; data[i] = c;
            return old; }
         long zero(long i) { return zeros[i]; }
      ]], "-nostdlib -Wl,-z,max-page-size=4096,-z,noseparate-code,-T," .. script)))
      local read, write = image:load(4), image:load(6)
      assert.equal((read.p_vaddr + read.p_memsz - 1) // 4096,
         write.p_vaddr // 4096)
      assert.equal(read.p_vaddr - read.p_offset, write.p_vaddr - write.p_offset)
      local first, last = span(image:save())
      assert.like_ldso({ "open a " .. image:save(), "call a word 3",
         "call a swap 3 120", "call a swap 3 121", "call a zero 50",
         ("pages a %d %d"):format(first, last) },
         { "word() = 116", "swap() = 116", "swap() = 120", "zero() = 0" })
   end)

   it("may lie in the file far behind where they lie in memory", function ()
      -- The second segment that is only read goes to the end of a longer file,
      -- and has the table of relocations.
      local image = elfedit.read(assert(cc.shared [[
         const long constant = 5;
         long value = 7;
         long *pointers[20] = { &value, &value + 1 };
         long f(void) { return constant + *pointers[0]; }
      ]]))
      local moved
      for _, segment in ipairs(image:segments()) do
         if segment.p_type == elfedit.PT_LOAD
            and segment.p_flags == elfedit.PF_R then moved = segment end
      end
      local from, far = moved.p_offset, 1 << 20
      assert(from > 0 and from % 4096 == 0 and moved.p_filesz < 2048)
      local rela = image:dynamic "DT_RELA"
      local size = image:dynamic "DT_RELASZ".d_val
      local relocations = image.bytes:sub(image:offset(rela.d_val) + 1,
         image:offset(rela.d_val) + size)
      local content = image.bytes:sub(from + 1, from + moved.p_filesz)
      image.bytes = image.bytes .. ("\0"):rep(far + 4096 - #image.bytes)
      image:write(far, content)
      image:write(far + 2048, relocations)
      moved.p_offset, moved.p_filesz, moved.p_memsz = far, 4096, 4096
      rela.d_val = moved.p_vaddr + 2048
      assert.like_ldso({ "open a " .. image:save(), "call a f" },
         { "f() = 12" })
   end)

   it("need no section headers", function ()
      local image = elfedit.read(assert(cc.shared(USUAL)))
      image.header.e_shoff, image.header.e_shnum = 0, 0
      image.header.e_shstrndx = 0
      behaves(image:save())
   end)

   it("of no size are passed over", function ()
      local image = elfedit.read(assert(cc.shared(USUAL)))
      local stack = image:segment "PT_GNU_STACK"
      stack.p_type = elfedit.PT_LOAD
      stack.p_flags, stack.p_filesz, stack.p_memsz = elfedit.PF_R, 0, 0
      local last = image:load(elfedit.PF_R | elfedit.PF_W)
      local offset = (last.p_offset + last.p_filesz) & ~4095
      stack.p_offset, stack.p_align = offset, 4096
      stack.p_vaddr = ((last.p_vaddr + last.p_memsz + 4095) & ~4095)
         + (offset & 4095)
      assert.opens_as({ "open a " .. image:save(), "call a zero_sum" },
         { "open a: ok", "zero_sum() = 0" })
   end)

   it("come from a source as from a path, wherever it holds them", function ()
      local path = assert(cc.shared(USUAL))
      local bytes = disk.contents(path)
      for _, offset in ipairs { 0, 4096, 1, 4099 } do
         local pack = fixtures.text(("x"):rep(offset) .. bytes .. "tail", ".pack")
         for _, source in ipairs {
            elf.source { path = pack, offset = offset, size = #bytes },
            elf.source { bytes = ("x"):rep(offset) .. bytes, offset = offset,
               name = "usual.so" },
         } do
            local p <close> = assert(elf.load(source))
            local C = p:cdef "long fill(long); long zero_sum(void);"
            assert.equal(0, C.zero_sum())
            assert.equal(9, C.fill(9))
            assert.equal(12293, C.zero_sum())
         end
      end
   end)
end)

describe("Memory of a plugin", function ()
   local function crash (path, body)
      local result = child.lua([[
         local elf = require "elf64load"
         local p = assert(elf.open(arg[1]))
         local C = p:cdef "long poke(long); long jump(long);"
         io.write "open\n"
         io.stdout:flush()
      ]] .. body, { path }, { env = { ASAN_OPTIONS = "handle_segv=0",
         TSAN_OPTIONS = "handle_segv=0" } })
      assert.equal("open\n", result.out)
      assert.equal(11, result.signal, child.describe(result) .. result.err)
   end

   local source = [[
      static long target = 5;
      long *const relro[600] = { &target };
      __attribute__((aligned(4096))) char data[] = { 0xc3 };
      long poke(long which)
      {
          volatile char *at = which ? (char *)poke : (char *)relro;
          return *at = 1;
      }
      long jump(long which) { return ((long (*)(void))data)(); }
   ]]

   it("that RELRO covers cannot be written any more", function ()
      crash(assert(cc.shared(source)), "C.poke(0)")
   end)

   it("that holds code cannot be written", function ()
      crash(assert(cc.shared(source)), "C.poke(1)")
   end)

   it("that holds data cannot be executed", function ()
      crash(assert(cc.shared(source)), "C.jump(0)")
   end)

   it("is sealed where PT_GNU_RELRO says, to the page below its end",
      function ()
         for _, size in ipairs { 1, 4095, 4096, 4097, 8192 } do
            local image = elfedit.read(assert(cc.shared(source .. [[
               long more[4096] = { 1 };
            ]])))
            local relro = image:segment "PT_GNU_RELRO"
            relro.p_memsz = size
            local first, last = span(image:save())
            assert.like_ldso({ "open a " .. image:save(),
               ("pages a %d %d"):format(first, last) }, { "pages r" })
         end
      end)

   it("is never writable and executable at once: such a segment is refused",
      function ()
         local image = elfedit.read(assert(cc.shared(source)))
         image:load(elfedit.PF_R | elfedit.PF_X).p_flags = 7
         assert.fails_with("unsupported", elf.open, image:save())
         assert.says({ "writable", "executable" }, elf.open, image:save())
      end)

   it("never becomes an executable stack: who wants one is refused", function ()
      local path = assert(cc.shared(source, "-Wl,-z,execstack"))
      assert.fails_with("unsupported", elf.open, path)
      assert.says({ "executable stack", "PT_GNU_STACK" }, elf.open, path)
      -- Without the header ld.so supposes the worst; the psABI does too.
      local image = elfedit.read(assert(cc.shared(source)))
      image:segment "PT_GNU_STACK".p_type = elfedit.PT_NULL
      assert.like_ldso({ "open a " .. image:save() }, { "open a: " })
   end)
end)
