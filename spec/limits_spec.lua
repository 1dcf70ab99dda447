-- Limits of the process: what is denied or used up either does not matter, or
-- what needs it fails and says which it is; all else goes on. Of limits in which
-- a sanitizer cannot live, specs are tagged #build.

local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

local contents = disk.contents

local LIMIT <const> = contents "spec/support/limit.c"

-- Opens each of its arguments NAME=PATH under a limit, a second time when it
-- failed, to see whether that leaves anything; and all of them when the limit is
-- lifted. `threads` in the place of `alone` starts some before.
local DRIVER <const> = LIMIT .. [[
static int maps; // open before there is a limit

static unsigned long look(void)
{
    static char text[1 << 16];
    unsigned long sum = 0;
    ssize_t got;
    lseek(maps, 0, SEEK_SET);
    while ((got = read(maps, text, sizeof text)) > 0)
        for (ssize_t i = 0; i < got; i++)
            sum += text[i] == '\n';
    for (int i = 0; i < 300; i++)
        sum += (fcntl(i, F_GETFD) >= 0) << 20;
    return sum;
}

static _Atomic int waiting;

static void *wait_for_ever(void *data)
{
    for (waiting++;;)
        pause();
}

static char contents[1 << 16]; // of the plugin `bytes`
static size_t size;

static e64_status open_it(const char *name, const char *path,
                          e64_plugin **plugin, e64_error *error)
{
    e64_source source = { .struct_size = sizeof source,
                          .kind = E64_SOURCE_BYTES, .name = path,
                          .bytes = contents, .size = size };
    return strcmp(name, "bytes") == 0
        ? e64_load(runtime, &source, NULL, plugin, error)
        : e64_open(runtime, path, NULL, plugin, error);
}

static e64_plugin *try(const char *name, const char *path, const char *when)
{
    e64_plugin *plugin;
    e64_error error;
    e64_status status = open_it(name, path, &plugin, &error);
    if (status == E64_OK) {
        long (*ask)(void) = (long (*)(void))e64_entry(plugin, "ask");
        printf("%s%s: %ld\n", when, name, ask());
        return plugin;
    }
    printf("%s%s: %s %d %s\n", when, name, e64_status_name(status),
           error.system_errno, error.message);
    if (status != error.status)
        printf("%s: the error says %s\n", name, e64_status_name(error.status));
    return NULL;
}

int main(int argc, char **argv)
{
    static e64_plugin *plugins[64];
    pthread_t thread;
    setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
    maps = open("/proc/self/maps", O_RDONLY);
    look();
    e64_runtime_new(NULL, &runtime, NULL);
    for (int i = 3; i < argc; i++) {
        FILE *file = fopen(strchr(argv[i], '=') + 1, "r");
        if (!strncmp(argv[i], "bytes=", 6))
            size = fread(contents, 1, sizeof contents, file);
        fclose(file);
    }
    for (int i = 0; i < 3 && !strcmp(argv[1], "threads"); i++)
        pthread_create(&thread, NULL, wait_for_ever, NULL);
    while (waiting < (strcmp(argv[1], "threads") ? 0 : 3))
        usleep(100);
    limit(argv[2]);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 3; i < argc; i++) {
            char name[32];
            char *path = strchr(argv[i], '=') + 1;
            snprintf(name, path - argv[i], "%s", argv[i]);
            if (plugins[i])
                continue;
            plugins[i] = try(name, path, pass ? "then " : "");
            if (plugins[i] || pass)
                continue;
            unsigned long before = look();
            if (open_it(name, path, &plugins[i], NULL) == E64_OK)
                printf("%s: another time it works\n", name);
            if (look() != before)
                printf("%s: leaves %lx, had %lx\n", name, look(), before);
        }
        limit("lift");
    }
    return 0;
}
]]

local ASK <const> = "long ask(void) { return x + 1; }"
local INITIAL <const> = [[__attribute__((tls_model("initial-exec")))]]

-- What asks the system for more than memory and files does.
local PLUGINS <const> = {
   { "plain", "long x = 41; long *const sealed = &x;" .. ASK },
   { "bytes", "long x = 41; long *const pointer = &x;" .. ASK },
   { "text", [[
      long x = 41;
      long ask(void)
      {
          long *pointer;
          __asm__("movabs $x, %0" : "=r"(pointer));
          return *pointer + 1;
      }
   ]], "-Wl,-z,notext -Wl,-Bsymbolic" },
   { "ifunc", [[
      static long one(void) { return 42; }
      static long (*choose(void))(void) { return one; }
      long ask(void) __attribute__((ifunc("choose")));
   ]] },
   { "dynamic", "__thread long x = 41;" .. ASK },
   { "descriptor", "__thread long x = 41;" .. ASK, "-mtls-dialect=gnu2" },
   { "zeros", INITIAL .. "__thread long x;" .. "long ask(void) { return x + 42; }" },
   { "initial", INITIAL .. "__thread long x = 41;" .. ASK },
   { "large", INITIAL .. "__thread long x = 41, y[1000];" .. ASK },
   { "throwing", [[
      extern "C" long ask() { try { throw 42; } catch (int x) { return x; } }
   ]], plusplus = true },
   { "destructed", [[
      struct T { long x = 41; ~T() { x = 0; } };
      thread_local T t;
      extern "C" long ask() { return t.x + 1; }
   ]], plusplus = true },
   { "once", [[
      #include <mutex>
      static std::once_flag flag;
      static long x;
      extern "C" long ask() { std::call_once(flag, [] { x = 42; }); return x; }
   ]], "-ftls-model=initial-exec", plusplus = true },
}

-- All, or one.
local function plugins (only)
   local list = {}
   for _, plugin in ipairs(PLUGINS) do
      if not only or plugin[1] == only then
         list[#list + 1] = plugin[1] .. "=" .. assert(cc.shared(plugin[2],
            { flags = plugin[3], language = plugin.plusplus and "c++" or "c" }))
      end
   end
   return list
end

-- More static storage than the pool has comes from glibc, if it has some.
local ENV <const> = {
   GLIBC_TUNABLES = "glibc.rtld.optional_static_tls=16384",
   -- Looking for leaks takes system calls that are denied.
   ASAN_OPTIONS = "detect_leaks=0:exitcode=86",
}

local function run (mode, limits, only)
   local result = child.run({ threads.build(DRIVER), mode, limits,
      table.unpack(plugins(only)) }, { env = ENV })
   if result.code ~= 0 then
      error(("the program %s\n%s%s"):format(child.describe(result), result.out,
         result.err), 3)
   end
   local said, later = {}, {}
   for line in result.out:gmatch "[^\n]+" do
      local when, name, rest = line:match "^(%l* ?)%f[%l](%l+): (.*)"
      if rest:find "^leaves" or not rest:find "^%l+ %d" and rest ~= "42" then
         error(line, 3)
      end
      (when == "" and said or later)[name] = rest
   end
   return said, later
end

-- What is not named works. What is fails with a kind, an errno and words; and
-- works when the limit is lifted, unless it cannot be.
local function check (mode, limits, failures, lasting)
   local said, later = run(mode, limits)
   for _, plugin in ipairs(PLUGINS) do
      local name = plugin[1]
      local expected = failures[name]
      if not expected then
         assert.equal("42", said[name], name)
      else
         for _, word in ipairs(expected) do
            if not (said[name] .. " "):find(word, 1, true) then
               error(("%s does not say '%s': %s"):format(name, word, said[name]), 2)
            end
         end
         assert.equal(lasting and said[name]:gsub("%d+", "N") or "42",
            lasting and later[name]:gsub("%d+", "N") or later[name], name)
      end
   end
end

-- For all plugins.
local function all (...)
   local expected = {}
   for _, plugin in ipairs(PLUGINS) do expected[plugin[1]] = { ... } end
   return expected
end

-- What is not zeros at first must be written to all threads: by these calls.
local ADOPTION <const> = {
   rt_sigaction = "reading the handler of signal 33 (rt_sigaction)",
   rt_tgsigqueueinfo = "sending a thread a signal (rt_tgsigqueueinfo)",
   getdents64 = "reading /proc/self/task (getdents64)",
   rt_sigprocmask = "a seccomp filter denies arch_prctl or rt_sigprocmask",
   arch_prctl = "a seccomp filter denies arch_prctl or rt_sigprocmask",
}

local MODES <const> = { alone = "in a process of one thread",
   threads = "beside other threads" }

describe("Under no limit", function ()
   for mode, title in pairs(MODES) do
      it("all plugins of this spec open " .. title, function ()
         check(mode, "lift", {})
      end)
   end
end)

describe("A seccomp filter that denies", function ()
   -- What nobody would miss: process_vm_writev, tgkill, get_mempolicy, ...
   local UNUSED <const> = { "bpf", "connect", "eventfd2", "ftruncate",
      "get_mempolicy", "getrandom", "inotify_init1", "ioctl", "kcmp", "kill",
      "madvise", "mbind", "membarrier", "mincore", "mkdir", "mlock", "mremap",
      "msync", "perf_event_open", "pipe2", "pkey_mprotect", "poll", "prctl",
      "process_vm_readv", "process_vm_writev", "ptrace", "readlink", "rename",
      "sched_getaffinity", "sched_yield", "setrlimit", "sigaltstack", "socket",
      "statx", "sysinfo", "tgkill", "tkill", "uname", "unlink", "userfaultfd",
      "vfork" }
   local ERRORS <const> = { EPERM = "Operation not permitted",
      ENOSYS = "Function not implemented" }

   for error, text in pairs(ERRORS) do
      local function deny (...)
         local out = {}
         for _, call in ipairs { ... } do
            out[#out + 1] = ("deny:%s:%s"):format(call, error)
         end
         return table.concat(out, " ")
      end

      for mode, title in pairs(MODES) do
         it(("what is not needed does not matter %s (%s) #build"):format(title, error),
            function ()
            -- glibc's thread creation takes ENOSYS alone for an answer.
            for _, call in ipairs(UNUSED) do
               assert.truthy(LIMIT:find("CALL(" .. call .. ")", 1, true), call)
            end
            -- prctl last: the others are denied by it.
            local limits = deny(table.unpack(UNUSED)):gsub(" deny:prctl:%u+", "")
            check(mode, limits .. " " .. deny "prctl", {})
         end)

         it(("memfd_create takes away more static storage than the pool has, "
            .. "and that of a libstdc++ opened late, %s (%s) #build"):format(
            title, error), function ()
            check(mode, deny "memfd_create", {
               large = { "nomemory", "memfd_create", text,
                  "define a larger pool in the program with E64_TLS_POOL" },
               once = { "system ", "libstdc++.so.6", "memfd_create", text,
                  "link the program with it, or preload it" },
            }, true)
         end)
      end

      for call, feature in pairs(ADOPTION) do
         it(("%s takes away static storage that does not begin as zeros, beside "
            .. "other threads (%s)"):format(call, error), function ()
            local words = { "unsupported", "do not begin as zeros",
               "the process has other threads", feature }
            check("threads", deny(call), { initial = words, large = words }, true)
         end)
      end

      it(("none of these matters in a process of one thread (%s)"):format(error),
         function ()
         local calls = {}
         for call in pairs(ADOPTION) do calls[#calls + 1] = call end
         check("alone", deny(table.unpack(calls)), {})
      end)
   end

   it("clone takes away static storage that does not begin as zeros beside "
      .. "other threads", function ()
      local words = { "system 11 ", "do not begin as zeros",
         "threads cannot be created" }
      local denied = "deny:clone:EAGAIN deny:clone3:EAGAIN"
      check("threads", denied, { initial = words, large = words }, true)
      check("alone", denied, {}, true)
   end)
end)

describe("Without /proc #build", function ()
   local large = { "nomemory 2 ", "/proc/self/fd", "E64_TLS_POOL" }
   local once = { "system 2 ", "libstdc++.so.6", "/proc/self/fd",
      "link the program with it, or preload it" }

   it("there is no more static storage than the pool has, nor that of a "
      .. "libstdc++ opened late", function ()
      check("alone", "hide:/proc", { large = large, once = once }, true)
   end)

   it("threads that run are not found, which is said", function ()
      check("threads", "hide:/proc", { large = large, once = once,
         initial = { "unsupported", "/proc/self/task",
            "No such file or directory" } }, true)
   end)
end)

describe("When descriptors are used up #build", function ()
   local ADVICE <const> = "Too many open files (RLIMIT_NOFILE is 256: close "
      .. "descriptors, or raise it, as by ulimit -n)"

   it("opens fail and say so, until there are some; bytes need none", function ()
      local failures = all("system 24 ", ADVICE)
      failures.bytes = nil
      for mode in pairs(MODES) do check(mode, "files:0", failures) end
   end)

   it("but for one or two, opens fail that need more", function ()
      local files = { "system 24 ", ADVICE }
      local anchor = { "nomemory 24 ", ADVICE }
      check("alone", "files:1", { large = anchor, throwing = files,
         destructed = files, once = files })
      check("threads", "files:1", { large = anchor, throwing = files,
         destructed = files, once = files,
         initial = { "system 24 ", "/proc/self/task", ADVICE } })
      -- The file, and glibc's own descriptor of libstdc++.
      check("alone", "files:2", { throwing = files, destructed = files,
         once = files, large = { "nomemory", "Too many open files" } })
   end)
end)

describe("When RLIMIT_AS is reached #build", function ()
   it("opens fail, and say how much was wanted and what the limit is", function ()
      for mode in pairs(MODES) do
         check(mode, "memory:0", all("nomemory 12 ", " bytes",
            "(RLIMIT_AS is ", "raise it, as by ulimit -v)"))
      end
   end)

   it("opens work as long as there is room", function ()
      local words = { "nomemory 12 ", "(RLIMIT_AS is " }
      check("alone", "memory:1000000", { throwing = words, destructed = words,
         once = words })
   end)
end)

describe("When RLIMIT_DATA is reached #build", function ()
   it("opens fail, and say so", function ()
      -- 0 is another matter (mm/mmap.c: may_expand_vm).
      check("alone", "resource:DATA:4096", all("nomemory 12 ", "(RLIMIT_DATA is "
         .. "4096 bytes: raise it, as by ulimit -d)"), true)
   end)
end)

describe("Where what was writable cannot become executable #build", function ()
   it("there are no text relocations and no code but from files", function ()
      local words = { "system 1 ", "cannot execute what had to be written first "
         .. "(text relocations, or a source that is no whole file)" }
      for mode in pairs(MODES) do
         check(mode, "seal", { text = words, bytes = words }, true)
      end
   end)
end)

describe("When all memory has to be locked #build", function ()
   it("and RLIMIT_MEMLOCK is reached, opens fail, and say so", function ()
      check("alone", "lock", all("system 11 ", "(RLIMIT_MEMLOCK is 4096 bytes: "
         .. "raise it, as by ulimit -l)"), true)
   end)
end)

describe("When no signals can be queued", function ()
   it("threads that run are not found, which is said", function ()
      local words = { "system 11 ", "the process has other threads",
         "RLIMIT_SIGPENDING" }
      check("threads", "resource:SIGPENDING:0", { initial = words,
         large = words }, true)
   end)
end)

describe("When no file may grow", function ()
   it("there is no anchor, and nothing is killed for it", function ()
      local large = { "nomemory 27 ", "RLIMIT_FSIZE", "E64_TLS_POOL" }
      check("alone", "resource:FSIZE:0", { large = large,
         once = not child.sanitizer and { "system 27 ", "RLIMIT_FSIZE" } or nil },
         true)
   end)
end)

describe("When vm.max_map_count is reached #build", function ()
   local function most ()
      return contents("/proc/sys/vm/max_map_count"):match "%d+"
   end

   it("opens fail and say so, and undo all", function ()
      local said, later = run("alone", "mappings:0", "throwing")
      assert.equal("nomemory 12 ", said.throwing:sub(1, 12))
      assert.truthy(said.throwing:find(" mappings, and vm.max_map_count is "
         .. most() .. ": raise that by sysctl)", 1, true), said.throwing)
      assert.equal("42", later.throwing)
   end)

   it("in the middle of an open, nothing of it stays", function ()
      -- Not of C++: glibc leaves mappings of what it cannot open.
      local failed = {}
      for free = 2, 6, 2 do
         local said, later = run("alone", "mappings:" .. free, "initial")
         if said.initial ~= "42" then
            assert.truthy(said.initial:find("vm.max_map_count", 1, true),
               said.initial)
            assert.equal("42", later.initial)
            failed[#failed + 1] = said.initial
         end
      end
      assert.truthy(#failed > 1, #failed)
   end)
end)

describe("When the keys of pthread_key_create are used up", function ()
   it("there are no thread-local variables", function ()
      local words = { "nomemory", "has thread-local variables",
         "pthread_key_create" }
      check("alone", "keys:0", { dynamic = words, descriptor = words,
         zeros = words, initial = words, large = words, destructed = words })
   end)
end)

-- A thread on a stack of a given size, filled with a pattern, opens, looks up
-- and closes; what is left of the pattern tells how much was used.
local STACK <const> = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

static char **names;

static void *work(void *data)
{
    for (char **name = names; *name; name++) {
        e64_plugin *plugin;
        if (e64_open(runtime, *name, NULL, &plugin, NULL) != E64_OK)
            continue;
        e64_address(plugin, "no_such_name");
        e64_close(plugin, NULL);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t size = strtoul(argv[1], NULL, 0), left = 0;
    pthread_attr_t attributes;
    pthread_t thread;
    names = argv + 2;
    e64_runtime_new(NULL, &runtime, NULL);
    char *stack = mmap(NULL, size + 4096, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(stack, 4096, PROT_NONE);
    stack += 4096;
    memset(stack, 0x5a, size);
    pthread_attr_init(&attributes);
    pthread_attr_setstack(&attributes, stack, size);
    if (pthread_create(&thread, &attributes, work, NULL) != 0)
        return 2;
    pthread_join(thread, NULL);
    while (stack[left] == 0x5a)
        left++;
    printf("%zu\n", size - left);
    return 0;
}
]]

describe("On a small stack #build", function ()
   it("of 32 KB, plugins are opened, looked up in and closed", function ()
      local paths = { "libssl.so.3", "/no/such.so", "libnosuch.so.7" }
      for at, plugin in ipairs(plugins()) do
         paths[3 + at] = plugin:match "=(.*)"
      end
      local used = threads.program(STACK, { "32768", table.unpack(paths) })
      -- Of that 4 KB are the pool, and some are the thread's descriptor.
      assert.truthy(tonumber(used) < 26000, used)
   end)

   it("that a program's limit gives its threads, too", function ()
      local result = child.run({ "sh", "-c", 'ulimit -s 64; exec "$@"', "sh",
         threads.build(DRIVER), "threads", "lift", table.unpack(plugins()) },
         { env = ENV })
      assert.equal(#PLUGINS, select(2, result.out:gsub(": 42\n", "")),
         result.out .. result.err)
   end)
end)

-- The command and a plain lua5.4, under the limit from their start.
describe("In this host #build", function ()
   local preload = assert(cc.shared(LIMIT, "-pthread"))
   local by_name = {}
   for _, plugin in ipairs(plugins()) do
      by_name[plugin:match "^%l+"] = plugin:match "=(.*)"
   end

   local function host (limit, body, ...)
      local result = child.lua([[
         local elf = require "elf64load"
         local function ask (path)
            local plugin, message, kind, detail = elf.open(path)
            if not plugin then return kind, detail.errno, message end
            return plugin:cdef "long ask(void);".ask()
         end
      ]] .. body, { ... }, { preload = preload, files = 128,
         env = { LIMIT = limit } })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      return result.out
   end

   for title, limit in pairs {
      ["no /proc"] = "hide:/proc",
      ["memfd_create"] = "deny:memfd_create:ENOSYS",
      ["process_vm_writev and tgkill"] =
         "deny:process_vm_writev:EPERM deny:tgkill:EPERM",
      ["rt_sigaction"] = "deny:rt_sigaction:EPERM",
   } do
      it(("plugins open without %s"):format(title), function ()
         assert.equal("42\t42\t42\t42\t42\t42\n", host(limit,
            [[local out = {}
            for at, path in ipairs(arg) do out[at] = ask(path) end
            print(table.unpack(out))]], by_name.plain, by_name.ifunc,
            by_name.dynamic, by_name.initial, by_name.throwing,
            by_name.destructed))
      end)
   end

   it("descriptors may be used up", function ()
      assert.equal("system\t24\ttrue\n42\n", host("lift", [[
         local files = {}
         repeat
            local file = io.open "/dev/null"
            files[#files + 1] = file
         until not file
         local kind, number, message = ask(arg[1])
         print(kind, number, message:find("RLIMIT_NOFILE is 128", 1, true) ~= nil)
         for _, file in ipairs(files) do file:close() end
         print(ask(arg[1]))
      ]], by_name.plain))
   end)
end)

describe("README", function ()
   it("names these limits and no others", function ()
      local section = contents "README.md":match "\n## Limits\n(.-)\n## "
      local names = {}
      for row in section:gmatch "\n| (`[^\n]-) |" do
         for name in row:gmatch "`([^`]+)`" do names[name] = true end
      end
      local expected = { ["/proc"] = true, memfd_create = true, clone = true,
         clone3 = true, pthread_key_create = true, RLIMIT_NOFILE = true,
         RLIMIT_AS = true, RLIMIT_DATA = true, RLIMIT_MEMLOCK = true,
         RLIMIT_FSIZE = true, RLIMIT_SIGPENDING = true,
         ["vm.max_map_count"] = true, mprotect = true, PROT_EXEC = true }
      for call in pairs(ADOPTION) do expected[call] = true end
      assert.same(expected, names)
   end)
end)
