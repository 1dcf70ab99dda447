-- Which definition a name gets: hash tables, bindings, visibility, scope, and
-- what a lookup answers, against ld.so.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

local MANY = { "long first(void) { return 1; }" }
for i = 1, 200 do
   MANY[#MANY + 1] = ("long f%d(void) { return %d; } long v%d = %d;"):format(
      i, i * 3, i, i * 7)
end
MANY = table.concat(MANY, "\n")

-- The script that looks all of MANY up, and some names that are not there.
local function many (path)
   local lines = { "open a " .. path }
   for i = 1, 200 do
      lines[#lines + 1] = "call a f" .. i
      lines[#lines + 1] = "value a v" .. i
      lines[#lines + 1] = "has a g" .. i
   end
   return lines
end

describe("A hash table", function ()
   it("of GNU style finds every symbol and no other", function ()
      local path = assert(cc.shared(MANY, "-Wl,--hash-style=gnu"))
      assert.falsy(elfedit.read(path):dynamic "DT_HASH")
      assert.like_ldso(many(path), { "f200() = 600", "v1 = 7", "has g5: no" })
   end)

   it("of System V style finds every symbol and no other", function ()
      local path = assert(cc.shared(MANY, "-Wl,--hash-style=sysv"))
      assert.falsy(elfedit.read(path):dynamic "DT_GNU_HASH")
      assert.like_ldso(many(path), { "f200() = 600", "v1 = 7", "has g5: no" })
   end)

   it("may stand beside one of the other style, and one of them is enough",
      function ()
         local path = assert(cc.shared(MANY, "-Wl,--hash-style=both"))
         assert.like_ldso(many(path), { "f200() = 600", "v1 = 7" })
         for _, name in ipairs { "DT_HASH", "DT_GNU_HASH" } do
            local image = elfedit.read(path)
            image:remove(name)
            assert.like_ldso(many(image:save()), { "f200() = 600", "v1 = 7" })
         end
      end)

   it("of GNU style is believed where both are there and differ", function ()
      local image = elfedit.read(assert(cc.shared(MANY, "-Wl,--hash-style=both")))
      local words = image:words "DT_HASH"
      for bucket = 0, words[0] - 1 do words[2 + bucket] = 0 end
      assert.like_ldso(many(image:save()), { "f200() = 600" })
      image = elfedit.read(assert(cc.shared(MANY, "-Wl,--hash-style=both")))
      words = image:words "DT_GNU_HASH"
      for word = 0, 2 * words[2] - 1 do words[4 + word] = 0 end
      assert.like_ldso({ "open a " .. image:save(), "has a f1" },
         { "has f1: no" })
   end)

   it("that is missing means that nothing is found", function ()
      local image = elfedit.read(assert(cc.shared(MANY, "-Wl,--hash-style=gnu")))
      image:remove "DT_GNU_HASH"
      assert.like_ldso({ "open a " .. image:save(), "has a f1" },
         { "has f1: no" })
   end)

   it("may be empty", function ()
      local path = assert(cc.shared(".data\n.quad 1", { language = "assembly",
      flags = "-nostdlib" }))
      assert.like_ldso({ "open a " .. path, "has a f1" }, { "has f1: no" })
   end)

   it("is asked for names whose hashes are equal", function ()
      -- These two have one GNU hash: 'b' * 33 + 'A' == 'a' * 33 + 'b'.
      local path = assert(cc.shared "long xbA = 1; long xab = 2; long xbAbA = 3;")
      assert.like_ldso({ "open a " .. path, "value a xbA", "value a xab",
         "value a xbAbA", "has a xabab", "has a xabbA" },
         { "xbA = 1", "xab = 2", "xbAbA = 3", "has xabab: no" })
   end)
end)

-- One plugin that asks, with its answers, and one that may be asked.
local USER = [[
extern long thing(void) __attribute__((weak));
extern long object __attribute__((weak));
long call_thing(void) { return thing ? thing() : -1; }
long object_value(void) { return &object ? object : -1; }
]]

-- ld.so's answers for a definition in a dependency that was changed.
local function changed (change, texts)
   local image = elfedit.read(assert(cc.shared(
      "long thing(void) { return 5; } long object = 6;")))
   change(image)
   -- The linker need not understand what was changed.
   local standin = assert(cc.shared("", "-nostdlib -Wl,-soname," .. image:save()))
   local user = assert(cc.shared(USER, "-Wl,--no-as-needed " .. standin))
   assert.like_ldso({ "open a " .. user, "call a call_thing",
      "call a object_value", "has a thing", "has a object" }, texts)
end

describe("A definition", function ()
   it("that is weak counts as much as another, when it comes first", function ()
      local weak = assert(cc.shared
         "__attribute__((weak)) long thing(void) { return 1; }")
      local strong = assert(cc.shared "long thing(void) { return 2; }")
      for _, order in ipairs { { weak, strong }, { strong, weak } } do
         local user = assert(cc.shared(USER, "-Wl,--no-as-needed "
            .. table.concat(order, " ")))
         assert.like_ldso({ "open a " .. user, "call a call_thing" },
            { "call_thing() = " .. (order[1] == weak and 1 or 2) })
      end
   end)

   it("that is hidden is none for others", function ()
      changed(function (image)
         image:symbol "thing".st_other = elfedit.STV_HIDDEN
         image:symbol "object".st_other = elfedit.STV_INTERNAL
      end, { "call_thing() = -1", "object_value() = -1", "has thing: no" })
   end)

   it("that is protected is one for others", function ()
      changed(function (image)
         image:symbol "thing".st_other = elfedit.STV_PROTECTED
         image:symbol "object".st_other = elfedit.STV_PROTECTED
      end, { "call_thing() = 5", "object_value() = 6" })
   end)

   it("that is local is none for others", function ()
      changed(function (image)
         image:symbol "thing".st_info = elfedit.STT_FUNC
      end, { "call_thing() = -1", "object_value() = 6", "has thing: no" })
   end)

   it("that is undefined (SHN_UNDEF) is none for a call", function ()
      changed(function (image)
         image:symbol "thing".st_shndx = elfedit.SHN_UNDEF
         image:symbol "thing".st_value = 0
      end, { "call_thing() = -1", "has thing: no" })
   end)

   it("of value zero is none, unless it is absolute", function ()
      changed(function (image) image:symbol "object".st_value = 0 end,
         { "object_value() = -1", "has object: no" })
   end)

   for name, found in pairs { NOTYPE = true, OBJECT = true, FUNC = true,
      SECTION = false, FILE = false, COMMON = true } do
      it(("of type STT_%s is %s"):format(name, found and "one" or "none"),
         function ()
            changed(function (image)
               image:symbol "object".st_info = elfedit.STB_GLOBAL << 4
                  | elfedit["STT_" .. name]
            end, { "object_value() = " .. (found and 6 or -1) })
         end)
   end

   it("of an unknown type is none", function ()
      changed(function (image)
         image:symbol "object".st_info = elfedit.STB_GLOBAL << 4 | 9
      end, { "object_value() = -1" })
   end)

   it("of an unknown binding is none", function ()
      changed(function (image)
         image:symbol "object".st_info = 7 << 4 | elfedit.STT_OBJECT
      end, { "object_value() = -1" })
   end)

   it("that is absolute (SHN_ABS) is not moved with its file", function ()
      local path = assert(cc.shared([[
         extern char absolute[], nothing[];
         char *const pointer = absolute;
         long by_got(void) { return (long)absolute; }
         long by_pointer(void) { return (long)pointer; }
         long zero(void) { return (long)nothing; }
      ]], "-Wl,--defsym,absolute=4321,--defsym,nothing=0"))
      assert.like_ldso({ "open a " .. path, "call a by_got",
         "call a by_pointer", "call a zero" },
         { "by_got() = 4321", "by_pointer() = 4321", "zero() = 0" })
      local p <close> = assert(elf.open(path))
      assert.equal(4321, math.tointeger(assert(p:lookup "absolute".address)))
   end)
end)

describe("A reference", function ()
   it("that is weak is zero when nothing defines it", function ()
      local path = assert(cc.shared(USER))
      assert.like_ldso({ "open a " .. path, "call a call_thing",
         "call a object_value" },
         { "call_thing() = -1", "object_value() = -1" })
   end)

   it("that is not weak fails the open, and each that is missing is named",
      function ()
         local path = assert(cc.shared [[
            extern long missing_one(void), missing_two(void), missing_data;
            long f(void) { return missing_one() + missing_two() + missing_data; }
         ]])
         assert.like_ldso({ "open a " .. path }, { "open a: failed" },
            { kind = "undefined" })
         local message, detail = assert.fails_with("undefined", elf.open, path)
         assert.truthy(message:find(path, 1, true))
         assert.truthy(message:find(detail.symbol, 1, true))
         local missing = {}
         for at, name in ipairs(detail.missing) do missing[at] = name end
         table.sort(missing)
         assert.same({ "missing_data", "missing_one", "missing_two" }, missing)
         assert.equal(path, detail.wanter)
         assert.truthy(#detail.scopes > 0)
      end)

   it("to its own plugin's definition gets the host's where that has one",
      function ()
         local path = assert(cc.shared [[
            long getppid(void) { return 4242; }
            long ask(void) { return getppid() == 4242; }
         ]])
         assert.like_ldso({ "open a " .. path, "call a ask", "call a getppid" },
            { "ask() = 0", "getppid() = 4242" })
      end)

   it("to a protected definition of its own stays at home", function ()
      local dependency = assert(cc.shared
         "long thing(void) { return 1; } long object = 1;")
      local path = assert(cc.shared([[
         __attribute__((visibility("protected"))) long getppid(void)
         { return 4242; }
         long ask(void) { return getppid() == 4242; }
         long (*volatile pointer)(void) = getppid;
         long by_pointer(void) { return pointer() == 4242; }
      ]], "-Wl,--no-as-needed " .. dependency))
      assert.like_ldso({ "open a " .. path, "call a ask", "call a by_pointer" },
         { "ask() = 1", "by_pointer() = 1" })
   end)

   it("that is hidden or local in the symbol table stays at home", function ()
      local image = elfedit.read(assert(cc.shared [[
         long getppid(void) { return 4242; }
         long ask(void) { return getppid() == 4242; }
      ]]))
      image:symbol "getppid".st_other = elfedit.STV_HIDDEN
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = 1" })
   end)

   it("is looked for breadth first among what the plugin needs", function ()
      local paths = fixtures.group {
         top = { needs = { "left", "right" }, source = [[
            extern long thing(void), other(void);
            long ask(void) { return thing() * 10 + other(); } ]] },
         left = { needs = { "deep" },
            source = "extern long thing(void); long l(void){return thing();}" },
         right = { source = "long thing(void) { return 2; }" },
         deep = { source = [[ long thing(void) { return 3; }
            long other(void) { return 4; } ]] },
      }
      assert.like_ldso({ "open a " .. paths.top, "call a ask", "call a thing",
         "call a l", "call a other" }, { "ask() = 24", "l() = 2" })
   end)

   it("of a dependency is looked for in the scope of who was opened", function ()
      local paths = fixtures.group {
         top = { needs = { "below" }, source = [[
            long thing(void) { return 1; }
            extern long below(void); long ask(void) { return below(); } ]] },
         below = { source = [[
            extern long thing(void); long below(void) { return thing(); } ]] },
      }
      assert.like_ldso({ "open a " .. paths.top, "call a ask" },
         { "ask() = 1" })
      -- Alone it lacks it.
      assert.like_ldso({ "open b " .. paths.below }, { "open b: failed" },
         { kind = "undefined" })
   end)
end)

describe("A scope", function ()
   local provider = assert(cc.shared "long thing(void) { return 77; }")
   local user = assert(cc.shared [[
      extern long thing(void);
      long ask(void) { return thing(); }
   ]])

   it("holds what was opened global before", function ()
      assert.like_ldso({ "open p " .. provider .. " global", "open u " .. user,
         "call u ask" }, { "ask() = 77" })
   end)

   it("does not hold what was opened local", function ()
      assert.like_ldso({ "open p " .. provider, "open u " .. user },
         { "open u: failed" }, { kind = "undefined" })
   end)

   it("holds what was opened local and then again global", function ()
      assert.like_ldso({ "open p " .. provider, "open q " .. provider
         .. " global", "open u " .. user, "call u ask" }, { "ask() = 77" })
   end)

   it("of a global plugin holds its dependencies too", function ()
      local paths = fixtures.group {
         top = { needs = { "below" }, source = "long top;" },
         below = { source = "long thing(void) { return 78; }" },
      }
      assert.like_ldso({ "open p " .. paths.top .. " global",
         "open u " .. user, "call u ask" }, { "ask() = 78" })
   end)

   it("has the global plugins in the order in which they were opened", function ()
      local second = assert(cc.shared "long thing(void) { return 79; }")
      for _, order in ipairs { { provider, second }, { second, provider } } do
         assert.like_ldso({ "open p " .. order[1] .. " global",
            "open q " .. order[2] .. " global", "open u " .. user,
            "call u ask" },
            { "ask() = " .. (order[1] == provider and 77 or 79) })
      end
   end)

   it("has a global plugin before the plugin's own dependencies", function ()
      local path = assert(cc.shared([[
         extern long thing(void);
         long ask(void) { return thing(); }
      ]], "-Wl,--no-as-needed "
         .. assert(cc.shared "long thing(void) { return 80; }")))
      assert.like_ldso({ "open p " .. provider .. " global", "open u " .. path,
         "call u ask" }, { "ask() = 77" })
      assert.like_ldso({ "open u " .. path, "call u ask" }, { "ask() = 80" })
   end)

   it("has the plugin and what it needs first with deepbind", function ()
      local path = assert(cc.shared [[
         long getppid(void) { return 4242; }
         long ask(void) { return getppid() == 4242; }
      ]])
      assert.like_ldso({ "open a " .. path .. " deepbind", "call a ask" },
         { "ask() = 1" })
      local with = assert(cc.shared([[
         extern long thing(void);
         long ask(void) { return thing(); }
      ]], "-Wl,--no-as-needed "
         .. assert(cc.shared "long thing(void) { return 80; }")))
      assert.like_ldso({ "open p " .. provider .. " global",
         "open u " .. with .. " deepbind", "call u ask" }, { "ask() = 80" })
   end)

   it("of one runtime is none of another's", function ()
      local one <close> = elf.runtime {}
      local two <close> = elf.runtime {}
      assert(one:open(provider, { global = true }))
      assert(one:open(user))
      assert.fails_with("undefined", two.open, two, user)
   end)
end)

describe("A lookup", function ()
   local library = [[
      long number = 3;
      char text[17] = "sixteen letters.";
      __thread long in_thread = 4;
      long twice(long x) { return 2 * x; }
      static long chosen(void) { return 8; }
      static void *choose(void) { return chosen; }
      long picked(void) __attribute__((ifunc("choose")));
      __asm__(".globl label\n.text\nlabel: ret\n");
   ]]
   local path = assert(cc.shared(library))
   local p

   before_each(function () p = assert(elf.open(path)) end)
   after_each(function () p:close() end)

   it("answers name, address, size and kind", function ()
      local image = elfedit.read(path)
      for name, kind in pairs { number = "object", text = "object",
         twice = "function", label = "notype", in_thread = "tls",
         picked = "ifunc" } do
         local symbol = assert(p:lookup(name))
         local entry = image:symbol(name)
         assert.equal(name, symbol.name)
         assert.equal(kind, symbol.kind)
         assert.equal(entry.st_size, symbol.size)
         if kind ~= "tls" and kind ~= "ifunc" then
            assert.equal(p.base + entry.st_value,
               math.tointeger(symbol.address))
         end
      end
   end)

   it("answers what an IFUNC resolver chose, as dlsym does", function ()
      assert.like_ldso({ "open a " .. path, "call a picked" },
         { "picked() = 8" })
   end)

   it("goes to the dependencies, breadth first, and not to the host", function ()
      local paths = fixtures.group {
         top = { needs = { "left", "right" }, source = "long top;" },
         left = { needs = { "deep" }, source = "long left;" },
         right = { source = "long thing(void) { return 2; }" },
         deep = { source = [[ long thing(void) { return 3; }
            long other(void) { return 4; } ]] },
      }
      assert.like_ldso({ "open a " .. paths.top, "call a thing",
         "call a other", "open d " .. paths.deep, "call d thing" },
         { "thing() = 2", "other() = 4", "thing() = 3" })
   end)

   it("finds what libc defines, when the plugin needs libc", function ()
      local user = assert(cc.shared
         "extern long getpid(void); long f(void) { return getpid(); }")
      assert.like_ldso({ "open a " .. user, "has a getpid" },
         { "has getpid: yes" })
      local bare = assert(cc.shared("long x;", "-nostdlib"))
      assert.like_ldso({ "open a " .. bare, "has a getpid" },
         { "has getpid: no" })
   end)

   it("that finds nothing says so and names what is near", function ()
      local message, detail = assert.fails_with("undefined", p.lookup, p,
         "numbr")
      assert.truthy(message:find("numbr", 1, true))
      assert.truthy(message:find(path, 1, true))
      assert.truthy(message:find("'number'", 1, true))
      assert.equal("numbr", detail.symbol)
      assert.equal("number", detail.near[1])
      local _, other = assert.fails_with("undefined", p.lookup, p,
         "nothing_like_it_at_all")
      assert.truthy(not other.near or #other.near == 0)
   end)

   it("through the host finds what is in the global scope", function ()
      assert.equal("getpid", assert(elf.host:lookup "getpid").name)
      assert.fails_with("undefined", elf.host.lookup, elf.host,
         "twice_as_nothing")
   end)
end)

describe("symbols()", function ()
   it("gives all that the plugin defines and exports, and nothing else",
      function ()
         local path = assert(cc.shared [[
            long a = 1; static long b = 2; long c(void) { return b; }
            __attribute__((visibility("hidden"))) long d = 3;
            extern long getpid(void); long e(void) { return getpid() + d; }
            __attribute__((weak)) long w = 4;
            __thread long t = 5;
         ]])
         local expected, got = {}, {}
         for _, symbol in ipairs(elfedit.read(path):symbols()) do
            if symbol.st_shndx ~= 0 then
               expected[#expected + 1] = ("%d %d"):format(symbol.st_value,
                  symbol.st_size)
            end
         end
         local p <close> = assert(elf.open(path))
         local names = {}
         for _, symbol in ipairs(p:symbols()) do
            names[symbol.name] = true
            if symbol.kind ~= "tls" then
               got[#got + 1] = ("%d %d"):format(
                  math.tointeger(symbol.address) - p.base, symbol.size)
            else
               got[#got + 1] = ("0 %d"):format(symbol.size)
            end
         end
         assert.same({ a = true, c = true, e = true, w = true, t = true },
            names)
         table.sort(expected)
         table.sort(got)
         assert.same(expected, got)
      end)
end)
