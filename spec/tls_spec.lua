-- Thread-local storage of plugins, in the general and the local dynamic model,
-- against ld.so.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local elfedit = require "spec.support.elfedit"
local child = require "spec.support.child"
local resources = require "spec.support.resources"
local elf = require "elf64load"

local GENERAL <const> = "-ftls-model=global-dynamic -mtls-dialect=gnu"
local LOCAL <const> = "-ftls-model=local-dynamic -mtls-dialect=gnu"

-- Runs f(argument) in a thread of its own and answers what it answers.
local THREAD = [[
#include <pthread.h>
struct job { long (*f)(long); long argument, result; };
static void *work(void *data)
{
    struct job *job = data;
    job->result = job->f(job->argument);
    return 0;
}
static long in_thread(long (*f)(long), long argument)
{
    pthread_t thread;
    struct job job = { f, argument, -1 };
    pthread_create(&thread, 0, work, &job);
    pthread_join(thread, 0);
    return job.result;
}
]]

local COUNTERS = THREAD .. [[
__thread long initialised = 40;
__thread long zero;
__thread char text[5] = "abcd";
__thread long after[3] = { 1, 2, 3 };
static __thread long private_ = 7;
long add(long x)
{
    initialised += x;
    zero += x;
    after[1] += x;
    private_ += x;
    return initialised * 1000000 + zero * 10000 + after[1] * 100 + private_
           + text[3];
}
long add_in_thread(long x) { return in_thread(add, x); }
static long address(long x) { return (long)&zero; }
long differ(void) { return in_thread(address, 0) != address(0); }
]]

local STEPS = { "call a add 1", "call a add_in_thread 2", "call a add 0",
   "call a add_in_thread 0", "call a differ", "value a initialised",
   "value a zero" }

local function script (path, steps)
   return { "open a " .. path, table.unpack(steps) }
end

local function has_type (path, number)
   for _, relocation in ipairs(elfedit.read(path):relocations()) do
      if relocation.r_type == number then return true end
   end
   return false
end

describe("Thread-local variables", function ()
   it("of the general dynamic model (DTPMOD64, DTPOFF64) are one per thread",
      function ()
         local path = assert(cc.shared(COUNTERS, GENERAL))
         assert.truthy(has_type(path, elfedit.R_X86_64_DTPMOD64))
         assert.truthy(has_type(path, elfedit.R_X86_64_DTPOFF64))
         assert.like_ldso(script(path, STEPS), { "differ() = 1",
            "initialised = 41", "zero = 1" })
      end)

   it("of the local dynamic model (DTPMOD64 alone) are one per thread", function ()
      local path = assert(cc.shared(THREAD .. [[
         static __thread long a = 5, b, c[4] = { 1, 2, 3, 4 };
         static long add(long x)
         {
             a += x, b += x, c[3] += x;
             return a * 10000 + b * 100 + c[3];
         }
         long here(long x) { return add(x); }
         long there(long x) { return in_thread(add, x); }
      ]], LOCAL))
      assert.truthy(has_type(path, elfedit.R_X86_64_DTPMOD64))
      assert.falsy(has_type(path, elfedit.R_X86_64_DTPOFF64))
      assert.like_ldso(script(path, { "call a here 1", "call a there 2",
         "call a here 1" }), { "here() = 60105", "there() = 70206",
         "here() = 70206" })
   end)

   it("begin with what relocations made of their image", function ()
      local path = assert(cc.shared(THREAD .. [[
         static long target = 12;
         __thread long *pointer = &target;
         __thread void *function = in_thread;
         static long read_(long x) { return *pointer + (function == in_thread); }
         long here(void) { return read_(0); }
         long there(void) { return in_thread(read_, 0); }
      ]], GENERAL))
      assert.like_ldso(script(path, { "call a here", "call a there" }),
         { "here() = 13", "there() = 13" })
   end)

   it("have the alignment that they ask for", function ()
      for _, align in ipairs { 16, 64, 256, 4096 } do
         local path = assert(cc.shared(THREAD .. ([[
            __thread char first = 1;
            __thread char aligned[3] __attribute__((aligned(%d))) = { 5 };
            static long rest(long x) { return (long)aligned %% %d * 10
               + aligned[0]; }
            long here(void) { return rest(0); }
            long there(void) { return in_thread(rest, 0); }
         ]]):format(align, align), GENERAL))
         assert.like_ldso(script(path, { "call a here", "call a there" }),
            { "here() = 5", "there() = 5" })
      end
   end)

   it("keep their place modulo p_align where the segment begins odd", function ()
      local image = elfedit.read(assert(cc.shared(THREAD .. [[
         __thread long first = 3, second = 4;
         static long rest(long x) { return (long)&second % 128; }
         long here(void) { return rest(0); }
         long there(void) { return in_thread(rest, 0); }
         long sum(void) { return first + second; }
      ]], GENERAL)))
      local segment = image:segment "PT_TLS"
      segment.p_align = 128
      assert.truthy(segment.p_vaddr % 128 ~= 0)
      -- As the gABI has it; ld.so forgets it for what dlopen opens.
      local rest = (segment.p_vaddr + image:symbol "second".st_value) % 128
      assert.opens_as({ "open a " .. image:save(), "call a here",
         "call a there", "call a sum" },
         { "here() = " .. rest, "there() = " .. rest, "sum() = 7" })
   end)

   it("may be large", function ()
      local path = assert(cc.shared(THREAD .. [[
         __thread char room[3000000];
         __thread char image[100001] = { 1 };
         static long touch(long x)
         {
             long sum = 0;
             for (int i = 0; i < sizeof room; i += 1000) sum += room[i]++;
             for (int i = 0; i < sizeof image; i += 100) sum += image[i]++;
             return sum;
         }
         long here(void) { return touch(0); }
         long there(void) { return in_thread(touch, 0); }
      ]], GENERAL))
      assert.like_ldso(script(path, { "call a here", "call a here",
         "call a there" }), { "here() = 1\nhere() = 4002\nthere() = 1" })
   end)

   it("can be used by constructors and destructors", function ()
      local path = assert(cc.shared([[
         #include <unistd.h>
         __thread char letter[2] = "a";
         __attribute__((constructor)) static void start(void)
         { letter[0]++; write(1, letter, 1); }
         __attribute__((destructor)) static void stop(void)
         { letter[0]++; write(1, letter, 1); }
         long next(void) { return ++letter[0]; }
      ]], GENERAL))
      assert.like_ldso(script(path, { "call a next", "close a", "say end",
         "open b " .. path, "say end" }), { "bopen a: ok", "dclose a: ok" })
   end)

   it("are new when the plugin is opened again", function ()
      local path = assert(cc.shared(COUNTERS, GENERAL))
      assert.like_ldso({ "open a " .. path, "call a add 5", "close a",
         "open a " .. path, "call a add 0" })
   end)

   it("are there for threads that ran before the plugin was opened", function ()
      -- The first plugin's thread waits for work; the second brings it.
      local worker = assert(cc.shared [[
         #include <pthread.h>
         static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
         static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
         static long (*job)(void);
         static long result, done;
         static pthread_t thread;
         static void *work(void *data)
         {
             pthread_mutex_lock(&mutex);
             while (!job)
                 pthread_cond_wait(&changed, &mutex);
             result = job();
             done = 1;
             pthread_cond_signal(&changed);
             pthread_mutex_unlock(&mutex);
             return 0;
         }
         long start(void) { return pthread_create(&thread, 0, work, 0); }
         long run(long (*f)(void))
         {
             pthread_mutex_lock(&mutex);
             job = f;
             pthread_cond_broadcast(&changed);
             while (!done)
                 pthread_cond_wait(&changed, &mutex);
             pthread_mutex_unlock(&mutex);
             pthread_join(thread, 0);
             return result;
         }
      ]])
      local path = assert(cc.shared([[
         extern long run(long (*f)(void));
         __thread long number = 30;
         static long f(void) { return ++number; }
         long there(void) { return run(f); }
         long here(void) { return f(); }
      ]], GENERAL .. " -Wl,--no-as-needed " .. worker))
      assert.like_ldso({ "open w " .. worker, "call w start",
         "open a " .. path, "call a here", "call a here", "call a there" },
         { "here() = 31\nhere() = 32\nthere() = 31" })
   end)

   it("of a dependency are the dependency's", function ()
      local below = assert(cc.shared([[
         __thread long shared = 50;
         long get(void) { return shared; }
      ]], GENERAL))
      local path = assert(cc.shared([[
         extern __thread long shared;
         extern long get(void);
         long add(long x) { shared += x; return get(); }
      ]], GENERAL .. " -Wl,--no-as-needed " .. below))
      assert.like_ldso(script(path, { "call a add 3", "call a add 4",
         "value a shared" }), { "add() = 57", "shared = 57" })
   end)

   it("of the host are the host's", function ()
      local host = assert(cc.shared([[
         __thread long of_host = 60;
         long host_get(void) { return of_host; }
         long host_other;
      ]], GENERAL))
      local path = assert(cc.shared(THREAD .. [[
         extern __thread long of_host;
         extern long host_get(void);
         static long add(long x) { of_host += x; return host_get(); }
         long here(long x) { return add(x); }
         long there(long x) { return in_thread(add, x); }
      ]], GENERAL))
      assert.like_ldso({ "host " .. host .. " global", "open a " .. path,
         "call a here 3", "call a there 4", "call a here 1" },
         { "here() = 63", "there() = 64", "here() = 64" })
   end)

   it("that are weak and missing do not fail the open", function ()
      local path = assert(cc.shared([[
         extern __thread long missing __attribute__((weak));
         long read_(void) { return missing; }
         long fine(void) { return 1; }
      ]], GENERAL))
      assert.like_ldso(script(path, { "call a fine" }), { "fine() = 1" })
   end)

   it("that are missing fail the open", function ()
      local path = assert(cc.shared([[
         extern __thread long missing;
         long read_(void) { return missing; }
      ]], GENERAL))
      assert.like_ldso({ "open a " .. path }, { "open a: failed" },
         { kind = "undefined" })
   end)

   it("of many plugins do not disturb one another", function ()
      local lines = {}
      for i = 1, 40 do
         local path = assert(cc.shared(([[
            __thread long number = %d;
            long next(void) { return ++number; }
         ]]):format(i * 100), GENERAL))
         lines[#lines + 1] = ("open p%d %s"):format(i, path)
      end
      for _ = 1, 2 do
         for i = 1, 40 do lines[#lines + 1] = ("call p%d next"):format(i) end
      end
      assert.like_ldso(lines, { "next() = 101", "next() = 4002" })
   end)
end)

describe("A plugin's tls", function ()
   it("is the number of its module, which no other has, or nil", function ()
      local one <close> = assert(elf.open(assert(cc.shared(COUNTERS, GENERAL))))
      local two <close> = assert(elf.open(assert(cc.shared(
         "__thread long other; long f(void) { return other; }", GENERAL))))
      local none <close> = assert(elf.open(assert(cc.shared "long x;")))
      assert.equal("integer", math.type(one.tls))
      assert.equal("integer", math.type(two.tls))
      assert.not_equal(one.tls, two.tls)
      assert.is_nil(none.tls)
   end)
end)

describe("Blocks of thread-local storage", function ()
   local path = assert(cc.shared(THREAD .. [[
      static __thread char room[200000];
      static long touch(long x)
      {
          for (int i = 0; i < sizeof room; i += 4096) room[i] = x;
          return room[0];
      }
      long here(void) { return touch(1); }
      long there(long count)
      {
          long sum = 0;
          for (long i = 0; i < count; i++) sum += in_thread(touch, 1);
          return sum;
      }
      static pthread_key_t key;
      static void touch_late(void *data) { touch(1); }
      static long leave(long x) { return pthread_setspecific(key, "x") == 0; }
      long late(long count)
      {
          long sum = 0;
          if (!key) pthread_key_create(&key, touch_late);
          for (long i = 0; i < count; i++) sum += in_thread(leave, 1);
          return sum;
      }
   ]], GENERAL))

   -- A lost block each would be sixty megabytes. That a thread has ended is seen
   -- when others do.
   local function freed (threads)
      assert.equal(20, threads(20))
      local heap, resident = resources.heap(), resources.resident()
      assert.equal(300, threads(300))
      assert.truthy(resources.heap() - heap < 3 << 20)
      assert.truthy(child.sanitizer or resources.resident() - resident < 8 << 20)
   end

   it("are freed when their thread has ended", function ()
      local p <close> = assert(elf.open(path))
      freed(p:cdef "long there(long);".there)
   end)

   it("are freed, too, when destructors of others were the first to use them",
      function ()
         local p <close> = assert(elf.open(path, { private = true }))
         freed(p:cdef "long late(long);".late)
      end)

   it("are freed when their plugin is closed", function ()
      local function once ()
         local p <close> = assert(elf.open(path))
         assert.equal(1, p:cdef "long here(void);".here())
      end
      for _ = 1, 10 do once() end
      local heap, resident = resources.heap(), resources.resident()
      for _ = 1, 50 do once() end
      assert.truthy(resources.heap() - heap < 200000)
      assert.truthy(child.sanitizer or resources.resident() - resident < 4 << 20)
   end)
end)
