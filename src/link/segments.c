// Maps the segments of an image (gABI "Program Loading").

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../error.h"
#include "../mapping.h"
#include "../memory.h"
#include "../tls/tls.h"
#include "place.h"

static uint64_t page_size(void)
{
    return (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t page_down(uint64_t address)
{
    return address & ~(page_size() - 1);
}

static uint64_t page_up(uint64_t address)
{
    return page_down(address + page_size() - 1);
}

static int protection(uint32_t flags)
{
    return (flags & PF_R ? PROT_READ : 0) | (flags & PF_W ? PROT_WRITE : 0)
         | (flags & PF_X ? PROT_EXEC : 0);
}

static uint8_t *address(const struct link_unit *unit, uint64_t vaddr)
{
    return (uint8_t *)(unit->object.bias + vaddr);
}

static e64_status fail_map(const struct link_unit *unit, const char *what,
                           uint64_t size)
{
    e64_status status = fail_system("%s: cannot %s of %llu bytes",
                                    unit->object.name, what,
                                    (unsigned long long)size);
    error_path(unit->object.name);
    return status;
}

static e64_status protect(const struct link_unit *unit, uint64_t start,
                          uint64_t end, int prot)
{
    if (end <= start || mprotect(address(unit, start), end - start, prot) == 0)
        return E64_OK;
    // As systemd's MemoryDenyWriteExecute has it, by a filter or by prctl.
    if (prot & PROT_EXEC && (errno == EPERM || errno == EACCES))
        return fail_map(unit, "execute what had to be written first (text "
                        "relocations, or a source that is no whole file)",
                        end - start);
    return fail_map(unit, "change the protection of a part", end - start);
}

// The pages that a segment does not share with its neighbours.
static void own_pages(const struct elf_image *image, uint32_t i,
                      uint64_t *start, uint64_t *end)
{
    const struct elf_load *load = &image->loads[i];
    *start = page_down(load->vaddr);
    *end = page_up(load->vaddr + load->memsz);
    if (i > 0) {
        const struct elf_load *before = load - 1;
        uint64_t shared = page_up(before->vaddr + before->memsz);
        if (shared > *start)
            *start = shared;
    }
    if (i + 1 < image->load_count && page_down(load[1].vaddr) < *end)
        *end = page_down(load[1].vaddr);
    if (*end < *start)
        *end = *start;
}

static e64_status map_anonymous(const struct link_unit *unit, uint64_t start,
                                uint64_t end, int prot)
{
    if (end > start
        && mmap(address(unit, start), end - start, prot,
                MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
        return fail_map(unit, "get memory for a segment", end - start);
    return E64_OK;
}

// Copies what a segment holds of the file within [start, end).
static void copy(const struct link_unit *unit, const struct elf_load *load,
                 uint64_t start, uint64_t end)
{
    uint64_t filled = load->vaddr + load->filesz;
    if (start < load->vaddr)
        start = load->vaddr;
    if (end > filled)
        end = filled;
    if (start < end)
        memcpy(address(unit, start), unit->image.file.data + load->offset
               + (start - load->vaddr), end - start);
}

static e64_status map_copied(const struct link_unit *unit,
                             const struct elf_load *load, uint64_t start,
                             uint64_t end)
{
    int prot = protection(load->flags);
    e64_status status = map_anonymous(unit, start, end, PROT_READ | PROT_WRITE);
    if (status == E64_OK && start < end) {
        copy(unit, load, start, end);
        if (prot != (PROT_READ | PROT_WRITE))
            status = protect(unit, start, end, prot);
    }
    return status;
}

// The last page of what comes from the file goes on with .bss, or with what
// follows in the file, which must not show.
static e64_status clear_tail(const struct link_unit *unit,
                             const struct elf_load *load, uint64_t end)
{
    uint64_t filled = load->vaddr + load->filesz;
    if (load->memsz == load->filesz || page_up(filled) == filled
        || page_up(filled) > end)
        return E64_OK;
    uint64_t page = page_down(filled);
    int prot = protection(load->flags);
    e64_status status = E64_OK;
    if (!(prot & PROT_WRITE))
        status = protect(unit, page, page_up(filled), PROT_READ | PROT_WRITE);
    if (status == E64_OK) {
        memset(address(unit, filled), 0, page_up(filled) - filled);
        if (!(prot & PROT_WRITE))
            status = protect(unit, page, page_up(filled), prot);
    }
    return status;
}

static e64_status map_file(const struct link_unit *unit,
                           const struct elf_load *load, uint64_t start,
                           uint64_t end)
{
    uint64_t filled = page_up(load->vaddr + load->filesz);
    uint64_t split = load->filesz == 0 ? start : filled < end ? filled : end;
    if (split < start)
        split = start;
    int prot = protection(load->flags);
    if (split > start) {
        uint64_t offset = unit->file.offset + load->offset
                        + start - load->vaddr;
        if (mmap(address(unit, start), split - start, prot,
                 MAP_PRIVATE | MAP_FIXED, unit->file.fd,
                 (off_t)offset) == MAP_FAILED)
            return fail_map(unit, "map a segment", split - start);
        e64_status status = clear_tail(unit, load, split);
        if (status != E64_OK)
            return status;
    }
    return map_anonymous(unit, split, end, prot);
}

// Only a file whose ELF part begins at a page can be mapped.
static bool is_mappable(const struct link_unit *unit)
{
    return unit->file.fd >= 0 && unit->file.offset % page_size() == 0;
}

// Does segment i begin on a page that the one before it has part of, too, and
// is it the first that does? There may be thousands on it. *flags becomes what
// any of them permits.
static bool shares_page(const struct elf_image *image, uint32_t i,
                        uint64_t *page, uint32_t *flags)
{
    const struct elf_load *load = &image->loads[i];
    *page = page_down(load->vaddr);
    if (i == 0 || page_up(load[-1].vaddr + load[-1].memsz) <= *page
        || (i > 1 && page_down(load[-1].vaddr) == *page
            && page_up(load[-2].vaddr + load[-2].memsz) > *page))
        return false;
    *flags = load[-1].flags;
    for (; i < image->load_count
           && image->loads[i].vaddr < *page + page_size(); i++)
        *flags |= image->loads[i].flags;
    return true;
}

// A page that several segments share is put together by hand: it has what each
// has of it, and all of their permissions. Segment i is the second of them.
static e64_status map_shared(const struct link_unit *unit, uint32_t i,
                             uint64_t page, uint32_t flags)
{
    const struct elf_image *image = &unit->image;
    uint64_t end = page + page_size();
    e64_status status = map_anonymous(unit, page, end, PROT_READ | PROT_WRITE);
    if (status != E64_OK)
        return status;
    for (i--; i < image->load_count && image->loads[i].vaddr < end; i++)
        copy(unit, &image->loads[i], page, end);
    if (flags & PF_W && flags & PF_X) {
        fail(E64_UNSUPPORTED, "%s: a page is shared by a writable and an "
             "executable segment, and memory is never both; link it with "
             "-z separate-code", unit->object.name);
        error_path(unit->object.name);
        return E64_UNSUPPORTED;
    }
    return protect(unit, page, end, protection(flags));
}

static e64_status map_segment(struct link_unit *unit, uint32_t i,
                              const struct writable_huge *huge)
{
    const struct elf_image *image = &unit->image;
    const struct elf_load *load = &image->loads[i];
    uint64_t start, end, page;
    uint32_t flags;
    e64_status status = E64_OK;
    own_pages(image, i, &start, &end);
    if (huge->end > huge->start && start == huge->start) {
        status = writable_read(unit, load, huge);
        start = huge->end;
    }
    if (status == E64_OK && start < end)
        status = is_mappable(unit) ? map_file(unit, load, start, end)
                                   : map_copied(unit, load, start, end);
    if (status == E64_OK && shares_page(image, i, &page, &flags))
        status = map_shared(unit, i, page, flags);
    return status;
}

static e64_status check_flags(const struct link_unit *unit)
{
    for (uint32_t i = 0; i < unit->image.load_count; i++) {
        uint32_t flags = unit->image.loads[i].flags;
        if (flags & PF_W && flags & PF_X) {
            fail(E64_UNSUPPORTED, "%s: a PT_LOAD is writable and executable, "
                 "and memory is never both; link it without -N or "
                 "--omagic", unit->object.name);
            error_path(unit->object.name);
            return E64_UNSUPPORTED;
        }
    }
    return E64_OK;
}

static e64_status add_tls(struct link_unit *unit)
{
    const struct elf_image *image = &unit->image;
    if (!image->has_tls)
        return E64_OK;
    struct tls_image tls = {
        .bytes = address(unit, image->tls.vaddr),
        .filled = image->tls.size,
        .size = image->tls_size,
        .align = image->tls_align,
        .skew = image->tls.vaddr & (image->tls_align - 1),
    };
    e64_status status = tls_module_new(&tls, unit->object.name,
                                       &unit->tls_module);
    unit->object.tls_module = unit->tls_module;
    return status;
}

// LeakSanitizer looks for pointers in what glibc has mapped, and must be told
// of our segments.
extern void __lsan_register_root_region(const void *start, size_t size)
    __attribute__((weak));
extern void __lsan_unregister_root_region(const void *start, size_t size)
    __attribute__((weak));

static void tell_sanitizer(const struct link_unit *unit, bool mapped)
{
    void (*tell)(const void *, size_t) = mapped ? __lsan_register_root_region
                                       : __lsan_unregister_root_region;
    for (uint32_t i = 0; tell && i < unit->image.load_count; i++) {
        const struct elf_load *load = &unit->image.loads[i];
        if (load->flags & PF_W)
            tell(address(unit, load->vaddr), load->memsz);
    }
}

// Where the table of strings is now.
static void find_soname(struct link_unit *unit)
{
    if (unit->image.soname)
        unit->object.soname = elf_string(&unit->image.symbols,
                                         unit->image.soname);
}

e64_status link_read(struct link_unit *unit)
{
    e64_status status = elf_image_read(unit->file.view, unit->file.name,
                                       &unit->image);
    if (status != E64_OK)
        return status;
    unit->image.symbols.of_objects = unit->made != NULL;
    unit->object.symbols = &unit->image.symbols;
    unit->object.name = unit->file.name;
    find_soname(unit);
    return check_flags(unit);
}

e64_status link_map(struct link_unit *unit)
{
    const struct writable_huge huge = writable_huge(unit);
    bool over = place_over_file(unit, &huge);
    e64_status status = over ? E64_OK : place_unit(unit, &huge);
    for (uint32_t i = over; status == E64_OK && i < unit->image.load_count;
         i++)
        status = map_segment(unit, i, &huge);
    if (status == E64_OK) {
        elf_image_move(&unit->image, unit->object.bias);
        if (over) // segments lie where the rest of the file was
            unit->image.file = unit->file.view = (struct view){ 0 };
        find_soname(unit);
        writable_populate(unit, &huge);
        tell_sanitizer(unit, true);
        unit->mapped = true;
        status = add_tls(unit);
    }
    return status;
}

// Text relocations write to segments that are not writable. They are made so
// for that time, and lose the permission to be executed meanwhile.
static e64_status protect_text(struct link_unit *unit, bool writable)
{
    e64_status status = E64_OK;
    if (!unit->image.text_relocations)
        return status;
    for (uint32_t i = 0; status == E64_OK && i < unit->image.load_count; i++) {
        uint32_t flags = unit->image.loads[i].flags;
        uint64_t start, end;
        own_pages(&unit->image, i, &start, &end);
        if (!(flags & PF_W))
            status = protect(unit, start, end, writable
                             ? PROT_READ | PROT_WRITE : protection(flags));
        if (status == E64_OK && shares_page(&unit->image, i, &start, &flags)
            && !(flags & PF_W))
            status = protect(unit, start, start + page_size(), writable
                             ? PROT_READ | PROT_WRITE : protection(flags));
    }
    return status;
}

e64_status link_open_text(struct link_unit *unit)
{
    return protect_text(unit, true);
}

e64_status link_close_text(struct link_unit *unit)
{
    return protect_text(unit, false);
}

e64_status link_seal(struct link_unit *unit)
{
    const struct elf_range *relro = &unit->image.relro;
    uint64_t start = page_down(relro->vaddr);
    uint64_t end = page_down(relro->vaddr + relro->size);
    e64_status status = E64_OK;
    // Code stays executable even if the range claims it.
    for (uint32_t i = 0; status == E64_OK && i < unit->image.load_count; i++) {
        const struct elf_load *load = &unit->image.loads[i];
        uint64_t from = page_down(load->vaddr);
        uint64_t to = page_up(load->vaddr + load->memsz);
        if (load->flags & PF_W)
            status = protect(unit, from > start ? from : start,
                             to < end ? to : end, PROT_READ);
    }
    return status;
}

e64_status link_settle(struct link_unit *unit)
{
    e64_status status = elf_image_settle(&unit->image, unit->lazy.wanted);
    if (status != E64_OK)
        return status;
    find_soname(unit);
    elf_file_release(&unit->file);
    return E64_OK;
}

void link_free(struct link_unit *unit)
{
    tls_module_free(unit->tls_module);
    link_bindings_free(&unit->bindings);
    link_deferred_free(unit);
    memory_free(unit->descriptors);
    if (unit->mapped)
        tell_sanitizer(unit, false);
    if (unit->memory)
        mapping_drop(unit->memory, unit->size);
    elf_image_free(&unit->image);
    elf_file_close(&unit->file);
    *unit = (struct link_unit){ .file = { .fd = -1 } };
}
