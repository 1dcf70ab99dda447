--- Archives are read as ar and nm read them, and those that lie are refused.

local lfs = require "lfs"
local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local objects = require "spec.support.objects"

local LONG <const> = "a_member_with_a_long_name.o"

-- A folder with objects, and what ar makes of them.
local folder = fixtures.folder .. "/archive"
assert(os.execute("rm -rf '" .. folder .. "' && mkdir -p '" .. folder
   .. "/lib' '" .. folder .. "/obj'"))

local function put (name, bytes)
   campaign.write(folder .. "/" .. name, bytes)
   return folder .. "/" .. name
end

local sources = {
   ["a.o"] = "int a(void) { return 1; } int both = 1; int shared_a;",
   [LONG] = "extern int a(void); int b(void) { return a(); } int both = 2;",
   ["c.o"] = [[int c __attribute__((weak)); static int own(void) { return 3; }
      int *p = &c; int (*f)(void) = own;
      __attribute__((visibility("hidden"))) int hidden; ]],
}
for name, source in pairs(sources) do
   put("obj/" .. name, campaign.contents(assert(cc.object(source, "-fcommon"))))
end

local function run (...)
   return objects.shown("sh", "-c", ("cd '%s/lib' && "):format(folder)
      .. string.format(...))
end

local OBJECTS <const> = "../obj/a.o ../obj/" .. LONG .. " ../obj/c.o"
run("ar rcs whole.a %s && ar rcsT thin.a %s && ar rcS bare.a %s", OBJECTS,
   OBJECTS, OBJECTS)
run("ar rcST thin-bare.a %s && ar rcs empty.a", OBJECTS)

-- What ar and nm say, in the words of the reader's.
local function members (path)
   local out = {}
   for name in objects.shown("ar", "t", path):gmatch "[^\n]+" do
      out[#out + 1] = name:match "[^/]*$"
   end
   return out
end

local function index (path)
   local out = {}
   local text = objects.shown("nm", "-s", path)
   for line in (text:match "Archive index:\n(.-)\n\n" or ""):gmatch
         "[^\n]+" do
      local symbol, name = line:match "^(%S+) in (%S+)$"
      out[#out + 1] = symbol .. " in " .. name:match "[^/]*$"
   end
   table.sort(out)
   return out
end

local function read (path, what)
   local text = objects.read(what or "archive", path)
   local names, definers = {}, {}
   for line in text:gmatch "[^\n]+" do
      local name = line:match "^member (%S+) %d+ %d+$"
      if name then names[#names + 1] = name:match "[^/]*$" end
      local symbol, member = line:match "^(%S+) in (%S+)$"
      if symbol then
         definers[#definers + 1] = symbol .. " in " .. member:match "[^/]*$"
      end
   end
   table.sort(definers)
   return names, definers, text
end

describe("An archive", function ()
   it("is read as ar and nm read it", function ()
      for _, name in ipairs { "whole.a", "thin.a" } do
         local path = folder .. "/lib/" .. name
         local names, definers, text = read(path)
         assert.same(members(path), names)
         assert.same(index(path), definers)
         assert.is_true(#definers > 6)
         assert.is_not_nil(text:find(name == "thin.a" and "thin, indexed"
            or "whole, indexed", 1, true))
      end
   end)

   it("defines by itself what its index would say", function ()
      local expected = index(folder .. "/lib/whole.a")
      for _, name in ipairs { "whole.a", "bare.a", "thin-bare.a", "thin.a" } do
         local _, definers, text = read(folder .. "/lib/" .. name, "collect")
         assert.same(expected, definers, text)
      end
   end)

   it("may be the system's", function ()
      for _, name in ipairs { "libc.a", "libgcc.a", "libstdc++.a" } do
         local path = objects.shown("gcc", "-print-file-name=" .. name)
            :match "^[^\n]+"
         local names, definers = read(path)
         assert.same(members(path), names)
         assert.same(index(path), definers)
         local _, collected = read(path, "collect")
         assert.same(definers, collected)
      end
   end)

   it("may have no members", function ()
      assert.same({}, (read(folder .. "/lib/empty.a")))
      assert.equal("x: nobody\n",
         objects.read("find", folder .. "/lib/empty.a", "x"))
   end)

   it("may be LLVM's #full", function ()
      run("llvm-ar-14 rcs llvm.a %s && llvm-ar-14 rcsT llvm-thin.a %s", OBJECTS,
         OBJECTS)
      for _, name in ipairs { "llvm.a", "llvm-thin.a" } do
         local path = folder .. "/lib/" .. name
         local names, definers = read(path)
         assert.same(members(path), names)
         assert.same(index(folder .. "/lib/whole.a"), definers)
      end
   end)

   it("finds the first member that defines a name", function ()
      local text = objects.read("find", folder .. "/lib/whole.a", "a", "b", "c",
         "both", "own", "hidden", "shared_a", "", "aa")
      assert.equal(("a: a.o\nb: %s\nc: c.o\nboth: a.o\nown: nobody\n"
         .. "hidden: c.o\nshared_a: a.o\n: nobody\naa: nobody\n"):format(LONG),
         text)
   end)

   it("names its members for messages and thin ones' files", function ()
      local path = folder .. "/lib/thin.a"
      local _, _, text = read(path)
      assert.is_not_nil(text:find("label " .. path .. "(../obj/a.o)\n", 1, true))
      local file = folder .. "/lib/../obj/" .. LONG
      assert.is_not_nil(text:find("path " .. file .. "\n", 1, true))
      assert.is_not_nil(lfs.attributes(file))
   end)

   it("may hold what is no object", function ()
      put("obj/note.txt", "three\n")
      run("ar rc odd.a ../obj/note.txt && ar rcS odd-bare.a ../obj/note.txt "
         .. "../obj/a.o && ar q odd.a ../obj/a.o && ranlib odd.a")
      for _, name in ipairs { "odd.a", "odd-bare.a" } do
         local names, definers = read(folder .. "/lib/" .. name)
         assert.same({ "note.txt", "a.o" }, names)
         assert.same({ "a in a.o", "both in a.o", "shared_a in a.o" }, definers)
      end
   end)

   it("has an index of 64-bit words as well", function ()
      -- As whole.a, with an index that ar writes for archives of 4 GB.
      local bytes = campaign.contents(folder .. "/lib/whole.a")
      local size = math.tointeger(tonumber(bytes:sub(57, 66)))
      local table_32, rest = bytes:sub(69, 68 + size), bytes:sub(69 + size)
      local count = string.unpack(">I4", table_32)
      local words = { string.pack(">I8", count) }
      local text = table_32:sub(5 + 4 * count)
      local grown = 4 + 4 * count + #text % 2
      for at = 1, count do
         words[#words + 1] = string.pack(">I8",
            string.unpack(">I4", table_32, 1 + 4 * at) + grown)
      end
      local wide = table.concat(words) .. text .. ("\0"):rep(#text % 2)
      local path = put("lib/wide.a", "!<arch>\n" .. ("%-16s%-32s%-10d`\n")
         :format("/SYM64/", ("%-12s%-6s%-6s%-8s"):format(0, 0, 0, 0), #wide)
         .. wide .. rest)
      local names, definers = read(path)
      assert.same(members(folder .. "/lib/whole.a"), names)
      assert.same(index(folder .. "/lib/whole.a"), definers)
   end)
end)

-- Changes a copy of an archive.
local number = 0

local function edited (from, change)
   number = number + 1
   return put(("lib/edited-%d.a"):format(number),
      change(campaign.contents(folder .. "/lib/" .. from)))
end

local function at (bytes, offset, new)
   return bytes:sub(1, offset) .. new .. bytes:sub(offset + #new + 1)
end

-- The offset of a member's header by the name in it.
local function header (bytes, name)
   return assert(bytes:find(name, 9, true)) - 1
end

-- Puts bytes into a member's header.
local function in_header (name, offset, new)
   return function (bytes) return at(bytes, header(bytes, name) + offset, new) end
end

local function in_index (offset, new)
   return function (bytes) return at(bytes, 68 + offset, new) end
end

local function without_end (bytes)
   return bytes:sub(1, #bytes - 40)
end

local CASES <const> = {
   { "no archive at all", "no archive", function () return "!<arch>" end },
   { "a member that is cut short", "reaches beyond", without_end },
   { "a header that is cut short", "cut short",
      function (bytes) return bytes .. ("x"):rep(30) end },
   { "a header without its end", "ar_fmag", in_header("c.o/", 58, "xx") },
   { "a size that is no number", "ar_size", in_header("c.o/", 48, "12x") },
   { "a size with a sign", "ar_size", in_header("c.o/", 48, "-1 ") },
   { "an empty size", "ar_size", in_header("c.o/", 48, "          ") },
   { "a size beyond the file", "ar_size", in_header("c.o/", 48, "9999999999") },
   { "a name outside the table of names", { "ar_name", "outside" },
      in_header("/0  ", 0, "/999999 ") },
   { "a name that is no number", "ar_name", in_header("/0  ", 0, "/x ") },
   { "a name that is empty", "ar_name", in_header("c.o/", 0, "    ") },
   { "two tables of names", "two tables",
      in_header("c.o/", 0, "//              ") },
   { "an index behind members", "index",
      in_header("c.o/", 0, "/               ") },
   { "an index that is too small for its number", { "index", "names" },
      in_index(0, "\255\255\255\255") },
   { "an index with more names than it has", { "index", "ends within" },
      function (bytes)
         local count = string.unpack(">I4", bytes, 69)
         -- The first name takes the place of the last offset.
         return at(bytes, 68, string.pack(">I4", count + 1))
      end },
   { "a name of the index in a member that is not there", { "index", "where" },
      in_index(4, "\0\0\0\1") },
   { "a name of the index inside a member", { "index", "where" },
      function (bytes)
         local offset = string.unpack(">I4", bytes, 73)
         return at(bytes, 72, string.pack(">I4", offset + 2))
      end },
   { "an index without its number", "cut short", function (bytes)
      return bytes:sub(1, 8) .. bytes:sub(9, 56) .. ("%-10d"):format(2)
         .. "`\n" .. "\0\0" .. bytes:sub(69 + tonumber(bytes:sub(57, 66)))
   end },
   { "BSD's long names", "BSD", in_header("c.o/", 0, "#1/20"),
      kind = "unsupported" },
   { "BSD's index", "BSD", in_header("c.o/", 0, "__.SYMDEF       "),
      kind = "unsupported" },
}

describe("Of an archive", function ()
   for _, case in ipairs(CASES) do
      it(case[1] .. " is refused", function ()
         objects.refused(case.kind or "badformat", case[2], "archive",
            edited("whole.a", case[3]))
      end)
   end

   it("cut off anywhere is refused or read, without harm", function ()
      local bytes = campaign.contents(folder .. "/lib/whole.a")
      for size = 9, 800, 13 do
         local path = edited("whole.a", function () return bytes:sub(1, size) end)
         objects.refused("badformat", {}, "archive", path)
      end
   end)

   it("an index that lies about a member is noticed with the member", function ()
      local path = folder .. "/lib/whole.a"
      assert.equal("confirmed\n", objects.read("confirm", path, "0", "a"))
      objects.refused("badformat", { "a.o", "'b'", "index" }, "confirm", path,
         "0", "b")
      objects.refused("badformat", "'own'", "confirm", path, "2", "own")
   end)

   it("a member that lies is refused when members are looked into", function ()
      local path = edited("bare.a", function (bytes)
         local elf = assert(bytes:find "\127ELF") - 1
         return at(bytes, elf + 18, "\183")
      end)
      objects.refused("badarch", "e_machine", "archive", path)
      path = edited("bare.a", function (bytes)
         return at(bytes, bytes:find "\127ELF" - 1, "BC\xc0\xde")
      end)
      objects.refused("unsupported", "(a.o): is LLVM bitcode", "archive", path)
   end)
end)

-- The names of a thin archive's members are in the table of long ones.
local function renamed (name)
   return edited("thin.a", function (bytes)
      local from, to = bytes:find("../obj/" .. LONG, 1, true)
      assert(#name <= to - from + 1)
      -- What is left over is a name that nobody uses.
      local rest = to - from + 1 - #name
      return at(bytes, from - 1, name .. (rest > 1 and "/\n" .. ("x"):rep(rest - 2)
         or ("x"):rep(rest)))
   end)
end

describe("A thin archive's member", function ()
   it("may be above the archive", function ()
      for _, name in ipairs { "../obj/x.o", "../../x.o", "x.o", "sub/x.o",
         "../..x/y..", "./x.o" } do
         local text = objects.read("archive", renamed(name))
         assert.is_not_nil(text:find("member " .. name .. " ", 1, true), text)
      end
   end)

   it("is refused when its name escapes", function ()
      for name, why in pairs {
         ["/etc/passwd"] = "absolute path", ["sub/../../../etc/x"] = "goes up",
         ["x/.."] = "goes up", [".."] = "names no file", ["sub/"] = "names no",
         ["../"] = "names no file", ["."] = "names no file",
         ["../obj/../x.o"] = "goes up", ["./../x.o"] = "goes up",
      } do
         objects.refused("badformat", why, "archive", renamed(name))
      end
   end)

   it("is refused when it is one of another archive", function ()
      run("ar rcsT outer.a whole.a")
      objects.refused("unsupported", "another archive", "archive",
         folder .. "/lib/outer.a")
   end)

   it("has its bytes in a file that may be missing", function ()
      local path = renamed("no-such.o")
      objects.read("archive", path)
      local text = objects.read("collect", path)
      assert.is_not_nil(text:find("failed: notfound: .*no%-such%.o"), text)
   end)
end)
