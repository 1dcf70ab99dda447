#include "asking.h"
#include "deciding.h"
#include "state.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

e64_runtime *scenario_runtime;

static e64_plugin *plugin;    // that is opened
static struct e64_plan *plan; // that is made
static e64_plugin *others[4]; // that are open already
static e64_runtime *second;
static e64_symbol found[4];
static void *provider;
static int descriptor;
static char *contents;
static size_t size;

static struct { const char *key, *path; } paths[64];

void scenario_path(const char *key, const char *path)
{
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        if (!paths[i].key) {
            paths[i].key = key;
            paths[i].path = path;
            return;
        }
    }
}

// What has no file of that name is opened by its name.
const char *scenario_file(const char *key)
{
    for (size_t i = 0; i < sizeof paths / sizeof *paths && paths[i].key; i++)
        if (strcmp(paths[i].key, key) == 0)
            return paths[i].path;
    return key;
}

const char *scenario_subject(const struct scenario *scenario)
{
    const char *path = scenario_file(scenario->key);
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

e64_plugin **scenario_plugin(void)
{
    return &plugin;
}

static void demand(bool holds, const char *what, const e64_error *error)
{
    if (holds)
        return;
    fprintf(stderr, "%s: %s\n", what, error ? error->message : "");
    exit(3);
}

// ------------------------------------------------------------ the steps ---

static e64_status open_it(const struct scenario *scenario, e64_error *error)
{
    e64_open_options options = scenario->options;
    options.struct_size = sizeof options;
    return e64_open(scenario_runtime, scenario_file(scenario->key), &options,
                    &plugin, error);
}

static bool is_right(const struct scenario *scenario)
{
    (void)scenario;
    long (*check)(void) = (long (*)(void))e64_entry(plugin, "check");
    return check && check() == 42;
}

static void close_it(const struct scenario *scenario)
{
    e64_error error;
    (void)scenario;
    demand(e64_close(plugin, &error) == E64_OK, "close", &error);
    plugin = NULL;
}

// In this thread and in a new one.
static bool is_right_in_threads(const struct scenario *scenario)
{
    return is_right(scenario) && state_in_thread(is_right, scenario);
}

bool scenario_yes(const struct scenario *scenario)
{
    (void)scenario;
    return true;
}

void scenario_leave(const struct scenario *scenario)
{
    (void)scenario;
}

static void open_ready(const struct scenario *scenario)
{
    e64_error error;
    if (!plugin)
        demand(open_it(scenario, &error) == E64_OK, "open", &error);
}

static int64_t read_part(void *data, void *buffer, size_t count,
                         uint64_t offset)
{
    // In pieces, as from a pack file.
    (void)data;
    if (count > 5000)
        count = 5000;
    memcpy(buffer, contents + offset, count);
    return (int64_t)count;
}

static e64_status load_as(const struct scenario *scenario,
                          const e64_source *source, e64_error *error)
{
    e64_open_options options = scenario->options;
    options.struct_size = sizeof options;
    return e64_load(scenario_runtime, source, &options, &plugin, error);
}

e64_status scenario_load(const struct scenario *scenario, e64_error *error)
{
    return load_as(scenario, &(e64_source){
        .struct_size = sizeof(e64_source), .kind = E64_SOURCE_BYTES,
        .name = scenario_subject(scenario), .bytes = contents, .size = size,
    }, error);
}

static e64_status load_reader(const struct scenario *scenario,
                              e64_error *error)
{
    return load_as(scenario, &(e64_source){
        .struct_size = sizeof(e64_source), .kind = E64_SOURCE_READER,
        .name = scenario_subject(scenario), .read = read_part, .size = size,
    }, error);
}

static e64_status load_descriptor(const struct scenario *scenario,
                                  e64_error *error)
{
    return load_as(scenario, &(e64_source){
        .struct_size = sizeof(e64_source), .kind = E64_SOURCE_FD,
        .name = scenario_subject(scenario), .fd = descriptor,
    }, error);
}

static e64_status start_it(const struct scenario *scenario, e64_error *error)
{
    (void)scenario;
    return e64_start(plugin, error);
}

e64_status scenario_close(const struct scenario *scenario,
                                     e64_error *error)
{
    (void)scenario;
    e64_status status = e64_close(plugin, error);
    if (status == E64_OK)
        plugin = NULL;
    return status;
}

static e64_status look_up(const struct scenario *scenario, e64_error *error)
{
    static const struct { const char *name, *version; } wanted[] = {
        { "check", NULL }, { "versioned", "OLD" }, { "versioned", "NEW" },
        { "free", NULL },
    };
    e64_status status = E64_OK;
    (void)scenario;
    for (int i = 0; status == E64_OK && i < 4; i++)
        status = e64_lookup(plugin, wanted[i].name, wanted[i].version,
                            &found[i], error);
    return status;
}

static bool has_found(const struct scenario *scenario)
{
    (void)scenario;
    return ((long (*)(void))found[0].address)() == 42
        && ((long (*)(void))found[1].address)() == 1
        && ((long (*)(void))found[2].address)() == 2
        && strcmp(found[3].name, "free") == 0;
}

static e64_status look_up_nothing(const struct scenario *scenario,
                                  e64_error *error)
{
    (void)scenario;
    return e64_lookup(plugin, "chekc", NULL, &found[0], error);
}

static e64_status look_up_special(const struct scenario *scenario,
                                  e64_error *error)
{
    static const char *const names[] = { "variable", "chosen", "only" };
    e64_status status = E64_OK;
    (void)scenario;
    for (int i = 0; status == E64_OK && i < 3; i++)
        status = e64_lookup(plugin, names[i], NULL, &found[i], error);
    return status;
}

static bool has_found_special(const struct scenario *scenario)
{
    (void)scenario;
    return *(int *)found[0].address == 42
        && ((long (*)(void))found[1].address)() == 42
        && *(int *)found[2].address == 42;
}

static e64_status look_up_in_host(const struct scenario *scenario,
                                  e64_error *error)
{
    (void)scenario;
    e64_status status = e64_host(scenario_runtime, &plugin, error);
    if (status != E64_OK)
        return status;
    status = e64_lookup(plugin, "getpid", NULL, &found[0], error);
    if (status != E64_OK) {
        e64_close(plugin, NULL);
        plugin = NULL;
    }
    return status;
}

static bool has_host(const struct scenario *scenario)
{
    (void)scenario;
    return ((int (*)(void))found[0].address)() == getpid();
}

static e64_place places[2];

static e64_status ask_whence(const struct scenario *scenario, e64_error *error)
{
    (void)scenario;
    e64_status status = e64_whence(found[0].address, &places[0], error);
    if (status == E64_OK)
        status = e64_whence((const void *)printf, &places[1], error);
    if (status == E64_OK)
        status = e64_whence((const void *)64, &places[0], error);
    return status;
}

static e64_status ask_why(const struct scenario *scenario, e64_error *error)
{
    (void)scenario, (void)error;
    return asking_why(plugin);
}

static void whence_ready(const struct scenario *scenario)
{
    e64_error error;
    open_ready(scenario);
    demand(e64_lookup(plugin, "check", NULL, &found[0], &error) == E64_OK,
           "lookup", &error);
}

static bool knows_places(const struct scenario *scenario)
{
    (void)scenario;
    return strcmp(places[0].symbol, "check") == 0
        && strstr(places[1].file, "libc.so.6");
}

static int count_plugin(void *data, e64_plugin *one)
{
    (void)one;
    ++*(int *)data;
    return 0;
}

static e64_status list_plugins(const struct scenario *scenario,
                               e64_error *error)
{
    int count = 0;
    (void)scenario, (void)error;
    e64_plugins(scenario_runtime, count_plugin, &count);
    demand(count == 5, "plugins are not listed", NULL);
    return E64_OK;
}

static e64_status make_runtime(const struct scenario *scenario,
                               e64_error *error)
{
    (void)scenario;
    return e64_runtime_new(deciding_all(), &second, error);
}

static bool opens(const struct scenario *scenario)
{
    return e64_open(second, scenario_file(scenario->key), NULL, &plugin, NULL)
               == E64_OK
        && is_right(scenario);
}

static void free_runtime(const struct scenario *scenario)
{
    e64_error error;
    (void)scenario;
    demand(e64_runtime_free(second, &error) == E64_OK, "free", &error);
    second = NULL;
    plugin = NULL;
}

static void runtime_ready(const struct scenario *scenario)
{
    e64_error error;
    if (second)
        return;
    demand(make_runtime(scenario, &error) == E64_OK, "runtime", &error);
    demand(e64_open(second, scenario_file(scenario->key), NULL, &plugin, &error)
               == E64_OK, "open", &error);
}

static e64_status free_under_faults(const struct scenario *scenario,
                                    e64_error *error)
{
    (void)scenario;
    e64_status status = e64_runtime_free(second, error);
    if (status == E64_OK)
        second = NULL;
    plugin = NULL;
    return status;
}

static e64_status plan_it(const struct scenario *scenario, e64_error *error)
{
    e64_open_options options = scenario->options;
    options.struct_size = sizeof options;
    return e64_plan(scenario_runtime, scenario_file(scenario->key), &options, &plan,
                    error);
}

static int count_binding(void *data, const e64_plan_binding *binding)
{
    *(int *)data += binding->symbol[0] && binding->wanter->path;
    return 0;
}

static bool is_planned(const struct scenario *scenario)
{
    int count = 0;
    (void)scenario;
    e64_plan_bindings(plan, count_binding, &count);
    return count > 0;
}

static void forget_plan(const struct scenario *scenario)
{
    (void)scenario;
    e64_plan_free(plan);
    plan = NULL;
}

static void plan_ready(const struct scenario *scenario)
{
    e64_error error;
    if (!plan)
        demand(plan_it(scenario, &error) == E64_OK, "plan", &error);
}

static e64_status commit_it(const struct scenario *scenario, e64_error *error)
{
    (void)scenario;
    return e64_plan_commit(plan, &plugin, error);
}

// ------------------------------------------------------------- the list ---

const struct scenario scenarios[] = {
    { .name = "open", .key = "plain" },
    { .name = "open-again", .key = "plain", .before = { "plain" } },
    { .name = "open-by-link", .key = "link", .before = { "plain" } },
    { .name = "tree", .key = "root" },
    { .name = "tree-partly-open", .key = "root", .before = { "leaf" } },
    { .name = "tree-global", .key = "root", .options = { .global = 1 } },
    { .name = "tree-deepbind", .key = "root", .options = { .deepbind = 1 } },
    { .name = "tree-lazy", .key = "root", .options = { .lazy = 1 } },
    { .name = "tree-lazy-global", .key = "root", .before = { "leaf" },
      .options = { .lazy = 1, .global = 1 } },
    { .name = "tree-private", .key = "root", .before = { "root" },
      .options = { .private_ = 1 } },
    { .name = "tree-held", .key = "root", .options = { .hold = 1 },
      .works = scenario_yes },
    { .name = "bytes", .key = "plain", .operate = scenario_load },
    { .name = "reader", .key = "plain", .operate = load_reader },
    { .name = "descriptor", .key = "plain", .operate = load_descriptor },
    { .name = "cache", .key = "libz.so.1", .works = scenario_yes },
    { .name = "nowhere", .key = "libfaults-nowhere.so.7",
      .expected = E64_NOTFOUND },
    { .name = "undefined", .key = "undefined", .expected = E64_UNDEFINED },
    { .name = "version", .key = "version", .expected = E64_VERSION },
    { .name = "filter", .key = "filter" },
    { .name = "global-scope", .key = "lonely", .before = { "leaf-global" } },
    { .name = "family", .key = "family" },
    { .name = "provider", .key = "lonely", .host = "leaf" },
    { .name = "initial-exec", .key = "initial",
      .works = is_right_in_threads },
    { .name = "initial-exec-zero", .key = "zero",
      .works = is_right_in_threads },
    { .name = "general-dynamic", .key = "dynamic",
      .works = is_right_in_threads },
    { .name = "tls-descriptor", .key = "descriptor",
      .works = is_right_in_threads },
    { .name = "tls-of-another", .key = "borrower",
      .works = is_right_in_threads },
    { .name = "large-storage", .key = "large", .before = { "filler" },
      .works = is_right_in_threads },
    { .name = "ifunc", .key = "ifunc" },
    { .name = "ifunc-in-text", .key = "text" },
    { .name = "c++", .key = "cpp", .works = is_right_in_threads },
    { .name = "nested", .key = "nested" },
    { .name = "start", .key = "ifunc", .options = { .hold = 1 },
      .ready = open_ready, .operate = start_it, .steps = true },
    { .name = "start-text", .key = "text", .options = { .hold = 1 },
      .ready = open_ready, .operate = start_it, .steps = true },
    { .name = "start-tree", .key = "root", .options = { .hold = 1 },
      .ready = open_ready, .operate = start_it, .steps = true },
    { .name = "close", .key = "plain", .ready = open_ready,
      .operate = scenario_close, .works = scenario_yes,
      .undo = scenario_leave },
    { .name = "close-tree", .key = "root", .ready = open_ready,
      .operate = scenario_close, .works = scenario_yes,
      .undo = scenario_leave },
    { .name = "close-lazy", .key = "root", .ready = open_ready,
      .options = { .lazy = 1, .global = 1 }, .operate = scenario_close,
      .works = scenario_yes, .undo = scenario_leave },
    { .name = "close-c++", .key = "cpp", .ready = open_ready,
      .operate = scenario_close, .works = scenario_yes,
      .undo = scenario_leave },
    { .name = "lookup", .key = "versions", .ready = open_ready,
      .operate = look_up, .works = has_found },
    { .name = "lookup-missing", .key = "plain", .ready = open_ready,
      .operate = look_up_nothing, .expected = E64_UNDEFINED },
    { .name = "lookup-special", .key = "special", .ready = open_ready,
      .operate = look_up_special, .works = has_found_special },
    { .name = "lookup-host", .key = "getpid", .operate = look_up_in_host,
      .works = has_host, .unnamed = true },
    { .name = "whence", .key = "plain", .ready = whence_ready,
      .operate = ask_whence, .works = knows_places,
      .expected = E64_NOTFOUND },
    { .name = "why", .key = "root", .ready = open_ready, .operate = ask_why },
    { .name = "plugins", .key = "plain", .ready = open_ready,
      .before = { "root" }, .operate = list_plugins },
    { .name = "runtime", .key = "plain", .operate = make_runtime,
      .works = opens, .undo = free_runtime, .unnamed = true },
    { .name = "runtime-free", .key = "root", .ready = runtime_ready,
      .operate = free_under_faults, .works = scenario_yes,
      .undo = scenario_leave },
    { .name = "plan", .key = "root", .before = { "leaf" },
      .operate = plan_it, .works = is_planned, .undo = forget_plan },
    { .name = "plan-family", .key = "family", .operate = plan_it,
      .works = is_planned, .undo = forget_plan },
    { .name = "plan-c++", .key = "cpp", .operate = plan_it,
      .works = is_planned, .undo = forget_plan },
    { .name = "plan-missing", .key = "undefined", .operate = plan_it,
      .works = is_planned, .undo = forget_plan },
    { .name = "plan-version", .key = "version", .operate = plan_it,
      .works = is_planned, .undo = forget_plan },
    { .name = "plan-nowhere", .key = "libfaults-nowhere.so.7",
      .operate = plan_it, .expected = E64_NOTFOUND },
    { .name = "commit", .key = "root", .ready = plan_ready,
      .operate = commit_it },
    { .name = "policy", .key = "lonely", .policy = deciding_all },
    { .name = "refused", .key = "root", .policy = deciding_refuse,
      .expected = E64_DENIED },
    { .name = "stand-in", .key = "root", .policy = deciding_provide },
    { .name = "defined", .key = "lonely", .ready = deciding_ready },
    { .name = "define", .key = "plain", .operate = deciding_define,
      .works = scenario_yes, .undo = deciding_undefine, .unnamed = true },
    { .name = NULL },
};

// ------------------------------------------------------------ their use ---

static void read_file(const char *path)
{
    struct stat status;
    descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0 || fstat(descriptor, &status) != 0)
        return;
    size = (size_t)status.st_size;
    contents = malloc(size);
    demand(read(descriptor, contents, size) == (ssize_t)size, path, NULL);
}

void scenario_prepare(const struct scenario *scenario)
{
    e64_error error;
    // So that glibc has a stack to use again.
    state_in_thread(scenario_yes, scenario);
    e64_last_error(); // this thread's, which stays
    read_file(scenario_file(scenario->key));
    const e64_runtime_options *policy = scenario->policy
                                      ? scenario->policy() : NULL;
    demand(e64_runtime_new(policy, &scenario_runtime, &error) == E64_OK,
           "runtime", &error);
    for (int i = 0; i < 4 && scenario->before[i]; i++) {
        const char *key = scenario->before[i];
        e64_open_options options = { .struct_size = sizeof options };
        options.global = strcmp(key, "leaf-global") == 0;
        demand(e64_open(scenario_runtime,
                        scenario_file(options.global ? "leaf" : key), &options,
                        &others[i], &error) == E64_OK, key, &error);
    }
    if (scenario->host) {
        provider = dlopen(scenario_file(scenario->host), RTLD_NOW | RTLD_GLOBAL);
        demand(provider, scenario->host, NULL);
    }
}

void scenario_ready(const struct scenario *scenario)
{
    if (scenario->ready)
        scenario->ready(scenario);
}

e64_status scenario_operate(const struct scenario *scenario, e64_error *error)
{
    return scenario->operate ? scenario->operate(scenario, error)
                             : open_it(scenario, error);
}

bool scenario_works(const struct scenario *scenario)
{
    return scenario->works ? scenario->works(scenario) : is_right(scenario);
}

void scenario_undo(const struct scenario *scenario)
{
    if (scenario->undo)
        scenario->undo(scenario);
    else if (plugin)
        close_it(scenario);
}

void scenario_settle(void)
{
    state_unwinder();
    const e64_open_options options = { .struct_size = sizeof options,
                                       .private_ = 1 };
    e64_error error;
    e64_plugin *other;
    demand(e64_open(scenario_runtime, scenario_file("plain"), &options, &other,
                    &error) == E64_OK
           && e64_close(other, &error) == E64_OK, "open", &error);
}

bool scenario_finish(const struct scenario *scenario)
{
    e64_error error;
    if (plugin)
        close_it(scenario);
    forget_plan(scenario);
    for (int i = 0; i < 4 && others[i]; i++)
        demand(e64_close(others[i], &error) == E64_OK, "close", &error);
    demand(e64_runtime_free(scenario_runtime, &error) == E64_OK, "free",
           &error);
    scenario_runtime = NULL;
    if (!provider)
        return true;
    dlclose(provider);
    return dlopen(scenario_file(scenario->host), RTLD_NOW | RTLD_NOLOAD) == NULL;
}
