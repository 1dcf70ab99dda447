-- Unwinding through plugins: exceptions, forced unwinding, backtraces. Against
-- ld.so wherever it does the same.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local compare = require "spec.support.compare"
local child = require "spec.support.child"
local elfedit = require "spec.support.elfedit"

-- What the fixtures share: a word written at once, so that both sides' output
-- can be compared, and an object that says so when it is destroyed.
local COMMON = [[
#include <stdexcept>
#include <string>
#include <unistd.h>
#include <string.h>
static void say(const char *text) { write(1, text, strlen(text)); }
struct Noisy
{
    const char *name;
    explicit Noisy(const char *n) : name(n) {}
    ~Noisy() { say("destroyed "); say(name); say("\n"); }
};
]]

local function cplusplus (source, flags)
   return assert(cc.shared(COMMON .. source,
      { language = "c++", flags = flags }))
end

local thrower = cplusplus [[
extern "C" long throw_it(long x)
{
    Noisy inner("inner");
    if (x) throw std::runtime_error("it was " + std::to_string(x));
    return 0;
}
extern "C" long within(long x)
{
    Noisy outer("outer");
    try { return throw_it(x); }
    catch (const std::exception &e) { say(e.what()); say("\n"); return 1; }
}
extern "C" long again(long x)
{
    try {
        try { throw_it(x); }
        catch (const std::logic_error &) { return 1; }
        catch (...) { say("rethrown\n"); throw; }
    }
    catch (const std::runtime_error &e) { return 2; }
    return 0;
}
]]

local catcher = cplusplus([[
extern "C" long throw_it(long);
extern "C" long across(long x)
{
    Noisy middle("middle");
    try { return throw_it(x); }
    catch (const std::runtime_error &e) { say(e.what()); return 3; }
}
]], thrower)

describe("An exception", function ()
   it("is thrown and caught within a plugin, with destructors on the way",
      function ()
         assert.like_ldso({ "open a " .. thrower, "call a within 0",
            "call a within 7", "call a again 7" },
            { "within() = 1", "destroyed inner\ndestroyed outer", "it was 7",
               "again() = 2" })
      end)

   it("is thrown in one plugin and caught in another", function ()
      assert.like_ldso({ "open b " .. catcher, "call b across 9",
         "call b across 0" }, { "it was 9", "destroyed middle",
         "across() = 3" })
   end)

   it("goes from a plugin to the host and on through a plugin", function ()
      -- std::call_once and qsort stand for host code: neither knows of plugins.
      local path = cplusplus [[
         #include <mutex>
         #include <stdlib.h>
         static int compare(const void *, const void *) { throw 5; }
         extern "C" long through_qsort(long x)
         {
             int values[2] = { 2, 1 };
             try { qsort(values, 2, sizeof *values, compare); }
             catch (int i) { return i; }
             return 0;
         }
         extern "C" long through_libstdcpp(long x)
         {
             std::once_flag flag;
             try {
                 std::call_once(flag, [&] { Noisy n("once"); throw x; });
             } catch (long i) { return i; }
             return 0;
         }
         extern "C" long of_libstdcpp(long x)
         {
             try { return std::string("abc").at(x); }
             catch (const std::out_of_range &) { return 4; }
         }
      ]]
      assert.like_ldso({ "open a " .. path, "call a through_qsort",
         "call a through_libstdcpp 6", "call a of_libstdcpp 8" },
         { "through_qsort() = 5", "through_libstdcpp() = 6",
            "of_libstdcpp() = 4" })
   end)

   it("goes through a plugin from one of the host's libraries to another",
      function ()
         -- Host libraries that glibc opens, and a plugin that is between them.
         local outer = assert(cc.shared([[
            extern "C" long call_caught(void (*f)(long), long x)
            {
                try { f(x); } catch (long i) { return i + 1; }
                return 0;
            }
            extern "C" void throw_long(long x) { throw x; }
         ]], { language = "c++" }))
         local path = cplusplus([[
            extern "C" long call_caught(void (*)(long), long);
            extern "C" void throw_long(long);
            static void middle(long x) { Noisy n("middle"); throw_long(x); }
            extern "C" long f(long x) { return call_caught(middle, x); }
         ]], outer)
         assert.like_ldso({ "host " .. outer .. " global", "open a " .. path,
            "call a f 11" }, { "destroyed middle", "f() = 12" })
      end)

   it("goes from a plugin to the host, which catches it, and the other way round",
      function ()
         -- Of classes of both, and one that both have.
         local classes = [[
            #include <stdexcept>
            struct Shared { long value; virtual ~Shared() {} };
            struct Derived : Shared {};
         ]]
         local host = assert(cc.shared(classes .. [[
            extern "C" long host_catch(void (*f)(long), long x)
            {
                try { f(x); }
                catch (const Shared &shared) { return shared.value; }
                catch (const std::exception &e) { return e.what()[0]; }
                catch (long i) { return i + 1; }
                catch (...) { return -1; }
                return 0;
            }
            extern "C" void host_throw(long x)
            {
                if (x == 0) throw std::out_of_range("host");
                if (x == 1) { Derived derived; derived.value = 70; throw derived; }
                throw x;
            }
         ]], { language = "c++" }))
         local path = cplusplus(classes .. [[
            extern "C" long host_catch(void (*)(long), long);
            extern "C" void host_throw(long);
            struct Own { int value; };
            static void thrower(long x)
            {
                Noisy n("on the way");
                if (x == 0) throw std::length_error("plugin");
                if (x == 1) { Derived derived; derived.value = 60; throw derived; }
                if (x == 2) throw Own();
                throw x;
            }
            extern "C" long to_host(long x) { return host_catch(thrower, x); }
            extern "C" long from_host(long x)
            {
                Noisy n("not on the way");
                try { Noisy m("in between"); host_throw(x); }
                catch (const Shared &shared) { return shared.value; }
                catch (const std::logic_error &e) { return e.what()[0]; }
                catch (long i) { return i + 2; }
                return 0;
            }
         ]], host)
         local script = { "host " .. host .. " global", "open a " .. path }
         for x = 0, 3 do
            script[#script + 1] = "call a to_host " .. x
            script[#script + 1] = "call a from_host " .. x
         end
         assert.like_ldso(script, { "destroyed on the way\nto_host() = 112",
            "to_host() = 60", "to_host() = -1", "to_host() = 4",
            "destroyed in between\ndestroyed not on the way\nfrom_host() = 104",
            "from_host() = 70", "from_host() = 4", "from_host() = 5" })
      end)

   it("may be the process's first, through libLLVM #full #build", function ()
      -- LLVM tells of what it cannot read by a function that is given to it. Its
      -- frames have nothing to catch.
      local path = cplusplus([[
         extern "C" {
         void *LLVMContextCreate(void);
         void LLVMContextSetDiagnosticHandler(void *context,
             void (*handler)(void *information, void *data), void *data);
         void *LLVMCreateMemoryBufferWithMemoryRangeCopy(const char *bytes,
             size_t size, const char *name);
         int LLVMParseBitcodeInContext2(void *context, void *buffer,
             void **module);
         }
         static void thrower(void *, void *data)
         { throw std::runtime_error(*(const std::string *)data); }
         extern "C" long through_llvm(long x)
         {
             void *context = LLVMContextCreate(), *module = 0;
             std::string text = "told of " + std::to_string(x);
             LLVMContextSetDiagnosticHandler(context, thrower, &text);
             try {
                 Noisy n("first");
                 LLVMParseBitcodeInContext2(context,
                     LLVMCreateMemoryBufferWithMemoryRangeCopy("BC\xc0\xde", 4,
                                                               "bytes"),
                     &module);
             } catch (const std::exception &e) {
                 say(e.what());
                 say("\n");
                 return 8;
             }
             return 0;
         }
      ]], "-l:libLLVM-15.so.1")
      assert.like_ldso({ "open a " .. path, "call a through_llvm 7",
         "call a through_llvm 8" }, { "destroyed first\ntold of 7\n"
         .. "through_llvm() = 8\ndestroyed first\ntold of 8" })
   end)

   it("goes through C, which has frames but no destructors", function ()
      local group = assert(cc.shared [[
         long through(long (*f)(long), long x) { return f(x) + 1; }
      ]])
      local path = cplusplus([[
         extern "C" long through(long (*)(long), long);
         static long thrower(long x) { throw x; }
         extern "C" long f(long x)
         {
             try { return through(thrower, x); }
             catch (long i) { return i * 2; }
         }
      ]], group)
      assert.like_ldso({ "open a " .. path, "call a f 21" }, { "f() = 42" })
   end)

   it("works with an unwinder of the plugin's own (-static-libgcc)", function ()
      local path = cplusplus([[
         extern "C" long f(long x)
         {
             try { Noisy n("static"); throw x; } catch (long i) { return i; }
         }
      ]], "-static-libgcc -static-libstdc++")
      assert.like_ldso({ "open a " .. path, "call a f 3" },
         { "destroyed static", "f() = 3" })
      -- One such among others, and the other way round.
      assert.like_ldso({ "open b " .. thrower, "open a " .. path,
         "call a f 3", "call b within 1" }, { "f() = 3", "within() = 1" })
   end)

   it("is caught in constructors and destructors of a plugin", function ()
      local path = cplusplus [[
         static long seen;
         static long caught(const char *name)
         {
             try { Noisy n(name); throw 1L; } catch (long i) { return i; }
         }
         __attribute__((constructor)) static void begin()
         { seen = caught("constructor"); }
         __attribute__((destructor)) static void end()
         { caught("destructor"); }
         extern "C" long f(long) { return seen; }
      ]]
      assert.like_ldso({ "open a " .. path, "call a f", "close a" },
         { "destroyed constructor", "f() = 1", "destroyed destructor" })
   end)

   it("is caught in a resolver of an IFUNC", function ()
      local path = assert(cc.shared([[
         static long one() { return 1; }
         static long two() { return 2; }
         extern "C" void *resolve()
         {
             try { throw 2L; } catch (long i) { return (void *)(i == 2 ? two : one); }
         }
         extern "C" long f(long) __attribute__((ifunc("resolve")));
         extern "C" long g(long) { return f(0); }
      ]], { language = "c++" }))
      local ours = compare.ours { "open a " .. path, "call a g" }
      assert.equal("open a: ok\ng() = 2\n", ours.out, ours.err)
   end)

   it("ends the process as under ld.so where nothing catches it", function ()
      local path = cplusplus
         'extern "C" long f(long x) { Noisy n("never"); throw x; }'
      local theirs = compare.theirs { "open a " .. path, "call a f 1" }
      local ours = child.lua([[
         local elf = require "elf64load"
         local p = assert(elf.open(arg[1]))
         -- In a thread of its own, of which Lua knows nothing.
         assert(elf.open(arg[2])):cdef(
            "void run(const void *);").run(p:lookup "f":as "long f(long)")
      ]], { path, assert(cc.shared [[
         #include <pthread.h>
         static void *work(void *f) { ((long (*)(long))f)(1); return 0; }
         void run(const void *f)
         {
             pthread_t thread;
             pthread_create(&thread, 0, work, (void *)f);
             pthread_join(thread, 0);
         }
      ]]) })
      assert.equal(6, theirs.signal)
      assert.equal(6, ours.signal, ours.err)
      assert.truthy(ours.err:find("terminate called", 1, true))
      assert.equal("", ours.out)
   end)

   it("ends the process as under ld.so where there is nothing to find frames by",
      function ()
         for _, flags in ipairs { "-Wl,--no-eh-frame-hdr",
            "-fno-exceptions -fno-asynchronous-unwind-tables" } do
            local middle = assert(cc.shared(
               "long m(long (*f)(long), long x) { return f(x) + 1; }", flags))
            local path = cplusplus([[
               extern "C" long m(long (*)(long), long);
               static long thrower(long x) { throw x; }
               extern "C" long f(long x)
               {
                   try { return m(thrower, x); } catch (long i) { return i; }
               }
            ]], middle)
            local script = { "open a " .. path, "call a f 1" }
            local theirs = compare.theirs(script)
            local ours = compare.ours(script)
            assert.equal(6, theirs.signal)
            assert.equal(theirs.signal, ours.signal, ours.err)
         end
      end)
end)

local cancelling = cplusplus([[
#include <pthread.h>
#include <cxxabi.h>
static volatile int ready;
static long wait(long) { ready = 1; for (;;) pause(); }
extern "C" long (*host_call)(long (*)(long), long);
static void *work(void *)
{
    Noisy n("in the cancelled thread");
    try { wait(0); }
    catch (abi::__forced_unwind &) { say("forced\n"); throw; }
    return 0;
}
static void clean(void *) { say("cleaned\n"); }
static void *exiting(void *)
{
    Noisy n("in the exiting thread");
    pthread_cleanup_push(clean, 0);
    pthread_exit((void *)5);
    pthread_cleanup_pop(0);
    return 0;
}
extern "C" long cancel(long)
{
    pthread_t thread;
    void *result = 0;
    ready = 0;
    pthread_create(&thread, 0, work, 0);
    while (!ready) usleep(1000);
    pthread_cancel(thread);
    pthread_join(thread, &result);
    return result == PTHREAD_CANCELED;
}
extern "C" long leave(long)
{
    pthread_t thread;
    void *result = 0;
    pthread_create(&thread, 0, exiting, 0);
    pthread_join(thread, &result);
    return (long)result;
}
]], "-pthread")

describe("Forced unwinding", function ()
   it("by pthread_cancel and pthread_exit runs destructors and clean-up handlers",
      function ()
         assert.like_ldso({ "open a " .. cancelling, "call a cancel",
            "call a leave" }, { "forced",
            "destroyed in the cancelled thread", "cancel() = 1", "cleaned",
            "destroyed in the exiting thread", "leave() = 5" })
      end)

   it("goes through C that was compiled with -fexceptions", function ()
      local path = assert(cc.shared([[
         #include <pthread.h>
         #include <unistd.h>
         static int cleaned, ready;
         static void clean(int *unused) { cleaned++; }
         static void *work(void *unused)
         {
             int guard __attribute__((cleanup(clean))) = 1;
             __atomic_store_n(&ready, 1, __ATOMIC_SEQ_CST);
             for (;;)
                 pause();
         }
         long cancel(long x)
         {
             pthread_t thread;
             pthread_create(&thread, 0, work, 0);
             while (!__atomic_load_n(&ready, __ATOMIC_SEQ_CST))
                 usleep(1000);
             pthread_cancel(thread);
             pthread_join(thread, 0);
             return cleaned;
         }
      ]], "-fexceptions -pthread"))
      assert.like_ldso({ "open a " .. path, "call a cancel" },
         { "cancel() = 1" })
   end)
end)

describe("A backtrace", function ()
   local path = assert(cc.shared([[
      #include <execinfo.h>
      #include <unwind.h>
      extern long first(long), second(long), third(long);
      static void *frames[64];
      static int count;
      static int has(long (*function)(long))
      {
          // Behind the call, not far from the start; callers lie behind.
          for (int i = 0; i < count; i++)
              if ((char *)frames[i] > (char *)function
                  && (char *)frames[i] < (char *)function + 160)
                  return i + 1;
          return 0;
      }
      static _Unwind_Reason_Code step(struct _Unwind_Context *context, void *data)
      {
          if (count < 64)
              frames[count++] = (void *)_Unwind_GetIP(context);
          return _URC_NO_REASON;
      }
      __attribute__((noinline)) long third(long x)
      {
          count = 0;
          if (x)
              count = backtrace(frames, 64);
          else
              _Unwind_Backtrace(step, 0);
          __asm__ volatile ("");
          return count;
      }
      __attribute__((noinline)) long second(long x)
      { long n = third(x); __asm__ volatile (""); return n; }
      __attribute__((noinline)) long first(long x)
      { long n = second(x); __asm__ volatile (""); return n; }
      // In this order, and more above: the harness and main.
      long f(long x)
      {
          long n = first(x);
          if (!has(third))
              return 0;
          return (has(second) - has(third)) * 100
              + (has(first) - has(third)) * 10 + (n > has(first) + 2);
      }
   ]], "-Wl,-Bsymbolic -lgcc_s"))

   it("of _Unwind_Backtrace goes through plugins and on", function ()
      assert.like_ldso({ "open a " .. path, "call a f 0" }, { "f() = 121" })
   end)

   it("of backtrace() goes through plugins and on", function ()
      assert.like_ldso({ "open a " .. path, "call a f 1" }, { "f() = 121" })
   end)

   it("is there for plugins of C alone, where nothing has brought an unwinder",
      function ()
         local plain = assert(cc.shared [[
            #include <execinfo.h>
            __attribute__((noinline)) static long deep(void **frames)
            { long n = backtrace(frames, 64); __asm__ volatile (""); return n; }
            long f(long x)
            { void *frames[64]; long n = deep(frames);
              __asm__ volatile (""); return n > 3; }
         ]])
         assert.like_ldso({ "open a " .. plain, "call a f" }, { "f() = 1" })
      end)
end)

describe("A plugin whose frames are broken", function ()
   -- What its frames are found by, and the frames: each byte wrong in turn.
   local middle = assert(cc.shared
      "long m(long (*f)(long), long x) { return f(x) + 1; }")
   local file = elfedit.read(middle)
   local header
   for _, segment in ipairs(file:segments()) do
      if segment.p_type == elfedit.PT_GNU_EH_FRAME then header = segment end
   end
   local bytes = assert(io.open(middle, "rb")):read "a"
   local frames = header.p_offset + 4
      + string.unpack("<i4", bytes, header.p_offset + 5)

   local user = cplusplus [[
      extern "C" long m(long (*)(long), long);
      static long thrower(long x) { throw x; }
      extern "C" long f(long x)
      {
          try { return m(thrower, x); } catch (long i) { return i * 2; }
      }
   ]]

   local function run (path)
      local script = { "open b " .. thrower, "call b within 1",
         ("open m %s global"):format(path), "open a " .. user,
         "call b within 2", "call a f 3" }
      return compare.theirs(script), compare.ours(script)
   end

   it("ends a throw through it as under ld.so, and is no harm to others",
      function ()
         local theirs, ours = run(middle)
         assert.truthy(theirs.out:find("f() = 6", 1, true))
         assert.equal(theirs.out, ours.out)
         local whole = "true" .. ours.out
         local wrong = {}
         for at = 0, 15 do wrong[#wrong + 1] = header.p_offset + at end
         for at = 0, 59, 7 do wrong[#wrong + 1] = frames + at end
         for _, at in ipairs(wrong) do
            local path = fixtures.text(bytes:sub(1, at)
               .. string.char(bytes:byte(at + 1) ~ 0xf5) .. bytes:sub(at + 2),
               ".so")
            -- How it ends depends on what lies where the bytes point to, under
            -- ld.so too, and by which signal: from run to run. So ours must be
            -- an end that ld.so's comes to as well. How many frames there are (LSB
            -- "Exception Frames", fde_count) is too many, and they are found all
            -- the same if what lies behind them happens to be greater.
            local counts = at >= header.p_offset + 8 and at < header.p_offset + 12
            local ends, tries, shared = { theirs = {}, ours = {} }, 0
            repeat
               theirs, ours = run(path)
               theirs = tostring(theirs.code == 0) .. theirs.out
               ours = tostring(ours.code == 0) .. ours.out
               ends.theirs[theirs], ends.ours[ours] = true, true
               shared = ends.ours[theirs] or ends.theirs[ours]
                  or counts and ours == whole
               tries = tries + 1
            until shared or tries == 10
            assert.truthy(shared, ("byte %d: ld.so: %s, elf64load: %s"):format(
               at, theirs, ours))
         end
      end)
end)
