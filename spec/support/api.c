// Uses the C API as an engine would, and prints what it answers. Started with
// the path of a plugin that needs another (argv[1]), of that other (argv[2]),
// and of a folder's pack file that holds the other from byte 4096 on (argv[3]).

#include <elf64load.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long balance, most;

// Counts blocks, and says so when one is not as it was given out.
static void *resize(void *data, void *block, size_t size)
{
    (void)data;
    if (!block && size) {
        balance++;
        most = balance > most ? balance : most;
    } else if (block && !size) {
        balance--;
        free(block);
        return NULL;
    }
    return realloc(block, size);
}

static const char *base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static void log_line(void *data, e64_log_level level, const char *message)
{
    char text[1024];
    snprintf(text, sizeof text, "%s", message);
    char *at = strstr(text, " at 0x");
    if (at)
        memmove(at, at + strcspn(at, ","), strlen(at + strcspn(at, ",")) + 1);
    char *colon = strchr(text, ':');
    *colon = '\0';
    char *needed = strstr(colon + 1, "needed by ");
    if (needed)
        memmove(needed + 10, base(needed + 10), strlen(base(needed + 10)) + 1);
    printf("log %s %d %s:%.60s\n", (char *)data, (int)level, base(text),
           colon + 1);
}

static int64_t read_file(void *data, void *buffer, size_t size, uint64_t offset)
{
    // In small pieces, as a decompressor might.
    return pread(*(int *)data, buffer, size < 1000 ? size : 1000,
                 (off_t)offset);
}

static void show(const char *what, e64_status status, const e64_error *error)
{
    printf("%s: %s", what, e64_status_name(status));
    if (status != E64_OK)
        printf(" (%s%s%s)", e64_status_name(error->status),
               error->symbol ? ", " : "", error->symbol ? error->symbol : "");
    putchar('\n');
}

static void load(e64_runtime *runtime, const char *what, e64_source source)
{
    e64_plugin *plugin;
    e64_error error;
    source.struct_size = sizeof source;
    e64_status status = e64_load(runtime, &source, NULL, &plugin, &error);
    show(what, status, &error);
    if (status != E64_OK)
        return;
    e64_plugin_info info;
    e64_plugin_describe(plugin, &info);
    long (*thing)(void) = (long (*)(void))e64_entry(plugin, "thing");
    printf("%s: %s thing %ld\n", what, base(info.name), thing ? thing() : -1);
    show("close", e64_close(plugin, &error), &error);
}

static int count(void *data, e64_plugin *plugin)
{
    (void)plugin;
    ++*(int *)data;
    return 0;
}

int main(int argc, char **argv)
{
    e64_allocator allocator = { sizeof allocator, resize, NULL };
    e64_error error;
    e64_runtime *runtime, *other;
    e64_plugin *plugin, *again, *host;
    e64_symbol symbol;
    e64_place place;
    int plugins = 0;
    if (argc < 4)
        return 2;
    printf("version %s, last error '%s'\n", e64_version(),
           e64_last_error()->message);
    show("allocator", e64_set_allocator(&allocator, &error), &error);
    e64_runtime_options options = { .struct_size = sizeof options,
                                    .log = log_line, .log_data = "a" };
    show("runtime", e64_runtime_new(&options, &runtime, &error), &error);
    show("allocator too late", e64_set_allocator(&allocator, &error), &error);
    show("short options", e64_runtime_new(&(e64_runtime_options){ 4 }, &other,
                                          &error), &error);
    show("no runtime", e64_open(NULL, argv[1], NULL, &plugin, &error), &error);
    show("open", e64_open(runtime, argv[1], NULL, &plugin, &error), &error);
    show("open again", e64_open(runtime, argv[1], NULL, &again, &error),
         &error);
    printf("the same: %d\n", plugin == again);
    e64_plugins(runtime, count, &plugins);
    e64_plugin_info info;
    e64_plugin_describe(plugin, &info);
    printf("plugins %d, handles %u, state %d, segments %d\n", plugins,
           info.handles, (int)info.state, info.segments > 0);
    show("lookup", e64_lookup(plugin, "thing", NULL, &symbol, &error), &error);
    printf("thing of %s, kind %d, size %d\n", base(symbol.file),
           (int)symbol.kind, symbol.size > 0);
    show("whence", e64_whence((char *)symbol.address + 1, &place, &error),
         &error);
    printf("%s in %s\n", place.symbol, base(place.file));
    show("lookup", e64_lookup(plugin, "thinh", NULL, &symbol, &error), &error);
    printf("near %s\n", error.near ? error.near[0] : "none");
    printf("no address: %d\n", e64_address(plugin, "nothing") == NULL);
    printf("last error %s, %s\n", e64_status_name(e64_last_error()->status),
           e64_last_error()->symbol);
    show("host", e64_host(runtime, &host, &error), &error);
    printf("getpid: %d\n",
           ((int (*)(void))e64_entry(host, "getpid"))() == getpid());
    show("nowhere", e64_whence(&argc, &place, &error), &error);
    show("close", e64_close(again, &error), &error);
    e64_retain(plugin);
    show("close", e64_close(plugin, &error), &error);
    show("still open", e64_lookup(plugin, "thing", NULL, &symbol, &error),
         &error);
    e64_open_options noload = { .struct_size = sizeof noload, .noload = 1 };
    show("noload", e64_open(runtime, "libz.so.1", &noload, &again, &error),
         &error);
    e64_open_options hold = { .struct_size = sizeof hold, .hold = 1,
                              .private_ = 1 };
    show("hold", e64_open(runtime, argv[2], &hold, &again, &error), &error);
    e64_plugin_describe(again, &info);
    printf("held: %d\n", info.state == E64_STATE_MAPPED);
    show("start", e64_start(again, &error), &error);
    e64_plugin_describe(again, &info);
    printf("started: %d\n", info.state == E64_STATE_STARTED);
    show("close", e64_close(again, &error), &error);
    show("close", e64_close(plugin, &error), &error);

    int file = open(argv[3], O_RDONLY);
    off_t size = lseek(file, 0, SEEK_END) - 4096;
    char *bytes = malloc((size_t)size);
    if (pread(file, bytes, (size_t)size, 4096) != size)
        return 1;
    load(runtime, "path", (e64_source){ .kind = E64_SOURCE_PATH,
         .path = argv[3], .offset = 4096, .name = "packed" });
    load(runtime, "fd", (e64_source){ .kind = E64_SOURCE_FD, .fd = file,
         .offset = 4096, .size = (uint64_t)size });
    load(runtime, "bytes", (e64_source){ .kind = E64_SOURCE_BYTES,
         .bytes = bytes, .size = (uint64_t)size, .name = "in memory" });
    load(runtime, "reader", (e64_source){ .kind = E64_SOURCE_READER,
         .read = read_file, .data = &file, .offset = 4096,
         .size = (uint64_t)size });
    load(runtime, "beyond", (e64_source){ .kind = E64_SOURCE_FD, .fd = file,
         .offset = 4096, .size = (uint64_t)size + 1 });
    load(runtime, "a pack is no plugin", (e64_source){
         .kind = E64_SOURCE_PATH, .path = argv[3] });
    free(bytes);
    close(file);
    show("free", e64_runtime_free(runtime, &error), &error);
    // What the process keeps: the host as it was, and the start-up's record.
    long kept = balance;
    for (int i = 0; i < 3; i++) {
        e64_runtime_new(NULL, &runtime, NULL);
        e64_open(runtime, argv[1], NULL, &plugin, NULL);
        e64_open(runtime, "/no/such/file", NULL, &again, NULL);
        e64_runtime_free(runtime, NULL);
    }
    printf("blocks: %s, balanced: %d\n", most > 10 ? "many" : "few",
           balance == kept);
    return 0;
}
