-- Throwing and unwinding in threads, while plugins are opened and closed.
-- #threads

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local child = require "spec.support.child"
local threads = require "spec.support.threads"

-- What stays open: four threads throw through one plugin into another.
local inner = assert(cc.shared([[
   #include <string>
   #include <stdexcept>
   extern "C" long inner(long x)
   {
       std::string text(40, 'x');
       if (x) throw std::runtime_error(text);
       return 0;
   }
]], { language = "c++" }))
local outer = assert(cc.shared([[
   #include <pthread.h>
   #include <stdexcept>
   #include <unistd.h>
   #include <unwind.h>
   extern "C" long inner(long);
   static bool stop;
   static long wrong, rounds, pause_;
   static _Unwind_Reason_Code count(struct _Unwind_Context *, void *data)
   { ++*(int *)data; return _URC_NO_REASON; }
   static void *work(void *)
   {
       while (!__atomic_load_n(&stop, __ATOMIC_SEQ_CST)) {
           int frames = 0;
           bool caught = false;
           try { inner(1); }
           catch (const std::runtime_error &e) { caught = e.what()[0] == 'x'; }
           _Unwind_Backtrace(count, &frames);
           if (!caught || frames < 2)
               __atomic_add_fetch(&wrong, 1, __ATOMIC_SEQ_CST);
           __atomic_add_fetch(&rounds, 1, __ATOMIC_SEQ_CST);
           if (pause_)
               usleep(pause_);
       }
       return 0;
   }
   static pthread_t threads[4];
   // Microseconds between their throws.
   extern "C" void begin(long pause)
   {
       pause_ = pause;
       for (pthread_t &thread : threads)
           pthread_create(&thread, 0, work, 0);
   }
   extern "C" long finish(void)
   {
       __atomic_store_n(&stop, true, __ATOMIC_SEQ_CST);
       for (pthread_t &thread : threads)
           pthread_join(thread, 0);
       return wrong;
   }
   extern "C" long done(void)
   { return __atomic_load_n(&rounds, __ATOMIC_SEQ_CST); }
]], { language = "c++", flags = "-pthread " .. inner }))

-- What comes and goes, and throws itself.
local passing = assert(cc.shared([[
   extern "C" long pass(long x)
   {
       try { if (x) throw x; } catch (long i) { return i + 1; }
       return 0;
   }
]], { language = "c++" }))

-- The same with objects of the thread's, whose destructors keep it mapped.
local keeping = assert(cc.shared([[
   #include <string>
   struct Counted { std::string text = std::string(50, 'y'); ~Counted() {} };
   thread_local Counted counted;
   extern "C" long pass(long x)
   {
       try { if (counted.text.size() == 50) throw x; }
       catch (long i) { return i + 1; }
       return 0;
   }
]], { language = "c++" }))

local PROGRAM = [[
local elf = require "elf64load"
local outer, passing, count = arg[1], arg[2], tonumber(arg[3])
local pause = tonumber(arg[5])
-- What measures calls the compiler, which nobody wants to check.
local resources = arg[6] and require "spec.support.resources"
local function resident () return resources and resources.resident() or 0 end
-- Objects of a thread keep the code of their destructors: those of a short
-- thread do so only as long as it runs.
local T = assert(elf.open(arg[4])):cdef "long in_thread(const void *, long);"
local C = assert(elf.open(outer)):cdef
   "void begin(long); long finish(void); long done(void);"
C.begin(pause)
local function rounds (from, to)
   for round = from, to do
      local p <close> = assert(elf.open(passing))
      local f = p:lookup "pass":as "long pass(long)"
      assert(T.in_thread(f, round) == round + 1)
      if round % 10 == 0 then collectgarbage() end
   end
end
rounds(1, count // 10)
resident()
local before = resident()
rounds(count // 10 + 1, count)
local grown = resident() - before
while C.done() < 100 do end
print("wrong", C.finish())
print("grown", grown)
]]

local THREAD = [[
   #include <pthread.h>
   struct job { long (*f)(long); long x; };
   static void *work(void *data)
   { struct job *job = data; return (void *)job->f(job->x); }
   long in_thread(const void *f, long x)
   {
       struct job job = { (long (*)(long))f, x };
       pthread_t thread;
       void *result;
       pthread_create(&thread, 0, work, &job);
       pthread_join(thread, &result);
       return (long)result;
   }
]]

local function run (plugin, count, checker)
   -- Under valgrind one thread runs at a time, under the thread sanitizer each
   -- step takes long: those that throw leave time to the one that opens.
   local pause = checker and 1000 or child.sanitizer and 200 or 0
   local result = child.lua(PROGRAM, { outer, plugin, tostring(count),
      assert(cc.shared(THREAD)), tostring(pause),
      not checker and "measured" or nil }, { seconds = 600, through = checker })
   assert.equal(0, result.code, child.describe(result) .. result.err)
   local wrong, grown = result.out:match "^wrong\t(%d+)\ngrown\t(%S+)\n$"
   assert.equal("0", wrong, result.out)
   -- A sanitizer keeps what was freed for a while.
   assert.truthy(child.sanitizer or math.tointeger(grown) <= 1024 * 1024,
      result.out)
end

describe("Four threads that throw and unwind through plugins", function ()
   it("are not disturbed by a thousand opens and closes of another #threads",
      function () run(passing, 1000) end)

   it("nor by ten thousand of one with thread_local objects #full",
      function () run(keeping, 10000) end)

   it("nor is there anything for valgrind to complain of in a thousand of those "
      .. "#full #build", function ()
         run(keeping, 1000, { "valgrind", "-q", "--trace-children=yes",
            "--error-exitcode=77", "--leak-check=full" })
      end)
end)

-- What the host has is changed for the first plugin that can be unwound, and who
-- opens that is many: each round is a process of its own.
describe("Threads that open the first plugin at the same time", function ()
   it("do not disturb one another #threads", function ()
      assert.equal("bad 0\n", threads.program([[
         #include <pthread.h>
         #include <sys/wait.h>
         #include <unistd.h>

         enum { ROUNDS = 200, THREADS = 4 };

         static pthread_barrier_t barrier;
         static const char *path;

         static void *work(void *data)
         {
             e64_open_options private = { .struct_size = sizeof private,
                                          .private_ = 1 };
             e64_plugin *plugin;
             pthread_barrier_wait(&barrier);
             return e64_open(runtime, path, &private, &plugin, NULL) == E64_OK
                  ? NULL : data;
         }

         static int open_all(void)
         {
             pthread_t threads[THREADS];
             void *failed = NULL, *result;
             e64_runtime_new(NULL, &runtime, NULL);
             pthread_barrier_init(&barrier, NULL, THREADS);
             for (int i = 0; i < THREADS; i++)
                 pthread_create(&threads[i], NULL, work, &barrier);
             for (int i = 0; i < THREADS; i++) {
                 pthread_join(threads[i], &result);
                 failed = failed ? failed : result;
             }
             return failed != NULL;
         }

         int main(int argc, char **argv)
         {
             int bad = 0, status;
             path = argv[1];
             for (int i = 0; i < ROUNDS; i++) {
                 pid_t pid = fork();
                 if (pid == 0)
                     _exit(open_all());
                 waitpid(pid, &status, 0);
                 bad += status != 0;
             }
             printf("bad %d\n", bad);
             return 0;
         }
      ]], { outer }))
   end)
end)
