--- Fixtures for the specs of what keeps plugins mapped: one that is pointed into,
--- and one that points.

local cc = require "elf64load.cc"

---@class pinning
local pinning = {}

-- Stays open: holds what points into others, and lets it go.
local HOLDER <const> = [[
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

static pthread_t thread;
static void (*function)(void);

static void *call(void *data) { function(); return data; }
long thread_calls(long f)
{
    function = (void (*)(void))f;
    return pthread_create(&thread, 0, call, 0);
}
long thread_at(long f)
{
    return pthread_create(&thread, 0, (void *(*)(void *))f, 0);
}
long join(void) { return pthread_join(thread, 0); }
long join_that(long other) { return pthread_join((pthread_t)other, 0); }
long rest(void) { return usleep(1000); }
long let_go(long descriptor) { return write((int)descriptor, "", 1); }
long stop_turning(long place) { *(volatile int *)place = 1; return 0; }

long handle(long f)
{
    struct sigaction action = { .sa_handler = (void (*)(int))f };
    return sigaction(SIGUSR2, &action, 0);
}
long unhandle(void) { return handle((long)SIG_DFL); }

long key_for(long f)
{
    pthread_key_t key;
    pthread_key_create(&key, (void (*)(void *))f);
    return key;
}
long key_end(long key) { return pthread_key_delete((pthread_key_t)key); }
]]

--- Its declarations.
pinning.holds = [[
   long thread_calls(long f); long thread_at(long f); long join(void);
   long join_that(long other); long let_go(long descriptor);
   long rest(void); long stop_turning(long place); long handle(long f); long unhandle(void);
   long key_for(long f); long key_end(long key);
]]

local TARGET <const> = [[
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <threads.h>
#include <unistd.h>

static int ends[2];
__attribute__((constructor)) static void begin(void) { pipe(ends); }
long descriptor(void) { return ends[1]; }

static volatile int there;
long arrived(void) { return there; }

// Waits here until somebody writes to the descriptor.
void wait_here(void) { char byte; there = 1; read(ends[0], &byte, 1); }
void *wait_first(void *data) { wait_here(); return data; }
void *exit_first(void *data) { wait_here(); pthread_exit(data); }
int wait_c11(void *data) { wait_here(); return 0; }

// Turns here until somebody writes to the place.
volatile int turns;
void turn_here(void) { there = 1; while (!turns) ; }
long place(void) { return (long)&turns; }

void on_signal(int number) { }
void on_key(void *value) { }
void nothing(void) { }
void at_end(int status, void *data) { }

long make_key(void)
{ pthread_key_t key; pthread_key_create(&key, on_key); return key; }
long make_tss(void) { tss_t key; tss_create(&key, on_key); return key; }
long make_plain(void)
{ pthread_key_t key; pthread_key_create(&key, free); return key; }

static pthread_t thread;
static thrd_t thread_c11;
long start(void)
{ pthread_create(&thread, 0, wait_first, 0); return (long)thread; }
long start_exit(void)
{ pthread_create(&thread, 0, exit_first, 0); return (long)thread; }
long start_c11(void)
{ thrd_create(&thread_c11, wait_c11, 0); return (long)thread_c11; }
long start_cancelled(void)
{
    pthread_create(&thread, 0, wait_first, 0);
    pthread_cancel(thread);
    return (long)thread;
}

int __register_atfork(void (*)(void), void (*)(void), void (*)(void), void *);
int __cxa_atexit(void (*)(void *), void *, void *);
long own_handlers(void)
{
    return pthread_atfork(nothing, 0, 0) | atexit(nothing)
         | at_quick_exit(nothing);
}
long forks_of_another(void)
{ return __register_atfork(nothing, 0, 0, &stdout); }
long exits_of_another(void)
{ return __cxa_atexit(on_key, 0, &stdout); }
long exits_of_none(void) { return on_exit(at_end, 0); }
]]

--- Its declarations.
pinning.has = [[
   long descriptor(void); long arrived(void); long place(void); long make_key(void);
   long make_tss(void); long make_plain(void); long start(void);
   long start_exit(void); long start_c11(void); long start_cancelled(void);
   long own_handlers(void); long forks_of_another(void);
   long exits_of_another(void); long exits_of_none(void);
]]

--- The path of the one that is pointed into.
---@return string
function pinning.target () return assert(cc.shared(TARGET)) end

--- The path of the one that points.
---@return string
function pinning.holder () return assert(cc.shared(HOLDER)) end

--- Whether a file is mapped in this process.
---@param path string
---@return boolean
function pinning.mapped (path)
   for line in io.lines "/proc/self/maps" do
      if line:find(path, 1, true) then return true end
   end
   return false
end

return pinning
