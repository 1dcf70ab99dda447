--- What may be asked in a signal handler, whatever it has interrupted.

local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

local asked = assert(cc.shared([[
#include <unwind.h>
static thread_local long local = 11;
extern "C" {
int value = 5;
long *own(void) { return &local; }
static _Unwind_Reason_Code count(struct _Unwind_Context *context, void *data)
{
    ++*(int *)data;
    return _URC_NO_REASON;
}
// Unwinds from a plugin that was interrupted or not.
int frames(void)
{
    int n = 0;
    _Unwind_Backtrace(count, &n);
    return n;
}
}
]], { language = "c++", flags = "-fexceptions" }))

local passing = assert(cc.shared [[
#include <stdlib.h>
extern int named_by_nobody __attribute__((weak));
static _Thread_local int mine[100] = { 3 };
int *f(void) { return &named_by_nobody ? mine : mine + 1; }
]])

-- Signals come every now and then into opens and closes of other plugins in two
-- threads. What a handler asks is answered as if nothing were going on, and
-- nobody waits.
local PROGRAM = [[
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

static e64_plugin *plugin;
static int *value;
static long *(*own)(void);
static int (*frames)(void);
static atomic_long handled;
static atomic_int wrong, stop;
static _Thread_local int ready;

static void handle(int number)
{
    e64_place place;
    e64_symbol symbol;
    if (!ready)
        return;
    handled++;
    int before = errno;
    if (e64_whence((void *)own, &place, NULL) != E64_OK
        || place.plugin != plugin || strcmp(place.symbol, "own") != 0)
        wrong |= 1;
    if (e64_lookup(plugin, "value", NULL, &symbol, NULL) != E64_OK
        || symbol.address != value)
        wrong |= 2;
    if (e64_address(plugin, "frames") != (void *)frames)
        wrong |= 4;
    if (*own() != 11)
        wrong |= 8;
    if (frames() < 2)
        wrong |= 16;
    if (errno != before)
        wrong |= 32;
}

static void *work(void *path)
{
    *own(); // the block is there from now on
    ready = 1;
    while (handled < 1000) {
        e64_plugin *other = open_plugin(path);
        if (!e64_address(other, "f"))
            wrong |= 64;
        e64_address(other, "nothing of that name");
        e64_close(other, NULL);
    }
    ready = 0;
    return NULL;
}

static pthread_t workers[2];

static void *pester(void *data)
{
    for (int i = 0; !stop; i++) {
        pthread_kill(workers[i % 2], SIGUSR1);
        usleep(100);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    alarm(200);
    plugin = open_plugin(argv[1]);
    value = e64_address(plugin, "value");
    own = (long *(*)(void))e64_entry(plugin, "own");
    frames = (int (*)(void))e64_entry(plugin, "frames");
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &action, NULL);
    pthread_t thread;
    workers[1] = pthread_self();
    pthread_create(&workers[0], NULL, work, argv[2]);
    pthread_create(&thread, NULL, pester, NULL);
    work(argv[2]);
    stop = 1;
    pthread_join(thread, NULL);
    pthread_join(workers[0], NULL);
    printf("wrong %d\n", wrong);
    return 0;
}
]]

describe("A signal handler", function ()
   it("can unwind, look up and ask what is where, and has its thread's storage",
   function ()
      local out = threads.program(PROGRAM, { asked, passing })
      assert.equal("wrong 0\n", out)
   end)
end)
