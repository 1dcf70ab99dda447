// A file is mapped, bound and relocated, and nothing of it runs: it is opened
// with `hold`, from bytes or from a descriptor, used in all ways that are open
// for such a plugin, and closed. What is opened writes to its own mappings only,
// which the address sanitizer and the kernel see to.

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "run/frames.h"
#include "run/run.h"
#include "run/unwind.h"
#include "target.h"

// As many symbols of an input are looked up (each that is not found is compared
// with all that are there), and segments and pages looked at.
enum { MOST_NAMES = 12, MOST = 64 };

// A thread's block of a plugin's variables is as large as the file says, and
// aligned as it says. What may cost gigabytes is not asked for.
enum { MOST_TLS = 1 << 20 };

struct using {
    e64_plugin *plugin;
    unsigned count;
    uint64_t sum;
};

// Nothing else is found than what the process has, so that each input is its
// own; but see below.
static e64_status search(void *data, e64_runtime *runtime, const char *name,
                         e64_plugin *wanter, e64_source *source,
                         e64_error *error)
{
    (void)data, (void)runtime, (void)name, (void)wanter, (void)source;
    error->status = E64_NOTFOUND;
    error->message = "there are no other files here";
    error->wanter = error->path = error->symbol = error->version = NULL;
    error->scopes = error->near = error->missing = NULL;
    error->system_errno = 0;
    return E64_NOTFOUND;
}

static void look_up(struct using *using, const char *name, const char *version)
{
    const struct elf_image *image = &using->plugin->unit.image;
    e64_symbol symbol;
    e64_error error;
    e64_place place;
    // Whatever the name is of, it may turn out to be of a variable, too.
    if (image->tls_size > MOST_TLS || image->tls_align > MOST_TLS)
        return;
    if (e64_lookup(using->plugin, name, version, &symbol, &error) != E64_OK) {
        target_check(error.message[0] != '\0');
        return;
    }
    using->sum += symbol.size + strlen(symbol.name) + strlen(symbol.file);
    if (symbol.version)
        using->sum += strlen(symbol.version);
    if (symbol.kind != E64_KIND_TLS && symbol.plugin && using->count % 4 == 0
        && e64_whence(symbol.address, &place, NULL) == E64_OK) {
        using->sum += strlen(place.file);
        if (place.symbol)
            using->sum += strlen(place.symbol);
    }
}

static int visit_symbol(void *data, const e64_symbol *symbol)
{
    struct using *using = data;
    look_up(using, symbol->name, NULL);
    if (symbol->version)
        look_up(using, symbol->name, symbol->version);
    return ++using->count >= MOST_NAMES;
}

// What a walker of dl_iterate_phdr is given can be read.
static int visit_headers(struct dl_phdr_info *info, size_t size, void *data)
{
    struct using *using = data;
    (void)size;
    using->sum += strlen(info->dlpi_name);
    for (unsigned i = 0; i < info->dlpi_phnum; i++) {
        Elf64_Phdr header;
        memcpy(&header, (const char *)info->dlpi_phdr + i * sizeof header,
               sizeof header);
        using->sum += header.p_type;
    }
    return 0;
}

// Reads the first byte of each page of a readable segment.
static void visit_pages(struct using *using)
{
    const struct link_unit *unit = &using->plugin->unit;
    for (uint32_t i = 0; i < unit->image.load_count && i < MOST; i++) {
        const struct elf_load *load = &unit->image.loads[i];
        const volatile char *at = (char *)unit->object.bias + load->vaddr;
        for (uint64_t page = 0; page < load->memsz && page < MOST * 4096ull;
             page += 4096)
            if (load->flags & PF_R)
                using->sum += (unsigned char)at[page];
    }
}

static int64_t read_bytes(void *data, void *buffer, size_t size,
                          uint64_t offset)
{
    memcpy(buffer, (const uint8_t *)data + offset, size);
    return (int64_t)size;
}

static void use(e64_plugin *plugin)
{
    struct using using = { .plugin = plugin };
    e64_plugin_info info;
    e64_count counts[LINK_TYPES];
    e64_place place;
    e64_plugin_describe(plugin, &info);
    target_check(info.state == E64_STATE_MAPPED && info.start < info.end);
    using.sum += e64_relocations(plugin, counts, LINK_TYPES);
    using.sum += e64_imports(plugin);
    e64_symbols(plugin, visit_symbol, &using);
    look_up(&using, "no such name", NULL);
    look_up(&using, "f", "OLD");
    for (uintptr_t at = info.start; at < info.end && at < info.start + 65536;
         at += 6007)
        if (e64_whence((void *)at, &place, NULL) == E64_OK)
            using.sum += strlen(place.file);
    unwind_iterate_phdr(visit_headers, &using);
    using.sum += frames_of(plugin) != NULL;
    // What a start does at its end, after code has run, which here has not.
    target_check(link_seal(&plugin->unit) == E64_OK);
    visit_pages(&using);
    target_use(using.sum);
}

// What must not be unloaded would pile up: here everything goes.
static void release(e64_runtime *runtime)
{
    lock_take(&runtime->lock);
    for (uint32_t i = 0; i < runtime->plugin_count; i++)
        runtime->plugins[i]->nodelete = false;
    lock_give(&runtime->lock);
}

// A descriptor whose file holds the bytes, so that they are mapped, not copied.
static int file_of(const uint8_t *data, size_t size)
{
    static int fd = -1;
    if (fd < 0)
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    // Emptied first: what is behind the end must be zero.
    if (fd < 0 || ftruncate(fd, 0) != 0
        || pwrite(fd, data, size, 0) != (ssize_t)size)
        abort();
    return fd;
}

// The input at which the process is, in the file that FUZZ_LAST names: a mapping
// that is not as it is said to be may kill the sanitizer's report as well, and
// libFuzzer then has no time to save it.
static void remember(const uint8_t *data, size_t size)
{
    static uint8_t *last;
    static bool tried;
    enum { ROOM = 1 << 20 };
    const char *path = tried ? NULL : getenv("FUZZ_LAST");
    tried = true;
    if (path) {
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
        if (fd < 0 || ftruncate(fd, ROOM) != 0)
            abort();
        last = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (last == MAP_FAILED)
            abort();
    }
    if (last && size <= ROOM - sizeof size) {
        memcpy(last, &size, sizeof size);
        memcpy(last + sizeof size, data, size);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    e64_runtime_options options = { .struct_size = sizeof options,
                                    .search = search };
    e64_open_options open = { .struct_size = sizeof open, .hold = 1,
                              .private_ = 1 };
    e64_source source = { .struct_size = sizeof source, .name = "fuzz",
                          .kind = E64_SOURCE_BYTES, .size = size };
    e64_runtime *runtime;
    e64_plugin *plugin;
    e64_error error;
    if (size == 0)
        return 0;
    remember(data, size);
    uint8_t *copy = malloc(size);
    memcpy(copy, data, size);
    source.bytes = copy;
    // By the last byte, which files rarely use for anything: where it comes
    // from, and whether what it needs is looked for in its DT_RUNPATH and so on.
    if (data[size - 1] & 1) {
        source.kind = E64_SOURCE_FD;
        source.fd = file_of(data, size);
    } else if (data[size - 1] & 4) {
        source.kind = E64_SOURCE_READER;
        source.read = read_bytes;
        source.data = copy;
    }
    if (data[size - 1] & 2)
        options.search = NULL;
    if (e64_runtime_new(&options, &runtime, NULL) != E64_OK)
        abort();
    if (e64_load(runtime, &source, &open, &plugin, &error) == E64_OK) {
        free(copy);
        use(plugin);
        release(runtime);
        target_check(e64_close(plugin, NULL) == E64_OK);
    } else {
        free(copy);
        target_check(error.status != E64_INVALID && error.message[0] != '\0');
    }
    target_check(e64_runtime_free(runtime, NULL) == E64_OK);
    return 0;
}
