// The process as the harness sees it: through dl_iterate_phdr and
// /proc/self/maps; see objects.h.

#include "objects.h"

#include <dlfcn.h>
#include <err.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *canonical(const char *path)
{
    char *real = realpath(path, NULL);
    if (!real)
        real = strdup(path);
    if (!real)
        err(3, "%s", path);
    return real;
}

static void *grown(void *array, size_t count, size_t size)
{
    if ((count & (count - 1)) != 0)
        return array;
    array = realloc(array, (count ? count * 2 : 1) * size);
    if (!array)
        err(3, "memory");
    return array;
}

void process_add(struct process *process, struct object object)
{
    process->objects = grown(process->objects, process->count, sizeof object);
    process->objects[process->count++] = object;
}

struct visit {
    struct process *process;
    enum mapper mapper;
};

static int visit_host(struct dl_phdr_info *info, size_t size, void *data)
{
    struct visit *visit = data;
    struct object object = { .base = info->dlpi_addr, .mapper = visit->mapper };
    uintptr_t low = UINTPTR_MAX, high = 0;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type == PT_LOAD) {
            if (segment->p_vaddr < low)
                low = segment->p_vaddr;
            if (segment->p_vaddr + segment->p_memsz > high)
                high = segment->p_vaddr + segment->p_memsz;
        } else if (segment->p_type == PT_TLS) {
            object.tls_module = info->dlpi_tls_modid;
            object.tls_size = segment->p_memsz;
        }
    }
    object.start = object.base + low;
    object.end = object.base + high;
    for (size_t i = 0; i < visit->process->count; i++)
        if (visit->process->objects[i].start == object.start)
            return 0;
    object.path = canonical(info->dlpi_name[0] ? info->dlpi_name
                                               : "/proc/self/exe");
    process_add(visit->process, object);
    return 0;
}

static int (*walk)(int (*)(struct dl_phdr_info *, size_t, void *), void *);

// glibc's own. From the first open on, the loader has whoever asks for it get
// what shows plugins, too.
static __attribute__((constructor)) void find_walk(void)
{
    walk = dlsym(RTLD_DEFAULT, "dl_iterate_phdr");
}

void process_add_host(struct process *process, enum mapper mapper)
{
    struct visit visit = { process, mapper };
    walk(visit_host, &visit);
}

void process_read_regions(struct process *process)
{
    char line[PATH_MAX + 200];
    FILE *maps = fopen("/proc/self/maps", "re");

    if (!maps)
        err(3, "/proc/self/maps");
    process->region_count = 0;
    while (fgets(line, sizeof line, maps)) {
        struct region region;
        char permissions[5];
        int path = 0;
        if (sscanf(line, "%lx-%lx %4s %lx %*s %*s %n", &region.start,
                   &region.end, permissions, &region.offset, &path) != 4)
            errx(3, "/proc/self/maps: not understood: %s", line);
        line[strcspn(line, "\n")] = 0;
        region.path = strdup(line + path);
        region.executable = permissions[2] == 'x';
        process->regions = grown(process->regions, process->region_count,
                                 sizeof region);
        process->regions[process->region_count++] = region;
    }
    fclose(maps);
}

static int by_path(const void *left, const void *right)
{
    return strcmp(((const struct object *)left)->path,
                  ((const struct object *)right)->path);
}

void process_sort(struct process *process)
{
    qsort(process->objects, process->count, sizeof *process->objects, by_path);
}

const struct object *process_find(const struct process *process,
                                  uintptr_t address)
{
    for (size_t i = 0; i < process->count; i++)
        if (address >= process->objects[i].start
            && address < process->objects[i].end)
            return &process->objects[i];
    return NULL;
}

// ----------------------------------------------------------- the meaning ---

struct line {
    FILE *out;
    const struct process *process;
    const struct object *own;
    const struct relocation *relocation;
    int meanings;
};

static void begin(struct line *line, char flag)
{
    const struct relocation *relocation = line->relocation;
    fprintf(line->out, "%c\t%lx\t%s\t%s", flag, relocation->offset,
            relocation_name(relocation->type), relocation->symbol);
}

// The library itself is "=", because most slots point there.
static const char *name_of(const struct line *line, const struct object *object)
{
    return object == line->own ? "=" : object->path;
}

static void say_place(struct line *line, const struct object *object,
                      uintptr_t address)
{
    if (line->meanings++ == 0)
        begin(line, '.');
    fprintf(line->out, "\t%s+%lx", name_of(line, object),
            address - object->base);
}

static void say_number(struct line *line, uint64_t number)
{
    if (line->meanings++ == 0)
        begin(line, '.');
    fprintf(line->out, "\tnumber %lx", number);
}

static void say_excluded(struct line *line, const char *why)
{
    begin(line, '!');
    fprintf(line->out, "\t%s", why);
}

// Memory that no object covers, by its kind: where a constructor's allocation
// or another file lies differs from run to run.
static void say_memory(struct line *line, uintptr_t address)
{
    const struct process *process = line->process;
    for (size_t i = 0; i < process->region_count; i++) {
        const struct region *region = &process->regions[i];
        if (address < region->start || address >= region->end)
            continue;
        if (region->path[0] == '/') {
            begin(line, '.');
            fprintf(line->out, "\tfile %s+%lx", region->path,
                    address - region->start + region->offset);
        } else if (strcmp(region->path, "[stack]") == 0) {
            begin(line, '~');
            fputs("\tstack", line->out);
        } else if (region->executable) {
            begin(line, '.');
            fputs("\tcode", line->out);
        } else {
            begin(line, '~');
            fputs("\theap", line->out);
        }
        return;
    }
    say_number(line, address);
}

// An address that is symbol + addend. Each of these readings is true of it:
// it lies in an object; the symbol lies in an object; it is one past the end of
// an object.
static void say_address(struct line *line, uintptr_t address)
{
    const struct process *process = line->process;
    const struct relocation *relocation = line->relocation;
    const struct object *object = process_find(process, address);
    bool relative = relocation->type == R_X86_64_RELATIVE
                    || relocation->type == R_X86_64_RELATIVE64
                    || relocation->type == RELOCATION_RELR;

    // What the psABI has it hold, B + A, even outside the object.
    if (relative && address == line->own->base + relocation->addend) {
        say_place(line, line->own, address);
        return;
    }
    if (object)
        say_place(line, object, address);
    if (relocation->symbol[0] && relocation->addend != 0) {
        const struct object *owner = process_find(process, address
                                                      - relocation->addend);
        if (owner && owner != object)
            say_place(line, owner, address);
    }
    for (size_t i = 0; i < process->count; i++)
        if (address == process->objects[i].end)
            say_place(line, &process->objects[i], address);
    if (line->meanings == 0)
        say_memory(line, address);
}

static void say_module(struct line *line, uint64_t module)
{
    const struct process *process = line->process;
    for (size_t i = 0; module && i < process->count; i++)
        if (process->objects[i].tls_module == module) {
            begin(line, '.');
            fprintf(line->out, "\tthreads %s",
                    name_of(line, &process->objects[i]));
            return;
        }
    say_number(line, module);
}

// An address of this thread's thread-local storage, as module and offset.
static bool say_thread_address(struct line *line, uintptr_t address)
{
    const struct process *process = line->process;
    for (size_t i = 0; i < process->count; i++) {
        const struct object *object = &process->objects[i];
        if (!object->tls_module)
            continue;
        uintptr_t block = (uintptr_t)process->tls_address(object->tls_module,
                                                          0);
        if (address < block || address > block + object->tls_size)
            continue;
        if (line->meanings++ == 0)
            begin(line, '.');
        fprintf(line->out, "\tthreads %s+%lx", name_of(line, object),
                address - block);
    }
    return line->meanings != 0;
}

// psABI 3.4.6, TLS descriptors: rax points at the pair, the function answers
// the offset from the thread pointer in rax and keeps all other registers.
static uintptr_t resolve_descriptor(uintptr_t pair)
{
    uintptr_t offset = pair;
    __asm__ volatile("mov %%rsp, %%rbx\n\t"
                     "sub $256, %%rsp\n\t"
                     "and $-64, %%rsp\n\t"
                     "call *(%%rax)\n\t"
                     "mov %%rbx, %%rsp"
                     : "+a"(offset)
                     :
                     : "rbx", "memory", "cc");
    return offset;
}

// Reads memory without dying where there is none.
static bool read_slot(uintptr_t address, void *into, size_t size)
{
    enum { WINDOW = 4096 };
    static int memory = -1;
    static uint8_t window[WINDOW + 16];
    static uintptr_t begin_of_window = 1;
    static ssize_t have;

    if (memory < 0)
        memory = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (address - begin_of_window >= WINDOW) {
        begin_of_window = address & -(uintptr_t)WINDOW;
        have = pread(memory, window, sizeof window, begin_of_window);
    }
    if ((ssize_t)(address - begin_of_window + size) > have)
        return pread(memory, into, size, address) == (ssize_t)size;
    memcpy(into, window + (address - begin_of_window), size);
    return true;
}

static int64_t extended(uint64_t value, int width)
{
    return width == 4 ? (int32_t)value
         : width == 2 ? (int16_t)value
         : width == 1 ? (int8_t)value : (int64_t)value;
}

void print_slot(FILE *out, const struct process *process,
                const struct object *own, const struct relocation *relocation)
{
    struct line line = { out, process, own, relocation, 0 };
    uintptr_t P = own->base + relocation->offset;
    int width = relocation_width(relocation->type);
    uint64_t slot[2] = { 0, 0 };

    if (width < 0) {
        say_excluded(&line, "a relocation that the harness does not know");
    } else if (width == 0) {
        begin(&line, '.');
        fputs("\tnothing", out);
    } else if (!read_slot(P, slot, width)) {
        say_excluded(&line, "a slot that is not mapped");
    } else {
        uintptr_t thread = (uintptr_t)__builtin_thread_pointer();
        switch (relocation->type) {
        case R_X86_64_DTPMOD64:
            say_module(&line, slot[0]);
            break;
        case R_X86_64_TPOFF64:
            if (!say_thread_address(&line, thread + slot[0]))
                say_number(&line, slot[0]);
            break;
        case R_X86_64_TPOFF32:
            if (!say_thread_address(&line, thread + extended(slot[0], 4)))
                say_number(&line, slot[0]);
            break;
        case R_X86_64_TLSDESC: {
            uintptr_t offset = resolve_descriptor(P);
            if (!say_thread_address(&line, thread + offset))
                say_number(&line, thread + offset);
            break;
        }
        case R_X86_64_PC64:
        case R_X86_64_PC32:
        case R_X86_64_PLT32:
        case R_X86_64_PC16:
        case R_X86_64_PC8:
            say_address(&line, P + extended(slot[0], width));
            break;
        case R_X86_64_DTPOFF64:
        case R_X86_64_DTPOFF32:
        case R_X86_64_SIZE32:
        case R_X86_64_SIZE64:
        case R_X86_64_32:
        case R_X86_64_32S:
        case R_X86_64_16:
        case R_X86_64_8:
            // Too narrow for an address, or not one at all.
            say_number(&line, slot[0]);
            break;
        default:
            say_address(&line, slot[0]);
        }
    }
    fputc('\n', out);
}
