--- Lua functions as C function pointers.

local assert = require "luassert"
local spy = require "luassert.spy"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local elf = require "elf64load"

local path = assert(cc.shared([[
   #include <pthread.h>
   #include <stdarg.h>
   #include <stdbool.h>
   #include <stdint.h>
   #include <stdlib.h>

   typedef int binary(int, int);
   int apply(binary *f, int a, int b) { return f(a, b); }
   binary *kept;
   void keep(binary *f) { kept = f; }
   int call_kept(int a, int b) { return kept(a, b); }
   int times(int n, int (*f)(int))
   { int sum = 0; for (int i = 0; i < n; i++) sum += f(i); return sum; }

   typedef struct {
       bool b; signed char i8; unsigned char u8; short i16; unsigned short u16;
       int i32; unsigned u32; int64_t i64; uint64_t u64; float f; double d;
       long double ld; void *p; const char *s;
   } all;
   // More than registers take, in every class, and extended by the caller.
   long double every(long double (*f)(_Bool, signed char, unsigned char, short,
       unsigned short, int, unsigned, int64_t, uint64_t, float, double,
       long double, void *, const char *, double, double, double, double,
       double, double, double))
   {
       return f(1, -5, 250, -300, 60000, -70000, 4000000000u, INT64_MIN,
           UINT64_MAX, 1.5f, 2.25, 3.5L, &kept, "text", 1, 2, 3, 4, 5, 6, 7);
   }
   // More than registers take, of each class.
   double twelve(double (*f)(int, long, short, signed char, unsigned, uint64_t,
       int8_t, float, _Bool, uint16_t, const char *, double))
   {
       return f(-1, -2, -3, -4, 5, 6, -7, 8.5f, 1, 10, "eleven", 12.5);
   }
   float ten(float (*f)(double, float, double, float, double, float, double,
       float, double, float, int))
   {
       return f(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
   }
   int turns(int n, int (*f)(int), int (*g)(int))
   { int sum = 0; for (int i = 0; i < n; i++) sum += f(i) * g(i); return sum; }
   int8_t small(int8_t (*f)(void)) { return f(); }
   uint16_t middle(uint16_t (*f)(void)) { return f(); }
   _Bool truth(_Bool (*f)(void)) { return f(); }
   float single(float (*f)(float)) { return f(0.5f); }
   const char *name(const char *(*f)(int), int n) { return f(n); }
   void *pass(void *(*f)(void *), void *p) { return f(p); }
   int none(void (*f)(void)) { f(); return 3; }

   int rest(int (*f)(const char *, ...))
   {
       return f("i d s i i i i d d d d d d d d l s", 1, 2.5, "three", 4, 5, 6,
           7, 8.5, 9.5, 10.5, 11.5, 12.5, 13.5, 14.5, 15.5, 16.25L,
           "seventeen");
   }
   int few(int (*f)(int, double, ...)) { return f(1, 2.5, 3L, 4.5, "five"); }

   static void *run(void *data)
   { return (void *)(intptr_t)((binary *)data)(2, 3); }
   int elsewhere(binary *f)
   {
       pthread_t thread;
       void *result;
       pthread_create(&thread, NULL, run, (void *)f);
       pthread_join(thread, &result);
       return (int)(intptr_t)result;
   }

   struct table { binary *f; int n; };
   struct table *shared(void) { static struct table t; return &t; }
   int call_at(binary **list, int n) { return list[n](10, n); }
]], "-pthread"))

local DECLARATIONS = [[
   typedef int binary(int, int);
   int apply(binary *f, int a, int b);
   binary *kept;
   void keep(binary *f);
   int call_kept(int a, int b);
   int times(int n, int (*f)(int));
   long double every(long double (*f)(_Bool, signed char, unsigned char, short,
       unsigned short, int, unsigned, int64_t, uint64_t, float, double,
       long double, void *, const char *, double, double, double, double,
       double, double, double));
   double twelve(double (*f)(int, long, short, signed char, unsigned, uint64_t,
       int8_t, float, _Bool, uint16_t, const char *, double));
   float ten(float (*f)(double, float, double, float, double, float, double,
       float, double, float, int));
   int turns(int n, int (*f)(int), int (*g)(int));
   int8_t small(int8_t (*f)(void));
   uint16_t middle(uint16_t (*f)(void));
   _Bool truth(_Bool (*f)(void));
   float single(float (*f)(float));
   const char *name(const char *(*f)(int), int n);
   void *pass(void *(*f)(void *), void *p);
   int none(void (*f)(void));
   int rest(int (*f)(const char *, ...));
   int few(int (*f)(int, double, ...));
   int elsewhere(binary *f);
   int call_at(binary **list, int n);
]]

describe("A Lua function that C calls", function ()
   local p, C

   setup(function ()
      p = assert(elf.open(path))
      C = p:cdef(DECLARATIONS)
   end)

   teardown(function () p:close() end)

   it("can be an argument", function ()
      assert.equal(42, C.apply(function (a, b) return a * b end, 6, 7))
      assert.equal(3, C.none(function () end))
   end)

   it("sorts with the C library's qsort", function ()
      local host = elf.host:cdef [[
         void qsort(void *base, size_t count, size_t size,
            int (*compare)(const int *, const int *));
      ]]
      local list = elf.new("int", { 5, 3, -4, 1, 2 })
      local calls = 0
      host.qsort(list, #list, 4, function (a, b)
         calls = calls + 1
         return a[0] - b[0]
      end)
      assert.same({ -4, 1, 2, 3, 5 },
         { list[0], list[1], list[2], list[3], list[4] })
      assert.is_true(calls >= 4)
   end)

   it("gets every type of argument as it was given", function ()
      local got
      local result = C.every(function (...)
         got = table.pack(...)
         return 6.5
      end)
      assert.equal(6.5, result)
      assert.equal(21, got.n)
      assert.same({ true, -5, 250, -300, 60000, -70000, 4000000000,
         math.mininteger, -1, 1.5, 2.25, 3.5 }, table.move(got, 1, 12, 1, {}))
      assert.equal(elf.address(p:lookup "kept"), elf.address(got[13]))
      assert.equal("text", elf.string(got[14]))
      assert.same({ 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0 },
         table.move(got, 15, 21, 1, {}))
   end)

   it("gets what registers have no room for", function ()
      local got
      assert.equal(0.25, C.twelve(function (...)
         got = table.pack(...)
         got[11] = elf.string(got[11])
         return 0.25
      end))
      assert.same({ -1, -2, -3, -4, 5, 6, -7, 8.5, true, 10, "eleven", 12.5,
         n = 12 }, got)
      assert.equal(1.5, C.ten(function (...)
         got = table.pack(...)
         return 1.5
      end))
      assert.same({ 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11,
         n = 11 }, got)
   end)

   it("takes turns with another, with itself and with what calls C meanwhile",
      function ()
         local function twice (n) return 2 * n end
         local function more (n) return C.times(n, twice) + 1 end
         local sum = 0
         for i = 0, 9 do sum = sum + 2 * i * (i * (i - 1) + 1) end
         assert.equal(sum, C.turns(10, twice, more))
         assert.equal(sum, C.turns(10, more, twice))
         local f = elf.callback("int (int)", twice)
         assert.equal(4 * 285, C.turns(10, f, f))
      end)

   it("answers every type", function ()
      assert.equal(-7, C.small(function () return -7 end))
      assert.equal(65535, C.middle(function () return 65535 end))
      assert.is_true(C.truth(function () return true end))
      assert.equal(0.75, C.single(function (x) return x + 0.25 end))
      local box = elf.new("int", { 4 })
      assert.equal(box, C.pass(function (at)
         assert.equal(4, elf.cast("int *", at)[0])
         return at
      end, box))
      assert.is_nil(C.pass(function () end, box))
   end)

   it("answers texts that are there until it is called again", function ()
      local f = elf.callback("const char *(int)",
         function (n) return ("number "):rep(50) .. n end)
      local text = C.name(f, 1)
      collectgarbage()
      collectgarbage()
      assert.equal(("number "):rep(50) .. "1", elf.string(text))
      assert.equal(("number "):rep(50) .. "2", elf.string(C.name(f, 2)))
   end)

   it("asks for what stands in place of ...", function ()
      local got = {}
      assert.equal(17, C.rest(function (format, rest)
         local kinds = { i = "int", d = "double", s = "const char *",
            l = "long double" }
         for kind in elf.string(format):gmatch "%a" do
            local value = rest(kinds[kind])
            got[#got + 1] = kind == "s" and elf.string(value) or value
         end
         return #got
      end))
      assert.same({ 1, 2.5, "three", 4, 5, 6, 7, 8.5, 9.5, 10.5, 11.5, 12.5,
         13.5, 14.5, 15.5, 16.25, "seventeen" }, got)
      local later
      assert.equal(9, C.few(function (a, b, rest)
         later = rest
         assert.equal(1, a)
         assert.equal(2.5, b)
         assert.equal(3, rest "long")
         assert.equal(4.5, rest "float") -- which comes as a double
         assert.equal("five", elf.string(rest "const char *"))
         return 9
      end))
      assert.error_matches(function () later "int" end, "it has returned")
   end)

   it("may be anything with __call, spies too", function ()
      local watched = spy.new(function (a, b) return a - b end)
      assert.equal(5, C.apply(watched, 7, 2))
      assert.spy(watched).was.called_with(7, 2)
      local object = setmetatable({ base = 100 }, {
         __call = function (self, a, b) return self.base + a + b end,
      })
      assert.equal(103, C.apply(object, 1, 2))
   end)

   it("may call C, which calls it again", function ()
      local function down (n)
         return n == 0 and 0 or n + C.apply(down, n - 1, 0)
      end
      assert.equal(465, down(30))
      assert.error_matches(function () down(1000) end, "stack overflow")
   end)

   it("runs on the coroutine that called, and cannot yield through C",
   function ()
      local thread = coroutine.create(function ()
         local inner
         C.apply(function () inner = coroutine.running() return 0 end, 1, 2)
         assert.equal(coroutine.running(), inner)
         return C.apply(function () coroutine.yield(1) return 0 end, 1, 2)
      end)
      local ok, why = coroutine.resume(thread)
      assert.is_false(ok)
      assert.matches("attempt to yield", why)
   end)

   it("that raises answers zero, and the call raises when it returns",
   function ()
      local answers, value = {}, { "a value" }
      local ok, why = pcall(C.times, 3, function (n)
         answers[#answers + 1] = n
         error(n == 1 and value or { "another" })
      end)
      assert.is_false(ok)
      assert.same({ 0, 1, 2 }, answers)
      assert.same({ "another" }, why)
      -- The first one counts.
      ok, why = pcall(C.times, 3, function (n)
         if n == 1 then error(value) elseif n == 2 then error "late" end
         return n
      end)
      assert.is_false(ok)
      assert.equal(value, why)
   end)

   it("raises through a C function of Lua that is in between", function ()
      -- table.sort is such a one, and calls C that calls back.
      assert.error_matches(function ()
         C.apply(function ()
            table.sort({ 3, 1, 2 }, function (x, y)
               C.times(1, function () error "in the middle" end)
               return x < y
            end)
            return 0
         end, 1, 2)
      end, "in the middle")
      assert.equal(3, C.apply(function (x, y) return x + y end, 1, 2))
   end)

   it("that answers what C does not take is told so", function ()
      assert.error_matches(function ()
         C.apply(function () return "five" end, 1, 2)
      end, "bad result of callback 'binary' %(int expected, got string%)")
      assert.error_matches(function ()
         C.small(function () return 128 end)
      end, "128 is not within %-128 and 127")
   end)

   it("is no function for what is no function type", function ()
      assert.error_matches(function () elf.callback("int", print) end,
         "int is no function type")
      assert.error_matches(function () elf.callback("void (void)", 5) end,
         "function expected, got number")
   end)
end)

describe("A callback", function ()
   local p, C

   setup(function ()
      p = assert(elf.open(path))
      C = p:cdef(DECLARATIONS)
   end)

   teardown(function () p:close() end)

   local function collect ()
      collectgarbage()
      collectgarbage()
   end

   local function watched (dead)
      return setmetatable({}, { __gc = function () dead[1] = true end,
         __call = function (_, a, b) return a + b end })
   end

   it("is there as long as its value", function ()
      local dead = {}
      local f = p:callback("binary", watched(dead))
      assert.equal("binary", tostring(elf.type(f)))
      C.keep(f)
      collect()
      assert.is_nil(dead[1])
      assert.equal(5, C.call_kept(2, 3))
      assert.equal(f, C.kept)
      f = nil -- luacheck: ignore
      C.keep(nil)
      collect()
      collect()
      assert.is_true(dead[1])
   end)

   it("is there as long as the variable or the memory that has it", function ()
      local dead, other = {}, {}
      C.kept = watched(dead)
      collect()
      assert.equal(9, C.call_kept(4, 5))
      C.kept = watched(other)
      collect()
      collect()
      assert.is_true(dead[1])
      assert.equal(9, C.call_kept(4, 5))
      C.kept = nil
      local list = p:new("binary *[2]")
      list[0] = function (a, b) return a - b end
      list[1] = function (a, b) return a * b end
      collect()
      assert.equal(10, C.call_at(list, 0))
      assert.equal(10, C.call_at(list, 1))
   end)

   it("that refers to itself is collected, too", function ()
      local dead = {}
      do
         local f
         local object = watched(dead)
         f = p:callback("binary", function (a, b) return f and object(a, b) end)
         assert.equal(3, C.apply(f, 1, 2))
      end
      collect()
      collect()
      assert.is_true(dead[1])
   end)

   it("grows nothing when many are made and dropped", function ()
      local types, spellings = {}, {}
      for n = 0, 49 do
         local parameters = {}
         for i = 1, n % 10 do
            parameters[i] = ({ "int", "double", "const char *", "long",
               "float", "void *" })[(n + i) % 6 + 1]
         end
         types[n] = elf.type(("%s (%s)"):format(
            ({ "int", "double", "void", "char *", "long double" })[n // 10 + 1],
            #parameters > 0 and table.concat(parameters, ", ") or "void"))
         spellings[tostring(types[n])] = true
      end
      local different = 0
      for _ in pairs(spellings) do different = different + 1 end
      assert.equal(50, different)
      local function resident ()
         collect()
         return tonumber(io.lines "/proc/self/statm"():match "^%d+ (%d+)")
      end
      local function make (count)
         for i = 1, count do elf.callback(types[i % 50], print) end
      end
      make(20000)
      local before = resident()
      make(child.sanitizer and 10000 or 100000)
      -- Pages; those of the sanitizers' quarantines are theirs.
      if not child.sanitizer then
         assert.is_true(resident() - before < 256)
      end
   end)
end)

describe("What cannot be called", function ()
   it("answers zero and is told of by a warning", function ()
      local result = child.lua([[
         local elf = require "elf64load"
         warn "@on"
         local p = assert(elf.open(arg[1]))
         local C = p:cdef "typedef int binary(int, int); \
            int elsewhere(binary *f); void keep(binary *f); \
            int call_kept(int a, int b);"
         print(C.elsewhere(function (a, b) return a + b end))
         C.keep(function (a, b) return a + b end) -- kept by C alone
         collectgarbage()
         collectgarbage()
         print(C.call_kept(1, 2))
      ]], { path })
      assert.equal("0\n0\n", result.out)
      assert.matches("a callback 'binary' was called 1 times by a thread that "
         .. "is in no call from its Lua state, and answered zero", result.err)
      assert.matches("callbacks were called 1 times after they had been "
         .. "collected, and answered zero: keep what elf.callback gives",
         result.err)
   end)
end)

describe("What could not be called while memory lacks", function ()
   -- Lua's memory is at its end from where C is, until `allow`.
   local limit = assert(cc.shared([[
      #include <pthread.h>
      #include <stddef.h>
      typedef void *allocator(void *, void *, size_t, size_t);
      extern allocator *lua_getallocf(void *L, void **data);
      extern void lua_setallocf(void *L, allocator *f, void *data);
      static allocator *before;
      static void *before_data;
      static int refusing;
      static void *allocate(void *data, void *block, size_t old, size_t size)
      {
          return refusing && size && (!block || size > old) ? NULL
               : before(before_data, block, old, size);
      }
      int luaopen_limit(void *L)
      {
          before = lua_getallocf(L, &before_data);
          lua_setallocf(L, allocate, NULL);
          return 0;
      }
      int luaopen_allow(void *L) { refusing = 0; return 0; }
      static void *run(void *f) { ((int (*)(int))f)(1); return NULL; }
      int (*kept)(int);
      void elsewhere(int (*f)(int))
      {
          pthread_t thread;
          pthread_create(&thread, NULL, run, f);
          pthread_join(thread, NULL);
          refusing = 1;
      }
   ]], "-pthread"))
   local starting = assert(cc.shared([[
      extern int (*kept)(int);
      extern void elsewhere(int (*)(int));
      __attribute__((constructor)) static void begin(void) { elsewhere(kept); }
   ]], "-Wl,--no-as-needed " .. limit))

   it("raises nothing: what the call has given is not lost", function ()
      local result = child.lua([[
         warn "@on"
         local limit, starting = ...
         local elf = require "elf64load"
         local p = assert(elf.open(limit))
         local C = p:cdef "void elsewhere(int (*f)(int)); int (*kept)(int);"
         local f = elf.callback("int (int)", function (x) return x end)
         C.kept = f
         require "elf64load.require" -- whose `loadlib` opens no other copy
         local start = package.loadlib(limit, "luaopen_limit")
         local go_on = package.loadlib(limit, "luaopen_allow")
         start()
         local called, why = pcall(C.elsewhere, f)
         go_on()
         print(called, why)
         local opened, plugin = pcall(elf.open, starting)
         go_on()
         print(opened, plugin)
         print(#elf.loaded[starting].name > 0)
      ]], { limit, starting })
      assert.equal("true\tnil\ntrue\tplugin " .. starting .. "\ntrue\n",
         result.out, result.err)
   end)
end)

describe("A callback that the collector has taken", function ()
   it("answers zero to what is finalized with it", function ()
      local result = child.lua([[
         local elf = require "elf64load"
         warn "@on"
         local p = assert(elf.open(arg[1]))
         local C = p:cdef "typedef int binary(int, int); \
            void keep(binary *f); int call_kept(int a, int b);"
         do
            local f = elf.callback("int (int, int)", function () return 5 end)
            C.keep(f)
            print(C.call_kept(1, 2))
            setmetatable({ f }, { __gc = function ()
               print(C.call_kept(1, 2))
            end })
         end
         collectgarbage()
      ]], { path })
      assert.equal("5\n0\n", result.out)
      assert.matches("callbacks were called 1 times after they had been "
         .. "collected", result.err)
   end)
end)

describe("A constructor's callback", function ()
   local opened = assert(cc.shared [[
      int (*host_function)(int);
      void set(int (*f)(int)) { host_function = f; }
   ]])
   local starting = assert(cc.shared([[
      extern int (*host_function)(int);
      int answer;
      __attribute__((constructor)) static void begin(void)
      { answer = host_function(20); }
      __attribute__((destructor)) static void end(void) { host_function(-1); }
   ]], "-Wl,--no-as-needed " .. opened))

   it("runs while its plugin is opened, and closed", function ()
      local p <close> = assert(elf.open(opened, { global = true }))
      local calls = {}
      local f = elf.callback("int (int)", function (n)
         calls[#calls + 1] = n
         return n + 1
      end)
      p:cdef "void set(int (*f)(int));".set(f)
      local q = assert(elf.open(starting))
      assert.equal(21, q:cdef "int answer;".answer)
      q:close()
      assert.same({ 20, -1 }, calls)
   end)

   it("that raises ends the open, which undoes what it did", function ()
      local p <close> = assert(elf.open(opened, { global = true }))
      local f = elf.callback("int (int)", function (n)
         if n > 0 then error "not today" end
         return 0
      end)
      p:cdef "void set(int (*f)(int));".set(f)
      assert.error_matches(function () elf.open(starting) end, "not today")
      assert.is_nil(elf.loaded[starting])
   end)
end)
