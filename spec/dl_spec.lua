-- What plugins see of the loader: dlopen and its kin, compared with ld.so. Each
-- fixture prints what it was answered.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local compare = require "spec.support.compare"
local resources = require "spec.support.resources"
local elf = require "elf64load"

local HEAD = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <execinfo.h>
#include <link.h>
#include <pthread.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#define say(...) dprintf(1, __VA_ARGS__)
#define RTLD_DI_PHDR_ 11
static const char *base(const char *path)
{
    const char *slash = path ? strrchr(path, '/') : NULL;
    return slash ? slash + 1 : path ? path : "(none)";
}
// Ours may add to what glibc says, in parentheses.
static void complain(void)
{
    char *text = dlerror();
    char *more = text ? strstr(text, " (") : NULL;
    if (more)
        *more = 0;
    say("dlerror: %s\n", text ? text : "(none)");
}
]]

local function shared (source, flags)
   return assert(cc.shared(HEAD .. source, flags))
end

local function quote (text) return '"' .. text .. '"' end

describe("A plugin's dladdr", function ()
   local path = shared [[
      int data = 5, none[4];
      __thread int variable = 3;
      int sized(int x) { return x * data + none[1]; }
      __asm__(".globl bare\nbare: nop\nnop\n");
      extern char bare[];
      static int inner(int x) { return x + 1; }
      int (*keep)(int) = inner;
      void show(const char *what, void *at) {
         Dl_info info;
         int ok = dladdr(at, &info);
         say("%s: %d", what, ok);
         if (ok)
            say(" %s %s %ld", base(info.dli_fname), info.dli_sname
                ? info.dli_sname : "(none)", info.dli_saddr
                ? (char *)at - (char *)info.dli_saddr : -1);
         say("\n");
      }
      long run(void) {
         Dl_info info;
         struct link_map *map;
         const ElfW(Sym) *symbol;
         show("sized", sized);
         show("sized + 1", (char *)sized + 1);
         show("bare", bare);
         show("bare + 1", bare + 1);
         show("data", &data);
         show("data + 2", (char *)&data + 2);
         show("none", none + 2);
         show("host", getppid);
         show("nothing", (void *)16);
         show("stack", &info);
         dladdr1(sized, &info, (void **)&map, RTLD_DL_LINKMAP);
         say("map: %d %s %d\n", (char *)info.dli_fbase == (char *)map->l_addr,
             base(map->l_name), map->l_ld == _DYNAMIC);
         dladdr1(&data, &info, (void **)&symbol, RTLD_DL_SYMENT);
         say("symbol: %ld %d\n", (long)symbol->st_size,
             symbol->st_value + map->l_addr == (unsigned long)&data);
         dladdr1(keep, &info, (void **)&symbol, RTLD_DL_SYMENT);
         say("inner: %d %d\n", info.dli_sname == NULL, symbol == NULL);
         return 0;
      }
   ]]

   it("answers as ld.so's for its own addresses and the host's", function ()
      assert.like_ldso({ "open p " .. path, "call p run" },
         { "sized: 1", "host: 1 libc.so.6 getppid 0", "nothing: 0" })
   end)
end)

describe("A plugin's dlsym", function ()
   local other = shared [[
      int only_other(void) { return 11; }
      int both(void) { return 12; }
   ]]
   local function asking (flags)
      return shared([[
         int both(void) { return 21; }
         int only_here(void) { return 22; }
         __thread int variable = 23;
         static int choice(void) { return 24; }
         static void *resolver(void) { return choice; }
         int chosen(void) __attribute__((ifunc("resolver")));
         static void ask(const char *what, void *handle, const char *name) {
            int (*f)(void) = dlsym(handle, name);
            say("%s %s: ", what, name);
            if (f)
               say("%d\n", strcmp(name, "variable") ? f() : *(int *)f);
            else
               complain();
         }
         long run(void) {
            ask("default", RTLD_DEFAULT, "only_here");
            ask("default", RTLD_DEFAULT, "both");
            ask("default", RTLD_DEFAULT, "only_other");
            ask("default", RTLD_DEFAULT, "variable");
            ask("default", RTLD_DEFAULT, "chosen");
            ask("default", RTLD_DEFAULT, "no_such_name");
            ask("next", RTLD_NEXT, "both");
            ask("next", RTLD_NEXT, "only_here");
            ask("next", RTLD_NEXT, "only_other");
            say("next getppid: %d\n", dlsym(RTLD_NEXT, "getppid") == getppid);
            say("abort: %d\n", dlsym(RTLD_DEFAULT, "abort") == abort);
            say("dlsym: %d\n", dlsym(RTLD_DEFAULT, "dlsym") == dlsym);
            return 0;
         }
         long versions(void) {
            say("memcpy: %d %d\n", dlvsym(RTLD_DEFAULT, "memcpy", "GLIBC_2.14")
                != NULL, dlvsym(RTLD_DEFAULT, "memcpy", "GLIBC_2.2.5")
                == dlvsym(RTLD_DEFAULT, "memcpy", "GLIBC_2.14"));
            say("%p ", dlvsym(RTLD_DEFAULT, "memcpy", "NONE_1"));
            complain();
            say("%p ", dlvsym(RTLD_NEXT, "only_here", "NONE_2"));
            complain();
            return 0;
         }
      ]], flags)
   end

   it("finds by RTLD_DEFAULT and RTLD_NEXT what ld.so's finds", function ()
      local asker = asking()
      assert.like_ldso({ "open p " .. asker, "call p run", "open q " .. other,
         "call p run", "open q " .. other .. " global", "call p run",
         "call p versions" },
         { "default only_here: 22", "default chosen: 24", "abort: 1" })
      assert.like_ldso({ "open q " .. other .. " global", "open p " .. asker,
         "call p run" }, { "default both: 12", "default only_other: 11" })
   end)

   it("finds what the caller needs, and what comes after it", function ()
      local asker = asking("-Wl,--no-as-needed " .. other)
      assert.like_ldso({ "open p " .. asker, "call p run" },
         { "default both: 21", "next both: 12", "next only_other: 11" })
      local user = assert(cc.shared("int both(void) { return 31; }",
         "-Wl,--no-as-needed " .. asker))
      assert.like_ldso({ "open u " .. user, "open p " .. asker, "call p run" },
         { "default both: 31", "next both: 12" })
   end)

   it("looks at its own first when it was opened so", function ()
      assert.like_ldso({ "open q " .. other .. " global",
         "open p " .. asking() .. " deepbind", "call p run" },
         { "default both: 21" })
      assert.like_ldso({ "open q " .. other .. " global",
         "open p " .. asking "-Wl,-Bsymbolic", "call p run" },
         { "default both: 21" })
   end)

   it("keeps open what it found", function ()
      local there = shared [[
         int found(void) { return 1; }
         __attribute__((destructor)) static void end(void) { say("gone\n"); }
      ]]
      local finder = shared [[
         long find(void) {
            int (*f)(void) = dlsym(RTLD_DEFAULT, "found");
            return f ? f() : 0;
         }
      ]]
      assert.like_ldso({ "open t " .. there .. " global", "open f " .. finder,
         "call f find", "close t", "say closed", "call f find", "close f",
         "say all closed" }, { "find() = 1", "closed", "gone" })
   end)

   it("does not find what the host is closing", function ()
      -- The destructors run in this order; what is needed calls back.
      local last = shared [[
         __attribute__((destructor)) static void end(void) {
            const char *address = getenv("E64_LAST_WISH");
            if (address)
               ((void (*)(void))strtoul(address, NULL, 16))();
         }
      ]]
      local first = shared("int going = 1;", "-Wl,--no-as-needed " .. last)
      local asker = shared [[
         static void wish(void) {
            const int *going = dlsym(RTLD_DEFAULT, "going");
            say("going: %d\n", going ? *going : -1);
         }
         long arm(void) {
            char text[20];
            sprintf(text, "%lx", (long)wish);
            return setenv("E64_LAST_WISH", text, 1);
         }
         long find(void) {
            return dlsym(RTLD_DEFAULT, "going") ? 1 : 0;
         }
      ]]
      assert.like_ldso({ "host " .. first .. " global as g", "open a " .. asker,
         "call a arm", "unhost g", "mapped " .. first, "call a find",
         "close a" }, { "going: -1", "mapped: no", "find() = 0" })
   end)

   it("passes on what the host asks through it", function ()
      -- lfind calls dlsym(key, element); found is what was not found. A caller
      -- in libc has nothing after it.
      assert.like_ldso({ "open p " .. shared [[
         int own(void) { return 1; }
         static int missing(void *handle, const char *name) {
            size_t count = 1;
            return lfind(handle, name, &count, 1, (void *)dlsym) != NULL;
         }
         long run(void) {
            say("own %d, qsort %d, next %d\n", missing(RTLD_DEFAULT, "own"),
                missing(RTLD_DEFAULT, "qsort"), missing(RTLD_NEXT, "qsort"));
            return 0;
         }
      ]], "call p run" }, { "own 1, qsort 0, next 1" })
   end)
end)

describe("A plugin's dlopen", function ()
   local small = shared [[
      int value = 40;
      int small(void) { return ++value; }
      __attribute__((constructor)) static void begin(void) { say("begin\n"); }
      __attribute__((destructor)) static void end(void) { say("end\n"); }
   ]]
   local name = small:match "[^/]*$"
   local quiet = shared "int value = 40; int small(void) { return ++value; }"

   local OPENER = ("static const char *path = %s, *name = %s;"):format(
      quote(small), quote(name)) .. [[
      static void *handle;
      static long open_as(const char *file, int mode) {
         void *it = dlopen(file, mode);
         say("open %s %#x: %s ", base(file), mode, it ? "ok" : "no");
         complain();
         if (it)
            handle = it;
         return it != NULL;
      }
      long now(void) { return open_as(path, RTLD_NOW); }
      long global(void) { return open_as(path, RTLD_NOW | RTLD_GLOBAL); }
      long lazy(void) { return open_as(path, RTLD_LAZY); }
      long noload(void) { return open_as(path, RTLD_NOW | RTLD_NOLOAD); }
      long promote(void)
      { return open_as(path, RTLD_NOW | RTLD_NOLOAD | RTLD_GLOBAL); }
      long nodelete(void) { return open_as(path, RTLD_NOW | RTLD_NODELETE); }
      long by_name(void) { return open_as(name, RTLD_NOW); }
      long noload_name(void) { return open_as(name, RTLD_NOW | RTLD_NOLOAD); }
      long origin(void) {
         char text[300];
         snprintf(text, sizeof text, "$ORIGIN/%s", name);
         return open_as(text, RTLD_NOW);
      }
      long bad(void) {
         open_as(path, 0);
         open_as(path, 0x10000000 | RTLD_NOW);
         open_as("no_such_library.so.3", RTLD_NOW);
         open_as("no_such_library.so.3", RTLD_NOW | RTLD_NOLOAD);
         open_as("./no/such/library.so", RTLD_NOW);
         return 0;
      }
      long ask(void) {
         int (*f)(void) = dlsym(handle, "small");
         return f ? f() : -1;
      }
      long everywhere(void) {
         int (*f)(void) = dlsym(RTLD_DEFAULT, "small");
         return f ? f() : -1;
      }
      long process(void) {
         void *all = dlopen(NULL, RTLD_NOW);
         void *again = dlopen("", RTLD_LAZY);
         int (*f)(void) = dlsym(all, "small");
         struct link_map *map = all;
         say("process: %d %d %d [%s] %d\n", all == again,
             dlsym(all, "printf") == printf, f ? f() : -1, map->l_name,
             dlclose(all));
         dlsym(all, "no_such_name");
         char *text = dlerror();
         say("none: %s\n", text ? strchr(text, ':') : "(none)");
         return 0;
      }
      long done(void) {
         int status = dlclose(handle);
         say("close: %d ", status);
         complain();
         return status;
      }
      long map(void) {
         struct link_map *m = handle, *same;
         say("%s %d %d ", base(m->l_name),
             (char *)dlsym(handle, "value") > (char *)m->l_addr,
             dlinfo(handle, RTLD_DI_LINKMAP, &same));
         say("%d\n", m == same);
         return 0;
      }
   ]]
   local opener = shared(OPENER)

   it("takes RTLD_NOW, LAZY, GLOBAL, NOLOAD, NODELETE as ld.so's", function ()
      assert.like_ldso({ "open p " .. opener, "call p noload", "call p now",
         "call p ask", "call p everywhere", "call p noload", "call p promote",
         "call p everywhere", "call p done", "call p done", "call p map",
         "call p done", "call p noload" }, { "begin", "end", "ask() = 41" },
         { may_fail = true })
      assert.like_ldso({ "open p " .. opener, "call p nodelete", "call p ask",
         "call p done", "say closed", "call p lazy", "call p ask" },
         { "closed", "ask() = 42" })
      assert.like_ldso({ "open p " .. opener, "call p global",
         "call p everywhere", "call p process", "call p done",
         "call p everywhere" }, { "everywhere() = 41" })
   end)

   it("fails in glibc's words", function ()
      assert.like_ldso({ "open p " .. opener, "call p bad" },
         { "open no_such_library.so.3 0x2: no dlerror: no_such_library.so.3: "
            .. "cannot open shared object file" })
   end)

   it("looks where the caller's RUNPATH and RPATH say", function ()
      assert.like_ldso({ "open p " .. opener, "call p by_name",
         "call p origin", "call p by_name", "call p noload_name" },
         { "open " .. name .. " 0x2: no", "open " .. name .. " 0x2: ok" },
         { may_fail = true })
      for _, tag in ipairs { "--enable-new-dtags", "--disable-new-dtags" } do
         local other = shared(OPENER, "-Wl," .. tag .. ",-rpath,'$ORIGIN'")
         assert.like_ldso({ "open p " .. other, "call p noload_name",
            "call p by_name", "call p ask", "call p done" },
            { "begin", "ask() = 41", "end" }, { may_fail = true })
      end
   end)

   it("answers for the host's libraries with handles of the host", function ()
      assert.like_ldso({ "open p " .. shared [[
         long run(void) {
            void *m = dlopen("libm.so.6", RTLD_NOW);
            double (*f)(double) = dlsym(m, "sqrt");
            struct link_map *map = m;
            say("%d %s\n", (int)f(81), base(map->l_name));
            say("%d\n", dlclose(m));
            void *c = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
            say("%d %d\n", dlsym(c, "abort") == abort,
                dlsym(c, "dlopen") == dlopen);
            say("%p ", dlsym(c, "no_such_name"));
            dlerror();
            say("%s\n", dlerror() ? "twice" : "once");
            return 0;
         }
      ]], "call p run" }, { "9 libm.so.6", "0", "1 1" })
   end)

   it("opens through the plugin's own runtime, and not by glibc", function ()
      local one, two <close> = elf.runtime {}, elf.runtime {}
      local silent = shared("#undef say\n#define say(...) 0\n"
         .. "#define complain() 0\n" .. OPENER:gsub(small, quiet))
      local p <close> = assert(one:open(silent))
      local q <close> = assert(two:open(silent))
      local CALLS <const> = "long now(void); long ask(void); long done(void);"
      local of_p, of_q = p:cdef(CALLS), q:cdef(CALLS)
      assert.equal(1, of_p.now())
      assert.equal(1, of_q.now())
      assert.equal(41, of_p.ask())
      assert.equal(42, of_p.ask())
      assert.equal(41, of_q.ask())
      local own = assert(one:open(quiet, { noload = true }))
      assert.equal(quiet, own.path)
      assert.falsy(own == two:open(quiet, { noload = true }))
      own:close()
      assert.falsy(table.concat(resources.modules(), "\n"):find(quiet, 1, true))
      assert.equal(0, of_p.done())
      assert.fails_with("notfound", one.open, one, quiet, { noload = true })
      assert.truthy(two:open(quiet, { noload = true }))
      one:close()
   end)

   it("runs within constructors, and sees them in dlsym", function ()
      local inside = shared(OPENER .. [[
         __attribute__((constructor)) static void first(void) {
            now();
            say("inside %ld\n", ask());
         }
      ]])
      assert.like_ldso({ "open p " .. inside, "call p ask", "close p" },
         { "begin", "inside 41" })
   end)

   it("may be called by several threads at a time #threads", function ()
      local other = assert(cc.shared("int other(void) { return 8; }",
         "-Wl,--no-as-needed " .. quiet))
      local threads = shared(("static const char *paths[] = { %s, %s };"):format(
         quote(quiet), quote(other)) .. [[
         static int number;
         static void *body(void *data) {
            long wrong = 0;
            for (int i = 0; i < 150; i++) {
               void *handle = dlopen(paths[(i + (long)data) % 2], RTLD_NOW);
               int (*f)(void) = handle ? dlsym(handle, "small") : NULL;
               Dl_info info;
               wrong += !f || f() < 41 || !dladdr(f, &info)
                  || strcmp(info.dli_sname, "small")
                  || dlsym(RTLD_DEFAULT, "run_all") == NULL
                  || dlclose(handle);
            }
            return (void *)wrong;
         }
         long run_all(void) {
            pthread_t all[3];
            long wrong = 0;
            void *of_one;
            for (long i = 0; i < 3; i++)
               pthread_create(&all[i], NULL, body, (void *)i);
            for (int i = 0; i < 3; i++) {
               pthread_join(all[i], &of_one);
               wrong += (long)of_one;
            }
            return wrong;
         }
      ]])
      assert.like_ldso({ "open p " .. threads, "call p run_all", "close p" },
         { "run_all() = 0" })
      local p = assert(elf.open(threads))
      assert.equal(0, p:cdef "long run_all(void);".run_all())
      p:close()
      for line in io.lines "/proc/self/maps" do
         assert.falsy(line:find(other, 1, true), line)
      end
   end)

   it("has a dlerror for each thread, said once", function ()
      assert.like_ldso({ "open p " .. shared [[
         static void *other(void *data) {
            complain();
            dlopen("no_such_library_of_thread.so", RTLD_NOW);
            return NULL;
         }
         long run(void) {
            pthread_t thread;
            complain();
            dlopen("no_such_library.so", RTLD_NOW);
            pthread_create(&thread, NULL, other, NULL);
            pthread_join(thread, NULL);
            complain();
            complain();
            dlsym(RTLD_DEFAULT, "no_such_symbol");
            dlsym(RTLD_DEFAULT, "run");
            complain();
            dlclose(dlopen("libc.so.6", RTLD_NOW));
            dlsym(RTLD_DEFAULT, "no_such_symbol");
            dlopen(NULL, RTLD_NOW);
            complain();
            return 0;
         }
      ]], "call p run" }, { "dlerror: no_such_library.so: cannot open" })
   end)
end)

describe("A plugin's dlinfo", function ()
   it("tells of plugins what ld.so's tells", function ()
      local path = shared([[
         __thread int variable = 4;
         long run(void) {
            Dl_info here;
            struct link_map *map, *same;
            Lmid_t space = 9;
            char origin[4096];
            size_t module = 0;
            void *data = NULL;
            const ElfW(Phdr) *headers;
            dladdr1(run, &here, (void **)&map, RTLD_DL_LINKMAP);
            void *handle = dlopen(map->l_name, RTLD_NOW);
            say("%d ", dlinfo(handle, RTLD_DI_LINKMAP, &same));
            say("%d\n", same == map && handle == (void *)map);
            say("%d ", dlinfo(handle, RTLD_DI_LMID, &space));
            say("%ld\n", (long)space);
            say("%d ", dlinfo(handle, RTLD_DI_ORIGIN, origin));
            say("%s\n", base(origin));
            say("%d ", dlinfo(handle, RTLD_DI_TLS_MODID, &module));
            say("%d\n", module != 0);
            variable = 5;
            say("%d ", dlinfo(handle, RTLD_DI_TLS_DATA, &data));
            say("%d\n", (char *)&variable - (char *)data < 64);
            int count = dlinfo(handle, RTLD_DI_PHDR_, &headers);
            int loads = 0;
            for (int i = 0; i < count; i++)
               loads += headers[i].p_type == PT_LOAD;
            say("phdr %d %d\n", count, loads);
            Dl_serinfo size;
            say("%d ", dlinfo(handle, RTLD_DI_SERINFOSIZE, &size));
            Dl_serinfo *info = malloc(size.dls_size);
            memcpy(info, &size, sizeof size);
            say("%d\n", dlinfo(handle, RTLD_DI_SERINFO, info));
            for (unsigned i = 0; i < info->dls_cnt; i++)
               say("path %s\n", info->dls_serpath[i].dls_name);
            free(info);
            say("%d ", dlinfo(handle, 77, &size));
            complain();
            return 0;
         }
      ]], "-Wl,-rpath,/no/such:'$ORIGIN':/opt//lib/")
      assert.like_ldso({ "open p " .. path, "call p run" },
         { "path /no/such", "path /usr/lib" },
         { env = { LD_LIBRARY_PATH = "/one:/two/;" } })
   end)

   it("and dl_iterate_phdr make no thread-local variables", function ()
      local path = shared [[
         __thread int variable = 4;
         static int tell(struct dl_phdr_info *info, size_t size, void *data)
         {
            void *block = NULL;
            if (info->dlpi_addr != ((struct link_map *)data)->l_addr)
               return 0;
            say("%d ", dlinfo(data, RTLD_DI_TLS_DATA, &block));
            say("%d ", block != NULL);
            say("%d\n", info->dlpi_tls_data == block);
            return 1;
         }
         long run(void) {
            Dl_info here;
            struct link_map *map;
            dladdr1(run, &here, (void **)&map, RTLD_DL_LINKMAP);
            void *handle = dlopen(map->l_name, RTLD_NOW);
            dl_iterate_phdr(tell, handle);
            variable++;
            dl_iterate_phdr(tell, handle);
            return dlclose(handle);
         }
      ]]
      assert.like_ldso({ "open p " .. path, "call p run" },
         { "0 0 1\n0 1 1\n" })
   end)
end)

describe("A plugin's backtrace_symbols", function ()
   it("names frames as glibc's does", function ()
      local path = shared([[
         static void *frames[3];
         static int print(char *line) {
            *strrchr(line, '[') = 0;
            return say("%s\n", base(line));
         }
         __attribute__((noinline)) long deep(void) {
            return backtrace(frames, 3);
         }
         long run(void) {
            int ends[2];
            char text[8192];
            frames[0] = (char *)deep + 3;
            frames[1] = getppid;
            frames[2] = (void *)32;
            char **lines = backtrace_symbols(frames, 3);
            for (int i = 0; i < 3; i++)
               print(lines[i]);
            pipe(ends);
            backtrace_symbols_fd(frames, 3, ends[1]);
            text[read(ends[0], text, sizeof text - 1)] = 0;
            for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
               print(line);
            free(lines);
            return 0;
         }
      ]])
      assert.like_ldso({ "open p " .. path, "call p run" },
         { path:match "[^/]*$" .. "(deep+0x3)", "libc.so.6(getppid+0)" })
   end)
end)

-- dlopen from a program that is no plugin stays glibc's.
describe("The host's dlopen", function ()
   it("is as it was", function ()
      -- The host has it for all from here on, in all specs.
      local path = assert(cc.shared "int known_to_the_host;")
      local result = compare.theirs { "open p " .. path }
      assert.equal("open p: ok\n", result.out)
      local p <close> = assert(elf.open(path))
      assert.truthy(package.loadlib(path, "*"))
      assert.equal(path, p.path)
   end)
end)
