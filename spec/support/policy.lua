--- C programs that decide by the C API, for the specs of the policy in C.

local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

---@class policy
local policy = {}

---@type string imports what nothing defines
policy.lacking = assert(cc.shared [[
   extern long missing(long), perhaps(long) __attribute__((weak));
   extern int gone;
   extern int puts(const char *);
   __attribute__((constructor)) static void begin(void) { puts("begin"); }
   long (*pointer)(long) = missing;
   long ask(void) { return missing(1) + pointer(2) + gone; }
   long weak(void) { return perhaps ? perhaps(3) : -3; }
]])

---@type string defines what may stand for it
policy.helper = assert(cc.shared [[ long helps(long x) { return 100 * x; } ]])

-- What they have in common: options to fill, a log of events, what happened.
local HEAD <const> = [[
#include <string.h>
#include <unistd.h>

static e64_runtime_options options = { .struct_size = sizeof options };
static e64_error error;

static const char *base(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "(none)";
}

static const char *path_of(e64_plugin *plugin)
{
    e64_plugin_info info;
    e64_plugin_describe(plugin, &info);
    return base(info.path);
}

static void begin(void)
{
    e64_status status = e64_runtime_new(&options, &runtime, &error);
    if (status != E64_OK) {
        printf("no runtime: %s: %s\n", e64_status_name(status), error.message);
        exit(0);
    }
}

static e64_plugin *opens(const char *path)
{
    e64_plugin *plugin = NULL;
    e64_status status = e64_open(runtime, path, NULL, &plugin, &error);
    printf("open: %s\n", e64_status_name(status));
    if (status != E64_OK)
        printf("message: %s\n", error.message);
    return plugin;
}

static long call(e64_plugin *plugin, const char *name)
{
    long (*function)(void) = (long (*)(void))e64_entry(plugin, name);
    return function ? function() : -1;
}

// Lines of /proc/self/maps that name a file.
static int mapped(const char *name)
{
    char line[4096];
    int count = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    while (fgets(line, sizeof line, maps))
        count += strstr(line, name) != NULL;
    fclose(maps);
    return count;
}
]]

--- What a program prints whose text follows that head; it must end well.
---@param source string C, with main
---@param arguments? string[]
---@param limits? limits
---@return string
function policy.program (source, arguments, limits)
   return threads.program(HEAD .. source, arguments, limits)
end

return policy
