-- thread_local objects of plugins: when they are destroyed, and that their code
-- is there until then.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local child = require "spec.support.child"
local elf = require "elf64load"

-- A thread that lives until it is told to end.
local THREAD = [[
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
#define say(...) dprintf(1, __VA_ARGS__)
pthread_t thread;
int ends[2][2];
static void work(void);
static void *body(void *data)
{
    char byte;
    work();
    write(ends[1][1], "", 1);
    read(ends[0][0], &byte, 1);
    return data;
}
EXPORT long begin(void)
{
    char byte;
    pipe(ends[0]);
    pipe(ends[1]);
    pthread_create(&thread, 0, body, 0);
    return read(ends[1][0], &byte, 1);
}
EXPORT long finish(void)
{
    write(ends[0][1], "", 1);
    return pthread_join(thread, 0);
}
]]

-- Keeps the thread for a plugin that is closed before the thread ends.
local keeper = assert(cc.shared([[
#define EXPORT
]] .. THREAD .. [[
static void (*todo)(void);
long set(void (*function)(void)) { todo = function; return 0; }
static void work(void) { todo(); }
]]))

local OBJECTS = [[
#include <stdio.h>
#include <unistd.h>
#define say(...) dprintf(1, __VA_ARGS__)
extern "C" long set(void (*)(void));
struct object {
    const char *name;
    object(const char *name) : name(name) { say("make %s\n", name); }
    ~object() { say("destroy %s\n", name); }
};
static thread_local object first("first"), second("second");
static object global("global");
extern "C" void touch(void) { first.name = "first one"; }
extern "C" long prepare(void) { return set(touch); }
extern "C" long touch_here(void) { touch(); return 0; }
__attribute__((destructor)) static void end() { say("end\n"); }
]]
local objects = assert(cc.shared(OBJECTS,
   { language = "c++", flags = "-Wl,--no-as-needed " .. keeper }))

describe("A plugin's thread_local objects", function ()
   it("are destroyed when their thread ends", function ()
      assert.like_ldso({ "open k " .. keeper, "open p " .. objects,
         "call p prepare", "call k begin", "say working", "call k finish",
         "say finished", "close p", "say closed" },
         { "make first", "working", "destroy second", "destroy first one",
            "finished", "end", "destroy global", "closed" })
   end)

   it("of the first thread are destroyed when the process ends", function ()
      assert.like_ldso({ "open k " .. keeper, "open p " .. objects,
         "call p touch_here", "say done" },
         { "make second", "done", "destroy second", "destroy first one", "end" })
   end)

   it("keep the code of what was closed until they are gone", function ()
      -- ld.so looks again at the next dlclose, this loader at once.
      local script = { "open k " .. keeper, "open p " .. objects,
         "call p prepare", "call k begin", "close p", "say closed",
         "call k finish", "say finished" }
      assert.opens_as(script, { "close p: ok\nclosed\n"
         .. "destroy second\ndestroy first one\nend\ndestroy global\n"
         .. "finish() = 0\nfinished" })
      local other = assert(cc.shared "int nothing;")
      script[#script + 1] = "open o " .. other
      script[#script + 1] = "close o"
      local theirs = require "spec.support.compare".theirs(script)
      assert.truthy(theirs.out:find("closed\ndestroy second\n"
         .. "destroy first one\n", 1, true), theirs.out)
   end)

   it("let a plugin be opened again while they are there", function ()
      assert.like_ldso({ "open k " .. keeper, "open p " .. objects,
         "call p prepare", "call k begin", "close p", "open p " .. objects,
         "call k finish", "say finished", "close p", "say closed" },
         { "make global", "finished", "end", "destroy global", "closed" })
   end)

   it("keep what the plugin needs as well", function ()
      local needed = assert(cc.shared([[
         #include <stdio.h>
         #include <unistd.h>
         void used(void) { dprintf(1, "used\n"); }
         __attribute__((destructor)) static void end(void)
         { dprintf(1, "needed ends\n"); }
      ]]))
      local user = assert(cc.shared('extern "C" void used(void);\n'
         .. OBJECTS:gsub("~object%(%) { ", "%0used(); "),
            { language = "c++",
              flags = "-Wl,--no-as-needed " .. keeper .. " " .. needed }))
      assert.opens_as({ "open k " .. keeper, "open p " .. user,
         "call p prepare", "call k begin", "close p", "say closed",
         "call k finish", "say finished" }, { "close p: ok\nclosed\n"
         .. "used\ndestroy second\nused\ndestroy first one\nend\nused\n"
         .. "destroy global\nneeded ends\nfinish() = 0\nfinished" })
   end)

   it("may be made by a destructor of the plugin", function ()
      local late = assert(cc.shared([[
         #include <stdio.h>
         #include <unistd.h>
         extern "C" long set(void (*)(void));
         struct object { int number; ~object() { dprintf(1, "destroyed\n"); } };
         static thread_local object late;
         __attribute__((destructor)) static void end()
         { late.number = 1; dprintf(1, "end\n"); }
      ]], { language = "c++" }))
      -- The process ends with the object still there: its code is too.
      assert.opens_as({ "open p " .. late, "close p", "say closed" },
         { "end\nclose p: ok\nclosed\ndestroyed" })
   end)

   it("outlive the runtime that opened their plugin", function ()
      -- Lets the thread of a keeper go on, from outside.
      local helper = assert(cc.shared [[
         #include <pthread.h>
         #include <unistd.h>
         long release(int (*ends)[2], pthread_t *thread)
         {
            pthread_t it = *thread;
            write(ends[0][1], "", 1);
            return pthread_join(it, 0);
         }
      ]])
      local result = child.lua([[
         io.stdout:setvbuf "no"
         local elf = require "elf64load"
         local help = assert(elf.open(arg[3])):cdef "long release(long, long);"
         local runtime = elf.runtime {}
         local p = assert(runtime:open(arg[2]))
         local keeper = assert(runtime:open(arg[1]))
         p:cdef "long prepare(void);".prepare()
         keeper:cdef "long begin(void);".begin()
         local ends = keeper:lookup "ends".address
         local thread = keeper:lookup "thread".address
         print "closing"
         runtime:close()
         print "closed"
         help.release(math.tointeger(ends), math.tointeger(thread))
         for line in io.lines "/proc/self/maps" do
            if line:find(arg[2], 1, true) then print "still mapped" end
         end
         print "gone"
      ]], { keeper, objects, helper })
      assert.equal(0, result.code, result.err .. child.describe(result))
      assert.equal("make global\nmake first\nmake second\nclosing\nclosed\n"
         .. "destroy second\ndestroy first one\nend\ndestroy global\ngone\n",
         result.out)
   end)

   it("are destroyed in the order in which all were made, the host's too",
      function ()
         local host = assert(cc.shared [[
            #include <stdio.h>
            extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
            static int mine;
            static void destroy(void *name)
            { dprintf(1, "host destroys %s\n", (char *)name); }
            void host_add(const char *name)
            { __cxa_thread_atexit_impl(destroy, (void *)name, &mine); }
         ]])
         local plugin = assert(cc.shared([[
#define EXPORT
]] .. THREAD .. [[
            #define _GNU_SOURCE
            #include <dlfcn.h>
            extern int __cxa_thread_atexit_impl(void (*)(void *), void *, void *);
            extern void *__dso_handle __attribute__((visibility("hidden")));
            static void destroy(void *name)
            { say("plugin destroys %s\n", (char *)name); }
            static void key_ends(void *name) { say("key ends %s\n", (char *)name); }
            static void add(const char *name)
            { __cxa_thread_atexit_impl(destroy, (void *)name, &__dso_handle); }
            static void nested(void *name) { add(name); say("nested\n"); }
            static void work(void)
            {
               void (*host_add)(const char *) = dlsym((void *)0, "host_add");
               static pthread_key_t key;
               pthread_key_create(&key, key_ends);
               pthread_setspecific(key, "now");
               add("one");
               host_add("two");
               add("three");
               __cxa_thread_atexit_impl(nested, "five", &__dso_handle);
               host_add("four");
            }
         ]], "-D_GNU_SOURCE"))
         assert.like_ldso({ "host " .. host .. " global", "open p " .. plugin,
            "call p begin", "say working", "call p finish" },
            { "working\nhost destroys four\nnested\nplugin destroys five\n"
               .. "plugin destroys three\nhost destroys two\n"
               .. "plugin destroys one\nkey ends now\n" })
      end)
end)

describe("Destructors of thread-specific data", function ()
   -- The host's key is there before the plugin is opened.
   local host = assert(cc.shared [[
      #include <pthread.h>
      #include <stdio.h>
      static pthread_key_t key;
      static void ends(void *function)
      {
          dprintf(1, "host: ");
          if (((long (*)(void))function)() < 104)
              pthread_setspecific(key, function);
      }
      __attribute__((constructor)) static void start(void)
      { pthread_key_create(&key, ends); }
      void host_set(long (*function)(void))
      { pthread_setspecific(key, function); }
   ]])

   for model, flags in pairs {
      ["general dynamic"] = "-ftls-model=global-dynamic -mtls-dialect=gnu",
      TLSDESC = "-ftls-model=global-dynamic -mtls-dialect=gnu2",
      ["initial-exec"] = "-ftls-model=initial-exec",
   } do
      it("come after those of thread_local objects and find variables as they "
         .. "were, in all rounds: " .. model, function ()
         local plugin = assert(cc.shared([[
            #include <dlfcn.h>
            #include <pthread.h>
            #include <stdio.h>
            #include <unistd.h>
            struct object {
               long value = 7;
               ~object() { dprintf(1, "object %ld\n", value); }
            };
            static thread_local object one;
            static __thread long variable = 40, other;
            static pthread_key_t key;
            static void (*host_set)(long (*)());
            // Up to the fourth round, which is the last.
            static long more()
            {
               dprintf(1, "%ld, %ld\n", ++variable, ++other);
               return variable;
            }
            static void ends(void *)
            {
               dprintf(1, "plugin: ");
               if (more() < 107)
                  pthread_setspecific(key, "x");
            }
            static void *work(void *touched)
            {
               host_set(more);
               pthread_setspecific(key, "x");
               if (touched) {
                  one.value++;
                  variable = 100;
               }
               return 0;
            }
            extern "C" long run(long touched)
            {
               if (!host_set) {
                  pthread_key_create(&key, ends);
                  host_set = (void (*)(long (*)()))dlsym(RTLD_DEFAULT,
                                                         "host_set");
               }
               pthread_t thread;
               pthread_create(&thread, 0, work, touched ? &key : 0);
               return pthread_join(thread, 0);
            }
         ]], { language = "c++", flags = flags }))
         assert.like_ldso({ "host " .. host .. " global", "open p " .. plugin,
            "call p run 1", "call p run 0", "call p run 1" },
            { "object 8\nhost: 101, 1\nplugin: 102, 2\nhost: 103, 3\n"
               .. "plugin: 104, 4\nhost: 105, 5\nplugin: 106, 6\n"
               .. "plugin: 107, 7\nrun() = 0\n"
               .. "host: 41, 1\nplugin: 42, 2\n" })
      end)
   end
end)

describe("A thread that ends", function ()
   it("may take what it closed with it while others open that #threads",
      function ()
         local used = assert(cc.shared([[
            struct object { long value = 7; ~object() { value = 0; } };
            static thread_local object one;
            extern "C" long use(void) { return one.value; }
         ]], { language = "c++" }))
         local users = assert(cc.shared(([[
            #include <dlfcn.h>
            #include <pthread.h>
            #include <stdio.h>
            static void *user(void *data)
            {
               void *handle = dlopen("%s", RTLD_NOW);
               if (!handle) {
                  dprintf(2, "%%s\n", dlerror());
                  return 0;
               }
               long (*use)(void) = dlsym(handle, "use");
               long right = use() == 7;
               dlclose(handle);
               return (void *)right;
            }
            static void *starter(void *data)
            {
               long right = 0;
               for (int i = 0; i < 100; i++) {
                  pthread_t thread;
                  void *answer;
                  pthread_create(&thread, 0, user, 0);
                  pthread_join(thread, &answer);
                  right += (long)answer;
               }
               return (void *)right;
            }
            long run(void)
            {
               pthread_t all[3];
               long right = 0;
               void *answer;
               for (int i = 0; i < 3; i++)
                  pthread_create(&all[i], 0, starter, 0);
               for (int i = 0; i < 3; i++) {
                  pthread_join(all[i], &answer);
                  right += (long)answer;
               }
               return right;
            }
         ]]):format(used)))
         assert.like_ldso({ "open p " .. users, "call p run", "close p" },
            { "run() = 300" })
         local p = assert(elf.open(users))
         assert.equal(300, p:cdef "long run(void);".run())
         p:close()
         for line in io.lines "/proc/self/maps" do
            assert.falsy(line:find(used, 1, true), line)
         end
      end)
end)

describe("Opening and closing a plugin with thread_local objects", function ()
   it("leaves nothing", function ()
      local plugin = assert(cc.shared([[
         struct object { long value; ~object() { value = 0; } };
         static thread_local object one;
         #include <thread>
         extern "C" long touch() {
            std::thread([] { one.value = 1; }).join();
            return 1;
         }
      ]], { language = "c++" }))
      local function round ()
         local p <close> = assert(elf.open(plugin))
         assert.equal(1, p:cdef "long touch(void);".touch())
      end
      assert.leaves_nothing(round)
   end)
end)
