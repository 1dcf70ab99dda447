// Finds addresses for units. The kernel chooses them, near the host's libraries
// as a rule. Code that holds addresses in words of 32 bits (psABI 3.5.1, the
// small code model) belongs below 2 GB, where few things are: an executable
// that is no PIE, its heap.

#include "place.h"

#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../error.h"
#include "../mapping.h"

// What is below is the kernel's to keep free (vm.mmap_min_addr), or may belong
// to an executable that is no PIE, whose heap grows.
static const uint64_t LOWEST = 0x10000;
static const uint64_t LOW_END = 0x80000000;
static const uint64_t STEP = 0x100000;

static e64_status fail_span(const struct link_unit *unit, uint64_t size)
{
    e64_status status = fail_system("%s: cannot reserve an address space of "
                                    "%llu bytes", unit->object.name,
                                    (unsigned long long)size);
    error_path(unit->object.name);
    return status;
}

static e64_status fail_low(const struct link_unit *unit, uint64_t size)
{
    fail(E64_NOMEMORY, "%s: holds addresses in words of 32 bits, and there is "
         "no room of %llu bytes for it below 2 GB; compile it with -fPIC",
         unit->object.name, (unsigned long long)size);
    error_path(unit->object.name);
    error_advice("compile it with -fPIC");
    return E64_NOMEMORY;
}

// Where the next objects go, if nothing is there. gdb takes a breakpoint that
// was set at an address for one that is still set when other objects come to
// the same address (jit.c in run/), so addresses are used again as late as can
// be.
static _Atomic uint64_t next_high, next_low;
static const uint64_t HIGH_SPAN = 0x20000000;

static void *map(uint64_t at, uint64_t size, int flags)
{
    return mmap((void *)at, size, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | flags, -1, 0);
}

// At that address; NULL when something is there. Kernels before 4.17 take the
// flag for a hint.
static void *try_at(uint64_t at, uint64_t size)
{
    void *got = map(at, size, MAP_FIXED_NOREPLACE);
    if (got != MAP_FAILED && got != (void *)at) {
        mapping_drop(got, size);
        return NULL;
    }
    return got == MAP_FAILED ? NULL : got;
}

static uint64_t round_up(uint64_t size)
{
    return (size + 0xffff) & ~(uint64_t)0xffff;
}

// Beside what was mapped last, downwards, and not too far from the first, which
// the kernel has put beside the host's libraries.
static void *map_high(uint64_t size)
{
    static _Atomic uint64_t first;
    uint64_t hint = atomic_load(&next_high);
    uint64_t top = atomic_load(&first);
    if (hint < size || top - hint > HIGH_SPAN)
        hint = top;
    void *got = hint ? try_at(hint - size, size) : NULL;
    if (!got)
        got = map(0, size, 0);
    if (got == MAP_FAILED)
        return got;
    if (!top)
        atomic_store(&first, (uintptr_t)got);
    atomic_store(&next_high, (uintptr_t)got);
    return got;
}

// From the top down, as far from the heap of an executable as can be, after the
// kernel's own idea of where that is (the second GB, where it has such).
static void *map_low(uint64_t size)
{
    if (size > LOW_END - LOWEST)
        return NULL;
    uint64_t after = atomic_load(&next_low);
    void *got = after && after <= LOW_END - size ? try_at(after, size) : NULL;
    if (!got)
        got = map(0, size, MAP_32BIT);
    if (got != MAP_FAILED)
        atomic_store(&next_low, round_up((uintptr_t)got + size));
    if (got != MAP_FAILED && (uintptr_t)got + size <= LOW_END)
        return got;
    if (got != MAP_FAILED)
        mapping_drop(got, size);
    uint64_t at = (LOW_END - size) & ~(STEP - 1);
    for (; at >= LOWEST; at -= STEP) {
        got = try_at(at, size);
        if (got)
            return got;
    }
    return NULL;
}

// Does each segment go on with the page behind the one before? What is between
// them would show the file.
static bool has_gaps(const struct elf_image *image, uint64_t page)
{
    for (uint32_t i = 1; i < image->load_count; i++) {
        const struct elf_load *load = &image->loads[i];
        uint64_t end = (load[-1].vaddr + load[-1].memsz + page - 1)
                     & ~(page - 1);
        if (end != (load->vaddr & ~(page - 1)))
            return true;
    }
    return false;
}

bool place_over_file(struct link_unit *unit, const struct writable_huge *huge)
{
    const struct elf_image *image = &unit->image;
    const struct elf_load *first = &image->loads[0];
    struct elf_file *file = &unit->file;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (!file->shown || file->fd < 0 || unit->made || huge->end > huge->start
        || image->align > page || image->start || image->end > file->mapped
        || first->vaddr || first->offset || first->flags != PF_R
        || first->filesz != first->memsz || has_gaps(image, page)
        || !elf_image_is_constant(image))
        return false;
    unit->memory = file->mapping;
    unit->size = image->end;
    unit->object.bias = unit->object.start = (uintptr_t)unit->memory;
    unit->object.end = unit->object.start + unit->size;
    file->mapping = NULL;
    uint64_t all = (file->mapped + page - 1) & ~(page - 1);
    if (all > unit->size)
        mapping_drop((uint8_t *)unit->memory + unit->size, all - unit->size);
    return true;
}

e64_status place_unit(struct link_unit *unit,
                      const struct writable_huge *huge)
{
    const struct elf_image *image = &unit->image;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    uint64_t span = image->end - image->start;
    // The last huge page may go on behind the image.
    uint64_t room = huge->covered > image->end ? huge->covered - image->start
                                               : span;
    // What is to lie on a boundary, and on what kind of.
    uint64_t aligned = image->start, align = image->align;
    if (huge->end > huge->start) {
        aligned = huge->start;
        align = writable_huge_size();
    }
    uint64_t slack = align > page ? align : 0;
    bool low = unit->made && unit->made->low;
    uint64_t size = room + slack;
    uint8_t *at = low ? map_low(size) : unit->made ? map_high(size)
                : map(0, size, 0);
    if (low && !at)
        return fail_low(unit, size);
    if (at == MAP_FAILED)
        return fail_span(unit, size);
    uint64_t skip = 0;
    if (slack) {
        // A segment keeps its place modulo its alignment; the part for huge
        // pages goes to a multiple of their size.
        uint64_t offset = aligned - image->start;
        uint64_t rest = huge->end > huge->start ? 0 : image->start;
        skip = (rest - offset - (uintptr_t)at) & (align - 1);
        if (skip)
            mapping_drop(at, skip);
        if (slack > skip)
            mapping_drop(at + skip + room, slack - skip);
    }
    unit->memory = at + skip;
    unit->size = room;
    unit->object.bias = (uintptr_t)unit->memory - image->start;
    unit->object.start = (uintptr_t)unit->memory;
    unit->object.end = unit->object.start + span;
    return E64_OK;
}
