--- Object files and archives that are made to do harm: that would cost time or
--- memory out of all proportion, or read what they should not. Each is refused
--- with the reason, or linked as soon as another.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local child = require "spec.support.child"
local elf = require "elf64load"
local elfedit = require "spec.support.elfedit"
local elfwrite = require "spec.support.elfwrite"
local fixtures = require "spec.support.fixtures"

local folder = fixtures.folder .. "/hostile-objects"

local function put (name, bytes)
   campaign.write(folder .. "/" .. name, bytes)
   return folder .. "/" .. name
end

-- Links files in a process of its own, which has minutes and 4 GB, where one
-- that costs the square of its size would need hours or more than that. Gives
-- the kind of the failure, or "linked", and the message.
local function link (...)
   local result = child.lua([[
      local elf = require "elf64load"
      local p, message, kind = elf.link(arg, { start = false })
      if p then
         p:symbols()
         elf.whence(p.base)
         p:close()
      end
      io.write(p and "linked" or kind, " ", message or "", "\n")
      -- Of address space it may have had more.
      for line in io.lines "/proc/self/status" do
         local peak = line:match "^VmHWM:%s+(%d+)"
         if peak then io.write(peak // 1024 < 2500 and "" or line) end
      end
   ]], { ... }, { seconds = 200, memory = 8192, files = 256 })
   assert.equal(0, result.code, child.describe(result) .. "\n" .. result.err)
   local kind, message, rest = result.out:match "^(%a+) ([^\n]*)\n(.*)$"
   assert.equal("", rest)
   return kind, message
end

local function has (message, words)
   for _, word in ipairs(words) do
      assert.is_not_nil(message:find(word, 1, true), word .. "\n" .. message)
   end
end

-- C identifiers whose DT_GNU_HASH is the same: "ab" and "bA" add the same to it.
local pieces = {}
for number = 0, 511 do
   local out = {}
   for bit = 0, 8 do
      out[bit + 1] = number >> bit & 1 == 1 and "bA" or "ab"
   end
   pieces[number] = table.concat(out)
end

local function alike (number)
   return pieces[number & 511] .. pieces[number >> 9]
end

-- A list of as many, each made by a function of its number.
local function list (count, make)
   local out = {}
   for number = 1, count do out[number] = make(number) end
   return out
end

local TEXT <const> = { name = ".text", flags = "ax", bytes = "\xc3" }

-- Each makes an object; what becomes of it is "linked" or an error.
local CASES <const> = {
   { "of 66,000 sections", "linked", {}, function ()
      return { sections = list(66000, function (number)
         return { name = "set_" .. number, flags = "aw", bytes = "x" }
      end) }
   end },
   { "of a common symbol of 2^60 bytes", "badformat",
      { "st_size", "exceeds the address space" }, function ()
         return { symbols = { { name = "c", section = "common", value = 8,
            size = 1 << 60 } } }
      end },
   { "of a common symbol of 2^46 bytes", "unsupported",
      { "would take more than" }, function ()
         return { symbols = { { name = "c", section = "common", value = 8,
            size = 1 << 46 } } }
      end },
   { "of a common symbol that is aligned to 2 GB", "unsupported",
      { "would take more than" }, function ()
         return { symbols = { { name = "c", section = "common",
            value = 1 << 31, size = 8 } } }
      end },
   { "of a section that is aligned to 2^63", "badformat", { "sh_addralign" },
      function ()
         return { sections = { { name = ".data", flags = "aw", bytes = "x",
            align = math.mininteger } } }
      end },
   { "of a section that is aligned to 2 GB", "unsupported",
      { "sh_addralign", "more than 16 MB" }, function ()
         return { sections = { { name = ".data", flags = "aw", bytes = "x",
            align = 1 << 31 } } }
      end },
   { "of 200 sections that are aligned to 16 MB", "unsupported",
      { "would take more than" }, function ()
         return { sections = list(200, function (number)
            return { name = ".data." .. number, flags = "aw", bytes = "x",
               align = 1 << 24 }
         end) }
      end },
   { "of 4 TB of zeros", "unsupported", { "would take more than" },
      function ()
         return { sections = { { name = ".bss", type = "nobits",
            flags = "aw", size = 4 << 40 } } }
      end },
   { "of 900 GB of zeros", "nomemory", { "966367" }, function ()
      return { sections = { { name = ".bss", type = "nobits",
         flags = "aw", size = 900 << 30 } } }
   end },
   -- Memory that is there only when it is touched.
   { "of 1 GB of zeros among what has bytes", "linked", {}, function ()
      return { sections = { { name = "named", type = "nobits", flags = "aw",
         size = 1 << 30 } } }
   end },
   { "of 512 GB of thread-local variables", "badformat", { "PT_TLS" },
      function ()
         return { sections = { { name = ".tbss", type = "nobits",
            flags = "awT", size = 1 << 39 } } }
      end },
   { "of 50 MB of strings of one byte", "linked", {}, function ()
      return { sections = { { name = ".rodata.str1.1", flags = "aMS",
         entsize = 1, bytes = ("a\0"):rep(25 << 20) } } }
   end },
   { "of symbols whose names are ends of one another", "badformat",
      { "st_name", "eight times the file's bytes" }, function ()
         return { names = ("a"):rep(4 << 20) .. "\0",
            symbols = list(100000, function (number)
               return { offset = 1 + 40 * number, section = "abs" }
            end) }
      end },
   { "of sections whose names are ends of one another", "badformat",
      { "sh_name", "eight times the file's bytes" }, function ()
         local sections = list(60000, function (number)
            return { offset = 20 * number, flags = "aw" }
         end)
         sections[60001] = { name = ("a"):rep(4 << 20) }
         return { sections = sections }
      end },
   { "of groups that have one long name", "badformat",
      { "sh_info", "eight times the file's bytes" }, function ()
         return { sections = list(60000, function ()
            return { name = ".group", type = "group", link = 60001, info = 1,
               bytes = "\1\0\0\0", entsize = 4 }
         end), symbols = { { name = ("a"):rep(4 << 20), section = "abs" } } }
      end },
   { "of symbols that a hash cannot tell apart", "linked", {}, function ()
      return { symbols = list(250000, function (number)
         return { name = alike(number), section = "abs" }
      end) }
   end },
   { "of sections that a hash cannot tell apart", "linked", {}, function ()
      return { sections = list(60000, function (number)
         return { name = alike(number), flags = "aw" }
      end) }
   end },
   { "of groups that a hash cannot tell apart", "linked", {}, function ()
      local COUNT <const> = 100000
      return { sections = list(COUNT, function (number)
         return { name = ".group", type = "group", link = COUNT + 1,
            info = number, bytes = "\1\0\0\0", entsize = 4 }
      end), symbols = list(COUNT, function (number)
         return { name = alike(number), section = "abs", binding = 0 }
      end) }
   end },
   -- By turns of two CIEs, so that knowing the last one does not help.
   { "of stack frames that say nothing at length", "unsupported",
      { ".eh_frame", "a CIE of a kind" }, function ()
         local function entry (text)
            return string.pack("<s4", text .. ("\0"):rep(-#text % 4))
         end
         local cie = entry("\0\0\0\0\1z" .. ("S"):rep(3 << 20)
            .. "R\0\1\x78\x10\1\x1b")
         local relocations = {}
         local bytes = cie .. cie .. table.concat(list(60000, function (number)
            local at = 2 * #cie + 16 * (number - 1)
            relocations[number] = { at + 8, 2, 1, 0 }
            return string.pack("<I4I4I4I4", 12, at + 4 - number % 2 * #cie, 0,
               1)
         end))
         return { sections = { TEXT, { name = ".eh_frame", flags = "a",
            bytes = bytes, relocations = relocations } },
            symbols = { { section = 1, binding = 0, type = 3 } } }
      end },
   { "of 200,000 instructions that do not reach", "unsupported",
      { "R_X86_64_PC32", "-fPIC" }, function ()
         return { sections = { { name = ".text", flags = "ax",
            bytes = ("\0"):rep(800000), relocations = list(200000,
               function (number) return { 4 * number - 4, 2, 1, -4 } end) } },
            symbols = { { name = "weak", binding = 2 } } }
      end },
}

setup(function () assert(os.execute("mkdir -p '" .. folder .. "'")) end)
teardown(function () os.execute("rm -rf '" .. folder .. "'") end)

describe("An object", function ()
   for _, case in ipairs(CASES) do
      it(case[1] .. (case[2] == "linked" and " is linked like any other"
         or " is refused with the reason"), function ()
         local path = put("harm.o", elfwrite.object(case[4]()))
         local kind, message = link(path)
         os.remove(path)
         assert.equal(case[2], kind, message)
         has(message, case[3])
         if kind ~= "linked" then has(message, { "harm.o" }) end
      end)
   end
end)

-- A thin archive of files beside it, and an object that wants `f`.
local function thin (names, wants)
   local members = list(#names, function (number)
      return { name = names[number], bytes = "" }
   end)
   local path = put("thin.a", elfwrite.archive(members, true))
   if not wants then return path end
   return put("wants.o", elfwrite.object { symbols = { { name = "f" } } }), path
end

local function defines (name)
   return elfwrite.object { sections = { TEXT },
      symbols = { { name = name, section = 1 } } }
end

describe("A thin archive", function ()
   it("may hold itself, which is no object", function ()
      put("f.o", defines "f")
      assert.equal("linked", (link(thin { "thin.a", "f.o" })))
      assert.equal("linked", (link(thin({ "thin.a", "f.o" }, true))))
      -- A name of the index that would be its own.
      local index = string.pack(">I4I4z", 1, 8 + 60 + 10, "f")
      put("indexed.a", "!<thin>\n" .. ("%-48s%-10d`\n"):format("/", #index)
         .. index .. ("%-48s%-10d`\n"):format("indexed.a/", 100))
      local kind, message = link(folder .. "/wants.o", folder .. "/indexed.a")
      assert.equal("badformat", kind)
      has(message, { "indexed.a(indexed.a)", "invalid filetype" })
   end)

   it("does not have a file linked a hundred thousand times", function ()
      put("many.o", elfwrite.object { sections = list(60000, function ()
         return { name = ".data", flags = "aw", bytes = "x" }
      end) })
      for _, spell in ipairs {
         function () return "many.o" end,
         function (number) return ("./"):rep(number) .. "many.o" end,
      } do
         local names = list(900, spell)
         local kind, message = link(thin(names))
         assert.equal("duplicate", kind)
         has(message, { "thin.a", "'" .. names[2] .. "'", "linked already" })
         -- Where it is searched it is read once, and gives nothing.
         kind, message = link(thin(names, true))
         assert.equal("linked", kind, message)
      end
   end)

   it("may have more members than a process has descriptors", function ()
      local names = list(300, function (number)
         put(("f%d.o"):format(number), defines("f" .. number))
         return ("f%d.o"):format(number)
      end)
      assert.equal("linked", (link(thin(names))))
   end)

   it("shows its members to `verify` before they are linked", function ()
      put("f.o", defines "f")
      local path = thin { "f.o" }
      local seen = {}
      local mods <close> = elf.runtime {
         verify = function (image, name)
            seen[#seen + 1] = name:match "[^/]*$"
            return image:sub(1, 4) ~= "\127ELF", "no code of others"
         end,
      }
      local message, detail = assert.fails_with("denied", mods.link, mods,
         { path })
      assert.same({ "thin.a", "f.o" }, seen)
      has(message, { "f.o", "no code of others" })
      assert.equal(folder .. "/f.o", detail.path)
   end)

   it("tells nothing of a file that is no object", function ()
      put("secret.txt", ("root:x:0:0:"):rep(20))
      local kind, message = link(thin { "secret.txt" })
      assert.equal("badformat", kind)
      assert.is_nil(message:find("root", 1, true))
      for _, name in ipairs { "/etc/passwd", "sub/../../etc/passwd", "sub/",
         ".." } do
         kind, message = link(thin { name })
         assert.equal("badformat", kind)
         has(message, { "thin.a", "'" .. name .. "'" })
      end
      assert(os.execute(("mkfifo '%s/fifo.o'"):format(folder)))
      kind, message = link(thin { "fifo.o" })
      assert.equal("system", kind)
      has(message, { "fifo.o", "a FIFO" })
   end)

   it("is refused when its members share one long name", function ()
      local name = ("n"):rep(4000) .. "/\n"
      local member = ("%-48s%-10d`\n"):format("/0", 0)
      local kind, message = link(put("names.a", "!<arch>\n"
         .. ("%-48s%-10d`\n"):format("//", #name) .. name
         .. member:rep(500000)))
      assert.equal("badformat", kind)
      has(message, { "names.a", "ar_name", "eight times the file's bytes" })
   end)
end)

-- What the readers refuse (relocatable_spec, archive_spec), as it is told by
-- those who link it.
local good = assert(cc.object [[
   extern int other; int f(void) { return other; }
   __asm__(".section .text.once,\"axG\",@progbits,once,comdat;"
      ".weak once; once: ret; .previous");
]])

local function edited (change)
   local image = elfedit.read(good)
   change(image)
   return image.bytes
end

local BAD <const> = {
   { "unsupported", { "LLVM bitcode", "-flto" },
      "BC\xc0\xde" .. ("x"):rep(100) },
   { "unsupported", { "-flto", "-ffat-lto-objects" },
      campaign.contents(assert(cc.object("int f;", "-flto"))) },
   { "badarch", { "AArch64" },
      edited(function (image) image.header.e_machine = 183 end) },
   { "badformat", { "e_shstrndx" },
      edited(function (image) image.header.e_shstrndx = 999 end) },
   { "badformat", { ".text", "sh_size" },
      edited(function (image) image:section ".text".sh_size = 1 << 40 end) },
   { "badformat", { "st_shndx is no section" },
      edited(function (image) image:records ".symtab"[2].st_shndx = 999 end) },
   { "badformat", { "r_offset", ".text" },
      edited(function (image)
         image:records ".rela.text"[1].r_offset = 1 << 20
      end) },
   { "badformat", { "does not end inside of its section" },
      edited(function (image)
         image:records ".rela.text"[1].r_offset
            = image:section ".text".sh_size - 2
      end) },
   { "badformat", { ".group", "no section that may be in a group" },
      edited(function (image) image:records ".group"[2].value = 999 end) },
   { "badformat", { "the file ends" }, campaign.contents(good):sub(1, 50) },
   { "badformat", { "reaches beyond the file" },
      elfwrite.archive { { name = "f.o", bytes = defines "f" } }:sub(1, -60) },
   { "badformat", { "index", "where none is" },
      "!<arch>\n" .. ("%-48s%-10d`\n"):format("/", 10)
      .. string.pack(">I4I4z", 1, 12345, "f") },
   { "badformat", { "index", "defines 'f', which it does not" }, (function ()
      local member = defines "g"
      return "!<arch>\n" .. ("%-48s%-10d`\n"):format("/", 10)
         .. string.pack(">I4I4z", 1, 78, "f")
         .. ("%-48s%-10d`\n"):format("g.o/", #member) .. member
   end)() },
}

describe("What is no proper object", function ()
   it("is refused with kind, reason and file, and leaves nothing", function ()
      put("wants.o", elfwrite.object { symbols = { { name = "f" } } })
      for _, case in ipairs(BAD) do
         local path = put("bad.o", case[3])
         local message, detail = assert.fails_with(case[1], elf.link,
            { folder .. "/wants.o", path })
         has(message, { "bad.o", table.unpack(case[2]) })
         assert.is_not_nil((detail.path or ""):find("bad.o", 1, true), message)
         local same = assert.fails_with(case[1], elf.link,
            { folder .. "/wants.o", path })
         assert.equal(message, same)
      end
   end)
end)
