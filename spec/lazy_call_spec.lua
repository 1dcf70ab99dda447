--- What a call that is bound when it is made leaves as it was, and where it may
--- be made.

local child = require "spec.support.child"
local compare = require "spec.support.compare"
local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

local LAZY <const> = " -fno-builtin -Wl,-z,lazy"

local function shared (source, flags)
   return assert(cc.shared(source, (flags or "") .. LAZY))
end

local function needing (library, source)
   return shared(source, "-Wl,--no-as-needed " .. library)
end

-- All that a call may rely on, and by which it is called: loaded from memory
-- before the call, stored to memory by what is called.
local SAVES <const> = [[
struct all { unsigned long words[32]; unsigned char vectors[32][64]; } called;
int level;
__asm__(
".globl probe\n"
"probe:\n"
"   movq called@GOTPCREL(%rip), %r11\n"
"   movq %rax, (%r11)\n"      "   movq %rdi, 8(%r11)\n"
"   movq %rsi, 16(%r11)\n"    "   movq %rdx, 24(%r11)\n"
"   movq %rcx, 32(%r11)\n"    "   movq %r8, 40(%r11)\n"
"   movq %r9, 48(%r11)\n"     "   movq %r10, 56(%r11)\n"
"   movq %rbx, 64(%r11)\n"    "   movq %r12, 72(%r11)\n"
"   movq %r13, 80(%r11)\n"    "   movq %r14, 88(%r11)\n"
"   movq %r15, 96(%r11)\n"    "   movq %rbp, 104(%r11)\n"
"   stmxcsr 112(%r11)\n"      "   fnstcw 120(%r11)\n"
"   fstpt 128(%r11)\n"
".set i, 0\n" ".rept 16\n"
"   .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"   .if \\n == i\n" "   movups %xmm\\n, 256 + 64 * \\n(%r11)\n" "   .endif\n"
"   .endr\n" ".set i, i + 1\n" ".endr\n"
"   movq level@GOTPCREL(%rip), %rax\n" "   cmpl $1, (%rax)\n" "   jb 1f\n"
"   .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"   vmovups %ymm\\n, 256 + 64 * \\n(%r11)\n" "   .endr\n"
"   cmpl $2, (%rax)\n" "   jb 1f\n"
"   .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n"
"   vmovups %zmm\\n, 256 + 64 * \\n(%r11)\n" "   .endr\n"
"   .irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n"
"   vmovups %zmm\\n, 256 + 64 * \\n(%r11)\n" "   .endr\n"
"   .irp n, 0,1,2,3,4,5,6,7\n"
"   kmovq %k\\n, 192 + 8 * \\n(%r11)\n" "   .endr\n"
"1: ret\n"
".globl probe2\n.set probe2, probe\n");
]]

local LOADS <const> = [[
#include <string.h>
struct all { unsigned long words[32]; unsigned char vectors[32][64]; };
extern struct all called;
extern int level;
static struct all given;
__attribute__((visibility("hidden"))) struct all *const source = &given;
void call_first(void), call_second(void);
#define CALL(name, what) \
".globl " #name "\n" #name ":\n" \
"   pushq %rbp\n pushq %rbx\n pushq %r12\n pushq %r13\n pushq %r14\n" \
"   pushq %r15\n subq $8, %rsp\n" \
"   movq source(%rip), %r11\n" \
"   movq level@GOTPCREL(%rip), %rax\n" \
"   .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" \
"   movups 256 + 64 * \\n(%r11), %xmm\\n\n .endr\n" \
"   cmpl $1, (%rax)\n jb 1f\n" \
"   .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" \
"   vmovups 256 + 64 * \\n(%r11), %ymm\\n\n .endr\n" \
"   cmpl $2, (%rax)\n jb 1f\n" \
"   .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n" \
"   vmovups 256 + 64 * \\n(%r11), %zmm\\n\n .endr\n" \
"   .irp n, 16,17,18,19,20,21,22,23,24,25,26,27,28,29,30,31\n" \
"   vmovups 256 + 64 * \\n(%r11), %zmm\\n\n .endr\n" \
"   .irp n, 0,1,2,3,4,5,6,7\n" \
"   kmovq 192 + 8 * \\n(%r11), %k\\n\n .endr\n" \
"1: ldmxcsr 112(%r11)\n fldcw 120(%r11)\n fldt 128(%r11)\n" \
"   movq (%r11), %rax\n movq 8(%r11), %rdi\n movq 16(%r11), %rsi\n" \
"   movq 24(%r11), %rdx\n movq 32(%r11), %rcx\n movq 40(%r11), %r8\n" \
"   movq 48(%r11), %r9\n movq 56(%r11), %r10\n movq 64(%r11), %rbx\n" \
"   movq 72(%r11), %r12\n movq 80(%r11), %r13\n movq 88(%r11), %r14\n" \
"   movq 96(%r11), %r15\n movq 104(%r11), %rbp\n" \
"   call " #what "@PLT\n" \
"   fninit\n pushq $0x1f80\n ldmxcsr (%rsp)\n addq $8, %rsp\n" \
"   cld\n addq $8, %rsp\n popq %r15\n popq %r14\n popq %r13\n popq %r12\n" \
"   popq %rbx\n popq %rbp\n ret\n"
__asm__(CALL(call_first, probe) CALL(call_second, probe2));
long check(long which)
{
    level = __builtin_cpu_supports("avx512bw") ? 2
          : __builtin_cpu_supports("avx") ? 1 : 0;
    unsigned char *bytes = (void *)&given;
    memset(&given, 0, sizeof given);
    memset(&called, 0, sizeof called);
    for (int i = 0; i < 14; i++)
        given.words[i] = 0x1111111111111111ul * (i + 1);
    ((unsigned *)given.words)[28] = 0x7f80;  // rounds to zero
    ((unsigned *)given.words)[30] = 0xf7f;   // likewise
    *(long double *)&given.words[16] = 3.25L;
    ((unsigned short *)&given.words[16])[5] = 0;
    *(unsigned short *)((char *)&given.words[16] + 8) = 0x4000;
    for (int i = 24; i < 32; i++)
        given.words[i] = level == 2 ? 0x0123456789abcdeful * i : 0;
    for (int i = 0; i < (level == 2 ? 32 : 16); i++)
        for (int k = 0; k < (16 << level); k++)
            given.vectors[i][k] = i * 7 + k;
    (which ? call_second : call_first)();
    unsigned char *seen = (void *)&called;
    for (long i = 0; i < sizeof given; i++)
        if (seen[i] != bytes[i] && !(i >= 138 && i < 144))
            return i + 1;
    return 0;
}
]]

describe("A first call", function ()
   local saves = shared(SAVES)
   local loads = needing(saves, LOADS)

   it("keeps every register that may hold an argument, and r10, unlike ld.so",
   function ()
      local script = { "open a " .. loads .. " lazy", "call a check 0",
         "call a check 0", "call a check 1" }
      assert.equal("open a: ok\n" .. ("check() = 0\n"):rep(3),
         compare.ours(script).out)
   end)

   it("keeps them however the processor can save them", function ()
      local out = threads.program([[
         extern int tls_descriptor_save;
         extern unsigned long tls_descriptor_size;
         int main(int argc, char **argv)
         {
             const e64_open_options options = { sizeof options, .lazy = 1,
                                                .private_ = 1 };
             e64_runtime_new(NULL, &runtime, NULL);
             for (int save = 0; save < 3; save++) {
                 e64_plugin *p;
                 e64_open(runtime, argv[1], &options, &p, NULL);
                 if (tls_descriptor_save < save)
                     continue;
                 // A processor that has one has those before it.
                 int best = tls_descriptor_save;
                 unsigned long size = tls_descriptor_size;
                 tls_descriptor_save = save;
                 tls_descriptor_size = 4096;
                 long (*check)(long) = (void *)e64_entry(p, "check");
                 // fxsave knows no more than SSE.
                 printf("%d\n", save ? check(0) != 0 : 0);
                 tls_descriptor_save = best;
                 tls_descriptor_size = size;
             }
             return 0;
         }
      ]], { loads })
      assert.truthy(out:find "^0\n")
      assert.falsy(out:find "1")
   end)

   it("may be made by a signal handler, also one that interrupts the loader",
   function ()
      local called = {}
      for at = 1, 300 do
         called[at] = ("long f%d(long x) { return x + %d; }"):format(at, at)
      end
      local library = shared(table.concat(called, "\n"))
      local calls = {}
      for at = 1, 300 do
         calls[at] = ("case %d: return f%d(1);"):format(at, at)
      end
      local path = needing(library, (table.concat(called, "\n"):gsub(" {.-}", ";"))
         .. "\nlong f(int which) { switch (which) {"
         .. table.concat(calls, "\n") .. "} return 0; }")
      local passing = shared "long passing;"
      local out = threads.program([[
         #include <signal.h>
         #include <sys/time.h>
         static long (*f)(int);
         static volatile int handled, wrong;
         static void handle(int signal)
         {
             if (handled < 300 && f(++handled) != handled + 1)
                 wrong++;
         }
         int main(int argc, char **argv)
         {
             const e64_open_options options = { sizeof options, .lazy = 1 };
             e64_plugin *p;
             alarm(200);
             e64_runtime_new(NULL, &runtime, NULL);
             e64_open(runtime, argv[1], &options, &p, NULL);
             f = (void *)e64_entry(p, "f");
             struct sigaction action = { .sa_handler = handle,
                                         .sa_flags = SA_RESTART };
             sigaction(SIGALRM, &action, NULL);
             struct itimerval time = { { 0, 300 }, { 0, 300 } };
             setitimer(ITIMER_REAL, &time, NULL);
             while (handled < 300)
                 e64_close(open_plugin(argv[2]), NULL);
             printf("wrong %d\n", wrong);
             return 0;
         }
      ]], { path, passing })
      assert.equal("wrong 0\n", out)
   end)

   it("finds what the runtime has defined since", function ()
      local path = shared [[ extern long absent(void), labs(long);
         long call_absent(void) { return absent() + labs(-1); } ]]
      local out = threads.program([[
         static long mine(void) { return 41; }
         static long its(long x) { return 2; }
         int main(int argc, char **argv)
         {
             const e64_open_options lazily = { sizeof lazily, .lazy = 1 };
             const e64_definition definitions[] = {
                 { sizeof *definitions, .name = "absent", .address = mine,
                   .kind = E64_KIND_FUNCTION },
                 { sizeof *definitions, .name = "labs", .address = its,
                   .kind = E64_KIND_FUNCTION },
             };
             e64_plugin *p;
             e64_runtime_new(NULL, &runtime, NULL);
             e64_open(runtime, argv[1], &lazily, &p, NULL);
             long (*f)(void) = (void *)e64_entry(p, "call_absent");
             e64_define_all(runtime, definitions, 2, NULL);
             printf("%ld\n", f());
             // As long as it is bound to them.
             printf("%s\n", e64_status_name(
                 e64_undefine(runtime, "absent", NULL, NULL)));
             e64_close(p, NULL);
             printf("%d\n", e64_undefine(runtime, "absent", NULL, NULL));
             e64_runtime_free(runtime, NULL);
             return 0;
         }
      ]], { path })
      assert.equal("43\ninuse\n0\n", out)
   end)

   it("of what is missing is logged before the process ends", function ()
      local path = shared [[ extern long absent(void);
         long call_absent(void) { return absent(); } ]]
      local result = child.run({ threads.build([[
         static void note(void *data, e64_log_level level, const char *message)
         {
             if (level == E64_LOG_WARNING)
                 printf("%s\n", message), fflush(stdout);
         }
         int main(int argc, char **argv)
         {
             const e64_runtime_options options = { sizeof options, .log = note,
                                                   .lazy = 1 };
             e64_plugin *p;
             e64_runtime_new(&options, &runtime, NULL);
             if (e64_open(runtime, argv[1], NULL, &p, NULL) != E64_OK)
                 return 1;
             e64_entry(p, "call_absent")();
             return 2;
         }
      ]]), path })
      assert.equal(127, result.code)
      assert.equal(path .. ": undefined symbol: absent\n", result.out)
      assert.truthy(result.err:find("symbol lookup error: " .. path
         .. ": undefined symbol: absent\n", 1, true))
   end)
end)
