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

static void keep_slot(void *data, void **slot)
{
    *(void ***)data = slot;
}

// The first definition, as ld.so finds it.
static void *find_definition(const struct host_snapshot *snapshot,
                             const char *text)
{
    struct elf_name name = elf_name_version(text, "GLIBC_PRIVATE");
    Elf64_Sym symbol;
    for (uint32_t i = 0; i < snapshot->global_count; i++) {
        const struct elf_object *object = snapshot->globals[i];
        if (elf_find(object->symbols, &name, ELF_WANT_DEFINED, &symbol))
            return (void *)elf_symbol_value(object, &symbol);
    }
    return NULL;
}

static void find_definitions(const struct host_snapshot *snapshot,
                             struct host_thread_functions *defined)
{
    *defined = (struct host_thread_functions){
        (void *(*)(void *))find_definition(snapshot, "_dl_allocate_tls"),
        (void *(*)(void *, bool))find_definition(snapshot,
                                                 "_dl_allocate_tls_init"),
        (void (*)(void *, bool))find_definition(snapshot,
                                                "_dl_deallocate_tls") };
}

static e64_status find_slots(const struct host_module *libc,
                             struct host_threads *threads)
{
    host_slots(libc, "_dl_allocate_tls", keep_slot, &threads->allocate);
    host_slots(libc, "_dl_allocate_tls_init", keep_slot, &threads->initialise);
    host_slots(libc, "_dl_deallocate_tls", keep_slot, &threads->deallocate);
    threads->libc_start = libc->object.start;
    threads->libc_end = libc->object.end;
    threads->protection = host_expected_protection(
        libc, (uintptr_t)threads->allocate);
    if (!threads->allocate || !threads->initialise || !threads->deallocate)
        return fail(E64_UNSUPPORTED, "this libc does not get its threads' "
                    "storage from ld.so the way that is known (no import of "
                    "_dl_allocate_tls, _dl_allocate_tls_init or "
                    "_dl_deallocate_tls)");
    return E64_OK;
}

static e64_status find_creation(const struct host_module *libc,
                                struct host_threads *threads)
{
    Elf64_Sym symbol;
    struct elf_name name = elf_name("pthread_create");
    if (!elf_find(&libc->symbols, &name, ELF_WANT_DEFINED | ELF_WANT_NEWEST,
                  &symbol))
        return fail(E64_UNSUPPORTED, "this libc.so.6 has no pthread_create "
                    "(glibc before 2.34)");
    threads->creation_start = elf_symbol_value(&libc->object, &symbol);
    threads->creation_end = threads->creation_start + symbol.st_size;
    return E64_OK;
}

static void *nothing(void *data)
{
    return data;
}

static e64_status run_thread(const pthread_attr_t *attributes,
                             void *(*function)(void *), void *data)
{
    pthread_t thread;
    int error = pthread_create(&thread, attributes, function, data);
    if (!error)
        error = pthread_join(thread, NULL);
    return error ? fail_thread(error) : E64_OK;
}

// A thread on a stack of our own has its block allocated and freed, one on a
// stack that libc has kept has it initialised. libc keeps none that are large
// (40 MB).
static e64_status exercise(void)
{
    size_t size = 1 << 20;
    pthread_attr_t own, usual;
    void *stack = mmap(NULL, size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (stack == MAP_FAILED)
        return fail_memory(size);
    pthread_attr_init(&own);
    pthread_attr_init(&usual);
    pthread_attr_setstack(&own, stack, size);
    pthread_attr_setstacksize(&usual, size);
    e64_status status = run_thread(&own, nothing, NULL);
    for (int i = 0; status == E64_OK && i < 2; i++)
        status = run_thread(&usual, nothing, NULL);
    pthread_attr_destroy(&own);
    pthread_attr_destroy(&usual);
    munmap(stack, size);
    return status;
}

// A slot that is not bound leads back into libc, to code that would bind it.
static bool is_unbound(const struct host_threads *threads, const void *standing)
{
    return (uintptr_t)standing >= threads->libc_start
        && (uintptr_t)standing < threads->libc_end;
}

e64_status host_bind_threads(const struct host_threads *threads, bool alone,
                             struct host_thread_functions *functions)
{
    void *defined[] = { (void *)threads->defined.allocate,
                        (void *)threads->defined.initialise,
                        (void *)threads->defined.deallocate };
    bool known = alone && defined[0] && defined[1] && defined[2];
    e64_status status = known ? E64_OK : exercise();
    if (status != E64_OK)
        return status;
    void *bound[] = { *threads->allocate, *threads->initialise,
                      *threads->deallocate };
    for (int i = 0; i < 3; i++) {
        if (is_unbound(threads, bound[i]) && !known)
            return fail(E64_UNSUPPORTED, "libc's imports of _dl_allocate_tls "
                        "and its kin were not bound by creating threads");
        if (is_unbound(threads, bound[i]))
            bound[i] = defined[i];
    }
    *functions = (struct host_thread_functions){
        (void *(*)(void *))bound[0], (void *(*)(void *, bool))bound[1],
        (void (*)(void *, bool))bound[2] };
    return E64_OK;
}

e64_status host_set_threads(const struct host_threads *threads,
                            const struct host_thread_functions *ours)
{
    int expected = threads->protection;
    e64_status status = host_patch(threads->deallocate,
                                   (void *)ours->deallocate, expected);
    if (status == E64_OK)
        status = host_patch(threads->initialise, (void *)ours->initialise,
                            expected);
    if (status == E64_OK)
        status = host_patch(threads->allocate, (void *)ours->allocate,
                            expected);
    return status;
}

bool host_threads_lost(const struct host_threads *threads,
                       const struct host_thread_functions *original)
{
    return __atomic_load_n(threads->allocate, __ATOMIC_ACQUIRE)
               == (void *)original->allocate
        || __atomic_load_n(threads->initialise, __ATOMIC_ACQUIRE)
               == (void *)original->initialise
        || __atomic_load_n(threads->deallocate, __ATOMIC_ACQUIRE)
               == (void *)original->deallocate;
}

// ------------------------------------------------------ thread descriptors ---

enum { DESCRIPTOR_SIZE = 2048 }; // struct pthread has some 2300 bytes

// Words of this thread's descriptor that hold its number.
struct places {
    bool at[DESCRIPTOR_SIZE / sizeof(int)];
};

static void *compare_places(void *data)
{
    struct places *places = data;
    const char *descriptor = __builtin_thread_pointer();
    int tid = gettid();
    for (size_t i = 0; i < sizeof places->at; i++)
        places->at[i] &= memcmp(descriptor + i * sizeof tid, &tid,
                                sizeof tid) == 0;
    return data;
}

// The same place in two threads is no accident, while one of them may have the
// same word in another place: a size, say.
e64_status host_find_tid(struct host_threads *threads)
{
    struct places places;
    memset(&places, true, sizeof places);
    compare_places(&places);
    e64_status status = run_thread(NULL, compare_places, &places);
    for (size_t i = 0; status == E64_OK && i < sizeof places.at; i++) {
        if (places.at[i]) {
            threads->tid = (ptrdiff_t)(i * sizeof(int));
            return E64_OK;
        }
    }
    return status != E64_OK ? status
        : fail(E64_UNSUPPORTED, "glibc's thread descriptor is not laid out as "
               "is known");
}

e64_status host_find_threads(struct host_threads *threads)
{
    struct host_snapshot *snapshot;
    e64_status status = host_snapshot(&snapshot);
    if (status != E64_OK)
        return status;
    struct host_module *libc = host_find(snapshot, "libc.so.6");
    *threads = (struct host_threads){ 0 };
    if (!libc)
        status = fail(E64_UNSUPPORTED, "the process has no libc.so.6");
    if (status == E64_OK)
        status = find_slots(libc, threads);
    if (status == E64_OK)
        status = find_creation(libc, threads);
    find_definitions(snapshot, &threads->defined);
    host_snapshot_release(snapshot);
    return status;
}

bool host_is_startup(const void *inside)
{
    struct host_snapshot *snapshot;
    if (host_snapshot(&snapshot) != E64_OK)
        return false;
    const struct host_module *module = host_containing(snapshot,
                                                       (uintptr_t)inside);
    bool startup = module && module->startup;
    host_snapshot_release(snapshot);
    return startup;
}

struct own {
    uintptr_t inside;
    char *image;
    bool sealed;
};

static int find_own(struct dl_phdr_info *info, size_t size, void *data)
{
    struct own *own = data;
    char *image = NULL, *sealed_start = NULL, *sealed_end = NULL;
    bool found = false;
    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const Elf64_Phdr *header = &info->dlpi_phdr[i];
        uintptr_t start = info->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_TLS)
            image = (char *)start;
        if (header->p_type == PT_GNU_RELRO) {
            sealed_start = (char *)start;
            sealed_end = sealed_start + header->p_memsz;
        }
        if (header->p_type == PT_LOAD && own->inside >= start
            && own->inside - start < header->p_memsz)
            found = true;
    }
    if (found) {
        own->image = image;
        own->sealed = image >= sealed_start && image < sealed_end;
    }
    return found;
}

char *host_own_tls_image(const void *inside, bool *sealed)
{
    struct own own = { .inside = (uintptr_t)inside };
    host_iterate_phdr(find_own, &own);
    *sealed = own.sealed;
    return own.image;
}
