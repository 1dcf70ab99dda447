--- TLS descriptors preserve every register but the one that they answer in,
--- whatever way of saving them the processor has.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

-- touch(in, out, level): all registers are loaded from `in`, the variable's
-- descriptor is called, all registers are stored to `out`. Level 0: integer, x87
-- and SSE; 1: AVX; 2: AVX-512.
local TOUCH <const> = [[
#define GENERAL(R) R(rbx, 0) R(rcx, 8) R(rdx, 16) R(rsi, 24) R(rbp, 32) \
    R(r8, 40) R(r9, 48) R(r10, 56) R(r11, 64) R(r12, 72) R(r13, 80) \
    R(r14, 88) R(r15, 96)
#define RDI 104
#define ANSWER 112
#define VECTORS 128
#define MASKS 2176
#define X87 2240
#define MXCSR 2368
#define CONTROL 2372
#define EACH(F) F(0) F(1) F(2) F(3) F(4) F(5) F(6) F(7)
#define LOW(F) EACH(F) F(8) F(9) F(10) F(11) F(12) F(13) F(14) F(15)
#define HIGH(F) F(16) F(17) F(18) F(19) F(20) F(21) F(22) F(23) \
    F(24) F(25) F(26) F(27) F(28) F(29) F(30) F(31)

#define LOAD(r, at) movq at(%rdi), %r;
#define STORE(r, at) movq %r, at(%rdi);
#define LOAD_XMM(n) movups VECTORS + 64 * n(%rdi), %xmm##n;
#define LOAD_YMM(n) vmovups VECTORS + 64 * n(%rdi), %ymm##n;
#define LOAD_ZMM(n) vmovups VECTORS + 64 * n(%rdi), %zmm##n;
#define LOAD_MASK(n) kmovq MASKS + 8 * n(%rdi), %k##n;
#define LOAD_X87(n) fldt X87 + 16 * (7 - n)(%rdi);
#define STORE_XMM(n) movups %xmm##n, VECTORS + 64 * n(%rdi);
#define STORE_YMM(n) vmovups %ymm##n, VECTORS + 64 * n(%rdi);
#define STORE_ZMM(n) vmovups %zmm##n, VECTORS + 64 * n(%rdi);
#define STORE_MASK(n) kmovq %k##n, MASKS + 8 * n(%rdi);
#define STORE_X87(n) fstpt X87 + 16 * n(%rdi);

    .section .tdata, "awT", @progbits
    .balign 8
variable: .quad VALUE
    .text
    .globl touch
    .type touch, @function
touch:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $40, %rsp
    movq %rsi, (%rsp)
    movq %rdx, 8(%rsp)
    stmxcsr 16(%rsp)
    fnstcw 20(%rsp)
    fninit
    EACH(LOAD_X87)
    fldcw CONTROL(%rdi)
    ldmxcsr MXCSR(%rdi)
    LOW(LOAD_XMM)
    cmpl $1, %edx
    jb 1f
    LOW(LOAD_YMM)
    je 1f
    LOW(LOAD_ZMM)
    HIGH(LOAD_ZMM)
    EACH(LOAD_MASK)
1:  GENERAL(LOAD)
    movq RDI(%rdi), %rdi
    leaq variable@tlsdesc(%rip), %rax
    call *variable@tlscall(%rax)
    movq %rdi, 24(%rsp)
    movq (%rsp), %rdi
    GENERAL(STORE)
    movq %rax, ANSWER(%rdi)
    movq 24(%rsp), %rax
    movq %rax, RDI(%rdi)
    movl 8(%rsp), %edx
    fnstcw CONTROL(%rdi)
    stmxcsr MXCSR(%rdi)
    fldcw 20(%rsp)
    ldmxcsr 16(%rsp)
    EACH(STORE_X87)
    LOW(STORE_XMM)
    cmpl $1, %edx
    jb 1f
    LOW(STORE_YMM)
    je 1f
    LOW(STORE_ZMM)
    HIGH(STORE_ZMM)
    EACH(STORE_MASK)
    vzeroupper
1:  addq $40, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
    .size touch, . - touch
    .section .note.GNU-stack, "", @progbits
]]

-- Calls it in many threads, for the first time and again, by plugins of which
-- each makes the thread's table grow. The loader's allocator leaves no register
-- as it was.
local PROGRAM <const> = [[
#include <pthread.h>
#include <string.h>

extern int tls_descriptor_save;
extern uint64_t tls_descriptor_size;

enum { SSE, AVX, AVX512 };
static int level, calls;

struct state {
    uint64_t general[14], answer, unused;
    unsigned char vectors[32][64];
    uint64_t masks[8];
    unsigned char x87[8][16];
    uint32_t mxcsr;
    uint16_t control, pad;
};

static void *spoil(void *data, void *block, size_t size)
{
    static const unsigned char garbage[64] = { [0 ... 63] = 0x99 };
    void *result = NULL;
    calls++;
    if (size)
        result = realloc(block, size);
    else
        free(block);
    __asm__ volatile ("movups (%0), %%xmm0\n movaps %%xmm0, %%xmm1\n"
        "movaps %%xmm0, %%xmm2\n movaps %%xmm0, %%xmm5\n"
        "movaps %%xmm0, %%xmm7\n movaps %%xmm0, %%xmm8\n"
        "movaps %%xmm0, %%xmm15\n fninit\n fldpi\n fldpi\n fldpi\n fninit\n"
        : : "r"(garbage) : "xmm0", "xmm1", "xmm2", "xmm5", "xmm7", "xmm8",
        "xmm15", "st", "memory");
    if (level >= AVX)
        __asm__ volatile ("vzeroall" : : : "memory");
    if (level >= AVX512)
        __asm__ volatile ("vmovups (%0), %%zmm16\n vmovups (%0), %%zmm31\n"
            "vmovups (%0), %%zmm3\n vmovups (%0), %%zmm20\n"
            "kxorq %%k0, %%k0, %%k0\n kxorq %%k1, %%k1, %%k1\n"
            "kxorq %%k7, %%k7, %%k7\n" : : "r"(garbage) : "memory");
    return result;
}

static int count;
static void (*touch[64])(const struct state *, struct state *, int);
static const char *wrong;

static void fill(struct state *state, unsigned seed)
{
    unsigned char *bytes = (unsigned char *)state;
    for (size_t i = 0; i < sizeof *state; i++)
        bytes[i] = (seed = seed * 1103515245 + 12345) >> 16;
    // Numbers that loading and storing does not change, not even where they
    // are kept as doubles (valgrind).
    for (int i = 0; i < 8; i++) {
        state->x87[i][0] = 0;
        state->x87[i][1] &= 0xf8;
        state->x87[i][7] |= 0x80;
        state->x87[i][9] = 0x40;
        state->x87[i][8] = i;
    }
    state->mxcsr = 0x7f80; // rounds towards zero
    state->control = 0x0f7f;
}

static void compare(const struct state *in, const struct state *out, int at)
{
    size_t width = level == SSE ? 16 : level == AVX ? 32 : 64;
    for (int i = 0; i < (level == AVX512 ? 32 : 16); i++)
        if (memcmp(in->vectors[i], out->vectors[i], width))
            wrong = "a vector register";
    if (memcmp(in->general, out->general, sizeof in->general))
        wrong = "an integer register";
    if (level == AVX512 && memcmp(in->masks, out->masks, sizeof in->masks))
        wrong = "a mask register";
    for (int i = 0; i < 8; i++)
        if (memcmp(in->x87[i], out->x87[i], 10))
            wrong = "an x87 register";
    if (in->mxcsr != out->mxcsr || in->control != out->control)
        wrong = "a control register";
    if (*(long *)((char *)__builtin_thread_pointer() + out->answer) != at)
        wrong = "the answer";
}

static void *work(void *data)
{
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < count; i++) {
            struct state in, out;
            fill(&in, (long)data * 1000 + i + round);
            out = in;
            touch[i](&in, &out, level);
            compare(&in, &out, i + 1);
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    static const char *ways[] = { "fxsave", "xsave", "xsavec" };
    e64_allocator allocator = { sizeof allocator, spoil };
    if (e64_set_allocator(&allocator, NULL) != E64_OK)
        return 7;
    for (int i = 1; i < argc; i++) {
        e64_plugin *plugin = open_plugin(argv[i]);
        touch[count++] = (void (*)(const struct state *, struct state *, int))
            e64_entry(plugin, "touch");
    }
    __builtin_cpu_init();
    int most = __builtin_cpu_supports("avx512bw") ? AVX512
             : __builtin_cpu_supports("avx") ? AVX : SSE;
    int own = tls_descriptor_save;
    long own_size = tls_descriptor_size;
    printf("own way holds %d\n", own_size >= (most == AVX512 ? 2000 : 832)
           || most == SSE);
    for (int way = 0; way <= own + 1; way++) {
        // At the end with what was chosen, size included.
        tls_descriptor_save = way > own ? own : way;
        tls_descriptor_size = way > own ? own_size : 4096;
        // What a processor with that way has: fxsave knows SSE only.
        level = way == 0 ? SSE : most;
        calls = 0;
        for (long i = 0; i < 20; i++) {
            pthread_t thread;
            pthread_create(&thread, NULL, work, (void *)i);
            pthread_join(thread, NULL);
        }
        printf("%s: %s%s\n", ways[tls_descriptor_save],
               wrong ? wrong : "all preserved", calls > 20 ? "" : ", no calls");
    }
    work((void *)99);
    return wrong != NULL;
}
]]

local function plugins ()
   local paths = {}
   for i = 1, 40 do
      paths[i] = assert(cc.shared(TOUCH,
         { language = "assembly", flags = "-nostdlib -DVALUE=" .. i }))
   end
   return paths
end

describe("A TLS descriptor", function ()
   it("preserves every register, whether they are saved by fxsave, xsave or "
      .. "xsavec", function ()
      local out = threads.program(PROGRAM, plugins())
      assert.truthy(out:find("own way holds 1\n", 1, true), out)
      assert.truthy(out:find("fxsave: all preserved\n", 1, true), out)
      for line in io.lines "/proc/cpuinfo" do
         local flags = line:match "^flags%s*:(.*)"
         if flags then
            for _, way in ipairs { "xsave", "xsavec" } do
               if flags:find("%f[%w]" .. way .. "%f[%W]") then
                  assert.truthy(out:find("\n" .. way .. ": all preserved\n", 1,
                     true), out)
               end
            end
            break
         end
      end
   end)

   it("preserves them on the processor that valgrind has #full", function ()
      local out = threads.program(PROGRAM, plugins(), { through = { "valgrind",
         "-q", "--error-exitcode=9" } })
      assert.truthy(out:find("\nxsave: all preserved\n", 1, true), out)
      assert.falsy(out:find("xsavec", 1, true))
   end)

   it("answers with the same as an own __tls_get_addr", function ()
      for _, flags in ipairs { "", " -ftls-model=initial-exec" } do
         local path = assert(cc.shared(threads.IMPORT .. [[
            __thread long number = 3;
            extern long of_other(void);
            static long same(long x) { return of_other() == (long)&number; }
            long here(void) { return same(0); }
            long before(void) { return threads_run(same, 0); }
            long after(void) { return threads_new(same, 0); }
         ]], "-mtls-dialect=gnu2" .. threads.flags() .. " "
            .. assert(cc.shared([[
               extern __thread long number;
               long of_other(void) { return (long)&number; }
            ]], "-mtls-dialect=gnu" .. flags))))
         assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
            "open a " .. path, "call a here", "call a before", "call a after" },
            { "here() = 1\nbefore() = 1\nafter() = 1" })
      end
   end)
end)
