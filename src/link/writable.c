// Relocating a large C++ library writes to most pages of its data. Each of them
// costs a fault and a copy, which take longer than the relocations themselves.

#include "writable.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../elf/valgrind.h"
#include "../error.h"
#include "../mapping.h"

// On x86-64 that is 2 MB; the kernel decides whether it gives any.
uint64_t writable_huge_size(void)
{
    return 2 << 20;
}

// So many relocations in a page on average, and nearly all are written to.
static const uint64_t DENSE = 8;
// So few pages are copied faster one by one.
static const uint64_t FEW = 32;

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t count_relocations(const struct link_unit *unit)
{
    const struct elf_relocations *tables = &unit->image.relocations;
    return tables->rela.size / sizeof(Elf64_Rela)
         + tables->relr.size / sizeof(Elf64_Relr);
}

// The last segment, when it is writable, has its pages to itself, and holds
// most of what is relocated.
static const struct elf_load *find_dense(const struct link_unit *unit)
{
    const struct elf_image *image = &unit->image;
    const struct elf_load *load = &image->loads[image->load_count - 1];
    const uint64_t page = page_size();
    uint64_t start = load->vaddr & ~(page - 1);
    if (!(load->flags & PF_W) || unit->made || unit->file.fd < 0
        || unit->file.offset % page
        || (image->load_count > 1
            && load[-1].vaddr + load[-1].memsz > start)
        || count_relocations(unit) < load->filesz / page * DENSE)
        return NULL;
    return load;
}

struct writable_huge writable_huge(const struct link_unit *unit)
{
    const struct elf_load *load = find_dense(unit);
    const uint64_t huge = writable_huge_size(), page = page_size();
    struct writable_huge part = { 0, 0, 0 };
    // valgrind knows a library by its writable segment, which it wants to be
    // mapped from the file.
    if (!load || unit->image.align > page || valgrind_runs_us_x86_64())
        return part;
    uint64_t end = (load->vaddr + load->filesz + page - 1) & ~(page - 1);
    part.start = load->vaddr & ~(page - 1);
    uint64_t filled = end - part.start;
    part.covered = part.start + filled / huge * huge;
    // To zero a page that is to be half full takes less than to copy the half.
    if (filled % huge >= huge / 2)
        part.covered += huge;
    // What is not filled stays, for .bss, when little of all is that.
    part.end = part.covered <= end + filled / 5 ? part.covered : end;
    return part;
}

static e64_status fail_read(const struct link_unit *unit, uint64_t size)
{
    e64_status status = fail_system("%s: cannot read a segment of %llu bytes",
                                    unit->object.name,
                                    (unsigned long long)size);
    error_path(unit->object.name);
    return status;
}

// The kernel keeps all of a huge page for now, and takes the rest of it back
// when memory is short.
static e64_status give_back(struct link_unit *unit,
                            const struct writable_huge *huge)
{
    uint64_t end = unit->image.end > huge->end ? unit->image.end : huge->end;
    uint8_t *memory = (uint8_t *)unit->object.bias;
    if (end > huge->covered)
        end = huge->covered;
    if (end > huge->end
        && mmap(memory + huge->end, end - huge->end, PROT_NONE,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return fail_read(unit, end - huge->end);
    if (huge->covered > end) {
        mapping_drop(memory + end, huge->covered - end);
        unit->size -= huge->covered - end;
    }
    return E64_OK;
}

e64_status writable_read(struct link_unit *unit, const struct elf_load *load,
                         const struct writable_huge *huge)
{
    uint8_t *at = (uint8_t *)(unit->object.bias + huge->start);
    uint64_t size = huge->end - huge->start;
    uint64_t skip = load->vaddr - huge->start;
    uint64_t filled = skip + load->filesz, done = 0;
    if (mmap(at, huge->covered - huge->start, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return fail_read(unit, size);
    madvise(at, huge->covered - huge->start, MADV_HUGEPAGE);
    // Where there are no huge pages it is faster so, too. Kernels before 5.14
    // have no such thing, and copy page by page.
    madvise(at, size, MADV_POPULATE_WRITE);
    if (filled > size)
        filled = size;
    while (done < filled) {
        ssize_t got = pread(unit->file.fd, at + done, filled - done,
                            (off_t)(unit->file.offset + load->offset - skip
                                    + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail_read(unit, filled);
        if (got == 0) {
            fail(E64_BADFORMAT, "%s: was cut to %llu bytes while it was read",
                 unit->object.name,
                 (unsigned long long)(load->offset - skip + done));
            error_path(unit->object.name);
            return E64_BADFORMAT;
        }
        done += (uint64_t)got;
    }
    return give_back(unit, huge);
}

// The first of the relative relocations from one on, which ascend as all
// linkers have it, that is not below a vaddr. It is most likely near.
static uint64_t find_relative(const struct elf_relocations *tables,
                              uint64_t from, uint64_t vaddr)
{
    const uint8_t *places = tables->rela.data;
    uint64_t low = from, step = 16, high = tables->relatives;
    while (low + step < high
           && load64(places + (low + step) * sizeof(Elf64_Rela)) < vaddr) {
        low += step;
        step *= 2;
    }
    if (low + step < high)
        high = low + step;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (load64(places + middle * sizeof(Elf64_Rela)) < vaddr)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

// Runs of pages of which each is written to, as far as that shows in the table.
void writable_populate(const struct link_unit *unit,
                       const struct writable_huge *huge)
{
    const struct elf_relocations *tables = &unit->image.relocations;
    const struct elf_load *load = find_dense(unit);
    const uint64_t page = page_size();
    if (!load || load->filesz < FEW * page)
        return;
    uint64_t end = load->vaddr + load->filesz;
    uint64_t from = huge->end > load->vaddr ? huge->end : load->vaddr;
    uint64_t to = from;
    for (uint64_t i = 0; from < end; ) {
        i = find_relative(tables, i, to);
        uint64_t place = i < tables->relatives
            ? load64(tables->rela.data + i * sizeof(Elf64_Rela)) : end;
        if (place < to || place > end) // they do not ascend
            place = end;
        if (place < to + page && place < end) {
            to = (place & ~(page - 1)) + page;
            continue;
        }
        from &= ~(page - 1);
        if (to > from && to - from >= FEW * page)
            madvise((void *)(unit->object.bias + from), to - from,
                    MADV_POPULATE_WRITE);
        from = to = place;
    }
}
