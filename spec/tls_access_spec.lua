--- The functions that plugins call for each access to a thread-local variable:
--- copies of them lie in memory of their own.

local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

local PLUGIN <const> = [[
__thread long before = 1, number = 5;
long *where(void) { return &number; }
]]

-- Goes through the first instructions of a call one by one, and unwinds from
-- each that lies in no file. Frames are found by what the program's own
-- unwinder asks, as it does in a profiler's signal handler.
local STEPS <const> = [[
#include <signal.h>
#include <ucontext.h>
#include <unwind.h>

static uintptr_t from, to; // the plugin's code
static int steps, lost;

struct walk { int frames; int found; };

static _Unwind_Reason_Code look(struct _Unwind_Context *context, void *data)
{
    struct walk *walk = data;
    uintptr_t at = _Unwind_GetIP(context);
    walk->found |= at >= from && at < to;
    return walk->frames++ < 30 ? _URC_NO_REASON : _URC_END_OF_STACK;
}

static void on_step(int signal, siginfo_t *info, void *data)
{
    ucontext_t *context = data;
    uintptr_t at = context->uc_mcontext.gregs[REG_RIP];
    e64_place place;
    if (e64_whence((void *)at, &place, NULL) == E64_OK)
        return;
    struct walk walk = { 0, 0 };
    _Unwind_Backtrace(look, &walk);
    steps++;
    lost += !walk.found;
}

int main(int argc, char **argv)
{
    e64_plugin *plugin = open_plugin(argv[1]);
    long *(*where)(void) = (long *(*)(void))e64_entry(plugin, "where");
    struct sigaction action = { .sa_flags = SA_SIGINFO };
    from = (uintptr_t)where;
    to = from + 64;
    *where() += 2;
    action.sa_sigaction = on_step;
    sigaction(SIGTRAP, &action, NULL);
    __asm__ volatile ("pushfq\n orq $0x100, (%%rsp)\n popfq" : : : "memory", "cc");
    long *found = where();
    __asm__ volatile ("pushfq\n andq $~0x100, (%%rsp)\n popfq" : : : "memory", "cc");
    printf("number %ld, steps %d, lost %d\n", *found, steps, lost);
    return 0;
}
]]

-- Forbids to make memory executable that was not.
local DENIED <const> = [[
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void deny(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
                 offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof filter / sizeof *filter, filter };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
        exit(7);
}

static long *(*where)(void);

static void *work(void *unused)
{
    return (void *)++*where();
}

int main(int argc, char **argv)
{
    deny();
    for (int i = 1; i < argc; i++) {
        e64_plugin *plugin = open_plugin(argv[i]);
        pthread_t thread;
        void *answer;
        where = (long *(*)(void))e64_entry(plugin, "where");
        ++*where();
        pthread_create(&thread, NULL, work, NULL);
        pthread_join(thread, &answer);
        printf("here %ld, in a thread %ld\n", ++*where(), (long)answer);
    }
    return 0;
}
]]

local DIALECTS = { "gnu", "gnu2" }

local function plugin (dialect)
   return assert(cc.shared(PLUGIN, "-mtls-dialect=" .. dialect))
end

describe("An access to a thread-local variable", function ()
   for _, dialect in ipairs(DIALECTS) do
      it("can be unwound at each instruction, dialect " .. dialect, function ()
         local out = threads.program(STEPS, { plugin(dialect) })
         local steps, lost = out:match "number 7, steps (%d+), lost (%d+)\n"
         assert.truthy(steps, out)
         assert(tonumber(steps) >= 9, out)
         assert.equal("0", lost)
      end)
   end

   it("does without executable memory of its own where that is denied",
      function ()
         local paths = {}
         for i, dialect in ipairs(DIALECTS) do paths[i] = plugin(dialect) end
         local line = "here 7, in a thread 6\n"
         assert.equal(line .. line, threads.program(DENIED, paths))
      end)
end)
