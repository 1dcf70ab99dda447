-- Files that are none, or not of this kind: each has its kind of error and a
-- message that names what is wrong, and leaves nothing behind.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

local good = assert(cc.shared [[
   long value = 1;
   __thread long local;
   extern long getpid(void);
   long *pointer = &value;
   long f(void) { return value + getpid() + local; }
]])

-- The open of a path fails so, as does the load of its bytes; both leave
-- mappings, descriptors and heap as they were.
local function refused (kind, words, path, name)
   local _, detail = assert.fails_with(kind, elf.open, path)
   assert.says(words, elf.open, path)
   assert.says(path, elf.open, path)
   assert.equal(path, detail.path)
   assert.leaves_nothing(elf.open, path)
   assert.keeps_heap(elf.open, path)
   local bytes = disk.contents(path)
   assert.fails_with(kind, elf.load, bytes, name or "some bytes")
   assert.says(words, elf.load, bytes, name or "some bytes")
   assert.leaves_nothing(elf.load, bytes, "some bytes")
   assert.keeps_heap(elf.load, bytes, "some bytes")
end

local function header (kind, words, changes)
   local image = elfedit.read(good)
   for field, value in pairs(changes) do image.header[field] = value end
   refused(kind, words, image:save())
end

describe("A file that is not ELF64 for AMD64 is refused:", function ()
   it("an empty one", function ()
      refused("badformat", { "invalid filetype, only ELF64 supported" },
         fixtures.text("", ".so"))
   end)

   it("a text", function ()
      refused("badformat", { "invalid filetype, only ELF64 supported" },
         fixtures.text("#!/bin/sh\n" .. ("echo\n"):rep(1000), ".so"))
   end)

   it("one shorter than e_ident", function ()
      for _, size in ipairs { 1, 3, 4, 5, 15 } do
         local image = elfedit.read(good):truncate(size)
         refused("badformat", { "invalid filetype, only ELF64 supported" },
            image:save())
      end
   end)

   it("another magic number", function ()
      local image = elfedit.read(good)
      image:write(0, "\127ELG")
      refused("badformat", { "invalid filetype, only ELF64 supported" },
         image:save())
   end)

   it("a 32-bit one (EI_CLASS)", function ()
      header("badformat", { "invalid filetype, only ELF64 supported",
         "EI_CLASS" }, { e_class = 1 })
      header("badformat", { "EI_CLASS" }, { e_class = 7 })
   end)

   it("a big-endian one (EI_DATA)", function ()
      header("badarch", { "invalid architecture, only AMD64 supported",
         "EI_DATA" }, { e_data = 2 })
   end)

   it("one for another machine (e_machine)", function ()
      for _, machine in ipairs { 0, 3, 40, 183, 243, 0xffff } do
         header("badarch", { "invalid architecture, only AMD64 supported",
            "e_machine", tostring(machine) }, { e_machine = machine })
      end
   end)

   it("one of another version (EI_VERSION, e_version)", function ()
      header("badformat", { "EI_VERSION" }, { e_iversion = 2 })
      header("badformat", { "e_version" }, { e_version = 0 })
   end)

   it("one for another system (EI_OSABI)", function ()
      header("unsupported", { "EI_OSABI" }, { e_osabi = 9 })
   end)
end)

describe("An ELF64 file that is no shared object is refused:", function ()
   it("an executable (ET_EXEC), as by ld.so", function ()
      local path = assert(cc.program("int main(void) { return 0; }", "-no-pie"))
      assert.like_ldso({ "open a " .. path }, { "open a: failed" },
         { kind = "unsupported" })
      refused("unsupported", { "ET_EXEC" }, path)
   end)

   it("a static executable (ET_EXEC)", function ()
      refused("unsupported", { "ET_EXEC" }, assert(cc.program(
         "void _start(void) { for (;;); }", "-static -nostdlib -no-pie")))
   end)

   it("a core dump (ET_CORE), and what has no type or an unknown one", function ()
      header("unsupported", { "e_type" }, { e_type = 4 })
      header("unsupported", { "e_type" }, { e_type = 0 })
      header("unsupported", { "e_type" }, { e_type = 0xfe00 })
   end)

   it("separate debug information, whose PT_DYNAMIC is empty", function ()
      local image = elfedit.read(good)
      image:segment "PT_DYNAMIC".p_filesz = 0
      assert.like_ldso({ "open a " .. image:save() }, { "open a: failed" },
         { kind = "badformat" })
      refused("badformat", { "PT_DYNAMIC" }, image:save())
   end)
end)

describe("A file that ends too early is refused", function ()
   local image = elfedit.read(good)
   local last = 0
   for _, segment in ipairs(image:segments()) do
      if segment.p_type == elfedit.PT_LOAD then
         last = math.max(last, segment.p_offset + segment.p_filesz)
      end
   end

   -- Where each table begins and ends, and one byte to either side.
   local places = { [16] = "e_ident", [64] = "the ELF header" }
   for at, segment in ipairs(image:segments()) do
      places[64 + 56 * at] = "program header " .. at
      places[segment.p_offset] = "a segment's beginning"
      places[segment.p_offset + segment.p_filesz] = "a segment's end"
   end
   for _, section in ipairs(image:sections()) do
      if section.sh_flags & 2 ~= 0 and section.sh_type ~= 8 then
         places[section.sh_offset] = "a section's beginning"
         places[section.sh_offset + section.sh_size] = "a section's end"
      end
   end
   local sizes = {}
   for place in pairs(places) do
      for size = place - 1, place + 1 do
         if size >= 16 and size < last then sizes[size] = places[place] end
      end
   end

   it("at every boundary of its headers and tables", function ()
      local count = 0
      for size, place in pairs(sizes) do
         count = count + 1
         local path = elfedit.read(good):truncate(size):save()
         local value, message, kind = elf.open(path)
         assert.is_nil(value, ("cut at %d, %s"):format(size, place))
         assert.equal("badformat", kind, message)
         value, message, kind = elf.load(elfedit.read(path).bytes, "cut")
         assert.is_nil(value)
         assert.equal("badformat", kind, message)
      end
      assert.truthy(count > 60)
   end)

   it("and leaves nothing behind", function ()
      local paths = {}
      for size in pairs(sizes) do
         paths[#paths + 1] = elfedit.read(good):truncate(size):save()
      end
      local function all ()
         for _, path in ipairs(paths) do elf.open(path) end
      end
      assert.leaves_nothing(all)
      all()
      assert.keeps_heap(elf.open, paths[1])
      assert.keeps_heap(elf.open, paths[#paths // 2])
   end)

   it("but may lack what follows its last segment", function ()
      local path = elfedit.read(good):truncate(last):save()
      assert.like_ldso({ "open a " .. path, "value a value" },
         { "value = 1" })
   end)
end)

describe("What is no regular file is refused without waiting for it:", function ()
   local folder = fixtures.folder .. "/odd"
   os.execute(("mkdir -p '%s/folder.so'; test -p '%s/fifo.so' || "
      .. "mkfifo '%s/fifo.so'; ln -sfn nowhere.so '%s/dangling.so'; "
      .. "ln -sfn loop.so '%s/loop.so'"):format(
      folder, folder, folder, folder, folder))

   local function system (path, words)
      local _, detail = assert.fails_with("system", elf.open, path)
      assert.says(words, elf.open, path)
      assert.equal(path, detail.path)
      assert.leaves_nothing(elf.open, path)
      assert.keeps_heap(elf.open, path)
   end

   it("a directory", function ()
      system(folder .. "/folder.so", { "directory", "folder.so" })
   end)

   it("a FIFO", function ()
      -- Opening one for reading waits for a writer: hence in a child.
      local result = child.lua([[
         local _, message, kind = require "elf64load".open(arg[1])
         io.write(kind, " ", message)
      ]], { folder .. "/fifo.so" }, { seconds = 200 })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      assert.truthy(result.out:find("^system "))
      assert.truthy(result.out:find("FIFO", 1, true), result.out)
      system(folder .. "/fifo.so", { "fifo.so" })
   end)

   it("a device", function ()
      system("/dev/null", { "/dev/null" })
      system("/dev/zero", { "/dev/zero" })
   end)

   it("a circle of links", function ()
      system(folder .. "/loop.so", { "loop.so" })
   end)

   it("a file that is not there, or a link to none", function ()
      for _, name in ipairs { "/none.so", "/dangling.so", "/no/such.so" } do
         local path = folder .. name
         assert.fails_with("notfound", elf.open, path)
         assert.says(path, elf.open, path)
         assert.leaves_nothing(elf.open, path)
         assert.keeps_heap(elf.open, path)
      end
   end)

   it("a file without permission", function ()
      local path = folder .. "/secret.so"
      assert(os.execute(("cp '%s' '%s.new'; chmod 0 '%s.new'; "
         .. "mv -f '%s.new' '%s'"):format(good, path, path, path, path)))
      -- The superuser may read it all the same, unless it gives that up.
      local id = child.run { "id", "-u" }
      local result = child.lua([[
         local _, message, kind, detail = require "elf64load".open(arg[1])
         io.write(tostring(kind), " ", tostring(message), " ",
            tostring(detail and detail.errno))
      ]], { path }, { through = id.out == "0\n" and { "setpriv",
         "--bounding-set=-dac_override,-dac_read_search" } or nil })
      assert.truthy(result.out:find "^system ", result.out .. result.err)
      assert.truthy(result.out:find(path, 1, true), result.out)
      assert.truthy(result.out:find " 13$", result.out)
   end)

   it("any file, when no descriptor is left", function ()
      local result = child.lua([[
         local elf = require "elf64load"
         local files = {}
         repeat
            local file = io.open "/dev/null"
            files[#files + 1] = file
         until not file
         local _, message, kind, detail = elf.open(arg[1])
         files = nil
         collectgarbage()
         io.write(tostring(kind), " ", tostring(detail and detail.errno), " ",
            tostring(elf.open(arg[1]) ~= nil))
      ]], { good }, { files = 40 })
      assert.equal("system 24 true", result.out, result.err)
   end)
end)

describe("A reader", function ()
   local bytes = elfedit.read(good).bytes

   local function reading (read)
      return elf.load(elf.source { read = read, size = #bytes, name = "reader" })
   end

   it("that gives less than it promised is refused", function ()
      local function read (offset, size)
         return bytes:sub(offset + 1, math.min(offset + size, 500))
      end
      assert.fails_with("badformat", reading, read)
      assert.says({ "reader" }, reading, read)
      assert.leaves_nothing(reading, read)
   end)

   it("that fails is a hook that does, and its reason is told", function ()
      local raised = setmetatable({}, { __tostring = function ()
         return "disk on fire"
      end })
      for why, read in pairs {
         ["disk on fire"] = function () error(raised) end,
         ["no such entry"] = function () return nil, "no such entry" end,
         ["it answered a nil; bytes, or nil and why not expected"] = function () end,
         [("it answered %d bytes where %d were asked for"):format(#bytes + 1,
            #bytes)] = function () return bytes .. "x" end,
      } do
         local message, detail = assert.fails_with("hook", reading, read)
         assert.equal("reader: its reader failed: " .. why, message)
         assert.equal(why == "disk on fire" and raised or nil, detail.error)
      end
      local runtime <close> = elf.runtime { search = function (name)
         return elf.source { name = name, size = 64,
            read = function () error(raised) end }
      end }
      local message, detail = assert.fails_with("hook", runtime.open, runtime,
         "pak")
      assert.equal("pak: its reader failed: disk on fire", message)
      assert.equal(raised, detail.error)
      message, detail = assert.fails_with("hook", runtime.link, runtime,
         { elf.source { size = 9, read = function () error(raised) end } })
      assert.equal("(reader): its reader failed: disk on fire", message)
      assert.equal(raised, detail.error)
   end)

   it("that gives all of it in pieces works", function ()
      local p <close> = assert(reading(function (offset, size)
         return bytes:sub(offset + 1, offset + math.min(size, 1000))
      end))
      assert.truthy(p:lookup "value")
   end)
end)
