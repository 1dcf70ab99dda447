// Looks into glibc: its imports from ld.so, its thread descriptors.

#include "internals.h"

#include <link.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../error.h"
#include "detour.h"
#include "patch.h"

// --------------------------------------------------------- libc's imports ---

struct thread_slots {
    void **allocate, **initialise, **deallocate;
};

static void keep_slot(void *data, void **slot)
{
    *(void ***)data = slot;
}

static e64_status find_libc(struct host_snapshot **snapshot,
                            struct host_module **libc)
{
    e64_status status = host_snapshot(snapshot);
    if (status != E64_OK)
        return status;
    *libc = host_find(*snapshot, "libc.so.6");
    if (*libc)
        return E64_OK;
    host_snapshot_release(*snapshot);
    return fail(E64_UNSUPPORTED, "the process has no libc.so.6");
}

static e64_status find_slots(struct thread_slots *slots)
{
    struct host_snapshot *snapshot;
    struct host_module *libc;
    e64_status status = find_libc(&snapshot, &libc);
    if (status != E64_OK)
        return status;
    *slots = (struct thread_slots){ NULL, NULL, NULL };
    host_slots(libc, "_dl_allocate_tls", keep_slot, &slots->allocate);
    host_slots(libc, "_dl_allocate_tls_init", keep_slot, &slots->initialise);
    host_slots(libc, "_dl_deallocate_tls", keep_slot, &slots->deallocate);
    host_snapshot_release(snapshot);
    if (!slots->allocate || !slots->initialise || !slots->deallocate)
        return fail(E64_UNSUPPORTED, "this libc does not get its threads' "
                    "storage from ld.so the way that is known (no import of "
                    "_dl_allocate_tls, _dl_allocate_tls_init or "
                    "_dl_deallocate_tls)");
    return E64_OK;
}

static void *nothing(void *data)
{
    return data;
}

static int run_thread(const pthread_attr_t *attributes)
{
    pthread_t thread;
    int error = pthread_create(&thread, attributes, nothing, NULL);
    return error ? error : pthread_join(thread, NULL);
}

// libc binds its imports at the first call. A thread on a stack of our own has
// its block allocated and freed, one on a stack that libc has kept has it
// initialised.
static e64_status bind_slots(void)
{
    size_t size = 1 << 20;
    pthread_attr_t attributes;
    void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return fail_memory(size);
    pthread_attr_init(&attributes);
    int error = pthread_attr_setstack(&attributes, stack, size);
    if (!error)
        error = run_thread(&attributes);
    for (int i = 0; !error && i < 2; i++)
        error = run_thread(NULL);
    pthread_attr_destroy(&attributes);
    munmap(stack, size);
    if (error)
        return fail(E64_SYSTEM, "threads cannot be created: %s",
                    strerror(error));
    return E64_OK;
}

e64_status host_find_thread_functions(struct host_thread_functions *functions)
{
    struct thread_slots slots;
    e64_status status = find_slots(&slots);
    if (status == E64_OK)
        status = bind_slots();
    if (status != E64_OK)
        return status;
    *functions = (struct host_thread_functions){
        (void *(*)(void *))*slots.allocate,
        (void *(*)(void *, bool))*slots.initialise,
        (void (*)(void *, bool))*slots.deallocate,
    };
    return E64_OK;
}

e64_status host_set_thread_functions(const struct host_thread_functions *ours)
{
    struct thread_slots slots;
    e64_status status = find_slots(&slots);
    if (status == E64_OK)
        status = host_patch(slots.deallocate, (void *)ours->deallocate);
    if (status == E64_OK)
        status = host_patch(slots.initialise, (void *)ours->initialise);
    if (status == E64_OK)
        status = host_patch(slots.allocate, (void *)ours->allocate);
    return status;
}

// ------------------------------------------------------ thread descriptors ---

enum { DESCRIPTOR_SIZE = 2048 }; // struct pthread has some 2300 bytes

static ptrdiff_t search_tid(void)
{
    const char *self = __builtin_thread_pointer();
    int tid = gettid();
    for (ptrdiff_t at = 0; at < DESCRIPTOR_SIZE; at += (ptrdiff_t)sizeof tid)
        if (memcmp(self + at, &tid, sizeof tid) == 0)
            return at;
    return -1;
}

static void *search_in_thread(void *data)
{
    *(ptrdiff_t *)data = search_tid();
    return data;
}

// The same place in two threads is no accident.
static ptrdiff_t tid_offset;
static void find_tid_offset(void)
{
    ptrdiff_t here = search_tid(), there = -1;
    pthread_t thread;
    if (pthread_create(&thread, NULL, search_in_thread, &there) == 0)
        pthread_join(thread, NULL);
    tid_offset = here == there ? here : -1;
}

ptrdiff_t host_tid_offset(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find_tid_offset);
    return tid_offset;
}

e64_status host_thread_creation(uintptr_t *start, uintptr_t *end)
{
    struct host_snapshot *snapshot;
    struct host_module *libc;
    Elf64_Sym symbol;
    e64_status status = find_libc(&snapshot, &libc);
    if (status != E64_OK)
        return status;
    struct elf_name name = elf_name("pthread_create");
    if (elf_find(&libc->symbols, &name, ELF_WANT_DEFINED | ELF_WANT_NEWEST,
                 &symbol)) {
        *start = elf_symbol_value(&libc->object, &symbol);
        *end = *start + symbol.st_size;
    } else {
        status = fail(E64_UNSUPPORTED, "this libc.so.6 has no pthread_create "
                      "(glibc before 2.34)");
    }
    host_snapshot_release(snapshot);
    return status;
}

struct own {
    uintptr_t inside;
    char *image;
};

static int find_own(struct dl_phdr_info *info, size_t size, void *data)
{
    struct own *own = data;
    char *image = NULL;
    bool found = false;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_TLS)
            image = (char *)start;
        if (header->p_type == PT_LOAD && own->inside >= start
            && own->inside - start < header->p_memsz)
            found = true;
    }
    if (found)
        own->image = image;
    return found;
}

char *host_own_tls_image(const void *inside)
{
    struct own own = { (uintptr_t)inside, NULL };
    host_iterate_phdr(find_own, &own);
    return own.image;
}
