-- STB_GNU_UNIQUE: one definition of a name for all plugins, against ld.so.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

-- A plugin with a unique variable, what it holds at first, and what it adds.
local function unique (value, name)
   name = name or "shared"
   return assert(cc.shared(([[
      long %s = %d;
      __asm__(".type %s, @gnu_unique_object\n");
      long add(long x) { return %s += x; }
      static long *volatile kept = &%s;
      long by_pointer(void) { return *kept; }
   ]]):format(name, value, name, name, name)))
end

local one, two, three = unique(100), unique(200), unique(300)

describe("A unique symbol", function ()
   it("is one for plugins that do not see each other", function ()
      assert.equal(elfedit.STB_GNU_UNIQUE,
         elfedit.read(one):symbol "shared".st_info >> 4)
      assert.like_ldso({ "open a " .. one, "open b " .. two,
         "call a add 1", "call b add 2", "call a by_pointer",
         "call b by_pointer" }, { "add() = 101", "add() = 103",
         "by_pointer() = 103\nby_pointer() = 103" })
   end)

   it("is what was entered first, whoever asks", function ()
      assert.like_ldso({ "open b " .. two, "open a " .. one, "call a add 1",
         "value a shared", "value b shared", "open c " .. three,
         "call c add 0" }, { "add() = 201", "shared = 201\nshared = 201" })
   end)

   it("is what a lookup finds too", function ()
      local bare = assert(cc.shared [[
         long shared = 400;
         __asm__(".type shared, @gnu_unique_object\n");
      ]])
      -- Nothing refers to it: it is entered by the first lookup.
      assert.like_ldso({ "open a " .. bare, "open b " .. two,
         "value a shared", "value b shared" },
         { "shared = 200\nshared = 200" })
      assert.like_ldso({ "open a " .. bare, "value a shared",
         "open b " .. two, "call b add 1" }, { "shared = 400\nopen b: ok",
         "add() = 401" })
   end)

   it("keeps its owner in memory for good", function ()
      assert.like_ldso({ "open a " .. one, "call a add 1", "close a",
         "open b " .. two, "call b add 1", "open a " .. one,
         "call a by_pointer" }, { "add() = 102", "by_pointer() = 102" })
   end)

   it("does not keep who only uses it", function ()
      assert.like_ldso({ "open a " .. one, "open b " .. two, "close b",
         "open b " .. two, "call b add 0", "call a add 0" },
         { "add() = 100\nadd() = 100" })
      local path, other = unique(500, "left"), unique(600, "left")
      local p <close> = assert(elf.open(path))
      local q = assert(elf.open(other))
      local base = q.base
      q:close()
      assert.fails_with("notfound", elf.whence, base)
      assert.truthy(p.base)
   end)

   it("is one across hash styles and versions of the name's owner", function ()
      local sysv = assert(cc.shared([[
         long shared = 700;
         __asm__(".type shared, @gnu_unique_object\n");
         long add(long x) { return shared += x; }
      ]], "-Wl,--hash-style=sysv"))
      assert.like_ldso({ "open s " .. sysv, "open a " .. one, "call a add 1",
         "call s add 1" }, { "add() = 701", "add() = 702" })
   end)

   it("that the host has entered is the host's", function ()
      assert.like_ldso({ "host " .. one, "open b " .. two, "call b add 1" },
         { "add() = 101" })
      assert.like_ldso({ "host " .. one .. " global", "open b " .. two,
         "call b add 1" }, { "add() = 101" })
   end)

   it("of C++ inline variables and templates is one", function ()
      local source = [[
         template <class T> struct counter { static T count; };
         template <class T> T counter<T>::count = %d;
         extern "C" long add(long x) { return counter<long>::count += x; }
         inline long &in_function(void) { static long n = %d; return n; }
         extern "C" long next(void) { return ++in_function(); }
      ]]
      local a = assert(cc.shared(source:format(10, 1000), { language = "c++" }))
      local b = assert(cc.shared(source:format(20, 2000), { language = "c++" }))
      assert.like_ldso({ "open a " .. a, "open b " .. b, "call a add 1",
         "call b add 1", "call a next", "call b next" },
         { "add() = 11\nadd() = 12", "next() = 1001\nnext() = 1002" })
   end)

   it("that is hidden stays its plugin's own", function ()
      local image = elfedit.read(two)
      image:symbol "shared".st_other = elfedit.STV_HIDDEN
      assert.like_ldso({ "open a " .. one, "open b " .. image:save(),
         "call a add 1", "call b add 1" }, { "add() = 101", "add() = 201" })
   end)

   describe("that is protected", function ()
      local function protected (path)
         local image = elfedit.read(path)
         image:symbol "shared".st_other = elfedit.STV_PROTECTED
         return image:save()
      end

      it("stays its plugin's own, whatever was entered first", function ()
         assert.like_ldso({ "open a " .. one, "open b " .. protected(two),
            "call a add 1", "call b add 2", "call b by_pointer",
            "call a by_pointer" }, { "add() = 101\nadd() = 202",
            "by_pointer() = 202\nby_pointer() = 101" })
         assert.like_ldso({ "host " .. one, "open b " .. protected(two),
            "call b add 1" }, { "add() = 201" })
      end)

      it("is the one for others when it was entered first", function ()
         assert.like_ldso({ "open a " .. protected(one), "open b " .. two,
            "open c " .. protected(three), "call a add 1", "call b add 2",
            "call c add 3" }, { "add() = 101\nadd() = 103\nadd() = 303" })
      end)

      it("has the first in its scope entered, which stays for good", function ()
         -- Only the first to open refers to it.
         local bare = assert(cc.shared [[
            long shared = 400;
            __asm__(".type shared, @gnu_unique_object\n");
         ]])
         assert.like_ldso({ "open a " .. bare .. " global",
            "open b " .. protected(two), "call b add 1", "close b", "close a",
            "open c " .. three, "call c add 1" },
            { "add() = 201", "add() = 401" })
      end)

      it("is not even entered when it is first called", function ()
         local paths = {}
         for number, visibility in ipairs { elfedit.STV_DEFAULT,
            elfedit.STV_PROTECTED } do
            local image = elfedit.read(assert(cc.shared(([[
               long value(void) { return %d; }
               long call(void) { return value(); }
            ]]):format(number), "-fno-builtin -Wl,-z,lazy")))
            local symbol = image:symbol "value"
            symbol.st_info = elfedit.STB_GNU_UNIQUE << 4 | elfedit.STT_FUNC
            symbol.st_other = visibility
            paths[number] = image:save()
         end
         assert.like_ldso({ "open a " .. paths[1] .. " lazy",
            "open b " .. paths[2] .. " lazy", "call b call", "call a call" },
            { "call() = 2\ncall() = 1" })
         assert.like_ldso({ "open a " .. paths[1] .. " lazy",
            "open b " .. paths[2] .. " lazy", "call a call", "call b call" },
            { "call() = 1\ncall() = 2" })
      end)
   end)

   it("is one within a runtime: each has a table of its own", function ()
      local path, other = unique(1, "apart"), unique(2, "apart")
      local left <close> = elf.runtime {}
      local right <close> = elf.runtime {}
      local a = assert(left:open(path))
      local b = assert(right:open(other))
      local c = assert(left:open(other))
      local declaration = "long add(long);"
      assert.equal(1, a:cdef(declaration).add(0))
      assert.equal(2, b:cdef(declaration).add(0))
      assert.equal(11, c:cdef(declaration).add(10))
      assert.equal(11, a:cdef(declaration).add(0))
   end)
end)
