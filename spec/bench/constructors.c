// The redirection of constructors; see constructors.h.

#include "constructors.h"

#include <err.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

typedef void (*constructor)(int count, char **words, char **environment);

// One redirected entry: DT_INIT (`list` NULL) or DT_INIT_ARRAY.
struct entry {
    constructor single;
    const constructor *list;
    size_t length;
    uintptr_t stub; // the array of one that glibc is given for a list
};

// A stub passes its number as fourth argument:
//     mov ecx, NUMBER; mov rax, run_constructors; jmp rax
#define STUB_SIZE 32
#define ENTRIES 4096

static struct entry entries[ENTRIES];
static size_t used;
static uint8_t *stubs;
static bool watching;
static bool adding;
static int depth;
static struct link_map *last;
static struct constructors counts;
static const struct r_debug *state;

// By DT_DEBUG: the name _r_debug may be a dead copy in this program (gABI,
// copy relocations).
const struct r_debug *debug_state(void)
{
    for (const ElfW(Dyn) *entry = _DYNAMIC; entry->d_tag != DT_NULL; entry++)
        if (entry->d_tag == DT_DEBUG)
            return (const struct r_debug *)entry->d_un.d_ptr;
    errx(3, "no DT_DEBUG in this program");
}

int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void run_constructors(int count, char **words, char **environment,
                             uint32_t number)
{
    const struct entry *entry = &entries[number];
    int64_t begin = now();

    // A constructor that opens a library is one constructor.
    depth++;
    if (entry->list)
        for (size_t i = 0; i < entry->length; i++)
            entry->list[i](count, words, environment);
    else
        entry->single(count, words, environment);
    if (--depth == 0)
        counts.running += now() - begin;
}

static void redirect(struct link_map *map)
{
    ElfW(Dyn) *init = NULL, *array = NULL, *size = NULL;
    bool written = false;

    for (ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        switch (entry->d_tag) {
        case DT_INIT: init = entry; break;
        case DT_INIT_ARRAY: array = entry; break;
        case DT_INIT_ARRAYSZ: size = entry; break;
        // glibc has added the base to this one where the section is writable.
        case DT_STRTAB: written = entry->d_un.d_ptr >= map->l_addr; break;
        }
    }
    if (!written && (init || array))
        errx(3, "%s: a dynamic section that cannot be written", map->l_name);
    if (used + 2 > ENTRIES)
        errx(3, "more than %d constructors", ENTRIES);
    if (init) {
        entries[used].single = (constructor)(map->l_addr + init->d_un.d_ptr);
        init->d_un.d_ptr = (uintptr_t)stubs + used * STUB_SIZE - map->l_addr;
        used++;
    }
    if (array && size && size->d_un.d_val) {
        struct entry *entry = &entries[used];
        entry->list = (const constructor *)(map->l_addr + array->d_un.d_ptr);
        entry->length = size->d_un.d_val / sizeof(constructor);
        entry->stub = (uintptr_t)stubs + used * STUB_SIZE;
        array->d_un.d_ptr = (uintptr_t)&entry->stub - map->l_addr;
        size->d_un.d_val = sizeof(constructor);
        used++;
    }
}

static struct link_map *end_of_list(void)
{
    struct link_map *map = state->r_map;
    while (map->l_next)
        map = map->l_next;
    return map;
}

// What glibc calls instead of its empty function: before its list changes, with
// the reason, and when it has changed. An open that fails adds and deletes.
static void redirect_new(void)
{
    if (!watching || depth)
        return;
    int64_t begin = now();
    if (state->r_state != RT_CONSISTENT) {
        adding = state->r_state == RT_ADD;
    } else if (!adding) {
        last = end_of_list();
    } else {
        while (last->l_next) {
            last = last->l_next;
            redirect(last);
        }
        adding = false;
        counts.mapped = begin;
    }
    counts.watching += now() - begin;
}

// Whether these bytes are ret and padding: the multi-byte forms of nop that
// assemblers use begin with 66, 0f 1f or 90, and the rest is their operand.
static bool empty_function(const uint8_t *code)
{
    if (code[0] != 0xc3 || (uintptr_t)code % 16 != 0)
        return false;
    for (int at = 1; at < 16;) {
        while (at < 16 && (code[at] == 0x66 || code[at] == 0x2e))
            at++;
        if (at < 16 && code[at] == 0x90) {
            at++;
            continue;
        }
        if (at + 2 >= 16 || code[at] != 0x0f || code[at + 1] != 0x1f)
            return false;
        // ModRM, then SIB for r/m 100, then 0, 1 or 4 bytes of displacement.
        uint8_t mode = code[at + 2];
        at += 3 + ((mode & 7) == 4) + (mode >> 6 == 1 ? 1 : 0)
              + (mode >> 6 == 2 ? 4 : 0);
    }
    return true;
}

void constructors_install(void)
{
    size_t size = STUB_SIZE * ENTRIES;
    state = debug_state();
    stubs = mmap(NULL, size, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stubs == MAP_FAILED)
        err(3, "stubs");
    for (uint32_t number = 0; number < ENTRIES; number++) {
        uint8_t *stub = stubs + number * STUB_SIZE;
        void (*target)(int, char **, char **, uint32_t) = run_constructors;
        memcpy(stub, "\xb9", 1);
        memcpy(stub + 1, &number, 4);
        memcpy(stub + 5, "\x48\xb8", 2);
        memcpy(stub + 7, &target, 8);
        memcpy(stub + 15, "\xff\xe0", 2);
    }
    if (mprotect(stubs, size, PROT_READ | PROT_EXEC) != 0)
        err(3, "stubs");

    uint8_t *code = (uint8_t *)state->r_brk;
    uintptr_t page = sysconf(_SC_PAGESIZE);
    void *start = (void *)((uintptr_t)code & -page);
    void (*target)(void) = redirect_new;
    if (!empty_function(code))
        errx(3, "this C library's _dl_debug_state is not the empty function "
             "that constructors.c knows");
    if (mprotect(start, page, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
        err(3, "_dl_debug_state");
    // jmp *0(%rip), then the address.
    memcpy(code, "\xff\x25\0\0\0\0", 6);
    memcpy(code + 6, &target, 8);
    if (mprotect(start, page, PROT_READ | PROT_EXEC) != 0)
        err(3, "_dl_debug_state");
    // Every page that is written later is there already.
    memset(entries, 1, sizeof entries);
    memset(entries, 0, sizeof entries);
}

void constructors_watch(void)
{
    last = end_of_list();
    memset(&counts, 0, sizeof counts);
    used = 0;
    watching = true;
}

struct constructors constructors_stop(void)
{
    watching = false;
    return counts;
}
