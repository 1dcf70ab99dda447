--- What a policy says of names: provide, allow, deny, intercept, resolve, and other
--- rules for some plugins.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"

-- What it imports it gives back by calls.
local plugin = assert(cc.shared [[
   #include <dlfcn.h>
   #include <string.h>
   // The header has it inline.
   int atoi(const char *);
   extern int absent(int) __attribute__((weak));
   int call_absent(int x) { return absent ? absent(x) : -1; }
   int number(const char *text) { return atoi(text); }
   size_t length(const char *text) { return strlen(text); }
   int (*taken(void))(const char *) { return atoi; }
   void *ask(const char *name) { return dlsym(RTLD_DEFAULT, name); }
]])

local DECLARED <const> = [[
   int call_absent(int x);
   int number(const char *text);
   unsigned long length(const char *text);
   int (*taken(void))(const char *);
   void *ask(const char *name);
]]

local function refused (policy)
   local done, message = pcall(elf.runtime, policy)
   assert.is_false(done)
   return (message:gsub("^[^ ]*:%d+: ", ""))
end

local function using (policy)
   local runtime = elf.runtime(policy)
   local p = assert(runtime:open(plugin))
   return p:cdef(DECLARED), runtime, p
end

describe("allow and deny", function ()
   it("cover what leaves a plugin, by names and globs", function ()
      for _, policy in ipairs {
         { deny = { "atoi" } }, { deny = { "ato?" } }, { deny = { "a*i" } },
         { allow = { "strlen", "dl*" } },
         { allow = { "*" }, deny = { "atoi" } },
      } do
         local runtime <close> = elf.runtime(policy)
         local message, detail = assert.fails_with("denied", runtime.open,
            runtime, plugin)
         assert.equal("atoi", detail.symbol)
         assert.equal(plugin, detail.wanter)
         assert.is_truthy(message:find("'atoi'", 1, true), message)
      end
      local C, runtime <close> = using { allow = { "atoi", "str*", "dlsym" },
         deny = { "system", "exec*" } }
      assert.equal(42, C.number "42")
      assert.equal(-1, C.call_absent(1))
      assert.is_nil(C.ask "system")
      assert.is_nil(C.ask "getpid")
      assert.is_not_nil(C.ask "strlen")
      assert.is_truthy(runtime)
   end)

   it("are lists of names", function ()
      assert.equal("the policy's 'allow' is 'atoi'; a list of names expected",
         refused { allow = "atoi" })
      assert.equal("the policy's 'deny[1]' is a number; a string expected",
         refused { deny = { 3 } })
      assert.is_truthy(refused { deny = { "[a" } }:find("[a", 1, true))
   end)

   it("leave nothing when they refuse", function ()
      local runtime <close> = elf.runtime { deny = { "atoi" } }
      assert.leaves_nothing(runtime.open, runtime, plugin)
   end)
end)

describe("intercept", function ()
   it("gives a Lua function the original one to call", function ()
      local seen
      local C, runtime <close> = using {
         intercept = {
            ["int atoi(const char *)"] = function (original, text)
               seen = elf.string(text)
               return original(text) + 1
            end,
         },
      }
      assert.equal(43, C.number "42")
      assert.equal("42", seen)
      assert.equal(8, C.taken()("7"))
      local address = elf.address(assert(C.ask "atoi"))
      assert.equal(elf.address(C.taken()), address)
      assert.equal(2, C.length "ab")
      assert.is_truthy(runtime)
   end)

   it("gives an address or a symbol in its place", function ()
      local strtol = assert(elf.host:lookup "strlen")
      for _, value in ipairs { strtol, elf.address(strtol),
         strtol:as "unsigned long (const char *)" } do
         for _, name in ipairs { "int atoi(const char *)", "atoi" } do
            local C, runtime <close> = using { intercept = { [name] = value } }
            assert.equal(3, C.number "abc")
            assert.is_truthy(runtime)
         end
      end
   end)

   it("defines what nothing else does", function ()
      local given
      local C, runtime <close> = using {
         intercept = {
            ["int absent(int)"] = function (original, x)
               given = original == nil
               return x * 2
            end,
         },
      }
      assert.equal(42, C.call_absent(21))
      assert.is_true(given)
      assert.is_truthy(runtime)
   end)

   it("raises through the call that led there", function ()
      local C, runtime <close> = using {
         intercept = {
            ["int atoi(const char *)"] = function () error("no number", 0) end,
         },
      }
      assert.has_error(function () C.number "42" end, "no number")
      assert.is_truthy(runtime)
   end)

   it("takes spies for functions", function ()
      local spy = require "luassert.spy"
      local watched = spy.new(function (original, text) return original(text) end)
      local C, runtime <close> = using {
         intercept = { ["int atoi(const char *)"] = watched },
      }
      assert.equal(5, C.number "5")
      assert.spy(watched).was_called(1)
      assert.is_truthy(runtime)
   end)

   it("is checked: prototypes, and what stands for them", function ()
      assert.equal("the policy's 'intercept': 'int atoi(': line 1, column 10: "
         .. "expected '...' or a type, got ';'",
         refused { intercept = { ["int atoi("] = print } })
      assert.equal("the policy's 'intercept': a Lua function for 'atoi' needs "
         .. 'its prototype: "void atoi(void)" or the like',
         refused { intercept = { atoi = print } })
      assert.equal("the policy's 'intercept': 'atoi' is a function: a Lua "
         .. "function, a symbol, a pointer or an address other than 0 "
         .. "expected",
         refused { intercept = { ["int atoi(const char *)"] = "x" } })
      assert.equal("the policy's 'intercept' is a function; a table of what "
         .. "names shall get by their prototypes expected",
         refused { intercept = print })
   end)

   it("keeps the functions as long as the plugin can call them", function ()
      local C = (using {
         intercept = {
            ["int atoi(const char *)"] = function () return 11 end,
         },
      })
      for _ = 1, 4 do collectgarbage() end
      assert.equal(11, C.number "1")
   end)

   it("lets go of them when its runtime is closed", function ()
      local weak = setmetatable({}, { __mode = "k" })
      do
         local function f () return 1 end
         weak[f] = true
         local _, runtime = using { intercept = { ["int atoi(char *)"] = f } }
         runtime:close()
      end
      for _ = 1, 4 do collectgarbage() end
      assert.is_nil(next(weak))
   end)
end)

describe("provide", function ()
   local wanting = assert(cc.shared([[
      int foo(int) __attribute__((weak));
      extern int foo_level __attribute__((weak));
      int call_foo(int x) { return foo ? foo(x) : -1; }
      int level(void) { return &foo_level ? foo_level : -1; }
   ]], ("-Wl,--no-as-needed '%s'"):format(
      assert(cc.shared("int foo, foo_level;", "-Wl,-soname,libfoo.so.1")))))
   local CALLS <const> = "int call_foo(int); int level(void);"
   local real = assert(cc.shared
      "int foo(int x) { return x + 1; } int foo_level = 4;")

   local function bytes () return disk.contents(real) end

   it("has a table stand in for a library", function ()
      local runtime <close> = elf.runtime {
         provide = {
            ["libfoo.so.1"] = {
               ["int foo(int)"] = function (x) return x * 2 end,
               ["extern int foo_level"] = 9,
            },
         },
      }
      local p = assert(runtime:open(wanting))
      local C = p:cdef(CALLS)
      collectgarbage()
      assert.equal(42, C.call_foo(21))
      assert.equal(9, C.level())
   end)

   it("has a path or a source stand for it", function ()
      for _, value in ipairs { real, elf.source { path = real },
         elf.source { bytes = bytes(), name = "pack:foo" },
         elf.source { size = #bytes(), name = "read", read = function (at, size)
            return bytes():sub(at + 1, at + size)
         end } } do
         local runtime <close> = elf.runtime {
            provide = { ["libfoo.so.1"] = value },
         }
         local p = assert(runtime:open(wanting))
         assert.equal(6, p:cdef(CALLS).call_foo(5))
         assert.equal(4, p:cdef(CALLS).level())
      end
   end)

   it("has the host's stand for it", function ()
      local runtime <close> = elf.runtime {
         provide = { ["libcrypt.so.1"] = "host", ["libc.so.6"] = "host" },
      }
      -- It stays in this process: nobody else opens it.
      assert.equal("host", assert(runtime:open "libcrypt.so.1").state)
   end)

   it("is for some plugins alone, too", function ()
      local runtime <close> = elf.runtime {
         provide = { ["libfoo.so.1"] = real },
         plugins = {
            ["fixtures/*"] = { provide = { ["libfoo.so.1"] = {
               ["int foo(int)"] = function () return 7 end,
            } } },
         },
      }
      local p = assert(runtime:open(wanting))
      assert.equal(7, p:cdef(CALLS).call_foo(5))
      assert.equal(-1, p:cdef(CALLS).level())
   end)

   it("may open what stands in by its name", function ()
      local runtime <close> = elf.runtime {
         provide = { ["a name"] = { ["int foo(int)"] = function () return 3 end } },
      }
      local p = assert(runtime:open "a name")
      assert.equal(3, p:cdef "int foo(int);".foo(1))
   end)

   it("is checked", function ()
      assert.equal("the policy's 'provide[\"x\"]' is a number; \"host\", a path, "
         .. "a source, or a table of prototypes expected",
         refused { provide = { x = 3 } })
      assert.equal("the policy's 'provide' has names of libraries for keys, and "
         .. "a number is none", refused { provide = { "libx.so" } })
      assert.is_truthy(refused { provide = { x = { ["int f("] = print } } }
         :find("the policy's 'provide[\"x\"]': 'int f(': line 1", 1, true))
      assert.equal("the policy's 'provide[\"x\"]': a source has one of 'path', "
         .. "'bytes' and 'read', not 'path' and 'bytes'",
         refused { provide = { x = { path = "a", bytes = "b" } } })
      assert.equal("the policy's 'plugins[\"m\"].provide' has a source, for 'x': "
         .. "that is for all plugins, and has its place in the policy's own "
         .. "'provide'",
         refused { plugins = { m = { provide = { x = { bytes = "b" } } } } })
   end)
end)

describe("resolve", function ()
   local lacking = assert(cc.shared [[
      extern int absent(int), nowhere;
      extern int _ZN5mixer4playEi(int) __attribute__((weak));
      int call(int x) { return absent(x); }
      int play(int x) { return _ZN5mixer4playEi ? _ZN5mixer4playEi(x) : -1; }
      int *where(void) { return &nowhere; }
   ]])
   local CALLS <const> = "int call(int); int play(int); int *where(void);"

   it("is asked for what nothing defines, and answers what it means", function ()
      local asked = {}
      local runtime <close> = elf.runtime {
         resolve = function (import)
            asked[import.name] = import
            if import.name == "absent" then
               return function (x) return x + 1 end, "int absent(int)"
            elseif import.name == "nowhere" then
               return elf.new("int", { 7 }), "int nowhere"
            end
         end,
      }
      local C = assert(runtime:open(lacking)):cdef(CALLS)
      assert.equal(42, C.call(41))
      assert.equal(7, C.where()[0])
      assert.equal(-1, C.play(1))
      assert.equal("call", asked.absent.kind)
      assert.equal("address", asked.nowhere.kind)
      assert.is_false(asked.absent.weak)
      assert.is_true(asked._ZN5mixer4playEi.weak)
      assert.equal(lacking, asked.absent.wanter.path)
      assert.is_nil(asked.absent.version)
      assert.is_nil(asked.puts)
   end)

   it("takes a prototype, or a type alone, as the name is known", function ()
      for function_text, variable_text in pairs {
         ["int absent(int)"] = "int nowhere", ["int (int)"] = "int",
         ["int other (int)"] = "extern int nowhere;",
      } do
         local runtime <close> = elf.runtime {
            resolve = function (import)
               if import.name == "absent" then
                  return function (x) return x + 1 end, function_text
               elseif import.name == "nowhere" then
                  return 7, variable_text
               end
            end,
         }
         local C = assert(runtime:open(lacking)):cdef(CALLS)
         assert.equal(42, C.call(41))
         assert.equal(7, C.where()[0])
      end
   end)

   it("knows what C++ calls a name, where somebody knows", function ()
      local result = child.lua([[
         local elf = require "elf64load"
         assert(elf.open "libstdc++.so.6")
         local runtime = elf.runtime {
            resolve = function (import)
               print(import.name, import.demangled)
               return import.name ~= "nowhere" and 1 or nil, "int f"
            end,
         }
         runtime:open(...)
      ]], { lacking })
      assert.is_truthy(result.out:find("_ZN5mixer4playEi\tmixer::play(int)",
         1, true), result.out .. result.err)
      assert.is_truthy(result.out:find("absent\tnil", 1, true))
   end)

   it("may answer symbols of plugins, which then stay open", function ()
      local providing
      local provider = assert(cc.shared "int absent(int x) { return x * 3; }")
      local runtime <close> = elf.runtime {
         resolve = function (import)
            if import.name == "absent" then
               return import.wanter and providing:lookup "absent"
            end
            return 0x1000
         end,
      }
      providing = assert(runtime:open(provider))
      local p = assert(runtime:open(lacking))
      providing:close()
      assert.equal("started", runtime.loaded[provider].state)
      assert.equal(12, p:cdef(CALLS).call(4))
      p:close()
      assert.is_nil(runtime.loaded[provider])

   end)

   it("leaves undefined what it does not know", function ()
      local runtime <close> = elf.runtime { resolve = function () end }
      local _, detail = assert.fails_with("undefined", runtime.open, runtime,
         lacking)
      assert.is_not_nil(detail.missing)
      assert.leaves_nothing(runtime.open, runtime, lacking)
   end)

   it("fails the open when it answers what cannot be", function ()
      for text, f in pairs {
         ["needs its prototype"] = function () return print end,
         ["needs a symbol, a pointer"] = function () return "x" end,
         ["expected '...' or a type"] = function () return print, "int f(" end,
         ["must be a string"] = function () return print, 3 end,
      } do
         local runtime <close> = elf.runtime { resolve = f }
         local message = assert.fails_with("hook", runtime.open, runtime,
            lacking)
         assert.is_truthy(message:find(text, 1, true), message)
      end
   end)

   it("fails the open when it raises, yields or opens", function ()
      local own
      local thing = {}
      for _, f in ipairs {
         function () error(thing) end, function () coroutine.yield() end,
         function () own:open "libz.so.1" end,
      } do
         local runtime <close> = elf.runtime { resolve = f }
         own = runtime
         coroutine.wrap(function ()
            local _, detail = assert.fails_with("hook", runtime.open, runtime,
               lacking)
            assert.equal(lacking, detail.wanter)
            assert.equal(lacking, detail.path)
            assert.is_not_nil(({ absent = 1, nowhere = 1,
               _ZN5mixer4playEi = 1 })[detail.symbol])
            assert.leaves_nothing(runtime.open, runtime, lacking)
         end)()
      end
   end)

   it("keeps what it answered as long as the plugin is open", function ()
      local weak = setmetatable({}, { __mode = "k" })
      local runtime <close> = elf.runtime {
         resolve = function ()
            local function f (x) return x end
            weak[f] = true
            return f, "int f(int)"
         end,
      }
      local p = assert(runtime:open(lacking))
      for _ = 1, 4 do collectgarbage() end
      assert.equal(5, p:cdef(CALLS).call(5))
      p:close()
      runtime:open "libnope.so"
      p = nil
      for _ = 1, 4 do collectgarbage() end
      assert.is_nil(next(weak))
      assert.is_nil(p)
   end)
end)

describe("scope", function ()
   -- Both define the name, one comes first.
   local group = fixtures.group {
      wants = { needs = { "first", "second" },
         source = "int which(void); int ask(void) { return which(); }" },
      first = { source = "int which(void) { return 1; }" },
      second = { source = "int which(void) { return 2; }" },
   }

   local function answer (scope)
      local runtime <close> = elf.runtime { scope = scope }
      local p, message, kind, detail = runtime:open(group.wants)
      if not p then return nil, message, kind, detail end
      return p:cdef "int ask(void);".ask()
   end

   it("is shown where imports are looked up, in order", function ()
      local shown = {}
      assert.equal(1, answer(function (p, default)
         if p.path ~= group.wants then return nil end
         for _, one in ipairs(default) do
            -- The host's are as many as there are.
            local name = one.plugin and one.path:match "(%w+)%.so$"
            if name then shown[#shown + 1] = name end
            assert.is_true(one.plugin == nil or one.plugin.path == one.path)
         end
      end))
      assert.equal("wants first second", table.concat(shown, " "))
   end)

   it("may be put into another order, and left out of", function ()
      assert.equal(2, answer(function (_, default)
         local list = {}
         for at = #default, 1, -1 do list[#list + 1] = default[at] end
         return list
      end))
      assert.equal(2, answer(function (_, default)
         local list = {}
         for _, one in ipairs(default) do
            if one.path ~= group.first then list[#list + 1] = one end
         end
         return list
      end))
   end)

   it("may hold another plugin that is open", function ()
      local third = assert(cc.shared "int which(void) { return 3; }")
      local open
      local runtime <close> = elf.runtime {
         scope = function (p, default)
            if p.path ~= group.wants then return nil end
            return { open, table.unpack(default) }
         end,
      }
      open = assert(runtime:open(third))
      local p = assert(runtime:open(group.wants))
      open:close()
      assert.equal(3, p:cdef "int ask(void);".ask())
      assert.equal("started", runtime.loaded[third].state)
   end)

   it("fails the open when it answers what cannot be", function ()
      for text, f in pairs {
         ["answered a number; a list"] = function () return 3 end,
         ["answered a string in place 1"] = function () return { "x" } end,
         ["answered a table in place 1"] = function () return { {} } end,
      } do
         local message = assert.fails_with("hook", answer, f)
         assert.is_truthy(message:find(text, 1, true), message)
      end
      local _, _, kind = answer(function () return {} end)
      assert.equal("undefined", kind)
   end)
end)

describe("plugins", function ()
   it("have other rules by their paths, of which the longest glob counts",
      function ()
         local name = plugin:match "[^/]*$"
         local runtime <close> = elf.runtime {
            deny = { "system" },
            plugins = {
               ["fixtures/*"] = { deny = { "atoi" } },
               ["fixtures/" .. name] = { deny = { "strlen" } },
            },
         }
         local _, detail = assert.fails_with("denied", runtime.open, runtime,
            plugin)
         assert.equal("strlen", detail.symbol)
      end)

   it("may have names intercepted for them alone", function ()
      local function intercept (answer)
         return { ["int atoi(const char *)"] = function () return answer end }
      end
      local C, runtime <close> = using {
         intercept = intercept(1),
         plugins = { ["fixtures/*.so"] = { intercept = intercept(2) } },
      }
      assert.equal(2, C.number "9")
      assert.is_truthy(runtime)
   end)

   it("are checked as the policy is", function ()
      assert.equal("the policy's 'plugins[\"x\"]' has no 'dney' (did you mean "
         .. "'deny'?)", refused { plugins = { x = { dney = {} } } })
      assert.equal("the policy's 'plugins[\"x\"].deny[1]' is a number; a string "
         .. "expected", refused { plugins = { x = { deny = { 1 } } } })
      assert.equal("the policy's 'plugins' has paths of plugins for keys, and a "
         .. "number is none", refused { plugins = { {} } })
   end)
end)

describe("What a runtime has given, when its Lua state is closed,", function ()
   it("answers zero, and opens fail as 'hook'", function ()
      local late = assert(cc.shared [[
         #include <dlfcn.h>
         #include <stdio.h>
         #include <string.h>
         int atoi(const char *);
         static char path[400];
         void at_exit(const char *given) { strcpy(path, given); }
         __attribute__((destructor)) static void stop(void)
         {
             printf("%d\n", atoi("42"));
             puts(dlopen(path, RTLD_NOW) ? "opened" : dlerror());
             fflush(stdout);
         }
      ]])
      local result = child.lua([[
         local late, plugin = ...
         local elf = require "elf64load"
         local runtime = elf.runtime {
            intercept = { ["int atoi(const char *)"] = function (f, text)
               return f(text) + 1
            end },
         }
         local p = assert(runtime:open(late))
         p:cdef "void at_exit(const char *path);".at_exit(plugin)
      ]], { late, plugin })
      assert.equal(0, result.code, result.err)
      assert.equal("0\n" .. plugin .. ": what its runtime defines are Lua's "
         .. "functions and variables, and their Lua state has been closed\n",
         result.out)
   end)
end)
