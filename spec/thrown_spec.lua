-- C++ exceptions that reach a call from Lua are errors of Lua.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local child = require "spec.support.child"
local elf = require "elf64load"

local SOURCE = [[
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>
static long destroyed;
struct Counted { ~Counted() { destroyed++; } };
namespace own {
struct Plain { int x; ~Plain() { destroyed++; } };
struct Derived : std::runtime_error
{ using std::runtime_error::runtime_error; ~Derived() { destroyed++; } };
struct Left { virtual ~Left() {} long l = 1; };
struct Both : Left, std::logic_error
{ Both() : std::logic_error("the second base") {} };
struct Base : virtual std::exception
{ const char *what() const noexcept override { return "a virtual base"; } };
struct Virtual : Left, Base { long v = 2; };
struct Hidden : private std::runtime_error
{ Hidden() : std::runtime_error("not to be seen") {} };
struct Silent : std::exception
{ const char *what() const noexcept override { return nullptr; } };
}
static std::exception_ptr kept;
extern "C" {
long destructions(void) { long n = destroyed; destroyed = 0; return n; }
int in_flight(void) { return std::uncaught_exceptions(); }
long runtime_error_(void) { Counted c; throw std::runtime_error("boom"); }
void out_of_range_(void) { std::vector<int>(3).at(7); }
void bad_alloc_(void) { throw std::bad_alloc(); }
void derived(void) { throw own::Derived("derived boom"); }
void both(void) { throw own::Both(); }
void virtual_(void) { throw own::Virtual(); }
void hidden(void) { throw own::Hidden(); }
void silent(void) { throw own::Silent(); }
void plain(void) { throw own::Plain{ 1 }; }
void integer(void) { throw 42; }
void text(void) { throw "text"; }
void pointer(void) { static std::runtime_error e("pointed to"); throw &e; }
void anonymous(void) { struct Local : std::runtime_error
   { using std::runtime_error::runtime_error; }; throw Local("local"); }
void keep(void)
{ try { throw own::Derived("kept"); }
  catch (...) { kept = std::current_exception(); } }
void rethrow(void) { std::rethrow_exception(kept); }
void release(void) { kept = nullptr; }
void rethrown(void) { try { throw own::Derived("twice"); } catch (...) { throw; } }
void long_(void) { throw std::runtime_error(std::string(100000, 'x')); }
double of_numbers(double a, float b, long c)
{ if (c) throw std::runtime_error("numbers"); return a + b; }
long double stacked(long a, long b, long c, long d, long e, long f, long g,
                    long double h)
{ if (g) throw std::runtime_error("stacked"); return h; }
long fine(long x) { return x + 1; }
long nested(long (*f)(void)) { Counted c; return f(); }
}
]]

local NAMES = { "runtime_error_", "out_of_range_", "bad_alloc_", "derived",
   "both", "virtual_", "hidden", "silent", "plain", "integer", "text",
   "pointer", "anonymous", "keep", "rethrow", "release", "rethrown", "long_" }

local function open (flags)
   local p = assert(elf.open(assert(cc.shared(SOURCE, { language = "c++",
      flags = "-std=c++17 " .. (flags or "") }))))
   local lines = { [[
      long destructions(void); int in_flight(void); long fine(long);
      double of_numbers(double, float, long);
      long double stacked(long, long, long, long, long, long, long, long double);
   ]] }
   for _, name in ipairs(NAMES) do lines[#lines + 1] = "void " .. name .. "(void);" end
   return p:cdef(table.concat(lines, "\n")), p
end

-- The message without the place in the script.
local function raised (f, ...)
   local ok, message = pcall(f, ...)
   assert.is_false(ok)
   assert.is_string(message)
   return (message:gsub("^%S-:%d+: ", ""))
end

local TEXTS = {
   runtime_error_ = "C++ exception std::runtime_error: boom",
   bad_alloc_ = "C++ exception std::bad_alloc: std::bad_alloc",
   derived = "C++ exception own::Derived: derived boom",
   both = "C++ exception own::Both: the second base",
   virtual_ = "C++ exception own::Virtual: a virtual base",
   hidden = "C++ exception own::Hidden",
   silent = "C++ exception own::Silent",
   plain = "C++ exception own::Plain",
   integer = "C++ exception int",
   text = "C++ exception char const*",
   pointer = "C++ exception std::runtime_error*",
   anonymous = "C++ exception anonymous::Local: local",
   rethrown = "C++ exception own::Derived: twice",
}

local function check_all (flags)
   local C = open(flags)
   for name, text in pairs(TEXTS) do
      assert.equal(text, raised(C[name]), name)
      assert.equal(0, C.in_flight(), name)
   end
   assert.truthy(raised(C.out_of_range_):find(
      "^C%+%+ exception std::out_of_range: .*7"))
   assert.equal(5, C.fine(4))
end

describe("A C++ exception that reaches a call from Lua", function ()
   it("is an error with its type and what it says", function ()
      check_all()
   end)

   it("is one where the plugin has a C++ library of its own", function ()
      check_all "-static-libstdc++ -static-libgcc"
   end)

   it("says where it was called", function ()
      local C = open()
      local _, message = pcall(function () C.integer() end)
      assert.truthy(message:find "thrown_spec%.lua:%d+: C%+%+ exception int$")
   end)

   it("has run the destructors on its way, and is itself destroyed", function ()
      local C = open()
      C.destructions()
      raised(C.runtime_error_)
      assert.equal(1, C.destructions())
      raised(C.derived)
      assert.equal(1, C.destructions())
      raised(C.plain)
      assert.equal(1, C.destructions())
      raised(C.rethrown)
      assert.equal(1, C.destructions())
   end)

   it("stays alive while an exception_ptr keeps it", function ()
      local C = open()
      C.keep()
      C.destructions()
      for _ = 1, 3 do
         assert.equal("C++ exception own::Derived: kept", raised(C.rethrow))
      end
      assert.equal(0, C.destructions())
      C.release()
      assert.equal(1, C.destructions())
      assert.equal(0, C.in_flight())
   end)

   it("may have a text of any length", function ()
      local C = open()
      local message = raised(C.long_)
      assert.equal("C++ exception std::runtime_error: xxxx", message:sub(1, 38))
      assert.truthy(#message < 4096)
   end)

   it("comes out of calls with all kinds of arguments", function ()
      local C = open()
      assert.equal(3.5, C.of_numbers(1.5, 2, 0))
      assert.equal("C++ exception std::runtime_error: numbers",
         raised(C.of_numbers, 1.5, 2, 1))
      assert.equal(8.0, C.stacked(1, 2, 3, 4, 5, 6, 0, 8.0))
      assert.equal("C++ exception std::runtime_error: stacked",
         raised(C.stacked, 1, 2, 3, 4, 5, 6, 7, 8.0))
   end)

   it("goes through C, and through other plugins", function ()
      local C, p = open()
      local through = assert(cc.shared
         "long through(long (*f)(void)) { long n = f(); return n + 1; }")
      local D = assert(elf.open(through)):cdef "long through(long (*)(void));"
      C.destructions()
      assert.equal("C++ exception std::runtime_error: boom", raised(D.through,
         p:lookup "runtime_error_":as "long runtime_error_(void)"))
      assert.equal(1, C.destructions())
   end)

   it("may come in a coroutine, and ten thousand times", function ()
      local C = open()
      local work = coroutine.wrap(function ()
         for _ = 1, 10000 do
            coroutine.yield(raised(C.derived))
         end
      end)
      C.destructions()
      for _ = 1, 10000 do
         assert.equal("C++ exception own::Derived: derived boom", work())
      end
      assert.equal(10000, C.destructions())
      assert.equal(0, C.in_flight())
   end)

   it("of an unwinder without C++ is told by its language", function ()
      local path = assert(cc.shared([[
         #include <unwind.h>
         static long freed;
         static void clean(_Unwind_Reason_Code reason, struct _Unwind_Exception *e)
         { freed++; }
         static struct _Unwind_Exception exception;
         void raise(void)
         {
             exception.exception_class = 0x4d4f5a0052555354; // "MOZ\0RUST"
             exception.exception_cleanup = clean;
             _Unwind_RaiseException(&exception);
         }
         long frees(void) { return freed; }
      ]], "-fexceptions -lgcc_s"))
      local C = assert(elf.open(path)):cdef "void raise(void); long frees(void);"
      assert.equal("an exception of another language ('MOZ')", raised(C.raise))
      assert.equal(1, C.frees())
   end)
end)

describe("What unwinds without an exception", function ()
   it("is not taken for one: a thread that is cancelled in a call from Lua ends",
      function ()
         -- The whole of Lua runs in a thread that its own call ends.
         local result = child.lua([[
            local elf = require "elf64load"
            local C = assert(elf.open(arg[1])):cdef
               "void leave(void); void prepare(void);"
            C.prepare()
            pcall(C.leave)
            print "not reached"
         ]], { assert(cc.shared([[
            #include <pthread.h>
            #include <unistd.h>
            static pthread_t first;
            static void *wait(void *)
            {
                void *result;
                pthread_join(first, &result);
                write(1, result == (void *)7 ? "left\n" : "what?\n", 5);
                _exit(9);
            }
            extern "C" void prepare(void)
            {
                pthread_t thread;
                first = pthread_self();
                pthread_create(&thread, 0, wait, 0);
            }
            extern "C" void leave(void) { pthread_exit((void *)7); }
         ]], { language = "c++", flags = "-pthread" })) })
         assert.equal("left\n", result.out, result.err)
         assert.equal(9, result.code)
      end)
end)
