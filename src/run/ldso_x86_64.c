// ld.so on x86-64: Debian's folders, glibc's view of the processor.

#include "ldso.h"

#include <cpuid.h>
#include <gnu/libc-version.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/platform/x86.h>

#include "../elf/notes.h"

// Debian builds glibc so. Other systems have other folders; what they install
// is mostly found by ld.so.cache, which stands before these.
static const char *const defaults[] = {
    "/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib/",
    "/usr/lib/", NULL,
};
static const char lib[] = "lib/x86_64-linux-gnu";

// Below glibc-hwcaps, the best one first (psABI "Micro-Architecture Levels").
static const char *const levels[] = { "x86-64-v4", "x86-64-v3", "x86-64-v2" };

enum {
    LEVELS = 3,
    LEVEL_BITS = 0xf, // GNU_PROPERTY_X86_ISA_1_BASELINE to _V4
    CACHE_FLAGS = 0x303, // an x86-64 library for glibc
    HWCAP_X86_64 = 1 << 1,
    HWCAP_AVX512_1 = 1 << 2,
    FIRST_PLATFORM = 48, // the bit of the first platform in an entry's hwcap
    PLATFORM_BITS = 0xf,
    // The first version without the folders that were there before
    // glibc-hwcaps: tls, haswell and so on.
    NO_OLD_FOLDERS = 37,
};

// Not the processor's word but glibc's: it knows what the kernel saves on a
// context switch, and what the user has switched off (glibc.cpu.hwcaps).
// CPU_FEATURE_ACTIVE shifts into the sign bit.
static bool active(unsigned bit)
{
    const struct cpuid_feature *leaf = __x86_get_cpuid_feature_leaf(bit / 128);
    return leaf->active_array[bit % 128 / 32] >> bit % 32 & 1;
}

#define HAS(feature) active(x86_cpu_##feature)

static uint32_t active_levels(void)
{
    if (!HAS(CMPXCHG16B) || !HAS(LAHF64_SAHF64) || !HAS(POPCNT) || !HAS(SSE3)
        || !HAS(SSSE3) || !HAS(SSE4_1) || !HAS(SSE4_2))
        return 0;
    if (!HAS(AVX) || !HAS(AVX2) || !HAS(F16C) || !HAS(FMA) || !HAS(LZCNT)
        || !HAS(MOVBE))
        return 1;
    if (!HAS(AVX512F) || !HAS(AVX512BW) || !HAS(AVX512CD) || !HAS(AVX512DQ)
        || !HAS(AVX512VL))
        return 2;
    return 3;
}

static bool intel(void)
{
    unsigned most, b, c, d;
    __cpuid(0, most, b, c, d);
    return b == signature_INTEL_ebx && c == signature_INTEL_ecx
        && d == signature_INTEL_edx;
}

// ld.so has names of its own for some of Intel's processors; $PLATFORM is the
// kernel's name for all others.
static void read_processor(struct ldso_processor *processor)
{
    const char *kernels = (const char *)getauxval(AT_PLATFORM);
    struct elf_cache_bits *bits = &processor->bits;
    processor->platform = kernels && *kernels ? kernels : NULL;
    bits->platforms = (uint64_t)PLATFORM_BITS << FIRST_PLATFORM;
    bits->hwcap = HWCAP_X86_64;
    if (!intel())
        return;
    if (HAS(AVX512CD) && HAS(AVX512ER)) {
        if (HAS(AVX512PF)) {
            processor->platform = "xeon_phi";
            bits->platform = (uint64_t)1 << (FIRST_PLATFORM + 3);
            return;
        }
    } else if (HAS(AVX512CD) && HAS(AVX512BW) && HAS(AVX512DQ)
               && HAS(AVX512VL)) {
        bits->hwcap |= HWCAP_AVX512_1;
    }
    if (HAS(AVX2) && HAS(FMA) && HAS(BMI1) && HAS(BMI2) && HAS(LZCNT)
        && HAS(MOVBE) && HAS(POPCNT)) {
        processor->platform = "haswell";
        bits->platform = (uint64_t)1 << (FIRST_PLATFORM + 2);
    }
}

static bool old_folders(void)
{
    int major, minor;
    return sscanf(gnu_get_libc_version(), "%d.%d", &major, &minor) == 2
        && major == 2 && minor < NO_OLD_FOLDERS;
}

// Every combination of these names, as nested folders, the longest first.
static void add_old_folders(struct ldso_processor *processor)
{
    const char *names[4];
    unsigned count = 0;
    if (processor->bits.hwcap & HWCAP_X86_64)
        names[count++] = "x86_64";
    if (processor->bits.hwcap & HWCAP_AVX512_1)
        names[count++] = "avx512_1";
    if (processor->platform)
        names[count++] = processor->platform;
    names[count++] = "tls";
    for (unsigned set = (1u << count) - 1; set > 0; set--) {
        char *below = processor->below[processor->below_count];
        size_t size = 0;
        for (unsigned i = count; i-- > 0;)
            if (set >> i & 1)
                size += (size_t)snprintf(below + size, LDSO_FOLDER_SIZE - size,
                                         "%s/", names[i]);
        // The kernel's name for the platform may be a hwcap's name as well.
        uint32_t here = processor->below_count;
        if (here == 0 || strcmp(below, processor->below[here - 1]) != 0)
            processor->below_count++;
        else
            *below = '\0';
    }
}

static atomic_ullong mask_at_start;
static struct ldso_processor shared;

// Again in a child that was forked while another thread was in the middle.
static void read_shared(void)
{
    shared = (struct ldso_processor){ .below_count = 0 };
    read_processor(&shared);
    shared.bits.hwcap &= atomic_load(&mask_at_start);
    uint32_t count = active_levels();
    for (uint32_t i = 0; i < count; i++)
        snprintf(shared.below[shared.below_count++], LDSO_FOLDER_SIZE,
                 "glibc-hwcaps/%s/", levels[LEVELS - count + i]);
    if (old_folders())
        add_old_folders(&shared);
    else
        shared.bits = (struct elf_cache_bits){
            .platforms = shared.bits.platforms };
    shared.below_count++; // the folder itself
}

const struct ldso_processor *ldso_processor(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, read_shared);
    return &shared;
}

static struct elf_cache_bits processor_bits(void)
{
    return ldso_processor()->bits;
}

void ldso_read(uint64_t mask, struct ldso *ldso)
{
    atomic_store(&mask_at_start, mask);
    uint32_t count = active_levels();
    *ldso = (struct ldso){
        .defaults = defaults, .lib = lib, .cache_path = "/etc/ld.so.cache",
        .machine = {
            .flags = CACHE_FLAGS,
            .levels = LEVEL_BITS & ~elf_isa_lacking_x86_64(LEVEL_BITS),
            .bits = processor_bits,
            .names = levels + (LEVELS - count),
            .name_count = count,
        },
    };
}
