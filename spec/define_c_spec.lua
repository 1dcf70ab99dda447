-- e64_define, e64_define_all and e64_undefine, driven from C programs.

local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local policy = require "spec.support.policy"

local user = assert(cc.shared([[
   #include <dlfcn.h>
   extern long given(long), a64l(const char *);
   extern long value;
   long *pointer = &value;
   long calls(void) { return given(1); }
   long reads(void) { return value + *pointer; }
   long host(void) { return a64l("e"); }
   long looks(void)
   {
       long (*found)(long) = dlsym(RTLD_DEFAULT, "given");
       return found ? found(2) : -1;
   }
   long looks_handle(void)
   {
       long (*found)(long) = dlsym(dlopen(0, RTLD_LAZY), "given");
       return found ? found(3) : -1;
   }
]], "-fno-builtin"))
local owner = assert(cc.shared [[
   long given(long x) { return -x; }
   long value = -7;
   long calls(void) { return given(1); }
   long reads(void) { return value; }
]])
local symbolic = assert(cc.shared([[
   long given(long x) { return -x; }
   long calls(void) { return given(1); }
]], "-Wl,-Bsymbolic"))
local versions = fixtures.text("ONE { local: x; }; TWO { global: given; };", ".map")
local versioned = assert(cc.shared("long given(long x) { return -x; }",
   "-Wl,--version-script=" .. versions .. " -Wl,-soname,libversioned.so"))
local wanter = assert(cc.shared("extern long given(long); "
   .. "long calls(void) { return given(1); }",
   "-Wl,--no-as-needed " .. versioned .. " -Wl,-rpath,"
   .. versioned:match "^(.*)/"))

local HEAD = [[
   static long value = 30;
   static long given(long x) { return 10 * x; }
   static long other(long x) { return 100 * x; }
   static long own_a64l(const char *text) { return 5; }
   static e64_status define(const char *name, void *address, e64_kind kind)
   {
       const e64_definition definition = { sizeof definition, name, NULL,
                                           address, 8, kind };
       return e64_define(runtime, &definition, &error);
   }
   static e64_status define_cell(const char *name, void *address)
   {
       const e64_definition definition = { sizeof definition, name, NULL,
                                           address, 0, E64_KIND_FUNCTION, 1 };
       return e64_define(runtime, &definition, &error);
   }
   static void says(const char *what, e64_status status)
   {
       printf("%s: %s\n", what, e64_status_name(status));
       if (status != E64_OK)
           printf("message: %s\n", error.message);
   }
   static void both(void)
   {
       begin();
       says("define", define("given", given, E64_KIND_FUNCTION));
       says("define", define("value", &value, E64_KIND_OBJECT));
   }]]

describe("e64_define", function ()
   it("defines functions and data for imports and for dlsym", function ()
      assert.equal("define: ok\ndefine: ok\nopen: ok\n10 60 20 30\n",
         policy.program(HEAD .. [[
         int main(int argc, char **argv)
         {
             both();
             e64_plugin *plugin = opens(argv[1]);
             printf("%ld %ld %ld %ld\n", call(plugin, "calls"),
                    call(plugin, "reads"), call(plugin, "looks"),
                    call(plugin, "looks_handle"));
             e64_runtime_free(runtime, NULL);
         }]], { user }))
   end)

   it("comes before the host and the plugins, as a preloaded library does",
      function ()
         assert.equal("define: ok\ndefine: ok\nopen: ok\n10 30\nopen: ok\n-1\n"
            .. "-1 -7\nopen: ok\n5\n", policy.program(HEAD .. [[
            int main(int argc, char **argv)
            {
                e64_open_options deep = { .struct_size = sizeof deep,
                                          .deepbind = 1, .private_ = 1 };
                e64_plugin *plugin;
                both();
                plugin = opens(argv[1]);
                printf("%ld %ld\n", call(plugin, "calls"),
                       call(plugin, "reads"));
                printf("%ld\n", call(opens(argv[2]), "calls"));
                e64_open(runtime, argv[1], &deep, &plugin, NULL);
                printf("%ld %ld\n", call(plugin, "calls"),
                       call(plugin, "reads"));
                define("a64l", own_a64l, E64_KIND_FUNCTION);
                printf("%ld\n", call(opens(argv[3]), "host"));
            }]], { owner, symbolic, user }))
      end)

   it("is for a runtime alone, and for what is opened from then on", function ()
      assert.equal("open: ok\ndefine: ok\ndefine: ok\n-1\nopen: undefined\n",
         (policy.program(HEAD .. [[
         int main(int argc, char **argv)
         {
             begin();
             e64_plugin *plugin = opens(argv[2]);
             define("given", given, E64_KIND_FUNCTION);
             runtime = NULL;
             both();
             printf("%ld\n", call(plugin, "calls"));
             begin();
             opens(argv[1]);
         }]], { user, owner }):gsub("message.*", "")))
   end)

   it("counts for the version that it is given, or for all", function ()
      assert.equal("ok\nopen: ok\n-1\nok\nopen: ok\n100\nok\nopen: ok\n10\n",
         policy.program(HEAD .. [[
         int main(int argc, char **argv)
         {
             const char *versions[] = { "ONE", "TWO", NULL };
             for (int i = 0; i < 3; i++) {
                 const e64_definition all[] = {
                     { sizeof *all, "given", versions[i], i == 2 ? given : other,
                       0, E64_KIND_FUNCTION },
                     { sizeof *all, "more", "THREE", &value },
                 };
                 begin();
                 puts(e64_status_name(e64_define_all(runtime, all, 2, NULL)));
                 printf("%ld\n", call(opens(argv[1]), "calls"));
             }
         }]], { (function ()
            os.execute(("ln -sf %s %s/libversioned.so"):format(versioned,
               versioned:match "^(.*)/"))
            return wanter
         end)() }))
   end)

   it("refuses what is defined already, what is nothing, and all of an array",
      function ()
         local out = policy.program(HEAD .. [[
            int main(int argc, char **argv)
            {
                both();
                says("again", define("given", other, E64_KIND_FUNCTION));
                says("with a cell", define_cell("given", other));
                says("no address", define("nothing", NULL, E64_KIND_OBJECT));
                says("no name", define("", &value, E64_KIND_OBJECT));
                says("tls", define("nothing", &value, E64_KIND_TLS));
                e64_definition all[] = {
                    { sizeof *all, "more", NULL, &value },
                    { sizeof *all, "cell", NULL, &value, 0, E64_KIND_OBJECT, 1 },
                };
                says("a cell of data", e64_define_all(runtime, all, 2, &error));
                all[1] = all[0];
                says("twice", e64_define_all(runtime, all, 2, &error));
                says("taken back", e64_undefine(runtime, "more", NULL, &error));
                all[0].struct_size = 9;
                says("short", e64_define_all(runtime, all, 2, &error));
                all[0] = (e64_definition){ sizeof *all, "given", "V", &value };
                says("a version", e64_define(runtime, all, &error));
            }]], { user })
         assert.equal([[
define: ok
define: ok
again: duplicate
message: e64_define: 'given' is defined already; undefine it first
with a cell: duplicate
message: e64_define: 'given' is defined already, without a cell that would go on to the new one; undefine it first
no address: invalid
message: e64_define: 'nothing' has no address; e64_undefine takes a name back
no name: invalid
message: e64_define: the definition with index 0 has no name
tls: invalid
message: e64_define: 'nothing' can be a function or an object, nothing else
a cell of data: invalid
message: e64_define: only functions have cells; 'cell' is none: leave its cell 0
twice: duplicate
message: e64_define: 'more' is defined twice in the same call; leave one out
taken back: undefined
message: e64_undefine: 'more' is not defined by the runtime
short: invalid
message: e64_define: struct_size of a definition is 9, less than 45; set it to sizeof(e64_definition)
a version: ok
]], out)
      end)
end)

describe("e64_define_all", function ()
   it("has all of many names, and none when one is there twice", function ()
      assert.equal([[
all: ok
open: ok
10 60 20 30
one again: duplicate
twice: duplicate
others: ok
]], policy.program(HEAD .. [[
         enum { COUNT = 20000 };
         static char names[COUNT][8];
         static e64_definition all[COUNT];
         static void name(char first)
         {
             for (int i = 0; i < COUNT; i++) {
                 sprintf(names[i], "%c%d", first, i);
                 all[i] = (e64_definition){ sizeof *all, names[i], NULL,
                                            given, 0, E64_KIND_FUNCTION };
             }
         }
         static void quietly(const char *what)
         {
             printf("%s: %s\n", what, e64_status_name(
                    e64_define_all(runtime, all, COUNT, &error)));
         }
         int main(int argc, char **argv)
         {
             begin();
             name('a');
             all[COUNT / 2].name = "given";
             all[COUNT - 1] = (e64_definition){ sizeof *all, "value", NULL,
                                                &value, 8, E64_KIND_OBJECT };
             quietly("all");
             e64_plugin *plugin = opens(argv[1]);
             printf("%ld %ld %ld %ld\n", call(plugin, "calls"),
                    call(plugin, "reads"), call(plugin, "looks"),
                    call(plugin, "looks_handle"));
             name('b');
             all[COUNT - 1].name = "a77";
             quietly("one again");
             name('b');
             all[COUNT - 1].name = "b9";
             quietly("twice");
             name('b');
             quietly("others");
             fflush(stdout);
             _exit(0);
         }]], { user }))
   end)
end)

describe("e64_undefine", function ()
   it("takes back what nothing is bound to, and only that", function ()
      local out = policy.program(HEAD .. [[
         int main(int argc, char **argv)
         {
             both();
             e64_plugin *plugin = opens(argv[1]), *again;
             says("bound", e64_undefine(runtime, "given", NULL, &error));
             e64_open_options copy = { .struct_size = sizeof copy,
                                       .private_ = 1 };
             e64_open(runtime, argv[1], &copy, &again, NULL);
             says("bound", e64_undefine(runtime, "value", NULL, &error));
             e64_close(again, NULL);
             says("bound", e64_undefine(runtime, "given", NULL, &error));
             e64_close(plugin, NULL);
             says("closed", e64_undefine(runtime, "given", NULL, &error));
             opens(argv[1]);
             says("failed", e64_undefine(runtime, "value", NULL, &error));
         }]], { user })
      assert.equal([[
define: ok
define: ok
open: ok
bound: inuse
message: e64_undefine: 'given' is in use by 1 plugin that is open; close it first, or define it with a cell
bound: inuse
message: e64_undefine: 'value' is in use by 2 plugins that are open; close them first, or define it with a cell
bound: inuse
message: e64_undefine: 'given' is in use by 1 plugin that is open; close it first, or define it with a cell
closed: ok
open: undefined
failed: ok
]], (out:gsub("\nopen: undefined\nmessage: .-\nfailed",
         "\nopen: undefined\nfailed")))
   end)

   it("counts what dlsym was asked for", function ()
      local asker = assert(cc.shared [[
         #include <dlfcn.h>
         long looks(void) { return dlsym(RTLD_DEFAULT, "given") != 0; }]])
      assert.equal("define: ok\ndefine: ok\nopen: ok\n1\ninuse\nok\n1 0\n",
         policy.program(HEAD .. [[
         int main(int argc, char **argv)
         {
             both();
             e64_plugin *plugin = opens(argv[1]);
             printf("%ld\n", call(plugin, "looks"));
             puts(e64_status_name(e64_undefine(runtime, "given", NULL, NULL)));
             e64_close(plugin, NULL);
             puts(e64_status_name(e64_undefine(runtime, "given", NULL, NULL)));
             e64_open(runtime, argv[1], NULL, &plugin, NULL);
             printf("%d %ld\n", plugin != NULL, call(plugin, "looks"));
         }]], { asker }))
   end)

   it("counts it for each that dlsym gives it to, or dlsym fails", function ()
      local asker = assert(cc.shared [[
         #include <dlfcn.h>
         long looks(void) { return dlsym(RTLD_DEFAULT, "given") != 0; }]])
      assert.equal("0 wrong, failed: 1\n", policy.program(HEAD .. [[
         static long left = -1;
         static void *resize(void *data, void *old, size_t size)
         {
             if (size && left >= 0 && left-- == 0)
                 return NULL;
             if (!size) {
                 free(old);
                 return NULL;
             }
             return realloc(old, size);
         }
         int main(int argc, char **argv)
         {
             const e64_allocator allocator = { sizeof allocator, resize };
             int wrong = 0, failed = 0, ran_out = 1;
             e64_set_allocator(&allocator, NULL);
             begin();
             for (long at = 0; ran_out; at++) {
                 e64_plugin *plugin;
                 define("given", given, E64_KIND_FUNCTION);
                 e64_open(runtime, argv[1], NULL, &plugin, NULL);
                 left = at;
                 int got = (int)call(plugin, "looks");
                 ran_out = left < 0;
                 left = -1;
                 e64_status status = e64_undefine(runtime, "given", NULL, NULL);
                 wrong += status != (got ? E64_INUSE : E64_OK);
                 failed += !got;
                 e64_close(plugin, NULL);
                 e64_undefine(runtime, "given", NULL, NULL);
             }
             printf("%d wrong, failed: %d\n", wrong, failed > 0);
         }]], { asker }))
   end)
end)

describe("A cell", function ()
   it("has what is bound to it go on to what is defined last", function ()
      assert.equal("define: ok\nopen: ok\n10 20\nagain: ok\n100 200\n"
         .. "undefine: ok\n100 200\nanew: ok\nopen: ok\n10\n100\n",
         policy.program(HEAD .. [[
         int main(int argc, char **argv)
         {
             begin();
             define("value", &value, E64_KIND_OBJECT);
             says("define", define_cell("given", given));
             e64_plugin *plugin = opens(argv[1]), *copy;
             printf("%ld %ld\n", call(plugin, "calls"), call(plugin, "looks"));
             says("again", define_cell("given", other));
             printf("%ld %ld\n", call(plugin, "calls"), call(plugin, "looks"));
             says("undefine", e64_undefine(runtime, "given", NULL, &error));
             // What is bound to it goes on; dlsym finds it no more.
             long calls = call(plugin, "calls");
             printf("%ld %ld\n", calls, 200 + 201 * (call(plugin, "looks") + 1));
             says("anew", define_cell("given", given));
             e64_open_options private = { .struct_size = sizeof private,
                                          .private_ = 1 };
             printf("open: %s\n", e64_status_name(e64_open(runtime, argv[1],
                    &private, &copy, NULL)));
             printf("%ld\n%ld\n", call(copy, "calls"), call(plugin, "calls"));
             e64_runtime_free(runtime, NULL);
         }]], { user }))
   end)

   it("costs no mapping of its own, and is used again", function ()
      assert.equal("2 0\n", policy.program(HEAD .. [[
         int main(void)
         {
             char name[16];
             begin();
             define_cell("first", given);
             int before = mapped("");
             for (int round = 0; round < 1000; round++)
                 for (int i = 0; i < 3; i++) {
                     sprintf(name, "cell%d", i);
                     if (define_cell(name, given)
                         || e64_undefine(runtime, name, NULL, NULL))
                         puts("failed");
                 }
             int after = mapped("");
             for (int i = 0; i < 400; i++) {
                 sprintf(name, "cell%d", i);
                 define_cell(name, given);
             }
             printf("%d %d\n", mapped("") - after > 0 ? 2 : 0, after - before);
         }]]))
   end)

   it("is re-pointed by one thread while others call it, open #threads", function ()
      assert.equal("1000 0\n", policy.program(HEAD .. "\n" .. [[
         #include <pthread.h>
         static _Atomic int done;
         static long wrong;
         static void *callers(void *path)
         {
             e64_open_options private = { .struct_size = sizeof private,
                                          .private_ = 1 };
             while (!done) {
                 e64_plugin *plugin;
                 if (e64_open(runtime, path, &private, &plugin, NULL)) {
                     __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
                     continue;
                 }
                 for (int i = 0; i < 100; i++) {
                     long got = call(plugin, "calls");
                     if (got != 10 && got != 100)
                         __atomic_fetch_add(&wrong, 1, __ATOMIC_RELAXED);
                 }
                 e64_close(plugin, NULL);
             }
             return NULL;
         }
         int main(int argc, char **argv)
         {
             pthread_t threads[2];
             int defined = 0;
             begin();
             define("value", &value, E64_KIND_OBJECT);
             define_cell("given", given);
             for (int i = 0; i < 2; i++)
                 pthread_create(&threads[i], NULL, callers, argv[1]);
             for (int i = 0; i < 1000; i++) {
                 defined += define_cell("given", i % 2 ? given : other) == E64_OK;
                 define_cell("another", given);
                 e64_undefine(runtime, "another", NULL, NULL);
                 usleep(100);
             }
             done = 1;
             for (int i = 0; i < 2; i++)
                 pthread_join(threads[i], NULL);
             printf("%d %ld\n", defined, wrong);
         }]], { user }))
   end)
end)
