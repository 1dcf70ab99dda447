--- Plans that are made and committed by several threads, while others open and
--- close the same plugins. #threads

local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

local leaf = assert(cc.shared "long leaf(void) { return 1; }")
local root = assert(cc.shared(
   "extern long leaf(void); long f(void) { return leaf() + 1; }",
   "-Wl,--no-as-needed " .. leaf))
local unique = [[
   struct counter { static int &get() { static int n; return n; } };
   extern "C" int *where(void) { return &counter::get(); }]]
local one = assert(cc.shared(unique,
   { language = "c++", flags = "-DTHREADS=1" }))
local two = assert(cc.shared(unique,
   { language = "c++", flags = "-DTHREADS=2" }))

describe("Threads that plan #threads", function ()
   it("get plans that are whole, and commit them or learn what has changed",
      function ()
         local out = threads.program([[
            #include <pthread.h>
            #include <string.h>
            enum { THREADS = 4, ROUNDS = 150 };
            static char **paths;
            static long wrong, opened, changed;

            static void count(long *number)
            {
                __atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
            }

            static int look(void *data, const e64_plan_binding *binding)
            {
                if (strcmp(binding->symbol, "leaf") == 0)
                    *(int *)data += binding->provider
                        && strcmp(binding->provider->path, paths[2]) == 0;
                return 0;
            }

            static void *plan(void *data)
            {
                for (int i = 0; i < ROUNDS; i++) {
                    struct e64_plan *plan;
                    e64_plugin *plugin;
                    e64_error error;
                    e64_plan_info info;
                    int leafs = 0;
                    if (e64_plan(runtime, paths[1], NULL, &plan, &error)) {
                        fprintf(stderr, "%s\n", error.message);
                        count(&wrong);
                        continue;
                    }
                    e64_plan_describe(plan, &info);
                    e64_plan_bindings(plan, look, &leafs);
                    // What is open already is not bound again.
                    if (info.missing || (leafs != 1
                                         && info.root->state == E64_PLAN_NEW))
                        count(&wrong);
                    switch (e64_plan_commit(plan, &plugin, &error)) {
                    case E64_OK:
                        count(&opened);
                        e64_close(plugin, NULL);
                        break;
                    case E64_CHANGED:
                        count(&changed);
                        break;
                    default:
                        fprintf(stderr, "%s\n", error.message);
                        count(&wrong);
                    }
                    e64_plan_free(plan);
                }
                return NULL;
            }

            static void *open_and_close(void *data)
            {
                for (int i = 0; i < ROUNDS; i++) {
                    e64_plugin *plugin = NULL, *other = NULL;
                    struct e64_plan *plan;
                    e64_open(runtime, paths[1], NULL, &plugin, NULL);
                    e64_open(runtime, paths[2], NULL, &other, NULL);
                    if (!plugin || !other)
                        count(&wrong);
                    if (e64_plan(runtime, paths[3 + i % 2], NULL, &plan, NULL))
                        count(&wrong);
                    else
                        e64_plan_free(plan);
                    e64_close(plugin, NULL);
                    e64_close(other, NULL);
                }
                return NULL;
            }

            int main(int argc, char **argv)
            {
                pthread_t thread[THREADS];
                paths = argv;
                e64_runtime_new(NULL, &runtime, NULL);
                for (int i = 0; i < THREADS; i++)
                    pthread_create(&thread[i], NULL, i % 2 ? plan
                                   : open_and_close, NULL);
                for (int i = 0; i < THREADS; i++)
                    pthread_join(thread[i], NULL);
                printf("%ld wrong, %d, %d\n", wrong, opened > 0,
                       opened + changed == THREADS / 2 * ROUNDS);
                return e64_runtime_free(runtime, NULL);
            }]], { root, leaf, one, two })
         assert.equal("0 wrong, 1, 1\n", out)
      end)
end)
