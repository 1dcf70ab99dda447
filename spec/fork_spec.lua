--- What a child of fork can do when it was made in the middle of opens.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

local needed = assert(cc.shared [[
static _Thread_local int per_thread = 3;
int *needed(void) { return &per_thread; }
]])

-- Without a constructor: one that another thread was running would stay half
-- done in the child.
local plain = assert(cc.shared([[
extern int *needed(void);
static int four = 4, *pointer = &four;
int f(void) { return *pointer + *needed(); }
]], needed))

local throwing = assert(cc.shared([[
#include <stdexcept>
#include <string>
static thread_local std::string text("a text that does not fit into the object");
extern "C" int f(void)
{
    try { throw std::runtime_error(text); }
    catch (const std::exception &error) { return (int)text.size() - 33; }
}
]], { language = "c++" }))

-- Every child opens, calls, closes and ends with 0. One that hangs is ended by
-- its alarm.
local FORKS = [[
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char **paths;
static int count;
static atomic_int stop;

// 0, or what went wrong.
static int use(e64_runtime *in, const char *path, int expected)
{
    e64_plugin *p;
    if (e64_open(in, path, NULL, &p, NULL) != E64_OK) {
        fprintf(stderr, "%s\n", e64_last_error()->message);
        return 2;
    }
    int (*f)(void) = (int (*)(void))e64_entry(p, "f");
    int result = f ? f() : -1;
    e64_place place;
    if (e64_whence((void *)f, &place, NULL) != E64_OK || !place.symbol
        || strcmp(place.symbol, "f") != 0)
        return 3;
    if (e64_close(p, NULL) != E64_OK)
        return 4;
    return result == expected ? 0 : 5;
}

static void *work(void *data)
{
    for (long i = (long)data; !stop; i++)
        if (use(runtime, paths[i % count], 7))
            _exit(9);
    return NULL;
}

static int in_child(void)
{
    int wrong = 0;
    alarm(200);
    for (int i = 0; i < 2 * count && !wrong; i++)
        wrong = use(runtime, paths[i % count], 7);
    e64_runtime *own;
    if (!wrong && e64_runtime_new(NULL, &own, NULL) != E64_OK)
        wrong = 6;
    if (!wrong)
        wrong = use(own, paths[0], 7);
    if (!wrong && e64_runtime_free(own, NULL) != E64_OK)
        wrong = 7;
    return wrong;
}

int main(int argc, char **argv)
{
    pthread_t all[3];
    paths = argv + 2;
    count = argc - 2;
    e64_runtime_new(NULL, &runtime, NULL);
    for (long i = 0; i < 3; i++)
        pthread_create(&all[i], NULL, work, (void *)i);
    int wrong = 0;
    for (int i = 0; i < atoi(argv[1]) && !wrong; i++) {
        int status;
        pid_t pid = fork();
        if (!pid)
            _exit(in_child());
        waitpid(pid, &status, 0);
        wrong = status;
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(all[i], NULL);
    for (int i = 0; i < count && !wrong; i++)
        wrong = use(runtime, paths[i], 7);
    printf("%x\n", wrong);
    return 0;
}
]]

-- A plugin whose constructor forks, or has another thread do so.
local STARTING = [[
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char **paths;
static int elsewhere;

static int value(e64_plugin *p, const char *name)
{
    int *address = p ? e64_address(p, name) : NULL;
    return address ? *address : -1;
}

// Opens what is being started in the parent, and something else.
static int in_child(void)
{
    e64_plugin *p, *other;
    alarm(200);
    if (e64_open(runtime, paths[0], NULL, &p, NULL) != E64_OK
        || e64_open(runtime, paths[1], NULL, &other, NULL) != E64_OK)
        return 2;
    int (*f)(void) = (int (*)(void))e64_entry(other, "f");
    if (f() != 7 || value(p, "begun") != 1 || value(p, "ended") != 0)
        return 3;
    if (e64_close(other, NULL) != E64_OK || e64_close(p, NULL) != E64_OK)
        return 4;
    // Of another thread's constructors nobody is left to wait for.
    e64_status status = e64_runtime_free(runtime, NULL);
    return status == (elsewhere ? E64_OK : E64_INUSE) ? 0 : 5;
}

static int forked(void)
{
    int status;
    pid_t pid = fork();
    if (!pid)
        _exit(in_child());
    waitpid(pid, &status, 0);
    return status;
}

static int status = -1;
static pthread_barrier_t barrier;

static void *fork_elsewhere(void *data)
{
    pthread_barrier_wait(&barrier);
    status = forked();
    pthread_barrier_wait(&barrier);
    return NULL;
}

__attribute__((visibility("default"))) void starting(void)
{
    if (elsewhere) {
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
    } else {
        status = forked();
    }
}

int main(int argc, char **argv)
{
    pthread_t thread;
    paths = argv + 2;
    elsewhere = argv[1][0] == '1';
    e64_runtime_new(NULL, &runtime, NULL);
    pthread_barrier_init(&barrier, NULL, 2);
    if (elsewhere)
        pthread_create(&thread, NULL, fork_elsewhere, NULL);
    e64_plugin *p = open_plugin(paths[0]);
    if (elsewhere)
        pthread_join(thread, NULL);
    printf("%x %d\n", status, value(p, "ended"));
    return 0;
}
]]

-- What is registered for the end of the process makes the list long that glibc
-- walks, under a lock that it leaves as it was, for each plugin that is closed.
local LISTED = [[
#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

int __cxa_atexit(void (*function)(void *), void *data, void *dso);
static char **paths;
static atomic_int stop;
static void nothing(void *data) { }
static int use(void)
{
    e64_plugin *p;
    return e64_open(runtime, paths[1], NULL, &p, NULL) != E64_OK
        || e64_close(p, NULL) != E64_OK;
}
static void *work(void *data) { while (!stop) use(); return NULL; }

int main(int argc, char **argv)
{
    pthread_t all[3];
    int wrong = 0;
    paths = argv;
    open_plugin(argv[2]);
    for (int i = 0; i < 20000; i++)
        __cxa_atexit(nothing, NULL, &paths);
    for (int i = 0; i < 3; i++)
        pthread_create(&all[i], NULL, work, NULL);
    for (int i = 0; i < 30 && !wrong; i++) {
        pid_t pid = fork();
        if (!pid) {
            alarm(200);
            _exit(use());
        }
        waitpid(pid, &wrong, 0);
    }
    stop = 1;
    for (int i = 0; i < 3; i++)
        pthread_join(all[i], NULL);
    printf("%x\n", wrong);
    return 0;
}
]]

-- Another thread is in dl_iterate_phdr, whose lock glibc leaves as it was.
local WALKING = [[
#include <link.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_barrier_t barrier;

static int walk(struct dl_phdr_info *info, size_t size, void *data)
{
    pthread_barrier_wait(&barrier);
    pthread_barrier_wait(&barrier);
    return 1;
}

static void *work(void *data)
{
    dl_iterate_phdr(walk, NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t thread;
    int status = -1;
    open_plugin(argv[2]);
    pthread_barrier_init(&barrier, NULL, 2);
    pthread_create(&thread, NULL, work, NULL);
    pthread_barrier_wait(&barrier);
    pid_t pid = fork();
    if (!pid) {
        alarm(200);
        e64_plugin *p = open_plugin(argv[1]);
        _exit(((int (*)(void))e64_entry(p, "f"))() != 7
              || e64_close(p, NULL) != E64_OK);
    }
    waitpid(pid, &status, 0);
    pthread_barrier_wait(&barrier);
    pthread_join(thread, NULL);
    printf("%x\n", status);
    return 0;
}
]]

describe("A child of fork", function ()
   it("closes though other threads were closing #build", function ()
      assert.equal("0\n", threads.program(LISTED, { plain, needed }))
   end)

   it("opens and closes though another thread was walking the host's list",
   function ()
      assert.equal("0\n", threads.program(WALKING, { plain, needed }))
   end)

   -- The address sanitizer's allocator is left locked in a child that was made
   -- while another thread was in it.
   it("opens, unwinds and closes, made while three threads do so #build",
   function ()
      assert.equal("0\n", threads.program(FORKS, { "100", plain, throwing },
         { seconds = 300 }))
   end)

   local starting = assert(cc.shared [[
void starting(void);
int begun, ended;
__attribute__((constructor)) static void begin(void)
{
    begun = 1;
    starting();
    ended = 1;
}
]])

   for elsewhere, what in pairs { ["0"] = "a constructor of its own thread",
      ["1"] = "another thread's constructor" } do
      it("gets the plugin as it stands that was being started by " .. what,
      function ()
         local program = threads.build(STARTING, "-rdynamic")
         local result = child.run { program, elsewhere, starting, plain }
         assert.equal("0 1\n", result.out .. result.err)
      end)
   end
end)
