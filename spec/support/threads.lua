--- Threads for fixtures: one that runs before a plugin is opened, ones that come
--- after it; and C programs that the loader is linked into.

local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"

---@class threads
local threads = {}

local WORKER <const> = [[
#include <pthread.h>
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long (*job)(long);
static long argument, result;
static pthread_t thread;

static void *work(void *data)
{
    pthread_mutex_lock(&mutex);
    for (;;) {
        while (!job)
            pthread_cond_wait(&changed, &mutex);
        result = job(argument);
        job = 0;
        pthread_cond_broadcast(&changed);
    }
    return 0;
}

long threads_start(void)
{
    return pthread_create(&thread, 0, work, 0);
}

long threads_run(long (*f)(long), long x)
{
    long answer;
    pthread_mutex_lock(&mutex);
    job = f;
    argument = x;
    pthread_cond_broadcast(&changed);
    while (job)
        pthread_cond_wait(&changed, &mutex);
    answer = result;
    pthread_mutex_unlock(&mutex);
    return answer;
}

struct task { long (*f)(long); long argument, result; };

static void *run(void *data)
{
    struct task *task = data;
    task->result = task->f(task->argument);
    return 0;
}

long threads_new(long (*f)(long), long x)
{
    pthread_t other;
    struct task task = { f, x, -1 };
    pthread_create(&other, 0, run, &task);
    pthread_join(other, 0);
    return task.result;
}
]]

--- What a fixture says to have them.
threads.IMPORT = [[
extern long threads_run(long (*f)(long), long x);
extern long threads_new(long (*f)(long), long x);
]]

--- The plugin that has the threads: `threads_start` before all.
---@return string path
function threads.path ()
   return assert(cc.shared(WORKER))
end

--- Flags for a fixture that needs it.
---@return string
function threads.flags ()
   return " -Wl,--no-as-needed " .. threads.path()
end

local HEAD <const> = [[
#include <elf64load.h>
#include <stdio.h>
#include <stdlib.h>

static e64_runtime *runtime;

static e64_plugin *try_plugin(const char *path)
{
    e64_plugin *plugin = NULL;
    if (!runtime)
        e64_runtime_new(NULL, &runtime, NULL);
    e64_open(runtime, path, NULL, &plugin, NULL);
    return plugin;
}

__attribute__((unused))
static e64_plugin *open_plugin(const char *path)
{
    e64_plugin *plugin = try_plugin(path);
    if (!plugin) {
        fprintf(stderr, "%s: %s\n", path, e64_last_error()->message);
        exit(9);
    }
    return plugin;
}
]]

--- Builds a program that the loader is linked into.
---@param source string C, in which `open_plugin` opens one or ends the program
---@param flags? string
---@return string path
function threads.build (source, flags)
   if os.getenv "ELF64LOAD_CONFIG" == "tsan" then
      flags = (flags or "") .. " -fsanitize=thread"
   end
   return campaign.program({ fixtures.text(HEAD .. source, ".c"),
      "src/elf64load.h", fixtures.loader() .. "/lib/libelf64load.a" },
      "-w -pthread " .. (flags or ""))
end

--- Runs one, which must end well, and gives what it printed.
---@param source string
---@param arguments? string[]
---@param limits? limits
---@return string
function threads.program (source, arguments, limits)
   local result = child.run({ threads.build(source, limits and limits.flags),
      table.unpack(arguments or {}) }, limits)
   if result.code ~= 0 then
      error(("the program %s\n%s%s"):format(child.describe(result), result.out,
         result.err), 2)
   end
   return result.out
end

return threads
