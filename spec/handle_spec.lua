-- Handles: the same file is the same plugin, each handle is ended once, and what
-- is closed says so.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local lfs = require "lfs"
local elf = require "elf64load"

-- A counter tells one copy of the plugin from another.
local path = assert(cc.shared [[
   static long count;
   long next(void) { return ++count; }
   long value = 5;
]])
local NEXT <const> = "long next(void); extern long value;"

local function raises_closed (f, ...)
   local ok, message = pcall(f, ...)
   assert.falsy(ok)
   assert.truthy(tostring(message):find("closed", 1, true), tostring(message))
end

describe("The same file", function ()
   it("is the same plugin: handles are equal and share all", function ()
      local one <close> = assert(elf.open(path))
      local two <close> = assert(elf.open(path))
      assert.truthy(one == two)
      assert.equal(one.base, two.base)
      assert.equal(1, one:cdef(NEXT).next())
      assert.equal(2, two:cdef(NEXT).next())
   end)

   it("may have several names: paths, links, another folder", function ()
      local one <close> = assert(elf.open(path))
      local folder, name = path:match "^(.*)/([^/]*)$"
      local link, hard = path .. ".link", path .. ".hard"
      os.remove(link)
      os.remove(hard)
      assert(lfs.link(path, link, true))
      assert(lfs.link(path, hard))
      for _, other in ipairs { folder .. "/./" .. name, folder .. "//" .. name,
         folder .. "/../" .. folder:match "[^/]*$" .. "/" .. name, link, hard } do
         local two <close> = assert(elf.open(other))
         assert.truthy(one == two, other)
      end
      local here = lfs.currentdir()
      assert(lfs.chdir(folder))
      local two = elf.open("./" .. name)
      assert(lfs.chdir(here))
      assert.truthy(one == two)
      two:close()
      assert.like_ldso({ "open a " .. path, "open b " .. link, "open c " .. hard,
         "call a next", "call b next", "call c next" }, { "next() = 3" })
   end)

   it("copied is another plugin", function ()
      local one <close> = assert(elf.open(path))
      local two <close> = assert(elf.open(elfedit.read(path):save()))
      assert.falsy(one == two)
      assert.equal(1, one:cdef(NEXT).next())
      assert.equal(1, two:cdef(NEXT).next())
   end)

   it("from bytes is a new plugin each time", function ()
      local bytes = elfedit.read(path).bytes
      local one <close> = assert(elf.load(bytes, "bytes"))
      local two <close> = assert(elf.load(bytes, "bytes"))
      assert.falsy(one == two)
      assert.equal(1, one:cdef(NEXT).next())
      assert.equal(1, two:cdef(NEXT).next())
      assert.equal("bytes", one.name)
   end)

   it("opened private is a copy of its own", function ()
      local one <close> = assert(elf.open(path))
      local two <close> = assert(elf.open(path, { private = true }))
      local three <close> = assert(elf.open(path))
      assert.falsy(one == two)
      assert.truthy(one == three)
      assert.equal(1, one:cdef(NEXT).next())
      assert.equal(1, two:cdef(NEXT).next())
      assert.equal(2, three:cdef(NEXT).next())
   end)

   it("in another runtime is another plugin", function ()
      local runtime <close> = elf.runtime {}
      local one <close> = assert(elf.open(path))
      local two = assert(runtime:open(path))
      assert.falsy(one == two)
      assert.equal(1, one:cdef(NEXT).next())
      assert.equal(1, two:cdef(NEXT).next())
   end)

   it("is found by the name that it was needed by", function ()
      local user = assert(cc.shared(
         "extern long next(void); long ask(void) { return next(); }",
         "-Wl,--no-as-needed " .. path))
      local p <close> = assert(elf.open(user))
      local q <close> = assert(elf.open(path, { noload = true }))
      assert.equal(1, p:cdef "long ask(void);".ask())
      assert.equal(2, q:cdef(NEXT).next())
   end)

   it("of one DT_SONAME is found by that, as by ld.so", function ()
      local named = assert(cc.shared("long named(void) { return 1; }",
         "-Wl,-soname,libnamed-fixture.so.1"))
      local standin = assert(cc.shared("long named;",
         "-nostdlib -Wl,-soname,libnamed-fixture.so.1"))
      local user = assert(cc.shared(
         "extern long named(void); long ask(void) { return named(); }",
         "-Wl,--no-as-needed " .. standin))
      assert.like_ldso({ "open u " .. user }, { "open u: failed" },
         { kind = "notfound" })
      assert.like_ldso({ "open a " .. named, "open u " .. user, "call u ask",
         "open n libnamed-fixture.so.1 noload" },
         { "ask() = 1", "open n: ok" })
   end)
end)

describe("noload", function ()
   it("answers what is open and opens nothing", function ()
      assert.like_ldso({ "open a " .. path .. " noload", "open b " .. path,
         "open c " .. path .. " noload", "call c next", "close c",
         "call b next", "close b", "open d " .. path .. " noload" },
         { "open a: failed\nopen b: ok\nopen c: ok", "open d: failed" },
         { kind = "notfound" })
   end)

   it("with global makes what is open global", function ()
      local user = assert(cc.shared
         "extern long next(void); long ask(void) { return next(); }")
      assert.like_ldso({ "open a " .. path,
         "open b " .. path .. " noload global", "open u " .. user,
         "call u ask" }, { "ask() = 1" })
   end)

   it("is refused with private, whether it is open or not", function ()
      local both = { noload = true, private = true }
      local function refused (name, ...)
         local message = assert.fails_with("invalid", elf[name], ...)
         assert.equal("e64_" .. name .. ": `noload` asks for what is open "
            .. "already, and `private` for a new copy: leave one of them out",
            message)
      end
      refused("open", path, both)
      local _ <close> = assert(elf.open(path))
      refused("open", path, both)
      refused("plan", path, both)
      refused("load", elf.source { path = path }, nil, both)
   end)
end)

describe("A handle", function ()
   it("is counted: the plugin goes with the last one", function ()
      local one = assert(elf.open(path))
      local two = assert(elf.open(path))
      local base = one.base
      assert.equal(1, one:cdef(NEXT).next())
      one:close()
      assert.equal(2, two:cdef(NEXT).next())
      assert.equal(path, assert(elf.whence(base)).path)
      two:close()
      assert.fails_with("notfound", elf.whence, base)
      local again <close> = assert(elf.open(path))
      assert.equal(1, again:cdef(NEXT).next())
   end)

   it("ends with its scope", function ()
      local base
      do
         local p <close> = assert(elf.open(path))
         base = p.base
      end
      assert.fails_with("notfound", elf.whence, base)
   end)

   it("ends with its scope also when that has closed it itself", function ()
      local kept <close> = assert(elf.open(path))
      do
         local p <close> = assert(elf.open(path))
         p:close()
      end
      assert.equal("started", kept.state)
      assert.equal(1, kept:cdef(NEXT).next())
   end)

   it("ends with its scope also when an error leaves it", function ()
      local base
      assert.falsy(pcall(function ()
         local p <close> = assert(elf.open(path))
         base = p.base
         error "left"
      end))
      assert.fails_with("notfound", elf.whence, base)
   end)

   it("that is closed raises 'closed', and still tells its name", function ()
      local p = assert(elf.open(path))
      p:close()
      raises_closed(p.lookup, p, "next")
      raises_closed(p.symbols, p)
      raises_closed(p.cdef, p, NEXT)
      raises_closed(p.start, p)
      raises_closed(p.close, p)
      assert.equal(path, p.path)
      assert.equal("closed", p.state)
      assert.truthy(tostring(p):find("(closed)", 1, true))
      assert.truthy(tostring(p):find(path, 1, true))
   end)

   it("that is closed does not close another's", function ()
      local one = assert(elf.open(path))
      local two <close> = assert(elf.open(path))
      one:close()
      pcall(one.close, one)
      pcall(one.close, one)
      assert.equal("started", two.state)
      assert.equal(5, two:cdef(NEXT).value)
   end)

   it("leaves symbols and namespaces that raise 'closed' after the stop",
      function ()
         local p = assert(elf.open(path))
         local space = p:cdef(NEXT)
         local f, v = space.next, p:lookup "value"
         assert.equal(1, f())
         p:close()
         raises_closed(f)
         raises_closed(function () return space.next() end)
         raises_closed(function () return space.value end)
         raises_closed(function () space.value = 1 end)
         assert.equal("value", v.name)
      end)

   it("that was closed leaves symbols alone while another handle is open",
      function ()
         local p = assert(elf.open(path))
         local q <close> = assert(elf.open(path))
         local space = p:cdef(NEXT)
         p:close()
         assert.equal(1, space.next())
         assert.truthy(q)
      end)

   it("of the process is everyone's, and cannot be closed", function ()
      local runtime <close> = elf.runtime {}
      assert.error_matches(function () runtime.host:close() end,
         "the handle of %(host%) was not given by an open")
      do local host <close> = runtime.host end
      assert.equal("host", runtime.host.state)
      assert.truthy(runtime.host:lookup "getpid")
   end)

   it("that is collected unclosed unloads nothing", function ()
      local runtime <close> = elf.runtime {}
      local base = assert(runtime:open(path)).base
      collectgarbage()
      collectgarbage()
      assert.equal(path, assert(elf.whence(base)).path)
      local p = assert(runtime:open(path, { noload = true }))
      assert.equal(base, p.base)
   end)

   it("may be gone when another's finaliser runs, as the state closes", function ()
      local result = child.lua([[
         local elf = require "elf64load"
         local space
         setmetatable({}, { __gc = function ()
            print(pcall(function () return space.value end))
            print(pcall(function () return space.next() end))
         end })
         space = elf.open(...):cdef "long next(void); extern long value;"
         space.next()
      ]], { path })
      assert.equal(0, result.code, child.describe(result))
      assert.truthy(result.out:find("false", 1, true), result.out)
      assert.truthy(result.out:find("closed", 1, true), result.out)
   end)

   it("shows what its plugin is", function ()
      local named = assert(cc.shared("long x;", "-Wl,-soname,its-soname.so"))
      local p <close> = assert(elf.open(named))
      assert.equal(named, p.name)
      assert.equal(named, p.path)
      assert.equal("its-soname.so", p.soname)
      assert.equal("started", p.state)
      assert.equal("integer", math.type(p.base))
      assert.equal(0, p.base % 4096)
      assert.truthy(tostring(p):find(named, 1, true))
      local q <close> = assert(elf.open(path))
      assert.truthy(q.generation > p.generation)
      assert.is_nil(q.soname)
      assert.is_nil(p.no_such_field)
   end)
end)

describe("elf.loaded", function ()
   it("lists what is open, by path, by name and by DT_SONAME", function ()
      local named = assert(cc.shared("long x;", "-Wl,-soname,its-soname.so"))
      assert.is_nil(elf.loaded[named])
      local p = assert(elf.open(named))
      assert.truthy(elf.loaded[named] == p)
      assert.truthy(elf.loaded["its-soname.so"] == p)
      local found = false
      for name, plugin in pairs(elf.loaded) do
         found = found or (name == named and plugin == p)
      end
      assert.truthy(found)
      p:close()
      assert.is_nil(elf.loaded[named])
   end)

   it("lists dependencies too", function ()
      local user = assert(cc.shared(
         "extern long next(void); long ask(void) { return next(); }",
         "-Wl,--no-as-needed " .. path))
      local p <close> = assert(elf.open(user))
      assert.truthy(elf.loaded[path])
      assert.truthy(elf.loaded[user] == p)
   end)
end)

describe("elf.whence", function ()
   it("tells file, base, symbol and distance of an address", function ()
      local p <close> = assert(elf.open(path))
      local symbol = assert(p:lookup "value")
      local place = assert(elf.whence(math.tointeger(symbol.address) + 3))
      assert.equal(path, place.path)
      assert.equal(p.base, place.base)
      assert.equal("value", place.symbol)
      assert.equal(3, place.offset)
      assert.equal(8, place.size)
      assert.falsy(place.host)
      assert.equal("next", assert(elf.whence(assert(p:lookup "next"))).symbol)
   end)

   it("knows the host's addresses, and where nothing is", function ()
      local place = assert(elf.whence(assert(elf.host:lookup "getpid")))
      assert.truthy(place.host)
      assert.truthy(place.path:find("libc.so.6", 1, true))
      assert.equal(0, place.offset)
      assert.fails_with("notfound", elf.whence, 16)
      assert.fails_with("notfound", elf.whence, -1)
   end)
end)

describe("A runtime", function ()
   it("that is closed closes all that is open in it", function ()
      local runtime = elf.runtime {}
      local p = assert(runtime:open(path))
      local base = p.base
      assert(runtime:close())
      assert.fails_with("notfound", elf.whence, base)
      raises_closed(p.lookup, p, "next")
      assert.falsy(pcall(runtime.open, runtime, path))
   end)

   it("ends with its scope", function ()
      local base
      do
         local runtime <close> = elf.runtime {}
         base = assert(runtime:open(path)).base
      end
      assert.fails_with("notfound", elf.whence, base)
   end)
end)

describe("Opening and closing", function ()
   it("leaves nothing behind", function ()
      local function once ()
         local p <close> = assert(elf.open(path))
         p:cdef(NEXT).next()
      end
      assert.leaves_nothing(once)
      assert.keeps_heap(once)
   end)

   it("leaves nothing behind of what was loaded from bytes", function ()
      local bytes = elfedit.read(path).bytes
      local function once ()
         local p <close> = assert(elf.load(bytes, "bytes"))
         assert(p:lookup "next")
      end
      assert.leaves_nothing(once)
      assert.keeps_heap(once)
   end)

   it("leaves nothing behind of a circle of dependencies", function ()
      local paths = fixtures.group {
         a = { needs = { "b" }, source = "long a;" },
         b = { needs = { "c", "a" }, source = "long b;" },
         c = { needs = { "a" }, source = "long c;" },
      }
      local function once ()
         local p <close> = assert(elf.open(paths.a))
         local q <close> = assert(elf.open(paths.c))
         assert.truthy(p ~= q)
      end
      assert.leaves_nothing(once)
      assert.keeps_heap(once)
   end)

   it("leaves nothing behind of a failed open of several", function ()
      local paths = fixtures.group {
         a = { needs = { "b", "c" }, source = "long a;" },
         b = { source = "__thread long t; long b(void) { return t; }" },
         c = { source = "extern long missing(void);"
            .. "long c(void) { return missing(); }" },
      }
      assert.fails_with("undefined", elf.open, paths.a)
      assert.leaves_nothing(elf.open, paths.a)
      assert.keeps_heap(elf.open, paths.a)
      assert.is_nil(elf.loaded[paths.b])
   end)

   it("leaves nothing behind of a dependency that is not there", function ()
      local absent = assert(cc.shared("", "-nostdlib -Wl,-soname,/no/such/lib.so"))
      local user = assert(cc.shared("long x;", "-Wl,--no-as-needed "
         .. assert(cc.shared "long y;") .. " " .. absent))
      local _, detail = assert.fails_with("notfound", elf.open, user)
      assert.says({ "/no/such/lib.so", user }, elf.open, user)
      assert.equal(user, detail.wanter)
      assert.leaves_nothing(elf.open, user)
      assert.keeps_heap(elf.open, user)
   end)
end)
