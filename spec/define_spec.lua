--- runtime:define and runtime:undefine: Lua functions, variables and addresses under
--- names of C.

local assert = require "spec.support.assert"
local spy = require "luassert.spy"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local elf = require "elf64load"

local plugin = assert(cc.shared [[
   #include <dlfcn.h>
   #include <string.h>
   int score(int) __attribute__((weak));
   extern int level __attribute__((weak));
   extern const char *title __attribute__((weak));
   extern int list[3] __attribute__((weak));
   int atoi(const char *);
   int call_score(int x) { return score ? score(x) : -1; }
   int (*taken(void))(int) { return score; }
   int *where(void) { return &level; }
   int get_level(void) { return &level ? level : -1; }
   const char *get_title(void) { return title; }
   int sum(void) { return list[0] + list[1] + list[2]; }
   int number(const char *text) { return atoi(text); }
   void *ask(const char *name) { return dlsym(RTLD_DEFAULT, name); }
]])

local DECLARED <const> = [[
   int call_score(int); int (*taken(void))(int); int *where(void);
   int get_level(void); const char *get_title(void); int sum(void);
   int number(const char *); void *ask(const char *);
]]

local runtime

before_each(function () runtime = elf.runtime {} end)
after_each(function () if not runtime.closed then runtime:close() end end)

local function open ()
   local p = assert(runtime:open(plugin))
   return p:cdef(DECLARED), p
end

describe("define", function ()
   it("gives plugins a Lua function to call", function ()
      assert.is_true(runtime:define("int score(int)",
         function (x) return x * 2 end))
      local C = open()
      assert.equal(42, C.call_score(21))
      assert.equal(8, C.taken()(4))
      assert.equal(elf.address(C.taken()), elf.address(C.ask "score"))
   end)

   it("gives them variables, of which it keeps the memory", function ()
      assert.is_true(runtime:define("extern int level", 3))
      assert.is_true(runtime:define("const char *title", "a title"))
      assert.is_true(runtime:define("int list[3]", { 1, 2, 3 }))
      local C = open()
      for _ = 1, 3 do collectgarbage() end
      assert.equal(3, C.get_level())
      assert.equal("a title", elf.string(C.get_title()))
      assert.equal(6, C.sum())
   end)

   it("gives them variables that are there already", function ()
      local own = elf.new("int", { 5 })
      assert.is_true(runtime:define("int level", own))
      local C = open()
      own[0] = 6
      assert.equal(6, C.get_level())
      assert.equal(elf.address(own), elf.address(C.where()))
   end)

   it("gives them addresses, symbols and pointers", function ()
      local strlen = assert(elf.host:lookup "strlen")
      for _, value in ipairs { strlen, elf.address(strlen),
         strlen:as "unsigned long (const char *)" } do
         for _, text in ipairs { "int atoi(const char *)", "atoi" } do
            local own <close> = elf.runtime {}
            assert.is_true(own:define(text, value))
            assert.equal(3, assert(own:open(plugin)):cdef(DECLARED).number "abc")
         end
      end
   end)

   it("comes before what the host defines, in this runtime alone", function ()
      assert.is_true(runtime:define("int atoi(const char *)",
         function () return 99 end))
      local C = open()
      local other <close> = elf.runtime {}
      assert.equal(99, C.number "1")
      assert.equal(1, assert(other:open(plugin)):cdef(DECLARED).number "1")
   end)

   it("takes spies for functions", function ()
      local watched = spy.new(function (x) return x + 1 end)
      assert.is_true(runtime:define("int score(int)", watched))
      assert.equal(6, open().call_score(5))
      assert.spy(watched).was_called_with(5)
   end)

   it("raises what the function raises where C was called", function ()
      runtime:define("int score(int)", function () error("no score", 0) end)
      local C = open()
      assert.has_error(function () C.call_score(1) end, "no score")
   end)

   it("raises for what cannot be read, and says where", function ()
      for text, row in pairs {
         ["line 1, column 11: expected '...' or a type"] =
            { "int score(", print },
         ["must declare one name"] = { "int a, b", 3 },
         ["a Lua function for 'score' needs its prototype"] =
            { "score", print },
         ["'int level' cannot be made: "] = { "int level", "x" },
         ["'score' is a function: "] = { "int score(int)", "x" },
         ["or an address other than 0 expected"] = { "int score(int)", 0 },
         ["'struct s { int a; } f' is opaque here, and cannot be made: the "
            .. "symbol of one expected"] = { "struct s { int a; } f", 3 },
         ["must be a string"] = { 3, print },
      } do
         local done, message = pcall(runtime.define, runtime, row[1], row[2])
         assert.is_false(done)
         assert.is_truthy(message:find("define: ", 1, true), message)
         assert.is_truthy(message:find(text, 1, true), message)
      end
   end)
end)

describe("Defining again", function ()
   it("has what is open call the new function", function ()
      runtime:define("int score(int)", function () return 1 end)
      local C = open()
      local kept = C.taken()
      assert.equal(1, C.call_score(0))
      assert.is_true(runtime:define("int score(int)", function () return 2 end))
      assert.equal(2, C.call_score(0))
      assert.equal(2, kept(0))
      assert.is_true(runtime:define("int score(int)",
         assert(elf.host:lookup "abs")))
      assert.equal(7, C.call_score(-7))
   end)

   it("lets go of the function that it was", function ()
      local weak = setmetatable({}, { __mode = "k" })
      local function define ()
         local function f () return 1 end
         weak[f] = true
         runtime:define("int score(int)", f)
      end
      define()
      local C = open()
      for _ = 1, 3 do collectgarbage() end
      assert.is_not_nil(next(weak))
      assert.equal(1, C.call_score(0))
      runtime:define("int score(int)", function () return 2 end)
      for _ = 1, 3 do collectgarbage() end
      assert.is_nil(next(weak))
   end)

   it("gives a variable its new value", function ()
      runtime:define("int level", 1)
      local C = open()
      assert.is_true(runtime:define("int level", 2))
      assert.equal(2, C.get_level())
      local message = assert.fails_with("duplicate", runtime.define, runtime,
         "int level", elf.new "int")
      assert.is_truthy(message:find("level", 1, true), message)
      assert.equal(2, C.get_level())
   end)

   it("may be done from within the function", function ()
      runtime:define("int score(int)", function (x)
         runtime:define("int score(int)", function (y) return y * 10 end)
         collectgarbage()
         return x
      end)
      local C = open()
      assert.equal(3, C.call_score(3))
      assert.equal(30, C.call_score(3))
   end)
end)

describe("undefine", function ()
   it("has the name mean to new plugins what it did before", function ()
      runtime:define("int atoi(const char *)", function () return 99 end)
      assert.is_true(runtime:undefine "atoi")
      assert.equal(7, open().number "7")
      assert.fails_with("undefined", runtime.undefine, runtime, "atoi")
   end)

   it("has who is bound to a Lua function get an error from it", function ()
      runtime:define("int score(int)", function () return 1 end)
      local C = open()
      assert.is_true(runtime:undefine "int score(int)")
      collectgarbage()
      assert.has_error(function () C.call_score(1) end, "a function was called "
         .. "that its runtime does not define any more")
   end)

   it("leaves variables that are in use", function ()
      runtime:define("int level", 4)
      local C, p = open()
      assert.fails_with("inuse", runtime.undefine, runtime, "level")
      assert.equal(4, C.get_level())
      p:close()
      assert.is_true(runtime:undefine "level")
   end)
end)

describe("What a runtime defines", function ()
   it("is let go of when the runtime is closed", function ()
      local weak = setmetatable({}, { __mode = "k" })
      do
         local function f () return 1 end
         weak[f] = true
         runtime:define("int score(int)", f)
         open()
         runtime:close()
      end
      for _ = 1, 3 do collectgarbage() end
      assert.is_nil(next(weak))
   end)

   it("stays as long as what must not be unloaded", function ()
      runtime:define("int score(int)", function () return 5 end)
      local p = assert(runtime:open(plugin, { nodelete = true }))
      local taken = p:cdef(DECLARED).taken()
      runtime:close()
      for _ = 1, 3 do collectgarbage() end
      assert.equal(5, taken(0))
   end)

   it("does not grow when it is defined again and again", function ()
      local function again ()
         for _ = 1, 300 do
            runtime:define("int score(int)", function (x) return x end)
         end
         collectgarbage()
         collectgarbage()
      end
      again()
      local C = open()
      local heap = require "spec.support.resources".heap
      local before = heap()
      for _ = 1, 5 do again() end
      assert.is_true(heap() - before < 20000, heap() - before)
      assert.equal(1, C.call_score(1))
   end)

   it("is safe to call when the Lua state is closed", function ()
      local late = assert(cc.shared [[
         #include <stdio.h>
         int score(int);
         __attribute__((destructor)) static void stop(void)
         { printf("%d\n", score(3)); fflush(stdout); }
      ]])
      local result = child.lua([[
         local runtime = require "elf64load".runtime {}
         runtime:define("int score(int)", function (x) return x end)
         for _ = 1, 400 do
            runtime:define("int other(int)", function (x) return x end)
         end
         assert(runtime:open(...))
      ]], { late })
      assert.equal("0\n", result.out, result.err)
      assert.equal(0, result.code)
   end)
end)

describe("pins", function ()
   it("name the Lua functions that a plugin is bound to", function ()
      runtime:define("int score(int)", function () return 1 end)
      local _, p = open()
      local named = {}
      for _, pin in ipairs(p:pins()) do
         if pin.kind == "callback" then
            named[#named + 1] = pin.message
            assert.equal("score", pin.symbol)
         end
      end
      assert.same({ "'score' is a Lua function: int (int)" }, named)
      p:close()
      assert.same({}, p:pins())
   end)

   it("name those of the policy, too", function ()
      local own <close> = elf.runtime {
         intercept = { ["int atoi(const char *)"] = function () return 1 end },
         resolve = function (import)
            if import.name == "score" then
               return function () return 2 end, "int score(int)"
            end
         end,
      }
      local named = {}
      for _, pin in ipairs(assert(own:open(plugin)):pins()) do
         named[pin.symbol or pin.kind] = pin.message
      end
      assert.equal("'atoi' is a Lua function: int (const char *)", named.atoi)
      assert.equal("'score' is a Lua function: int (int)", named.score)
   end)
end)

describe("Three runtimes", function ()
   it("have three states of one library, and a name each", function ()
      local library = assert(cc.shared [[
         int name(void);
         static int count;
         int next(void) { return ++count * 10 + name(); }
      ]])
      local next_of = {}
      for at = 1, 3 do
         local own = elf.runtime {}
         own:define("int name(void)", function () return at end)
         next_of[at] = assert(own:open(library)):cdef "int next(void);".next
      end
      next_of[2]()
      next_of[3]()
      next_of[3]()
      assert.same({ 11, 22, 33 }, { next_of[1](), next_of[2](), next_of[3]() })
   end)
end)
