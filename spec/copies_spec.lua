-- Two copies of the loader in one process: a program's own, and one in a library
-- of the program's. #build

local lfs = require "lfs"
local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local child = require "spec.support.child"

local ARCHIVE <const> = child.build .. "/lib/libelf64load.a"

-- Linked with the archive as it is now: what is compiled is kept by its flags.
local function flags (more)
   local attributes = assert(lfs.attributes(ARCHIVE))
   return ("-I src -DARCHIVE=%d%d %s -Wl,--start-group %s -Wl,--end-group -ldl"):
      format(attributes.modification, attributes.size, more or "", ARCHIVE)
end

-- One copy's part: plugins of its own, opened and closed by number.
local PART = [[
#define _GNU_SOURCE
#include "elf64load.h"
#include <stdio.h>
static e64_runtime *runtime;
static e64_plugin *plugins[10];
#define EXPORT __attribute__((visibility("default")))
EXPORT void *PART(open)(int number, const char *path, const char *name)
{
    e64_error error;
    if (!runtime && e64_runtime_new(0, &runtime, &error) != E64_OK)
        return 0;
    if (e64_open(runtime, path, 0, &plugins[number], &error) != E64_OK) {
        puts(error.message);
        return 0;
    }
    return (void *)e64_entry(plugins[number], name);
}
EXPORT void PART(close)(int number)
{
    e64_close(plugins[number], 0);
}
]]

local library = assert(cc.shared("#define PART(name) second_##name\n" .. PART,
   flags "-fvisibility=hidden -Wl,--exclude-libs,ALL -Wl,-z,nodelete"))

local PROGRAM = "#define PART(name) first_##name\n" .. PART .. [[
#include <dlfcn.h>
#include <link.h>
#include <string.h>
void *second_open(int number, const char *path, const char *name);
void second_close(int number);

static int look(struct dl_phdr_info *info, size_t size, void *data)
{
    *(int *)data += strstr(info->dlpi_name, "/fixtures/") != 0;
    return 0;
}
static int shown(void)
{
    int count = 0;
    dl_iterate_phdr(look, &count);
    return count;
}

int main(int argc, char **argv)
{
    typedef long function(long);
    void *(*open[2])(int, const char *, const char *) = { first_open,
                                                          second_open };
    void (*close[2])(int) = { first_close, second_close };
    int a = argv[1][0] - '0', b = 1 - a;
    setvbuf(stdout, 0, _IONBF, 0);
    // A has plugins before anybody unwinds, then B, then a library of the host
    // comes that brings an import of its own.
    function *fa = open[a](0, argv[2], "f");
    printf("%ld %d\n", fa(3), shown());
    function *fb = open[b](0, argv[2], "f");
    printf("%ld %ld %d\n", fa(4), fb(5), shown());
    void *host = dlopen(argv[3], RTLD_NOW);
    function *walked = (function *)dlsym(host, "f");
    function *fc = open[b](1, argv[2] , "f");
    function *fd = open[a](1, argv[4], "f");
    printf("%ld %ld %d %ld\n", fa(6), fd(7), shown(), walked(8));
    close[a](0);
    printf("%ld %ld %d\n", fb(9), fd(10), shown());
    close[b](1);
    close[b](0);
    printf("%ld %d\n", fd(11), shown());
    close[a](1);
    printf("%d\n", shown());
    return 0;
}
]]

-- An unwinder of its own each, so that both kinds of import are there.
local SOURCE = [[
   extern "C" long f(long x)
   { try { throw x; } catch (long i) { return i * 10; } return 0; }
]]
local plugin = assert(cc.shared(SOURCE, { language = "c++" }))
local another = assert(cc.shared(SOURCE,
   { language = "c++", flags = "-static-libgcc -static-libstdc++" }))
local host = assert(cc.shared(SOURCE .. "// the host's",
   { language = "c++", flags = "-static-libgcc -static-libstdc++" }))

describe("Two copies of the loader in one process #build", function ()
   for first = 0, 1 do
      it(("show the host both copies' plugins, the %s being first"):format(
         first == 0 and "program's" or "library's"), function ()
            local program = assert(cc.program(PROGRAM, flags(library)))
            local result = child.run({ program, tostring(first), plugin, host,
               another }, { seconds = 200 })
            assert.equal(0, result.code, child.describe(result) .. result.out
               .. result.err)
            -- Of the fixtures, the library itself is there throughout.
            assert.equal("30 2\n40 50 3\n60 70 5 80\n90 100 4\n110 3\n2\n",
               result.out)
         end)
   end
end)
