-- What debuggers and profilers see of plugins.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local debugging = require "spec.support.debugging"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"
local lfs = require "lfs"

-- What a debugger reads, read from within. glibc's list is the first one.
local READER = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <string.h>
struct list { struct r_debug base; struct list *next; };
static struct list *first(void) { return (struct list *)&_r_debug; }
long lists(void)
{
    long count = 0;
    for (struct list *at = first(); at; at = at->next)
        count++;
    return count;
}
/* Where a path is listed: 1 for glibc's list, 2 for the next, ...; 0: nowhere. */
long listed(const char *path)
{
    long number = 1;
    for (struct list *at = first(); at; at = at->next, number++)
        for (struct link_map *map = at->base.r_map; map; map = map->l_next)
            if (!strcmp(map->l_name, path))
                return number;
    return 0;
}
long consistent(void)
{
    for (struct list *at = first(); at; at = at->next) {
        struct link_map *before = NULL;
        if (at->base.r_state != RT_CONSISTENT
            || at->base.r_brk != _r_debug.r_brk)
            return 0;
        for (struct link_map *map = at->base.r_map; map; map = map->l_next) {
            if (map->l_prev != before)
                return 0;
            before = map;
        }
    }
    return _r_debug.r_version;
}
long base(const char *path)
{
    for (struct list *at = first(); at; at = at->next)
        for (struct link_map *map = at->base.r_map; map; map = map->l_next)
            if (!strcmp(map->l_name, path) && map->l_ld->d_tag)
                return map->l_addr;
    return -1;
}
long another(void)
{
    return dlmopen(LM_ID_NEWLM, "libm.so.6", RTLD_NOW) != NULL;
}
]]
local reader = assert(cc.shared(READER))
local CALLS <const> = [[
   long lists(void), listed(const char *), consistent(void), another(void),
      base(const char *);
]]

-- A plugin whose lines are known, with a name of its own in each text.
local function plugin (name, flags)
   return assert(cc.shared(([[
static int depth;
__attribute__((noinline)) int NAME_function(int x)
{
    depth = x + 1; /* line 4 */
    return depth;
}
__attribute__((constructor)) static void NAME_begin(void)
{
    depth = 7; /* line 9 */
}
static int chosen(int x) { return x; }
static void *NAME_resolver(void)
{
    return chosen; /* line 14 */
}
int NAME_ifunc(int) __attribute__((ifunc("NAME_resolver")));
]]):gsub("NAME", name), "-g -O0 " .. (flags or "")))
end

describe("The list of a debugger", function ()
   it("has plugins while they are open, and is not glibc's", function ()
      local p <close> = assert(elf.open(reader))
      local C = p:cdef(CALLS)
      local path = plugin "listed"
      assert.equal(0, C.listed(path))
      local q = assert(elf.open(path))
      local number = C.listed(path)
      assert.truthy(number > 1)
      assert.equal(number, C.listed(reader))
      assert.equal(q.base, C.base(path))
      assert.equal(2, C.consistent())
      q:close()
      assert.equal(0, C.listed(path))
      assert.equal(2, C.consistent())
      local r <close> = assert(elf.open(path, { start = false }))
      assert.equal(r.base, C.base(path))
   end)

   it("has those that are needed, and nothing of what failed", function ()
      local p <close> = assert(elf.open(reader))
      local C = p:cdef(CALLS)
      local needed = plugin "needed"
      local user = assert(cc.shared("int x;", "-Wl,--no-as-needed " .. needed))
      local failing = assert(cc.shared(
         "extern void no_such_name(void); void f(void) { no_such_name(); }",
         "-Wl,--no-as-needed " .. needed))
      local lists = C.lists()
      assert.fails_with("undefined", elf.open, failing)
      assert.equal(0, C.listed(failing))
      assert.equal(0, C.listed(needed))
      local q <close> = assert(elf.open(user))
      assert.truthy(C.listed(needed) > 1)
      assert.equal(q.base, C.base(user))
      assert.equal(lists, C.lists())
   end)

   it("goes on with namespaces that glibc makes later", function ()
      local result = child.lua(([[
         local elf = require "elf64load"
         local C = assert(elf.open(arg[1])):cdef %q
         print(C.lists(), C.listed(arg[1]), C.another(), C.lists(),
            C.listed(arg[1]), C.consistent())
         os.exit(true)
      ]]):format(CALLS), { reader })
      assert.equal("2\t2\t1\t3\t2\t2\n", result.out, result.err)
   end)
end)

-- Two copies of the loader in one process, as an engine has that carries one
-- and opens a library that carries another.
local TWO = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include "elf64load.h"
struct loader {
    e64_status (*make)(const e64_runtime_options *, e64_runtime **, e64_error *);
    e64_status (*open)(e64_runtime *, const char *, const e64_open_options *,
                       e64_plugin **, e64_error *);
    void *(*address)(e64_plugin *, const char *);
    e64_status (*close)(e64_plugin *, e64_error *);
    e64_runtime *runtime;
    e64_plugin *reader, *plugin;
};
static struct loader first = { e64_runtime_new, e64_open, e64_address, e64_close },
    second;
static char **words;
static long ask(struct loader *loader, const char *name)
{
    return ((long (*)(const char *))loader->address(loader->reader,
                                                    name))(words[3]);
}
static void show(const char *what)
{
    printf("%s: %ld lists, %ld and %ld, %ld\n", what, ask(&second, "lists"),
           ask(&first, "listed"), ask(&second, "listed"),
           ask(&second, "consistent"));
}
static int start(struct loader *loader)
{
    return loader->make(NULL, &loader->runtime, NULL)
        || loader->open(loader->runtime, words[2], NULL, &loader->reader, NULL)
        || loader->open(loader->runtime, words[3], NULL, &loader->plugin, NULL);
}
int main(int count, char **arguments)
{
    void *copy = dlopen(arguments[1], RTLD_NOW);
    words = arguments;
    if (!copy)
        return puts(dlerror());
    second.make = dlsym(copy, "e64_runtime_new");
    second.open = dlsym(copy, "e64_open");
    second.address = dlsym(copy, "e64_address");
    second.close = dlsym(copy, "e64_close");
    if (start(&first) || start(&second))
        return puts("not opened");
    show("both");
    first.close(first.plugin, NULL);
    show("second");
    dlclose(copy); // it stays
    second.close(second.plugin, NULL);
    show("none");
    return 0;
}
]]

-- Runs it through a command, if one is given.
local function two (through)
   local folder = os.tmpname()
   os.remove(folder)
   assert(lfs.mkdir(folder))
   local function make (...)
      local command = table.concat({ "cd " .. folder, ... }, " && ")
      local result = child.run({ "env", "-u", "LD_PRELOAD", "sh", "-c", command },
         { merge = true })
      assert.equal(0, result.code, result.out)
   end
   disk.write(folder .. "/two.c", TWO)
   local gcc = ("gcc -w -I%s/src "):format(lfs.currentdir())
   local archive = child.build .. "/lib/libelf64load.a"
   make("printf '%s\\n' '#include \"elf64load.h\"' 'E64_TLS_POOL(1024)' >pool.c",
      gcc .. "-fPIC -shared -o copy.so pool.c -Wl,-Bsymbolic "
      .. "-Wl,-u,e64_runtime_new,-u,e64_open,-u,e64_address,-u,e64_close "
      .. archive,
      gcc .. "-o two two.c " .. archive)
   local words = { folder .. "/two", folder .. "/copy.so", reader,
      plugin "copy" }
   local result = child.run(words, { through = through, merge = true })
   make("rm -f two two.c pool.c copy.so")
   assert(lfs.rmdir(folder))
   return result
end

describe("Two copies of the loader", function ()
   if child.sanitizer then return end -- one runtime of it is enough

   it("have a list each, and stay", function ()
      assert.equal("both: 3 lists, 2 and 2, 2\nsecond: 3 lists, 3 and 3, 2\n"
         .. "none: 3 lists, 0 and 0, 2\n", two().out)
   end)
end)

-- The program in which gdb and the others look for plugins.
local PROGRAM = [[
   local elf = require "elf64load"
   local p = assert(elf.open(arg[1]))
   print(p:cdef(arg[2]).gdb_function(4))
   print(p:cdef "int gdb_ifunc(int);".gdb_ifunc(3))
]]

local gdb, host = debugging.gdb, debugging.host

describe("gdb #full", function ()
   if child.sanitizer then return end -- LeakSanitizer traces the process itself

   local path = plugin "gdb"
   local script = fixtures.text(PROGRAM, ".lua")

   local function debug (...)
      local result = child.run(gdb({ ... }, { "--args", table.unpack(
         host(script, path, "int gdb_function(int);")) }), { merge = true })
      assert.equal(0, result.code, result.out)
      return result.out
   end

   local function says (out, ...)
      for _, text in ipairs { ... } do
         assert.truthy(out:find(text, 1, true), "no '" .. text .. "' in\n" .. out)
      end
   end

   it("stops by name in what is not open yet, and shows the line", function ()
      local out = debug("break gdb_function", "run", "bt 3", "print depth",
         "next", "print depth", "continue")
      says(out, "(gdb_function) pending", "gdb_function (x=4) at",
         "/* line 4 */", "$1 = 7", "$2 = 5", "exited normally")
   end)

   it("stops in constructors and in IFUNC resolvers", function ()
      local out = debug("break gdb_begin", "break gdb_resolver", "run", "bt 1",
         "continue", "bt 1", "continue")
      says(out, "gdb_begin () at", "/* line 9 */", "gdb_resolver () at",
         "/* line 14 */", "exited normally")
   end)

   it("lists plugins", function ()
      local out = debug("break gdb_function", "run", "info sharedlibrary")
      local line = out:match("[^\n]*" .. path:gsub("%p", "%%%0"))
      says(line or out, "0x", "Yes")
   end)

   it("knows when they are closed", function ()
      local closing = fixtures.text([[
         local elf = require "elf64load"
         for _ = 1, 2 do
            local p <close> = assert(elf.open(arg[1]))
            p:cdef "int gdb_function(int);".gdb_function(4)
         end
         assert(elf.open(arg[2])):cdef "int late_function(int);".late_function(1)
      ]], ".lua")
      local result = child.run(gdb({ "break gdb_function", "break late_function", "run", "continue",
         "continue", "info sharedlibrary", "continue" }, { "--args",
         table.unpack(host(closing, path, plugin "late")) }), { merge = true })
      local _, stops = result.out:gsub("gdb_function %(x=4%) at", "")
      assert.equal(2, stops, result.out)
      says(result.out, "late_function (x=1) at", "exited normally")
      local list = result.out:match "From  .*"
      assert.falsy(list:find(path, 1, true), list)
      says(list, plugin "late")
   end)

   it("attaches to a running process", function ()
      local ready = os.tmpname()
      local waiting = fixtures.text([[
         local elf = require "elf64load"
         local p = assert(elf.open(arg[1]))
         local C = p:cdef "int gdb_function(int);"
         local self = io.open "/proc/self/stat":read "n"
         local file = assert(io.open(arg[2], "w"))
         file:write(self, "\n")
         file:close()
         local stop = os.time() + 200
         while io.open(arg[2]) and os.time() < stop do
            for _ = 1, 10000 do C.gdb_function(4) end
         end
      ]], ".lua")
      local words = {}
      for at, word in ipairs(host(waiting, path, ready)) do
         words[at] = "'" .. word:gsub("'", "'\\''") .. "'"
      end
      local pipe = assert(io.popen(table.concat(words, " ") .. " 2>&1"))
      local pid
      for _ = 1, 200 do
         local file = io.open(ready)
         pid = file and file:read "n"
         if file then file:close() end
         if pid then break end
         os.execute "sleep 0.05"
      end
      local result = child.run(gdb({ "info sharedlibrary", "break gdb_function",
         "continue", "bt 1", "detach" }, { "-p", tostring(pid) }),
         { merge = true })
      os.remove(ready)
      pipe:close()
      says(result.out, path, "gdb_function (x=4) at", "/* line 4 */")
   end)

   it("sees the plugins of two copies of the loader", function ()
      local copy = plugin "copy"
      local result = two(gdb({ "break copy_begin", "run", "continue",
         "info sharedlibrary", "continue" }, { "--args" }))
      local _, stops = result.out:gsub("copy_begin %(%) at", "")
      local _, listed = result.out:gsub("Yes +" .. copy:gsub("%p", "%%%0"), "")
      assert.equal(2, stops, result.out)
      assert.equal(2, listed, result.out)
      says(result.out, "none: 3 lists", "exited normally")
   end)
end)

describe("Profilers and checkers #full", function ()
   if child.sanitizer then return end -- valgrind does not run with them

   -- More than 400 KB are writable, and from the file.
   local large = assert(cc.shared([[
      #include <stdlib.h>
      char filled[600000] = { 1, 2, 3 };
      char *pointers[3] = { filled, filled + 5 };
      static __attribute__((noinline)) int deep_read(int *p, int n)
      {
          return p[n]; /* line 6 */
      }
      int large_read(int n)
      {
          int *p = malloc(8 * sizeof *p);
          int r = deep_read(p, n); /* line 11 */
          free(p);
          filled[n] = (char)r;
          return 1;
      }
      __attribute__((noinline)) long large_spin(long n)
      {
          double x = 1;
          for (long i = 0; i < n; i++)
              x = x * 1.0000001 + filled[i % 600000];
          return x > 1;
      }
   ]], "-g -fno-omit-frame-pointer"))

   it("valgrind names frames, with the source's lines", function ()
      local result = child.run(host(fixtures.text([[
         local elf = require "elf64load"
         assert(elf.open(arg[1])):cdef "int large_read(int);".large_read(12)
      ]], ".lua"), large), { merge = true, seconds = 200,
         through = { "valgrind", "-q", "--trace-children=yes" } })
      assert.truthy(result.out:find("Invalid read of size 4", 1, true),
         result.out)
      for _, frame in ipairs { ": deep_read %(%x+%.c:6%)",
         ": large_read %(%x+%.c:11%)", "by 0x%x+: large_read" } do
         assert.truthy(result.out:find(frame),
            frame .. " is not in\n" .. result.out)
      end
   end)

   it("perf names frames", function ()
      local data = os.tmpname()
      local run = child.run(host(fixtures.text([[
         local elf = require "elf64load"
         assert(elf.open(arg[1])):cdef "long large_spin(long);"
            .large_spin(100000000)
      ]], ".lua"), large), { merge = true, through = { "perf", "record", "-q",
         "-e", "cpu-clock", "-o", data } })
      assert.equal(0, run.code, run.out)
      local report = child.run { "perf", "report", "-i", data, "--stdio" }
      os.remove(data)
      assert.truthy(report.out:find("large_spin", 1, true),
         report.out .. report.err)
      assert.truthy(report.out:find(large:match "[^/]*$" :sub(1, 20), 1, true),
         report.out)
   end)
end)
