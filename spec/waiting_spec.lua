--- Threads that want what another thread is opening, starting or stopping.

local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local threads = require "spec.support.threads"

-- The same program opens by ld.so and by us. What it prints must be the same.
local OPENS = [[
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#ifdef LDSO
typedef void plugin;
static plugin *open_it(const char *path)
{ return dlopen(path, RTLD_NOW | RTLD_LOCAL); }
static plugin *open_for_all(const char *path)
{ return dlopen(path, RTLD_NOW | RTLD_GLOBAL); }
static void *find_it(plugin *p, const char *name) { return dlsym(p, name); }
static void close_it(plugin *p) { dlclose(p); }
#else
typedef e64_plugin plugin;
static plugin *open_it(const char *path) { return try_plugin(path); }
static plugin *open_for_all(const char *path)
{
    const e64_open_options options = { sizeof options, .global = 1 };
    plugin *p = NULL;
    e64_open(runtime, path, &options, &p, NULL);
    return p;
}
static void *find_it(plugin *p, const char *name)
{ return e64_address(p, name); }
static void close_it(plugin *p) { e64_close(p, NULL); }
#endif
static void rest(long ms)
{
    struct timespec time = { ms / 1000, ms % 1000 * 1000000 };
    nanosleep(&time, 0);
}
// What plugins tell the program, in the order in which they do.
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static char told[4096];
__attribute__((visibility("default"))) void tell(const char *what)
{
    pthread_mutex_lock(&mutex);
    strcat(strcat(told, what), "\n");
    pthread_mutex_unlock(&mutex);
}
// A constructor or destructor says that it runs, for which the program waits.
static atomic_int runs;
__attribute__((visibility("default"))) void runs_now(void) { runs = 1; }
static void await(void) { while (!runs) rest(1); }
static pthread_t begin(void *(*run)(void *), void *data)
{
    pthread_t thread;
    pthread_create(&thread, 0, run, data);
    return thread;
}
static int number(plugin *p, const char *name)
{
    int *value = p ? find_it(p, name) : 0;
    return value ? *value : -1;
}
]]

-- The program ends itself when its threads wait for each other.
local WATCH = [[
__attribute__((constructor)) static void watch(void) { alarm(200); }
]]

-- `runtime` is made by try_plugin: two threads must not both do it.
local EARLY = [[
#ifndef LDSO
__attribute__((constructor)) static void make(void)
{ e64_runtime_new(NULL, &runtime, NULL); }
#endif
]]

local function run (program, arguments)
   local result = child.run({ program, table.unpack(arguments) })
   if result.code ~= 0 then
      error(("it %s\n%s%s"):format(child.describe(result), result.out,
         result.err), 3)
   end
   return result.out
end

local function ours (source, arguments)
   return run(threads.build(OPENS .. EARLY .. WATCH .. source, "-rdynamic"),
      arguments)
end

local function each (source, arguments)
   local theirs = run(assert(cc.program(OPENS .. WATCH .. source,
      "-std=gnu11 -D_GNU_SOURCE -DLDSO -w -pthread -rdynamic -ldl")), arguments)
   return theirs, ours(source, arguments)
end

local function both (source, arguments)
   local theirs, text = each(source, arguments)
   assert.equal(theirs, text)
   return text
end

-- A plugin whose constructor opens another and keeps it open.
local function opener (name, other)
   return assert(cc.shared(([[
#include <dlfcn.h>
#include <time.h>
int %s;
void *other_of_%s;
__attribute__((constructor)) static void begin(void)
{
    struct timespec time = { 0, 50000000 };
    nanosleep(&time, 0);
    other_of_%s = dlopen("%s", RTLD_NOW);
    %s++;
}
]]):format(name, name, name, other, name), "-ldl"))
end

-- Two that open each other, of which neither is there before the other.
local function crossing ()
   local folder = fixtures.text("crossing", ".txt"):match "^(.*)/"
   local x = folder .. "/crossing-x.so"
   local y = opener("y", x)
   local made = opener("x", y)
   os.remove(x)
   assert(os.execute(("ln -s %s %s"):format(made, x)))
   return x, y
end

describe("Another thread #threads", function ()
   it("gets what one is starting when it has been started", function ()
      local path = assert(cc.shared [[
#include <time.h>
void tell(const char *);
int ready;
__attribute__((constructor)) static void begin(void)
{
    struct timespec time = { 0, 200000000 };
    tell("begins");
    nanosleep(&time, 0);
    ready++;
}
]])
      assert.equal("begins\n8 threads found it ready\n", both([[
static atomic_int ready;
static void *work(void *data)
{
    plugin *p = open_it(data);
    ready += number(p, "ready") == 1;
    return 0;
}
int main(int argc, char **argv)
{
    pthread_t all[8];
    for (int i = 0; i < 8; i++) all[i] = begin(work, argv[1]);
    for (int i = 0; i < 8; i++) pthread_join(all[i], 0);
    printf("%s%d threads found it ready\n", told, ready);
    return 0;
}
]], { path }))
   end)

   it("has what it needs started before it", function ()
      local needed = assert(cc.shared [[
#include <time.h>
void runs_now(void);
int ready;
__attribute__((constructor)) static void begin(void)
{
    struct timespec time = { 0, 200000000 };
    runs_now();
    nanosleep(&time, 0);
    ready = 1;
}
]])
      local path = assert(cc.shared([[
extern int ready;
int seen;
__attribute__((constructor)) static void begin(void) { seen = ready; }
]], needed))
      assert.equal("seen 1\n", both([[
static void *work(void *data) { open_it(data); return 0; }
int main(int argc, char **argv)
{
    pthread_t other = begin(work, argv[1]);
    await();
    printf("seen %d\n", number(open_it(argv[2]), "seen"));
    pthread_join(other, 0);
    return 0;
}
]], { needed, path }))
   end)

   -- Its constructor and its destructor take their time.
   local slow = assert(cc.shared [[
#include <time.h>
void runs_now(void);
int ready;
static void rest(void)
{
    struct timespec time = { 0, 200000000 };
    runs_now();
    nanosleep(&time, 0);
}
__attribute__((constructor)) static void begin(void) { rest(); ready = 1; }
__attribute__((destructor)) static void end(void) { rest(); }
]])
   local asking = assert(cc.shared [[
extern int ready __attribute__((weak));
int seen;
__attribute__((constructor)) static void begin(void)
{ seen = &ready ? 1 + ready : 0; }
]])

   it("binds to what one is opening for all when it has been started",
   function ()
      assert.equal("seen 2\n", both([[
static void *work(void *data) { open_for_all(data); return 0; }
int main(int argc, char **argv)
{
    pthread_t other = begin(work, argv[1]);
    await();
    printf("seen %d\n", number(open_it(argv[2]), "seen"));
    pthread_join(other, 0);
    return 0;
}
]], { slow, asking }))
   end)

   it("does not bind to what one is closing", function ()
      assert.equal("seen 0\n", both([[
static void *work(void *data) { close_it(data); return 0; }
int main(int argc, char **argv)
{
    plugin *closed = open_for_all(argv[1]);
    runs = 0;
    pthread_t other = begin(work, closed);
    await();
    printf("seen %d\n", number(open_it(argv[2]), "seen"));
    pthread_join(other, 0);
    return 0;
}
]], { slow, asking }))
   end)

   it("maps no file that one is mapping", function ()
      local path = assert(cc.shared "int one = 1;")
      local wide = assert(cc.shared("extern int one; int *p = &one;", path))
      assert.equal("2 mapped\n", ours([[
static atomic_int mapped;
static void log_it(void *data, e64_log_level level, const char *message)
{
    mapped += strstr(message, ": mapped at") != 0;
}
static pthread_barrier_t barrier;
static void *work(void *data)
{
    pthread_barrier_wait(&barrier);
    if (!open_it(data)) puts(e64_last_error()->message);
    return 0;
}
int main(int argc, char **argv)
{
    const e64_runtime_options options = { sizeof options, .log = log_it };
    e64_runtime_new(&options, &runtime, NULL);
    pthread_t all[8];
    pthread_barrier_init(&barrier, 0, 8);
    for (int i = 0; i < 8; i++) all[i] = begin(work, argv[1 + i % 2]);
    for (int i = 0; i < 8; i++) pthread_join(all[i], 0);
    printf("%d mapped\n", mapped);
    return 0;
}
]], { path, wide }))
   end)

   it("keeps what one needs that is being stopped", function ()
      local needed = assert(cc.shared [[
void tell(const char *);
int needed = 5;
__attribute__((destructor)) static void end(void) { tell("needed ends"); }
]])
      local late = assert(cc.shared([[
void tell(const char *);
void runs_now(void);
void let_close(void);
extern int needed;
__attribute__((destructor)) static void end(void)
{
    runs_now();
    let_close();
    tell(needed == 5 ? "slow ends" : "slow is wrong");
}
]], "-Wl,--no-as-needed " .. needed))
      local quick = assert(cc.shared([[
void tell(const char *);
__attribute__((destructor)) static void end(void) { tell("quick ends"); }
]], "-Wl,--no-as-needed " .. needed))
      local program = [[
// Under ld.so the other close waits for this one.
static atomic_int closed;
__attribute__((visibility("default"))) void let_close(void)
{
#ifndef LDSO
    while (!closed) rest(1);
#endif
}
static void *work(void *data) { close_it(data); return 0; }
int main(int argc, char **argv)
{
    plugin *quick = open_it(argv[2]);
    pthread_t other = begin(work, open_it(argv[1]));
    await();
    close_it(quick);
    closed = 1;
    pthread_join(other, 0);
    fputs(told, stdout);
    return 0;
}
]]
      local theirs, text = each(program, { late, quick })
      assert.equal("slow ends\nquick ends\nneeded ends\n", theirs)
      -- Which of the two is first is not what others can see.
      assert.equal("quick ends\nslow ends\nneeded ends\n", text)
   end)

   it("maps again what one is stopping when it has been stopped", function ()
      local needed = assert(cc.shared [[
#include <time.h>
void tell(const char *);
__attribute__((constructor)) static void begin(void) { tell("needed begins"); }
__attribute__((destructor)) static void end(void)
{
    struct timespec time = { 0, 100000000 };
    nanosleep(&time, 0);
    tell("needed ends");
}
]])
      local path = assert(cc.shared([[
#include <time.h>
void tell(const char *);
void runs_now(void);
__attribute__((constructor)) static void begin(void) { tell("begins"); }
__attribute__((destructor)) static void end(void)
{
    struct timespec time = { 0, 100000000 };
    runs_now();
    nanosleep(&time, 0);
    tell("ends");
}
]], "-Wl,--no-as-needed " .. needed))
      assert.equal([[
needed begins
begins
ends
needed ends
needed begins
begins
]], both([[
static void *work(void *data) { close_it(data); return 0; }
int main(int argc, char **argv)
{
    pthread_t other = begin(work, open_it(argv[1]));
    await();
    plugin *p = open_it(argv[1]);
    pthread_join(other, 0);
    fputs(told, stdout);
    fflush(stdout);
    _exit(!p);
}
]], { path, needed }))
   end)
end)

describe("Threads that would wait for each other #threads", function ()
   local MAIN = [[
static plugin *opened[2];
static char **paths;
static void *work(void *data)
{
    long n = (long)data;
    opened[n] = open_it(paths[n]);
    return 0;
}
int main(int argc, char **argv)
{
    pthread_t all[2];
    paths = argv + 1;
    for (long i = 0; i < 2; i++) all[i] = begin(work, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(all[i], 0);
    plugin **of_x = find_it(opened[0], "other_of_x");
    plugin **of_y = find_it(opened[1], "other_of_y");
    printf("x %d y %d, same %d %d\n", number(opened[0], "x"),
        number(opened[1], "y"), *of_x == opened[1], *of_y == opened[0]);
    return 0;
}
]]

   it("get each other's plugins as they stand (crossing constructors)",
   function ()
      local x, y = crossing()
      assert.equal("x 1 y 1, same 1 1\n", both(MAIN, { x, y }))
   end)

   it("do so across two runtimes", function ()
      local x = crossing()
      -- dlopen of the program's own choice, for the constructors.
      local function across (name, runtime, path)
         return assert(cc.shared(([[
#include <time.h>
void *open_in(int runtime, const char *path);
int %s;
void *other_of_%s;
__attribute__((constructor)) static void begin(void)
{
    struct timespec time = { 0, 50000000 };
    nanosleep(&time, 0);
    other_of_%s = open_in(%d, "%s");
    %s++;
}
]]):format(name, name, name, runtime, path, name)))
      end
      local y = across("y", 0, x)
      local made = across("x", 1, y)
      os.remove(x)
      assert(os.execute(("ln -s %s %s"):format(made, x)))
      assert.equal("x 1 y 1, same 1 1\n", ours([[
static e64_runtime *runtimes[2];
__attribute__((visibility("default"))) void *open_in(int n, const char *path)
{
    e64_plugin *p = NULL;
    e64_open(runtimes[n], path, NULL, &p, NULL);
    return p;
}
static plugin *opened[2];
static char **paths;
static void *work(void *data)
{
    long n = (long)data;
    opened[n] = open_in(n, paths[n]);
    return 0;
}
int main(int argc, char **argv)
{
    pthread_t all[2];
    paths = argv + 1;
    for (int i = 0; i < 2; i++) e64_runtime_new(NULL, &runtimes[i], NULL);
    for (long i = 0; i < 2; i++) all[i] = begin(work, (void *)i);
    for (int i = 0; i < 2; i++) pthread_join(all[i], 0);
    plugin **of_x = find_it(opened[0], "other_of_x");
    plugin **of_y = find_it(opened[1], "other_of_y");
    printf("x %d y %d, same %d %d\n", number(opened[0], "x"),
        number(opened[1], "y"), *of_x == opened[1], *of_y == opened[0]);
    return 0;
}
]], { x, y }))
   end)

   it("do so where one is in a constructor of the host", function ()
      -- glibc opens `inside`, whose constructor opens the plugin, which another
      -- thread is starting, and its constructor has glibc open `other`.
      local inside = assert(cc.shared [[
void from_host(void);
__attribute__((constructor)) static void begin(void) { from_host(); }
]])
      local other = assert(cc.shared "int other = 7;")
      local path = assert(cc.shared [[
void from_plugin(void);
int started;
__attribute__((constructor)) static void begin(void)
{
    from_plugin();
    started = 1;
}
]])
      assert.equal("other 7, plugin 1 1\n", both([[
static char **paths;
static atomic_int host_is_in, plugin_is_in;
static plugin *by_host;
__attribute__((visibility("default"))) void from_host(void)
{
    host_is_in = 1;
#ifndef LDSO // under ld.so the other one cannot get that far
    for (int i = 0; i < 1000 && !plugin_is_in; i++) rest(1);
    rest(50);
#endif
    by_host = open_it(paths[1]);
}
static int other;
__attribute__((visibility("default"))) void from_plugin(void)
{
    plugin_is_in = 1;
#ifndef LDSO
    for (int i = 0; i < 1000 && !host_is_in; i++) rest(1);
#endif
    void *handle = dlopen(paths[2], RTLD_NOW);
    other = *(int *)dlsym(handle, "other");
}
static void *work(void *data) { dlopen(paths[0], RTLD_NOW); return 0; }
int main(int argc, char **argv)
{
    paths = argv + 1;
    pthread_t thread = begin(work, 0);
    plugin *p = open_it(paths[1]);
    pthread_join(thread, 0);
    printf("other %d, plugin %d %d\n", other, number(p, "started"),
        number(by_host, "started"));
    return 0;
}
]], { inside, path, other }))
   end)

   it("open and close what needs the same, all at once", function ()
      local common = assert(cc.shared [[
int common = 5;
__attribute__((constructor)) static void begin(void) { common++; }
]])
      local other = assert(cc.shared "int other = 3;")
      local flags = "-Wl,--no-as-needed "
      local x = assert(cc.shared("extern int common, other;"
         .. "int x(void) { return common + other; }",
         flags .. common .. " " .. other))
      local y = assert(cc.shared("extern int common, other;"
         .. "int y(void) { return common * other; }",
         flags .. other .. " " .. common))
      assert.equal("0 wrong\n", both([[
static char **paths;
static atomic_int wrong;
static void *work(void *data)
{
    long n = (long)data;
    for (int i = 0; i < 100; i++) {
        plugin *p = open_it(paths[n % 2]);
        int (*f)(void) = p ? find_it(p, n % 2 ? "y" : "x") : 0;
        if (!f || f() != (n % 2 ? 18 : 9)) wrong++;
        if (p) close_it(p);
    }
    return 0;
}
int main(int argc, char **argv)
{
    pthread_t all[4];
    paths = argv + 1;
    for (long i = 0; i < 4; i++) all[i] = begin(work, (void *)i);
    for (int i = 0; i < 4; i++) pthread_join(all[i], 0);
    printf("%d wrong\n", wrong);
    return 0;
}
]], { x, y }))
   end)

   it("ends the process: what one is stopping is waited for", function ()
      local path = assert(cc.shared [[
         #include <unistd.h>
         void runs_now(void);
         __attribute__((destructor)) static void end(void)
         {
             write(1, "stopping\n", 9);
             runs_now();
             usleep(100000);
             write(1, "stopped\n", 8);
         }
      ]])
      assert.equal("stopping\nstopped\n", both([[
static void *work(void *data) { close_it(data); return 0; }
int main(int argc, char **argv)
{
    pthread_detach(begin(work, open_it(argv[1])));
    await();
    return 0;
}
]], { path }))
   end)
end)
