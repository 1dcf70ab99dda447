-- Files that are made to do harm rather than to be run: that cost time or
-- memory out of all proportion, or are mapped other than they say.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local disk = require "spec.support.disk"
local elfedit = require "spec.support.elfedit"

local base = assert(cc.shared([[
   #include <link.h>
   __thread long in_thread = 5;
   static int visit(struct dl_phdr_info *info, size_t size, void *data)
   {
       for (int i = 0; i < info->dlpi_phnum; i++)
           *(long *)data += info->dlpi_phdr[i].p_type != 0;
       return 0;
   }
   long walk(void) { long n = 0; dl_iterate_phdr(visit, &n); return n; }
]], "-D_GNU_SOURCE"))

-- Opens a file in a process of its own, which has a few seconds and a few
-- gigabytes, and does more with it. Gives what it prints.
local function run (path, more, limits)
   local program = [[
      local elf = require "elf64load"
      local p, message, kind = elf.open(arg[1], { start = false })
      if not p then print(kind, message) os.exit(0) end
   ]] .. more
   local result = child.lua(program, { path },
      limits or { seconds = 200, memory = 8192 })
   assert.equal(0, result.code, child.describe(result) .. "\n" .. result.err)
   return result.out
end

-- The image with `count` program headers more, each made by a function of its
-- number, in a table at the end of the file. `tail` comes before that table.
local function extend (image, count, make, tail)
   local table_at = (#image.bytes + #(tail or "") + 7) & ~7
   local old = image.bytes:sub(image.header.e_phoff + 1,
      image.header.e_phoff + 56 * image.header.e_phnum)
   local headers = { old }
   for number = 1, count do
      local h = make(number)
      headers[#headers + 1] = string.pack("<I4I4i8i8i8i8i8i8", h.type,
         h.flags or 0, h.offset, h.vaddr, h.vaddr, h.size, h.size,
         h.align or 1)
   end
   image.bytes = image.bytes .. (tail or "")
   image.bytes = image.bytes .. ("\0"):rep(table_at - #image.bytes)
      .. table.concat(headers)
   image.header.e_phnum = image.header.e_phnum + count
   image.header.e_phoff = table_at
   return image
end

describe("A file whose segments may not be read", function ()
   it("is refused when its thread-local variables begin there", function ()
      local image = elfedit.read(base)
      image:load(elfedit.PF_R | elfedit.PF_W).p_flags = elfedit.PF_W
      assert.truthy(run(image:save(), ""):find(
         "PT_TLS lies in a segment that may not be read (PF_R)", 1, true))
   end)

   it("shows nobody the program headers that lie there", function ()
      local image = elfedit.read(base)
      image:load(elfedit.PF_R).p_flags = 0
      local out = run(image:save(), [[
         local walker = assert(elf.open(arg[1]:gsub("[^/]*$", "") .. "]]
         .. "/../" .. base:match "[^/]*$" .. [["))
         print(walker:cdef "long walk(void);".walk() > 10)
      ]])
      assert.equal("true\n", out)
   end)
end)

describe("A file with thousands of segments", function ()
   it("is opened as soon as another when they are a byte each", function ()
      local image = elfedit.read(base)
      local last = 0
      for _, segment in ipairs(image:segments()) do
         if segment.p_type == elfedit.PT_LOAD then
            last = segment.p_vaddr + segment.p_memsz
         end
      end
      local first = (last + 4095) & ~4095
      extend(image, 60000, function (number)
         local at = (first + number) & 4095
         return { type = elfedit.PT_LOAD, flags = elfedit.PF_R, offset = at,
            vaddr = first + number, size = 1 }
      end)
      assert.equal("60004\n", run(image:save(), [[
         local start = os.clock()
         p:close()
         p = assert(elf.open(arg[1], { start = false }))
         assert(os.clock() - start < 3, os.clock() - start)
         local count = 0
         for line in io.lines "/proc/self/maps" do
            count = count + (line:find(arg[1], 1, true) and 1 or 0)
         end
         print(60000 + count)
      ]]))
   end)

   it("is refused when they are the same notes again and again", function ()
      local image = elfedit.read(base)
      local notes = string.pack("<I4I4I4", 0, 0, 1):rep(50000)
      local at = #image.bytes
      extend(image, 60000, function ()
         return { type = elfedit.PT_NOTE, offset = at, vaddr = 0,
            size = #notes }
      end, notes)
      assert.truthy(run(image:save(), ""):find(
         "badformat.*PT_NOTE segments lie on one another"))
   end)
end)

describe("Text relocations", function ()
   it("are applied on a page that two segments share", function ()
      local path = assert(cc.shared([[
         .section .note.none, "a", @note
         .long 4, 4, 1, 0, 0
         .text
         .globl f
         .type f, @function
         f: movabs $thing, %rax
            mov (%rax), %rax
            ret
         .data
         .globl thing
         thing: .quad 17
      ]],
         { language = "assembly",
           flags = "-nostdlib -Wl,-z,notext,-z,noseparate-code,-z,norelro" }))
      local image = elfedit.read(path)
      -- One segment becomes two: what comes before the code, and the code.
      local text = image:load(elfedit.PF_R | elfedit.PF_X)
      local split = image:section ".text".sh_offset
      assert.truthy(split < 4096)
      local second = image:segment "PT_NOTE"
      local headers = {}
      for _, segment in ipairs(image:segments()) do
         headers[#headers + 1] = image.bytes:sub(segment.offset + 1,
            segment.offset + 56)
         if segment.offset == text.offset then
            headers[#headers + 1] = headers[#headers]
         elseif segment.offset == second.offset then
            headers[#headers] = nil
         end
      end
      image:write(image.header.e_phoff, table.concat(headers))
      local first = image:segment "PT_LOAD"
      local code = image:segment("PT_LOAD", 2)
      assert.equal(first.p_vaddr, code.p_vaddr)
      code.p_offset, code.p_vaddr, code.p_align = split, split, 4096
      code.p_filesz = first.p_filesz - split
      code.p_memsz = code.p_filesz
      first.p_flags, first.p_filesz, first.p_memsz = elfedit.PF_R, split, split
      assert.equal("17\n", run(image:save(), [[
         p:start()
         print(p:cdef "long f(void);".f())
      ]]))
   end)
end)

describe("Names of absurd length", function ()
   it("are refused in the lists of folders to search", function ()
      local path = assert(cc.shared("int f;",
         "-Wl,-rpath," .. ("/a"):rep(33000)))
      assert.truthy(run(path, ""):find("DT_RUNPATH has more than 65536 bytes",
         1, true))
      path = assert(cc.shared("int f;", "-Wl,--disable-new-dtags,-rpath,"
         .. ("/a"):rep(33000)))
      assert.truthy(run(path, ""):find("DT_RPATH has more than 65536 bytes",
         1, true))
   end)

   it("cost nothing when another name is not found", function ()
      local long = ("x"):rep(4 << 20)
      local path = assert(cc.shared(".data\n.altmacro\n.macro one n\n"
         .. ".globl s\\n\ns\\n: .byte 0\n.endm\n"
         .. ".set i, 0\n.rept 30000\none %i\n.set i, i + 1\n.endr\n"
         .. ".globl " .. long .. "\n" .. long .. ": .byte 0\n",
            { language = "assembly",
              flags = "-nostdlib -Wl,--hash-style=gnu" }))
      local image = elfedit.read(path)
      local start
      for at, symbol in ipairs(image:symbols()) do
         local name = at > 1 and image:string(symbol.st_name) or ""
         if #name == #long then start = symbol.st_name end
      end
      local at = image:section ".dynsym".sh_offset
      local parts = { image.bytes:sub(1, at) }
      for number = 0, 30001 do
         local from = at + 24 * number
         parts[#parts + 1] = string.pack("<I4", start + number)
            .. image.bytes:sub(from + 5, from + 24)
      end
      parts[#parts + 1] = image.bytes:sub(at + 24 * 30002 + 1)
      image.bytes = table.concat(parts)
      assert.equal("true\n", run(image:save(), [[
         local start = os.clock()
         assert(not p:lookup "none")
         print(os.clock() - start < 0.5)
      ]]))
   end)
end)

describe("Unique symbols by the hundred thousand", function ()
   it("are bound as soon as others", function ()
      local path = assert(cc.shared(".data\n.altmacro\n.macro one n\n"
         .. ".globl s\\n\n.type s\\n, @gnu_unique_object\ns\\n: .quad s\\n\n"
         .. ".endm\n.set i, 0\n.rept 150000\none %i\n.set i, i + 1\n.endr\n",
            { language = "assembly",
              flags = "-nostdlib -Wl,--hash-style=gnu" }))
      assert.equal("150000\n", run(path, [[
         assert(os.clock() < 5, os.clock())
         print(p:relocations().R_X86_64_64)
      ]]))
   end)
end)

describe("A file that is written to while it is being opened", function ()
   -- A hook is asked between the two times that relocations are read.
   local function change (into)
      local image = elfedit.read(assert(cc.shared [[
         extern void missing(void);
         void (*first)(void) = missing;
         long other;
         long *table[5000] = { [0 ... 4999] = &other };
         __thread long in_thread = 5;
         long *here(void) { return &in_thread; }
      ]]))
      local first = image:relocation { symbol = "other" }.offset
      local path = os.tmpname()
      disk.write(path, image.bytes)
      local result = child.lua([[
         local elf = require "elf64load"
         local runtime = elf.runtime { resolve = function ()
            local file = assert(io.open(arg[1], "r+b"))
            for at = 0, 4999 do
               file:seek("set", arg[2] + 24 * at + 8)
               file:write(string.pack("<I4I4", arg[3], 0))
            end
            file:close()
            return elf.host:lookup "getpid"
         end }
         print(select(2, runtime:open(arg[1])))
      ]], { path, tostring(first), tostring(into) })
      os.remove(path)
      assert.equal(0, result.code, child.describe(result) .. "\n" .. result.err)
      return result.out
   end

   it("is refused for what was not there at first", function ()
      for type, words in pairs {
         [0x7fffffff] = "the relocation of unknown type of 0x",
         [elfedit.R_X86_64_COPY] = "the relocation R_X86_64_COPY of 0x",
         [elfedit.R_X86_64_TLSDESC] = "a TLS descriptor was written to the file",
      } do
         local out = change(type)
         assert.truthy(out:find(words, 1, true), out)
         assert.truthy(out:find("while it was being opened", 1, true), out)
      end
   end)
end)

describe("Versions by the ten thousand", function ()
   it("cost no more when as many libraries are needed", function ()
      local needed <const>, versions <const> = 900000, 32000
      local path = assert(cc.shared((".data\n.balign 16\n.globl room\nroom:"
         .. ".zero %d\n"):format(16 * (needed + versions + 100)),
            { language = "assembly",
              flags = "-nostdlib -Wl,--no-as-needed -lm -lc" }))
      local image = elfedit.read(path)
      local room = image:symbol "room".st_value
      local libm = image:dynamic "DT_NEEDED".d_val
      local libc = image:dynamic("DT_NEEDED", 2).d_val
      local needs = { string.pack("<I2I2I4I4I4", 1, 0, libm, 16, 0) }
      for at = 1, versions do
         needs[#needs + 1] = string.pack("<I4I2I2I4I4", at, 2, at + 1, libm,
            at < versions and 16 or 0)
      end
      local tags = {}
      local function add (tag, value)
         tags[#tags + 1] = string.pack("<i8i8", tag, value)
      end
      for _ = 1, needed do add(elfedit.DT_NEEDED, libc) end
      add(elfedit.DT_NEEDED, libm)
      for _, entry in ipairs(image:entries()) do
         if entry.d_tag ~= 0 and entry.d_tag ~= elfedit.DT_NEEDED then
            add(entry.d_tag, entry.d_val)
         end
      end
      add(elfedit.DT_VERSYM, room)
      add(elfedit.DT_VERNEED, room)
      add(0, 0)
      needs, tags = table.concat(needs), table.concat(tags)
      local offset = image:offset(room)
      image:write(offset, needs .. tags)
      local dynamic = image:segment "PT_DYNAMIC"
      dynamic.p_vaddr, dynamic.p_offset = room + #needs, offset + #needs
      dynamic.p_filesz, dynamic.p_memsz = #tags, #tags
      assert.equal("mapped\n", run(image:save(), [[
         assert(os.clock() < 5, os.clock())
         print(p.state)
      ]]))
   end)
end)

describe("A table of hashes whose chains do not end", function ()
   it("costs no more than another when all symbols are bound", function ()
      local path = assert(cc.shared(".data\n.altmacro\n.macro one n\n"
         .. ".globl s\\n\ns\\n: .quad s\\n\n.endm\n"
         .. ".set i, 0\n.rept 300000\none %i\n.set i, i + 1\n.endr\n",
            { language = "assembly",
              flags = "-nostdlib -Wl,--hash-style=gnu" }))
      local image = elfedit.read(path)
      local at = image:section ".gnu.hash".sh_offset
      local buckets, _, words = string.unpack("<I4I4I4", image.bytes, at + 1)
      local first = at + 16 + 8 * words + 4 * buckets
      local size = at + image:section ".gnu.hash".sh_size - first - 4
      image:write(first, (image.bytes:sub(first + 1, first + size)
         :gsub("(.)(...)", function (low, rest)
            return string.char(low:byte() & 0xfe) .. rest
         end)))
      assert.equal("300000\n", run(image:save(), [[
         assert(os.clock() < 5, os.clock())
         print(p:relocations().R_X86_64_64)
      ]]))
   end)
end)

describe("Thread-local variables of absurd size", function ()
   it("are refused at a fixed offset without being made", function ()
      local image = elfedit.read(assert(cc.shared(
         "__thread long f = 5; long *a(void) { return &f; }",
         "-ftls-model=initial-exec")))
      image:segment "PT_TLS".p_memsz = 0xf0000000
      local out = run(image:save(), "", { seconds = 200 })
      assert.truthy(out:find("^nomemory.*4026531840 bytes of static"), out)
      out = run(assert(cc.shared "int f;"), ([[
         local function peak ()
            return tonumber(io.open "/proc/self/status":read "a"
               :match "VmHWM:%%s+(%%d+)")
         end
         local before = peak()
         assert(not elf.open(%q))
         print(peak() - before < 20000)
      ]]):format(image:save()), { seconds = 200 })
      assert.equal("true\n", out)
   end)

   it("are a failure of the lookup that would make them #build", function ()
      local image = elfedit.read(base)
      image:segment "PT_TLS".p_memsz = 0xf0000000
      assert.equal("nomemory\n", run(image:save(), [[
         print((select(3, p:lookup "in_thread")))
      ]], { seconds = 200, memory = 2048 }))
   end)
end)
