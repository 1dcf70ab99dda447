--- Mistakes of a script: they raise where it has made them, say what was expected,
--- and name what is near to a name that there is not.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local elf = require "elf64load"

local path = assert(cc.shared "int f(void) { return 1; }")

-- What `f` raises, which must begin with a place in this file.
local function raised (f)
   local done, message = pcall(f)
   assert.is_false(done)
   local text = tostring(message):match "^spec/mistakes_spec%.lua:%d+: (.*)"
   assert.is_truthy(text, tostring(message))
   return text
end

describe("A wrong argument raises where it was given:", function ()
   local runtime = elf.runtime {}
   local closed = elf.runtime {}
   closed:close()

   for says, f in pairs {
      ["open needs a library's name or path; a string expected, got nil"] =
         function () elf.open(nil) end,
      ["plan needs a library's name or path; a string expected, got table"] =
         function () elf.plan {} end,
      ["open: there is a zero byte in a library's name or path"] =
         function () elf.open "libz.so.1\0junk" end,
      ["the name is empty; elf.host is the process"] =
         function () elf.open "" end,
      ["load needs bytes or a source, not a nil"] =
         function () elf.load(nil) end,
      ["load needs a name for messages; a string expected, got table"] =
         function () elf.load("bytes", { private = true }) end,
      ["a source needs one of 'path', 'bytes' and 'read'"] =
         function () elf.load {} end,
      ["link needs paths or a source, not a number"] =
         function () elf.link { 1 } end,
      ['options must be a table such as { name = "game" }'] =
         function () elf.link({ "a.o" }, "name") end,
      ["open is called on a runtime, with a colon: runtime:open(...)"] =
         function () runtime.open "x" end,
      ["define is called on a runtime, with a colon: runtime:define(...)"] =
         function () runtime.define("int f(void)", print) end,
      ["closed: the runtime has been closed"] =
         function () closed:open "x" end,
      ["searchpath needs a library's name or path; a string expected, got nil"] =
         function () elf.searchpath() end,
      ['searchpath needs templates such as "./?.so"; a string expected, got nil'] =
         function () elf.searchpath "x" end,
      ["whence needs an address: an integer, a symbol, a pointer or a function "
         .. "of C, not a string"] = function () elf.whence "x" end,
   } do
      it(says, function () assert.equal(says, raised(f)) end)
   end

   it("and to a handle", function ()
      local p = assert(elf.open(path))
      assert.equal("replace needs a path or a source, not a nil",
         raised(function () p:replace "a.o" end))
      assert.equal("replace needs the name of a file to replace; a string "
         .. "expected, got nil", raised(function () p:replace() end))
      for _, name in ipairs { "f\0x", "f\0" } do
         assert.error_matches(function () p:lookup(name) end, "zero byte")
      end
      assert.error_matches(function () p:lookup("f", "V\0") end, "zero byte")
      p:close()
      assert.equal(("closed: the handle of %s has been closed"):format(path),
         raised(function () p:why() end))
   end)
end)

describe("A name that there is not", function ()
   it("is told with those that are near", function ()
      assert.equal("there is no option 'globl' (did you mean 'global'?)",
         raised(function () elf.open("x", { globl = true }) end))
      assert.equal("a source has no field 'pth' (did you mean 'path'?)",
         raised(function () elf.source { pth = "x" } end))
      local runtime <close> = elf.runtime {}
      for _, one in ipairs { runtime, elf } do
         assert.equal("there is no field 'pth' to set (did you mean 'path'?)",
            raised(function () one.pth = "x" end))
      end
   end)

   it("is none when it is a number", function ()
      assert.equal("options have names, as in { global = true }; [1] has none",
         raised(function () elf.open("x", { "global" }) end))
   end)
end)

describe("What a script sets", function ()
   it("is checked when it does", function ()
      local runtime <close> = elf.runtime {}
      for _, one in ipairs { runtime, elf } do
         assert.equal("'path' cannot be a number; templates such as \"./?.so\" "
            .. "expected", raised(function () one.path = 1 end))
         assert.equal("'searchers' cannot be a nil; a list of functions expected",
            raised(function () one.searchers = nil end))
         assert.equal("'preload' cannot be a nil; a table by names expected",
            raised(function () one.preload = nil end))
         assert.equal("there is no field 'host' to set",
            raised(function () one.host = one end))
      end
      runtime.path = "./?.so"
      runtime.path = nil
      assert.is_nil(runtime.path)
   end)

   it("a source is, too", function ()
      for says, given in pairs {
         ["a source's 'offset' must be a non-negative integer"] =
            { path = "x", offset = -1 },
         ["a source's 'size' must be a non-negative integer"] =
            { path = "x", size = 1.5 },
         ["a source's 'offset' and 'size' reach beyond its bytes"] =
            { bytes = "x", offset = 2 },
         ["a source with 'read' needs its 'size'"] = { read = print },
         ["a source has one of 'path', 'bytes' and 'read', not 'path' and "
            .. "'bytes'"] = { path = "x", bytes = "x" },
         ["there is a zero byte in a source's 'path'"] = { path = "x\0" },
      } do
         assert.equal(says, raised(function () elf.source(given) end))
      end
   end)
end)
