--- First calls in many threads, while plugins are opened and closed. #threads

local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

local FUNCTIONS <const> = 200

local function functions (form)
   local out = {}
   for at = 1, FUNCTIONS do out[at] = form:gsub("N", at) end
   return table.concat(out, "\n")
end

local library = assert(cc.shared(functions "long fN(long x) { return x + N; }"))
local path = assert(cc.shared(functions "extern long fN(long);"
   .. "extern long late(long);"
   .. "long f(int which) { switch (which) {"
   .. functions "case N: return fN(1);"
   .. "} return 0; }\nlong g(void) { return late(1); }",
   "-Wl,--no-as-needed " .. library .. " -Wl,-z,lazy"))
local passing = assert(cc.shared "long late(long x) { return x + 1; }")

describe("Threads that bind the same calls #threads", function ()
   it("get the same functions, while others open and close", function ()
      local out = threads.program(([[
         #include <pthread.h>
         enum { THREADS = 4, ROUNDS = 12, FUNCTIONS = %d };
         static pthread_barrier_t barrier;
         static volatile int stop;
         static long (*f)(int);
         static long wrong;
         static const e64_open_options lazily = { sizeof lazily, .lazy = 1 };
         static const e64_open_options globally = { sizeof globally,
                                                    .global = 1 };

         static void *call(void *data)
         {
             for (int round = 0; round < ROUNDS; round++) {
                 pthread_barrier_wait(&barrier);
                 for (int i = 1; i <= FUNCTIONS; i++)
                     if (f(i) != i + 1)
                         __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
                 pthread_barrier_wait(&barrier);
             }
             return NULL;
         }

         static void *open_and_close(void *path)
         {
             while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
                 e64_plugin *other = NULL;
                 e64_open(runtime, path, &globally, &other, NULL);
                 e64_close(other, NULL);
             }
             return NULL;
         }

         int main(int argc, char **argv)
         {
             pthread_t thread[THREADS], opener;
             e64_runtime_new(NULL, &runtime, NULL);
             pthread_barrier_init(&barrier, NULL, THREADS + 1);
             pthread_create(&opener, NULL, open_and_close, argv[2]);
             for (int i = 0; i < THREADS; i++)
                 pthread_create(&thread[i], NULL, call, NULL);
             for (int round = 0; round < ROUNDS; round++) {
                 e64_plugin *plugin = NULL;
                 e64_open(runtime, argv[1], &lazily, &plugin, NULL);
                 f = (long (*)(int))e64_entry(plugin, "f");
                 pthread_barrier_wait(&barrier);
                 pthread_barrier_wait(&barrier);
                 e64_close(plugin, NULL);
             }
             for (int i = 0; i < THREADS; i++)
                 pthread_join(thread[i], NULL);
             __atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
             pthread_join(opener, NULL);
             e64_runtime_free(runtime, NULL);
             printf("wrong %%ld\n", wrong);
             return 0;
         }
      ]]):format(FUNCTIONS), { path, passing })
      assert.equal("wrong 0\n", out)
   end)

   it("keep what another thread is closing, or find it closed", function ()
      -- Whoever is sooner: either the call is made and the provider stays for
      -- as long as its caller does, or nothing defines it, which the program
      -- that calls has no answer to. So the closer is the later one here, as
      -- often as not by little.
      local out = threads.program([[
         #include <pthread.h>
         #include <semaphore.h>
         #include <unistd.h>
         static sem_t called;
         static long (*g)(void);
         static long answer;
         static void *call(void *data)
         {
             answer = g();
             sem_post(&called);
             for (int i = 0; i < 2000 && answer == 2; i++)
                 answer = g();
             return NULL;
         }
         int main(int argc, char **argv)
         {
             const e64_open_options lazily = { sizeof lazily, .lazy = 1 };
             const e64_open_options globally = { sizeof globally,
                                                 .global = 1 };
             long wrong = 0;
             e64_runtime_new(NULL, &runtime, NULL);
             sem_init(&called, 0, 0);
             for (int round = 0; round < 60; round++) {
                 e64_plugin *plugin = NULL, *provider = NULL;
                 pthread_t thread;
                 e64_open(runtime, argv[1], &lazily, &plugin, NULL);
                 e64_open(runtime, argv[2], &globally, &provider, NULL);
                 g = (long (*)(void))e64_entry(plugin, "g");
                 pthread_create(&thread, NULL, call, NULL);
                 sem_wait(&called);
                 e64_close(provider, NULL);
                 pthread_join(thread, NULL);
                 wrong += answer != 2;
                 e64_close(plugin, NULL);
             }
             printf("wrong %ld\n", wrong);
             return 0;
         }
      ]], { path, passing })
      assert.equal("wrong 0\n", out)
   end)
end)
