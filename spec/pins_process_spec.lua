--- What keeps plugins mapped for good, in forked children, and as C programs see
--- it: each in a process of its own.

local cc = require "elf64load.cc"
local child = require "spec.support.child"
local pinning = require "spec.support.pinning"
local threads = require "spec.support.threads"

local target = pinning.target()

local function script (text)
   local result = child.lua([[
      local elf = require "elf64load"
      local target, holder = arg[1], assert(elf.open(arg[2]))
      local H = holder:cdef(arg[3])
      local function mapped ()
         for line in io.lines "/proc/self/maps" do
            if line:find(target, 1, true) then return "mapped" end
         end
         return "gone"
      end
      local function kinds (p)
         local list = {}
         for at, pin in ipairs(p:pins()) do list[at] = pin.kind end
         return table.concat(list, " ")
      end
      local has = arg[4]
   ]] .. text, { target, pinning.holder(), pinning.holds, pinning.has })
   assert.equal(0, result.code, child.describe(result) .. result.err)
   return result.out
end

describe("A plugin stays mapped", function ()
   it("when handlers of it were set for another object, or for none", function ()
      for name, kind in pairs { forks_of_another = "fork",
         exits_of_another = "exit", exits_of_none = "exit" } do
         assert.equal(kind .. "\n" .. kind .. "\nmapped\n", script(([[
            local p = assert(elf.open(target))
            assert(p:cdef(has).%s() == 0)
            for _, pin in ipairs(p:pins()) do
               if pin.kind ~= "handle" then print(pin.kind) end
            end
            p:close()
            print(kinds(p))
            print(mapped())
         ]]):format(name)), name)
      end
   end)

   it("where a runtime leaks what was in use", function ()
      assert.equal("leaked signal\nleaked\nmapped\n", script [[
         local runtime = elf.runtime { unload = "leak" }
         local p = assert(runtime:open(target))
         H.handle(p:lookup "on_signal".address)
         p:close()
         print(kinds(p))
         H.unhandle()
         print(kinds(p))
         assert(runtime:open(target)):close()
         assert(runtime:close())
         print(mapped())
      ]])
   end)
end)

describe("In a forked child", function ()
   it("threads of the parent keep nothing #build", function ()
      assert.equal("thread stack \ngone\n", threads.program([[
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int show(void *data, const e64_pin *pin)
{
    if (pin->kind != E64_PIN_HANDLE)
        printf("%s ", pin->name);
    return 0;
}

static int is_stack(void *data, const e64_pin *pin)
{
    return pin->kind == E64_PIN_STACK;
}

static int find(const char *path)
{
    char line[4096];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        found |= strstr(line, path) != NULL;
    fclose(maps);
    return found;
}

int main(int argc, char **argv)
{
    e64_plugin *p = open_plugin(argv[1]);
    ((long (*)(void))e64_entry(p, "start"))();
    while (!e64_pins(p, is_stack, NULL))
        usleep(1000);
    e64_pins(p, show, NULL);
    puts("");
    fflush(stdout);
    if (fork() == 0) {
        e64_close(p, NULL);
        puts(find(argv[1]) ? "mapped" : "gone");
        fflush(stdout);
        _exit(0);
    }
    wait(NULL);
    fflush(stdout);
    _exit(0);
}
]], { target }))
   end)
end)

-- What threads may be doing while a plugin is closed that others do not show.
local MAPPED <const> = [[
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *mapped(const char *path)
{
    char line[4096];
    const char *answer = "gone";
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        if (strstr(line, path))
            answer = "mapped";
    fclose(maps);
    return answer;
}
]]

describe("A thread in a signal handler that has a stack of its own", function ()
   local calling = assert(cc.shared [[
      long calls;
      void call(void (*function)(void)) { function(); calls++; }
   ]])
   for how, what in pairs { waits = "read(ends[0], &byte, 1)",
      runs = "while (!stop)" } do
      it("keeps what it returns to on its other stack; it " .. how, function ()
         local out = threads.program(MAPPED .. [[
static int ends[2];
static atomic_int inside, stop;
static void (*call)(void (*)(void));

static void handle(int number)
{
    char byte;
    inside = 1;
    ]] .. what .. [[;
}

static void interrupt(void) { raise(SIGUSR1); }

static void *work(void *data)
{
    stack_t before, stack = { malloc(1 << 16), 0, 1 << 16 };
    sigaltstack(&stack, &before);
    call(interrupt);
    sigaltstack(&before, NULL);
    free(stack.ss_sp);
    return NULL;
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = handle, .sa_flags = SA_ONSTACK };
    pthread_t thread;
    pipe(ends);
    sigaction(SIGUSR1, &action, NULL);
    e64_plugin *p = open_plugin(argv[1]);
    call = (void (*)(void (*)(void)))e64_entry(p, "call");
    pthread_create(&thread, NULL, work, NULL);
    while (!inside)
        usleep(1000);
    e64_close(p, NULL);
    puts(mapped(argv[1]));
    fflush(stdout);
    stop = 1;
    write(ends[1], "", 1);
    pthread_join(thread, NULL);
    e64_runtime_free(runtime, NULL);
    puts(mapped(argv[1]));
    return 0;
}
]], { calling })
         assert.equal("mapped\ngone\n", out)
      end)
   end
end)

describe("Words that only look like the frame of a signal handler", function ()
   it("lead to no other stack", function ()
      -- The kernel's own struct names the code that handlers return to.
      local out = threads.program(MAPPED .. [[
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>

static void handle(int number) { }

int main(int argc, char **argv)
{
    struct { void *handler; unsigned long flags; void *restorer, *mask; } seen;
    struct { void *restorer; ucontext_t context; } volatile frame = { 0 };
    size_t size = (size_t)1 << 42; // would be looked at for an hour
    signal(SIGUSR2, handle);
    syscall(SYS_rt_sigaction, SIGUSR2, NULL, &seen, 8);
    e64_plugin *p = open_plugin(argv[1]);
    frame.restorer = seen.restorer;
    frame.context.uc_mcontext.gregs[REG_RSP] = (greg_t)mmap(NULL, size,
        PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    e64_close(p, NULL);
    puts(frame.restorer ? mapped(argv[1]) : "no frame");
    return 0;
}
]], { target })
      assert.equal("gone\n", out)
   end)
end)

describe("A thread that has been joined", function ()
   it("keeps nothing, however long the kernel takes for its end", function ()
      -- It closes descriptors of its own, as many as there may be.
      local out = threads.program(MAPPED .. [[
static void *work(void *data)
{
    unshare(CLONE_FILES);
    while (fcntl(0, F_DUPFD, 0) >= 0)
        ;
    return NULL;
}

int main(int argc, char **argv)
{
    struct rlimit limit;
    pthread_t thread;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 1 << 19 ? limit.rlim_max : 1 << 19;
    setrlimit(RLIMIT_NOFILE, &limit);
    int gone = 0;
    for (int i = 0; i < 20; i++) {
        e64_plugin *p = open_plugin(argv[1]);
        pthread_create(&thread, NULL, work, NULL);
        pthread_join(thread, NULL);
        e64_close(p, NULL);
        gone += strcmp(mapped(argv[1]), "gone") == 0;
    }
    printf("gone %d times\n", gone);
    return 0;
}
]], { target })
      assert.equal("gone 20 times\n", out)
   end)
end)

describe("In C", function ()
   it("closes that wait and that are refused are as in Lua #build", function ()
      local out = threads.program([[
#include <signal.h>
#include <string.h>

static char line[256];
static int add(void *data, const e64_pin *pin)
{
    strcat(line, line[0] ? " " : "");
    strcat(line, pin->name);
    return strcmp(pin->name, "signal") == 0 ? (int)pin->number : 0;
}

static int list(void *data, e64_plugin *plugin)
{
    e64_plugin_info info;
    e64_plugin_describe(plugin, &info);
    int answer = e64_pins(plugin, add, NULL);
    printf("state %d, %d, %s\n", info.state, answer, line);
    line[0] = 0;
    return 0;
}

static void hear(void *data, e64_log_level level, const char *message)
{
    if (strstr(message, "stays mapped"))
        printf("log %d%s\n", level, strstr(message, ": stopped"));
}

int main(int argc, char **argv)
{
    e64_error error;
    e64_plugin *p;
    for (int way = E64_UNLOAD_WAIT; way <= E64_UNLOAD_REFUSE; way++) {
        e64_runtime *own;
        e64_runtime_options options = { .struct_size = sizeof options,
                                        .unload = way, .log = hear };
        e64_runtime_new(&options, &own, NULL);
        e64_open(own, argv[1], NULL, &p, NULL);
        signal(SIGUSR2, (void (*)(int))e64_entry(p, "on_signal"));
        e64_status status = e64_close(p, &error);
        printf("close: %s\n", e64_status_name(status));
        e64_plugins(own, list, NULL);
        status = e64_runtime_free(own, &error);
        printf("free: %s\n", e64_status_name(status));
        signal(SIGUSR2, SIG_DFL);
        if (status != E64_OK)
            printf("free: %s\n", e64_status_name(e64_runtime_free(own, NULL)));
    }
    e64_runtime_options wrong = { .struct_size = sizeof wrong, .unload = 7 };
    e64_runtime *none;
    printf("wrong: %s\n", e64_status_name(e64_runtime_new(&wrong, &none, &error)));
    return 0;
}
]], { target })
      assert.equal([[
log 1: stopped, and stays mapped: signal 12, SIGUSR2 is handled by on_signal
close: ok
state 3, 12, signal
free: ok
close: inuse
state 2, 12, handle signal
free: inuse
free: ok
wrong: invalid
]], out)
   end)
end)
