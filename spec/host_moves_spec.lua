-- The host moves: libraries that the host opens, makes global and closes between
-- our opens and in the middle of them.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local compare = require "spec.support.compare"
local cc = require "elf64load.cc"
local threads = require "spec.support.threads"

-- What says when it is finalised, so that the order shows. At the process' end
-- that is another order than ld.so's.
local function saying (name, source, flags)
   return assert(cc.shared(([[
      #include <unistd.h>
      __attribute__((destructor)) static void bye(void)
      { write(1, "%s ends\n", sizeof "%s ends"); }
   ]]):format(name, name) .. source, flags))
end

local THING <const> = "long thing(void) { return %d; }"
local ASK <const> = "extern long thing(void); long ask(void) { return thing() + %d; }"

local provider = saying("provider", THING:format(77) .. "long only_here;",
   "-Wl,-soname,libmoves.so.1")
local user = saying("user", ASK:format(0))
local needing = saying("needing", ASK:format(0),
   "-Wl,--no-as-needed " .. provider)

-- The others say nothing.
local one = assert(cc.shared(THING:format(77) .. "long only_one;",
   "-Wl,-soname,libmoves.so.1"))
local other = assert(cc.shared(THING:format(88) .. "long only_other;"))
local lone = assert(cc.shared(THING:format(99)))
local asker = assert(cc.shared(ASK:format(0)))
local second = assert(cc.shared(ASK:format(1000)))
local empty = assert(cc.shared("long empty;", "-Wl,--no-as-needed " .. one))

describe("A provider that the host closes", function ()
   it("stays for what is bound to it through the global scope, and goes with "
      .. "it", function ()
      assert.like_ldso({ "host " .. provider .. " global as p", "open u " .. user,
         "unhost p", "call u ask", "mapped " .. provider, "close u",
         "mapped " .. provider },
         { "unhost p: ok\nask() = 77\nmapped: yes", "provider ends",
            "mapped: no" })
   end)

   it("stays for what needs it, and goes with it", function ()
      assert.like_ldso({ "host " .. provider .. " as p",
         "host " .. provider .. " as again", "open u " .. needing,
         "unhost p", "unhost again", "call u ask", "mapped " .. provider,
         "close u", "mapped " .. provider },
         { "ask() = 77\nmapped: yes", "needing ends\nprovider ends",
            "mapped: no" })
   end)

   it("stays for two plugins until the second is closed", function ()
      assert.like_ldso({ "host " .. provider .. " global as p", "open u " .. user,
         "open s " .. second, "unhost p", "close u", "call s ask",
         "mapped " .. provider, "close s", "mapped " .. provider },
         { "ask() = 1077\nmapped: yes", "mapped: no" })
   end)

   it("stays with the host when plugins go first", function ()
      assert.like_ldso({ "host " .. provider .. " global as p", "open u " .. user,
         "close u", "mapped " .. provider, "open u " .. user, "call u ask",
         "unhost p", "close u", "mapped " .. provider },
         { "mapped: yes", "ask() = 77", "mapped: no" })
   end)

   it("may be opened again, and it is the same", function ()
      assert.like_ldso({ "host " .. provider .. " global as p", "open u " .. user,
         "unhost p", "host " .. provider .. " as p", "call u ask", "close u",
         "mapped " .. provider, "unhost p", "mapped " .. provider },
         { "ask() = 77", "mapped: yes", "mapped: no" })
   end)

   it("is not seen any more when it is gone, and seen when it is back", function ()
      assert.like_ldso({ "host " .. provider .. " global as p", "open u " .. user,
         "close u", "unhost p", "open u " .. user,
         "host " .. other .. " global as o", "open u " .. user, "call u ask",
         "close u", "unhost o", "host " .. provider .. " global as p",
         "open u " .. user, "call u ask" },
         { "open u: failed", "ask() = 88", "ask() = 77" })
   end)

   it("a hundred times is another each time", function ()
      local script = {}
      for _ = 1, 50 do
         for _, path in ipairs { provider, other } do
            for _, line in ipairs { "host " .. path .. " global as p",
               "open u " .. user, "call u ask", "unhost p", "close u",
               "mapped " .. path } do
               script[#script + 1] = line
            end
         end
      end
      assert.like_ldso(script, { "mapped: no", "ask() = 88" })
   end)
end)

describe("A plugin that came along with another", function ()
   it("has a scope of the host as it is when it is opened by its name",
      function ()
      local function that_needs (what)
         return assert(cc.shared("", "-Wl,--no-as-needed " .. what))
      end
      local host = that_needs(lone)
      local along = that_needs(host)
      local script = { "host " .. host .. " as p",
         "open n " .. that_needs(along) }
      local function add (line) script[#script + 1] = line end
      local function move ()
         add("host " .. other .. " as m")
         add "unhost m"
      end
      move()
      add("open e " .. along)
      for _ = 1, 2 do
         move()
         add("open a " .. assert(cc.shared "long a;"))
         add "close a"
      end
      add "call e thing"
      assert.like_ldso(script, { "thing() = 99" })
   end)
end)

describe("A host library that is made global by RTLD_NOLOAD | RTLD_GLOBAL",
   function ()
   it("is seen from then on", function ()
      assert.like_ldso({ "host " .. one .. " as p", "open u " .. asker,
         "host " .. one .. " global noload as again", "open u " .. asker,
         "call u ask", "unhost p", "unhost again", "call u ask", "close u",
         "mapped " .. one },
         { "open u: failed", "ask() = 77", "mapped: no" })
   end)

   it("also when all its names are defined by a local one", function ()
      assert.like_ldso({ "host " .. lone .. " as l",
         "host " .. one .. " as p", "open u " .. asker,
         "host " .. lone .. " global noload as again", "open u " .. asker,
         "call u ask" }, { "open u: failed", "ask() = 99" })
      assert.like_ldso({ "host " .. one .. " as p", "host " .. lone
         .. " global as l", "open u " .. asker, "call u ask" },
         { "ask() = 99" })
   end)

   it("comes after what was made so before it, whichever was opened first",
      function ()
      for _, order in ipairs { { one, other }, { other, one } } do
         for _, first in ipairs { 1, 2 } do
            -- The opens in between see one; without them both are new at once.
            for _, between in ipairs { "open v " .. second, "say nothing" } do
               assert.like_ldso({ "host " .. order[1] .. " as a",
                  "host " .. order[2] .. " as b", "open x " .. empty,
                  "host " .. order[first] .. " global noload", between,
                  "host " .. order[3 - first] .. " global noload",
                  "open u " .. asker, "call u ask" },
                  { "ask() = " .. (order[first] == one and 77 or 88) })
            end
         end
      end
   end)

   it("makes what it needs global, too", function ()
      assert.like_ldso({ "host " .. one .. " as o", "host " .. empty .. " as e",
         "open u " .. asker, "host " .. empty .. " global noload",
         "open u " .. asker, "call u ask" },
         { "open u: failed", "ask() = 77" })
   end)

   it("keeps its place when others come and go", function ()
      assert.like_ldso({ "host " .. one .. " as p", "host " .. other .. " as o",
         "host " .. other .. " global noload as g",
         "host " .. one .. " global noload", "open u " .. asker,
         "call u ask", "close u", "host " .. lone .. " as l", "unhost l",
         "open s " .. second, "call s ask" },
         { "ask() = 88", "ask() = 1088" })
   end)
end)

describe("An open with `global`", function ()
   it("makes the host's libraries that it needs visible to later opens", function ()
      assert.like_ldso({ "host " .. one .. " as p", "open u " .. asker,
         "open e " .. empty .. " global", "open u " .. asker, "call u ask" },
         { "open u: failed", "ask() = 77" })
      -- Also the second time it is opened.
      assert.like_ldso({ "host " .. one .. " as p", "open e " .. empty,
         "open u " .. asker, "open f " .. empty .. " global", "open u " .. asker,
         "call u ask" }, { "open u: failed", "ask() = 77" })
   end)

   it("of a host library does, too", function ()
      assert.like_ldso({ "host " .. one .. " as p", "open u " .. asker,
         "open p " .. one .. " global", "open u " .. asker, "call u ask",
         "unhost p", "close p", "call u ask", "mapped " .. one, "close u",
         "mapped " .. one },
         { "open u: failed", "ask() = 77", "mapped: yes", "mapped: no" })
   end)

   it("does so until it is closed, if something keeps it open", function ()
      assert.like_ldso({ "host " .. one .. " as o",
         "open e " .. empty .. " global", "unhost o", "close e",
         "mapped " .. one, "open u " .. asker },
         { "mapped: no\nopen u: failed" })
      -- For ld.so it stays global while the host has it open.
      assert.opens_as({ "host " .. one .. " as p",
         "open e " .. empty .. " global", "open f " .. empty .. " global",
         "close e", "open u " .. asker, "call u ask", "close u", "close f",
         "open u " .. asker },
         { "ask() = 77\nclose u: ok\nclose f: ok\nopen u: failed" })
   end)

   it("changes nothing for the host and other runtimes", function ()
      local result = child.lua([[
         local elf = require "elf64load"
         local host = assert(package.loadlib(arg[1], "luaopen_dlopen"))()
         assert(host.load(arg[2]))
         assert(elf.open(arg[3], { global = true }))
         print(elf.open(arg[4]) ~= nil, elf.runtime {}:open(arg[4]),
            host.load(arg[4]))
      ]], { compare.dlopen(), one, empty, asker })
      assert.equal("true\tnil\tnil\n", result.out, result.err)
   end)
end)

describe("A host library stands for a DT_NEEDED", function ()
   local named = saying("named", "extern long only_here;"
      .. "long ask(void) { return only_here + 5; }",
      "-Wl,--no-as-needed " .. provider)

   it("by its DT_SONAME, from when it is opened until it is closed", function ()
      -- Nothing else would be found by that name.
      assert.like_ldso({ "open n " .. named, "host " .. provider .. " as p",
         "open n " .. named, "call n ask", "unhost p", "call n ask",
         "mapped " .. provider, "close n", "mapped " .. provider,
         "open n " .. named },
         { "open n: failed\nhost: ok\nopen n: ok\nask() = 5\nunhost p: ok\n"
            .. "ask() = 5\nmapped: yes", "mapped: no\nopen n: failed" })
   end)
end)

-- In the middle of an open: from the hook that is asked for what a plugin needs.
describe("In the middle of an open", function ()
   local moving = assert(cc.shared("long moving = 1;",
      "-Wl,-soname,libmoving.so.1"))
   local asking = assert(cc.shared(ASK:format(0), "-Wl,--no-as-needed " .. moving))
   local quiet = assert(cc.shared(THING:format(77) .. "long only_quiet;"))

   local function moves (body, ...)
      local result = child.lua([[
         local elf = require "elf64load"
         local host = assert(package.loadlib(arg[1], "luaopen_dlopen"))()
         local function mapped (path)
            for line in io.lines "/proc/self/maps" do
               if line:find(path, 1, true) then return true end
            end
            return false
         end
         local times, act = 0, nil
         table.insert(elf.searchers, 1, function (name)
            if name ~= "libmoving.so.1" then return nil end
            times = times + 1
            act()
            return arg[2]
         end)
      ]] .. body, { compare.dlopen(), moving, ... })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      return result.out
   end

   it("the host opens what it is then bound to", function ()
      assert.equal("77\ttrue\n", moves([[
         local library
         function act () library = library or host.load(arg[3], true) end
         local p = assert(elf.open(arg[4]))
         print(p:cdef "long ask(void);".ask(), times > 1)
      ]], quiet, asking))
   end)

   it("the host closes what it is bound to all the same, which stays as long",
      function ()
      assert.equal("77\ttrue\nfalse\n", moves([[
         local library = host.load(arg[3], true)
         function act () host.unload(library) end
         local p = assert(elf.open(arg[4]))
         print(p:cdef "long ask(void);".ask(), mapped(arg[3]))
         p:close()
         print(mapped(arg[3]))
      ]], quiet, asking))
   end)

   it("the host puts another in its place", function ()
      assert.equal("88\tfalse\n", moves([[
         local library = host.load(arg[3], true)
         function act ()
            if library then
               host.unload(library)
               host.load(arg[5], true)
            end
            library = nil
         end
         local p = assert(elf.open(arg[4]))
         print(p:cdef "long ask(void);".ask(), mapped(arg[3]))
      ]], quiet, asking, other))
   end)

   it("the host opens and closes each time it is tried", function ()
      local out = moves([[
         function act () host.unload(host.load(arg[3])) end
         host.load(arg[5], true)
         local p = assert(elf.open(arg[4]))
         print(p:cdef "long ask(void);".ask(), times > 1, mapped(arg[3]))
      ]], quiet, asking, other)
      assert.equal("88\ttrue\tfalse\n", out)
   end)
end)

-- ---------------------------------------------------------------- threads ---

-- One thread opens and closes libraries by dlopen without a pause, one of them
-- global, others open and close plugins that need them or not. `START` and the
-- functions below are either loader's.
local CHURN <const> = [[
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

static char **path;
static atomic_int stop, wrong, rounds;

static void *churn(void *data)
{
    (void)data;
    while (!stop) {
        void *a = dlopen(path[0], RTLD_NOW);
        void *b = dlopen(path[1], RTLD_NOW | RTLD_GLOBAL);
        void *c = dlopen(path[0], RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL);
        if (!a || !b || !c)
            wrong++;
        dlclose(b);
        dlclose(c);
        dlclose(a);
        rounds++;
    }
    return 0;
}

#ifdef LDSO
static void *open_one(const char *name) { return dlopen(name, RTLD_NOW); }
static void close_one(void *plugin) { dlclose(plugin); }
static long call(void *plugin)
{
    return ((long (*)(void))dlsym(plugin, "ask"))();
}
static const char *why(void) { return dlerror(); }
#else
static void *open_one(const char *name)
{
    e64_plugin *plugin = NULL;
    e64_open(runtime, name, NULL, &plugin, NULL);
    return plugin;
}
static void close_one(void *plugin) { e64_close(plugin, NULL); }
static long call(void *plugin)
{
    return ((long (*)(void))e64_entry(plugin, "ask"))();
}
static const char *why(void) { return e64_last_error()->message; }
#endif

int main(int argc, char **argv)
{
    pthread_t thread;
    int opened = 0, count = atoi(argv[1]), failed = 0;
    path = argv + 2;
#ifndef LDSO
    e64_runtime_new(NULL, &runtime, NULL);
#endif
    pthread_create(&thread, NULL, churn, NULL);
    while (!rounds)
        ;
    for (int i = 0; i < count; i++) {
        void *needing = open_one(path[2]), *free = open_one(path[3]);
        if (!needing || !free) {
            fprintf(stderr, "not opened: %s\n", why());
            return 1;
        }
        if (call(needing) != 77)
            wrong++;
        close_one(needing);
        close_one(free);
        // Bound to one or the other, or to nothing when neither is there.
        void *bound = open_one(path[4]);
        if (bound) {
            long answer = call(bound);
            if (answer != 77 && answer != 88)
                wrong++;
            opened++;
            close_one(bound);
        } else {
            const char *text = why();
            if (!strstr(text, "thing")) {
                fprintf(stderr, "not bound: %s\n", text);
                wrong++;
            }
            failed++;
        }
    }
    stop = 1;
    pthread_join(thread, NULL);
    // What the thread kept at the last close, because it ran and did not answer
    // in time, is looked at again.
    close_one(open_one(path[3]));
    for (int i = 0; i < 5; i++) {
        FILE *maps = fopen("/proc/self/maps", "r");
        char line[4096];
        while (fgets(line, sizeof line, maps))
            if (strstr(line, path[i]))
                wrong++;
        fclose(maps);
    }
    printf("%d wrong\n", wrong);
    fprintf(stderr, "%d rounds, %d bound, %d not\n", rounds, opened, failed);
    return 0;
}
]]

-- Two such threads, and four that open in two runtimes, now and then `global`,
-- and look up in the process.
local CROWD <const> = [[
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>

static char **path;
static e64_runtime *runtimes[2];
static atomic_int stop, wrong, opened;

static void *churn(void *data)
{
    while (!stop) {
        void *a = dlopen(path[0], RTLD_NOW);
        void *b = dlopen(path[1], RTLD_NOW | RTLD_GLOBAL);
        dlclose(b);
        dlclose(a);
        for (volatile int i = 0; data && i < 20000; i++)
            ;
    }
    return 0;
}

static void *work(void *data)
{
    unsigned seed = (unsigned)(long)data;
    e64_runtime *own = runtimes[seed & 1];
    while (!stop) {
        e64_open_options options = { sizeof options,
                                     .global = rand_r(&seed) % 8 == 0 };
        e64_plugin *plugin, *host;
        e64_error error;
        e64_symbol symbol;
        e64_status status = e64_open(own, path[2 + rand_r(&seed) % 3],
                                     &options, &plugin, &error);
        if (status == E64_UNDEFINED)
            continue;
        if (status != E64_OK) {
            fprintf(stderr, "%s\n", error.message);
            wrong++;
            return 0;
        }
        long answer = ((long (*)(void))e64_entry(plugin, "ask"))();
        if (answer != 77 && answer != 88 && answer != 3)
            wrong++;
        if (e64_host(own, &host, NULL) == E64_OK) {
            e64_lookup(host, "theirs", NULL, &symbol, &error);
            e64_close(host, NULL);
        }
        e64_close(plugin, NULL);
        opened++;
    }
    return 0;
}

int main(int argc, char **argv)
{
    pthread_t threads[6];
    path = argv + 2;
    for (int i = 0; i < 2; i++)
        e64_runtime_new(NULL, &runtimes[i], NULL);
    for (long i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, i < 2 ? churn : work, (void *)i);
    while (opened < atoi(argv[1]) && !wrong)
        usleep(1000);
    stop = 1;
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    printf("%d wrong\n", wrong);
    return 0;
}
]]

-- Where others keep the processors busy, each turn in glibc's lock is waited for.
local BUSY <const> = { seconds = 300 }

describe("While another thread opens and closes libraries of the host #threads",
   function ()
   -- Both define `thing`, and one of them is global at times.
   local local_ = assert(cc.shared(THING:format(77) .. "long mine(void) { return 76; }"))
   local global = assert(cc.shared(THING:format(88) .. "long theirs;"))
   local arguments = { child.sanitizer and "100" or "300", local_, global,
      assert(cc.shared("extern long mine(void); long ask(void) { return mine() + 1; }",
         "-Wl,--no-as-needed " .. local_)),
      assert(cc.shared "long ask(void) { return 3; }"), asker }

   it("plugins are opened, bound to what is there, and closed", function ()
      assert.equal("0 wrong\n", threads.program(CHURN, arguments, BUSY))
   end)

   it("a crowd of threads does so, with `global` and without", function ()
      assert.equal("0 wrong\n", threads.program(
         "#define _GNU_SOURCE\n#include <unistd.h>\n" .. CROWD, arguments, BUSY))
   end)

   it("as by ld.so", function ()
      local theirs = child.run({ assert(cc.program(
         "#define LDSO\n#include <stdio.h>\n#include <stdlib.h>\n" .. CHURN,
         "-pthread")), table.unpack(arguments) }, BUSY)
      assert.equal("0 wrong\n", theirs.out, theirs.err)
   end)
end)
