--- Plugins whose thread-local variables at fixed offsets do not begin as zeros,
--- in processes with threads of all kinds.

local child = require "spec.support.child"
local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

local INITIAL <const> = "-ftls-model=initial-exec"

-- What is opened: 77, or zeros.
local function plugin (value)
   return assert(cc.shared(([[
      __thread struct { long first; char rest[200]; } room = { %d };
      long check(void) { return room.first; }
      long change(long x) { return room.first += x; }
   ]]):format(value), INITIAL))
end

-- Threads that wait, each in its own way, and then say what `check` gives them.
local WAITING <const> = [[
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long (*volatile check)(void);
static atomic_int ready, wrong, right, stop;
static int pipes[2];
static sem_t gate;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static pthread_t started[64];
static int count;

static void *nothing(void *data) { return data; }

// Leaves the return addresses of pthread_create on the stack, and waits in a
// frame that covers them and does not write to it.
static __attribute__((noinline)) void create(void)
{
    pthread_t thread;
    pthread_create(&thread, 0, nothing, 0);
    pthread_join(thread, 0);
}

static __attribute__((noinline)) void cover(void)
{
    volatile char room[8192];
    char byte;
    __asm__ volatile ("" : : "r"(room) : "memory");
    ready++;
    read(pipes[0], &byte, 1);
}

static void *wait_in(void *data)
{
    char byte;
    switch ((long)data) {
    case 0:
        ready++;
        read(pipes[0], &byte, 1);
        break;
    case 1:
        ready++;
        sem_wait(&gate);
        break;
    case 2:
        pthread_mutex_lock(&mutex);
        ready++;
        while (!stop)
            pthread_cond_wait(&changed, &mutex);
        pthread_mutex_unlock(&mutex);
        break;
    case 3:
        ready++;
        while (!stop) {
            struct timespec time = { 0, 100000 };
            nanosleep(&time, 0);
        }
        break;
    case 4:
        ready++;
        while (!stop)
            ;
        break;
    case 5: {
        sigset_t all;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, 0);
        ready++;
        sem_wait(&gate);
        break;
    }
    case 6: {
        stack_t stack = { malloc(16384), 0, 16384 }, old;
        sigaltstack(&stack, &old);
        ready++;
        sem_wait(&gate);
        sigaltstack(&old, 0);
        free(stack.ss_sp);
        break;
    }
    case 7:
        create();
        cover();
        break;
    }
    check() == 77 ? right++ : wrong++;
    return 0;
}

long start(void)
{
    pipe(pipes);
    sem_init(&gate, 0, 0);
    for (long kind = 0; kind < 8; kind++)
        for (int i = 0; i < (kind == 4 ? 1 : 4); i++)
            pthread_create(&started[count++], 0, wait_in, (void *)kind);
    while (ready < count)
        usleep(100);
    return count;
}

long finish(long (*function)(void))
{
    check = function;
    pthread_mutex_lock(&mutex);
    stop = 1;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    for (int i = 0; i < count; i++) {
        write(pipes[1], "x", 1);
        sem_post(&gate);
    }
    for (int i = 0; i < count; i++)
        pthread_join(started[i], 0);
    return right * 1000 + wrong;
}

static void *block(void *data)
{
    unsigned long all = -1;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, 0, 8);
    ready = gettid();
    sem_wait(&gate);
    return 0;
}

// A thread that no signal reaches, and its end.
long start_deaf(void)
{
    sem_init(&gate, 0, 0);
    pthread_create(&started[count++], 0, block, 0);
    while (!ready)
        usleep(100);
    return ready;
}

long end_deaf(void)
{
    sem_post(&gate);
    return pthread_join(started[0], 0);
}

long deny(long number)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { 4, filter };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

// All threads change their identity by signal 33.
long change_identity(void)
{
    return setresuid(-1, -1, -1) || setresgid(-1, -1, -1);
}

static int raw(void *data)
{
    ready++;
    while (!stop)
        syscall(SYS_sched_yield);
    return 0;
}

// A thread of the process of which libc knows nothing.
long start_raw(void)
{
    char *stack = mmap(0, 65536, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    clone(raw, stack + 65536, CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND
          | CLONE_THREAD | CLONE_SYSVSEM, 0);
    while (!ready)
        usleep(100);
    return 0;
}

static void *call(void *data)
{
    return (void *)((long (*)(void))data)();
}

long in_new(long (*function)(void))
{
    pthread_t thread;
    void *answer;
    pthread_create(&thread, 0, call, (void *)function);
    pthread_join(thread, &answer);
    return (long)answer;
}

static pthread_t late;
static long created;

static void create_and_keep(void)
{
    create();
    created++;
}

// Handlers that were there first: they run while the loader's hold its locks.
long handle_fork(void)
{
    return pthread_atfork(create_and_keep, create_and_keep, create_and_keep);
}

// What the function gives in a child, in its only thread and in a new one.
long in_child(long (*function)(void))
{
    int status = 0;
    pid_t child = fork();
    if (!child)
        _exit(function() == 77 && in_new(function) == 77 ? 7 : 1);
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

// Forks and gives the child's number, 0 in the child.
long split(void) { return fork(); }
long end_child(long code) { _exit(code); }
long wait_child(long child)
{
    int status = 0;
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}
]]

-- What begins each script: `w` has the functions above, `open` opens a plugin
-- and answers its functions and the address of check.
local PREFIX <const> = [[
local elf = require "elf64load"
local waiting, nonzero, zero = ...
local w = assert(elf.open(waiting)):cdef [=[
   long start(void); long finish(long); long deny(long);
   long change_identity(void); long start_raw(void);
   long in_new(long); long handle_fork(void); long in_child(long);
   long start_deaf(void); long end_deaf(void); long split(void);
   long end_child(long); long wait_child(long);
]=]
local function open (path)
   local p, message, kind = elf.open(path)
   if not p then return nil, message, kind end
   local C = p:cdef "long check(void); long change(long);"
   return C, math.tointeger(assert(p:lookup "check").address), p
end
]]

local function run (source, limits)
   local result = child.lua(PREFIX .. source,
      { assert(cc.shared(WAITING, "-pthread")), plugin(77), plugin(0) }, limits)
   if result.code ~= 0 then
      error(("it %s\n%s%s"):format(child.describe(result), result.out,
         result.err), 2)
   end
   return result.out
end

describe("Threads that run before a plugin is opened", function ()
   local SOURCE <const> = [[
      local count = w.start()
      local C, check = assert(open(nonzero))
      print(C.check(), w.in_new(check))
      print(w.finish(check) - count * 1000)
   ]]

   -- Some seem to be creating threads: an open that waited for them to leave
   -- off would not end.
   it("find what its variables begin as, whatever they wait for", function ()
      assert.equal("77\t77\n0\n", run(SOURCE))
   end)

   it("find it where libc's imports were bound at the start", function ()
      assert.equal("77\t77\n0\n", run(SOURCE, { env = { LD_BIND_NOW = "1" } }))
   end)

   it("find it where stacks are larger than libc keeps", function ()
      assert.equal("77\t77\n0\n", run(SOURCE, { through = { "prlimit",
         "--stack=67108864:" } }))
   end)

   it("still change the process's identity together", function ()
      assert.equal("0\n0\n", run [[
         local count = w.start()
         local C, check = assert(open(nonzero))
         print(w.change_identity())
         print(w.finish(check) - count * 1000)
      ]])
   end)

   it("may be some of which libc knows nothing", function ()
      assert.equal("77\t77\n0\n", run [[
         w.start_raw()
         local count = w.start()
         local C, check = assert(open(nonzero))
         print(C.check(), w.in_new(check))
         print(w.finish(check) - count * 1000 + 0)
      ]])
   end)

   it("keep what they wrote when another plugin comes", function ()
      assert.equal("80\t80\t77\n", run [[
         local C, check = assert(open(nonzero))
         C.change(3)
         local count = w.start()
         local other = assert(open(zero))
         other.change(5)
         local third = assert(elf.open(nonzero, { private = true }))
         print(C.check(), C.change(0), third:cdef "long check(void);".check())
         w.finish(check)
      ]])
   end)
end)

describe("A process of one thread", function ()
   for _, now in ipairs { "", "1" } do
      it("stays one when a plugin is opened, and its later threads are known: "
         .. (now == "" and "lazily" or "eagerly") .. " bound", function ()
         assert.equal("true\n77\t77\n77\t77\n0\n", run([[
            local H = elf.host:cdef "extern char __libc_single_threaded;"
            local before = H.__libc_single_threaded
            local C, check = assert(open(nonzero))
            print(before == H.__libc_single_threaded)
            local count = w.start()
            -- rt_tgsigqueueinfo: they cannot be asked.
            assert(w.deny(297) == 0)
            local p = assert(elf.open(nonzero, { private = true }))
            local D = p:cdef "long check(void);"
            print(D.check(), w.in_new(p:lookup "check".address))
            print(C.check(), w.in_new(check))
            print(w.finish(p:lookup "check".address) - count * 1000)
            os.exit(true, false)
         ]], { env = { LD_BIND_NOW = now } }))
      end)
   end
end)

describe("Where a system call is denied", function ()
   local CALLS <const> = { rt_tgsigqueueinfo = 297, rt_sigaction = 13 }

   for name, number in pairs(CALLS) do
      it("images of zeros work, others are refused by name: " .. name, function ()
         local out = run(([[
            w.start()
            assert(w.deny(%d) == 0)
            local C = assert(open(zero))
            print(C.check())
            local nothing, message, kind = open(nonzero)
            print(nothing, kind, message:find("%s", 1, true) ~= nil,
               message:find("do not begin as zeros", 1, true) ~= nil)
            os.exit(true, false)
         ]]):format(number, name))
         assert.equal("0\nnil\tunsupported\ttrue\ttrue\n", out)
      end)

      it("a process of one thread needs none: " .. name, function ()
         assert.equal("77\t77\n", run(([[
            assert(w.deny(%d) == 0)
            local C, check = assert(open(nonzero))
            print(C.check(), w.in_new(check))
            os.exit(true, false)
         ]]):format(number)))
      end)
   end

   it("an open that was refused is tried again", function ()
      -- What was denied is not allowed again; but the threads may have ended.
      assert.equal("nil\n77\t77\n", run [[
         local C, check = assert(open(zero))
         w.start()
         assert(w.deny(297) == 0)
         print((open(nonzero)))
         w.finish(check)
         C, check = assert(open(nonzero))
         print(C.check(), w.in_new(check))
         os.exit(true, false)
      ]])
   end)

   it("process_vm_readv is not missed", function ()
      assert.equal("77\t77\n0\n", run [[
         local count = w.start()
         assert(w.deny(310) == 0)
         local C, check = assert(open(nonzero))
         print(C.check(), w.in_new(check))
         print(w.finish(check) - count * 1000)
         os.exit(true, false)
      ]])
   end)
end)

describe("A thread that cannot be asked", function ()
   it("is named, and nothing is written until it has ended #full", function ()
      assert.equal("nil\tunsupported\ttrue\n77\t77\n", run [[
         local thread = w.start_deaf()
         local C, message, kind = open(nonzero)
         print(C, kind, message:find("thread " .. thread .. " ", 1, true) ~= nil)
         w.end_deaf()
         local check
         C, check = assert(open(nonzero))
         print(C.check(), w.in_new(check))
      ]])
   end)
end)

describe("A child", function ()
   it("of fork has the plugin's variables, and threads of its own", function ()
      assert.equal("7\n7\n", run [[
         local C, check = assert(open(nonzero))
         print(w.in_child(check))
         w.start()
         print(w.in_child(check))
         w.finish(check)
      ]])
   end)

   it("opens plugins and closes them", function ()
      assert.equal("7\n", run [[
         w.start()
         local C, check, p = assert(open(nonzero))
         local pid = w.split()
         if pid == 0 then
            local ok = pcall(function ()
               local zeros = assert(open(zero))
               assert(zeros.check() == 0 and C.check() == 77)
               p:close()
               local again, address = assert(open(nonzero))
               assert(again.check() == 77 and w.in_new(address) == 77)
            end)
            w.end_child(ok and 7 or 1)
         end
         print(w.wait_child(pid))
         w.finish(check)
      ]])
   end)

   it("is forked though other handlers create threads meanwhile", function ()
      assert.equal("7\n77\n", run [[
         assert(w.handle_fork() == 0)
         local C, check = assert(open(nonzero))
         print(w.in_child(check))
         print(w.in_new(check))
      ]])
   end)

   it("may be the first to open one", function ()
      assert.equal("7\n77\n", run [[
         w.start()
         local pid = w.split()
         if pid == 0 then
            local C, check = open(nonzero)
            w.end_child(C and C.check() == 77 and w.in_new(check) == 77
               and 7 or 1)
         end
         print(w.wait_child(pid))
         local C, check = assert(open(nonzero))
         print(w.in_new(check))
         w.finish(check)
      ]])
   end)
end)

describe("Two copies of the loader", function ()
   it("each find all threads, and hand on what is the other's", function ()
      -- The second copy is a library that glibc opens.
      local archive = require "spec.support.fixtures".loader()
         .. "/lib/libelf64load.a"
      local copy = assert(cc.shared(([[
         #include <elf64load.h>
         // %d
         E64_TLS_POOL(512)
         static e64_runtime *runtime;
         long open_in_copy(const char *path)
         {
             e64_plugin *plugin = 0;
             if (!runtime)
                 e64_runtime_new(0, &runtime, 0);
             e64_open(runtime, path, 0, &plugin, 0);
             return plugin ? (long)e64_address(plugin, "check") : 0;
         }
      ]]):format(require "lfs".attributes(archive, "modification")),
         "-I src -Wl,-z,nodelete -Wl,--exclude-libs,ALL " .. archive
         .. (child.sanitizer == "tsan" and " -fsanitize=thread"
            or child.sanitizer == "asan" and " -fsanitize=address,undefined"
            or "")))
      assert.equal("77 77 77 77\n0\n", threads.program([[
         #include <dlfcn.h>
         #include <string.h>
         int main(int argc, char **argv)
         {
             e64_plugin *waiting = open_plugin(argv[1]);
             #define FUNCTION(name) \
                 long (*name)() = (long (*)())e64_entry(waiting, #name)
             FUNCTION(start);
             FUNCTION(finish);
             FUNCTION(in_new);
             FUNCTION(change_identity);
             void *copy = dlopen(argv[3], RTLD_NOW);
             long (*open_in_copy)() = (long (*)())dlsym(copy, "open_in_copy");
             long count = start();
             long (*ours)() = (long (*)())e64_entry(open_plugin(argv[2]),
                                                    "check");
             long (*theirs)() = (long (*)())open_in_copy(argv[2]);
             if (change_identity())
                 return 8;
             printf("%ld %ld %ld %ld\n", ours(), in_new(ours), theirs(),
                    in_new(theirs));
             printf("%ld\n", finish(theirs) - count * 1000);
             return 0;
         }
      ]], { assert(cc.shared(WAITING, "-pthread")), plugin(77), copy }))
   end)
end)
