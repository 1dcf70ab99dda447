#include "linking.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 4 };

static e64_status link_these(const struct scenario *scenario,
                             const char *const *keys, e64_error *error)
{
    e64_source sources[MOST];
    size_t count = 0;
    for (; count < MOST && keys[count]; count++)
        sources[count] = (e64_source){
            .struct_size = sizeof *sources, .kind = E64_SOURCE_PATH,
            .path = scenario_file(keys[count]),
        };
    e64_open_options options = scenario->options;
    options.struct_size = sizeof options;
    return e64_link(scenario_runtime, sources, count, &options,
                    scenario_plugin(), error);
}

static e64_status link_all(const struct scenario *scenario, e64_error *error)
{
    static const char *const keys[] = { "first", "bare", "archive", "thin" };
    return link_these(scenario, keys, error);
}

static e64_status link_objects(const struct scenario *scenario,
                               e64_error *error)
{
    static const char *const keys[] = { "first", "second", "archive", "thin" };
    return link_these(scenario, keys, error);
}

static e64_status link_archives(const struct scenario *scenario,
                                e64_error *error)
{
    static const char *const keys[] = { "both", "thin", NULL };
    return link_these(scenario, keys, error);
}

static e64_status link_twice(const struct scenario *scenario, e64_error *error)
{
    static const char *const keys[] = { "second", "second", NULL };
    return link_these(scenario, keys, error);
}

static void linked_ready(const struct scenario *scenario)
{
    e64_error error;
    if (*scenario_plugin())
        return;
    if (link_objects(scenario, &error) != E64_OK) {
        fprintf(stderr, "link: %s\n", error.message);
        exit(3);
    }
}

static e64_status replace(const struct scenario *scenario, e64_error *error)
{
    const e64_source source = { .struct_size = sizeof source,
        .kind = E64_SOURCE_PATH, .path = scenario_file("other"),
        .name = scenario_file("second") };
    (void)scenario;
    return e64_replace(scenario_plugin(), source.name, &source, error);
}

// What is held is started, and then "check" is called.
static bool starts(const struct scenario *scenario)
{
    e64_error error;
    (void)scenario;
    if (e64_start(*scenario_plugin(), &error) != E64_OK)
        return false;
    long (*check)(void) = (long (*)(void))e64_entry(*scenario_plugin(),
                                                    "check");
    return check && check() == 42;
}

static void forget_map(const struct scenario *scenario)
{
    char path[64];
    (void)scenario;
    snprintf(path, sizeof path, "/tmp/perf-%d.map", (int)getpid());
    unlink(path);
}

const struct scenario linking_scenarios[] = {
    { .name = "object", .key = "alone" },
    { .name = "object-again", .key = "alone", .before = { "alone" } },
    { .name = "object-private", .key = "alone", .before = { "alone" },
      .options = { .private_ = 1 } },
    { .name = "object-bytes", .key = "alone", .operate = scenario_load },
    { .name = "object-undefined", .key = "incomplete",
      .expected = E64_UNDEFINED },
    { .name = "object-far", .key = "far" },
    { .name = "object-perf", .key = "alone", .options = { .perf = 1 },
      .ready = forget_map },
    { .name = "object-held", .key = "alone", .options = { .hold = 1 },
      .works = starts },
    { .name = "link", .key = "first", .operate = link_all },
    { .name = "link-archives", .key = "first", .operate = link_archives },
    { .name = "link-twice", .key = "second", .operate = link_twice,
      .expected = E64_DUPLICATE },
    { .name = "replace", .key = "first", .options = { .hold = 1 },
      .ready = linked_ready, .operate = replace, .works = starts },
    { .name = "close-linked", .key = "first", .ready = linked_ready,
      .operate = scenario_close, .works = scenario_yes,
      .undo = scenario_leave },
    { .name = NULL },
};
