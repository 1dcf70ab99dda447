--- Names that are looked up again: the answer is what it was, unless something
--- has changed.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local elf = require "elf64load"
local fixtures = require "spec.support.fixtures"
local threads = require "spec.support.threads"

-- Names at ascending places: what `name` makes of 1 to `count`.
local function named (count, name)
   local lines = { ".section .note.GNU-stack,\"\",@progbits\n"
      .. (".data\n.globl base\nbase: .skip %d\n"):format(count + 1) }
   for i = 1, count do
      lines[i + 1] = (".globl %s\n.type %s, @object\n.set %s, base + %d\n"
         .. ".size %s, 1"):format(name(i), name(i), name(i), i, name(i))
   end
   return assert(cc.shared(table.concat(lines, "\n") .. "\n",
      { language = "assembly" }))
end

local rich = assert(cc.shared([[
   static _Thread_local int filler = 5;
   _Thread_local int local = 11;
   int variable = 3;
   extern int other __attribute__((alias("variable")));
   int calls;
   static int one(void) { return 1; }
   static int two(void) { return 2; }
   static void *choose(void) { return ++calls % 2 ? one : two; }
   int chosen(void) __attribute__((ifunc("choose")));
   int old(void) { return 1; }
   int new(void) { return 2; }
   __asm__(".symver old, versioned@V1\n.symver new, versioned@@V2");
   int *touch(void) { return &filler; }
]], "-Wl,--version-script=" .. fixtures.text(
   "V1 { global: *; local: old; new; };\nV2 { } V1;\n", ".map")))

describe("A name that is looked up again", function ()
   it("is at the same place of the same size, as under ld.so", function ()
      local top = fixtures.needing(rich, "int top;")
      local steps = { "open p " .. top, "open r " .. rich }
      for _ = 1, 3 do
         for _, name in ipairs { "variable", "other", "touch" } do
            steps[#steps + 1] = "offset r " .. name
            steps[#steps + 1] = "has p " .. name
         end
         steps[#steps + 1] = "has p top"
         steps[#steps + 1] = "has r top"
         steps[#steps + 1] = "has p filler"
         for _, version in ipairs { "V1", "V2" } do
            steps[#steps + 1] = "has p versioned " .. version
            steps[#steps + 1] = "versioned p versioned " .. version
         end
         steps[#steps + 1] = "has p versioned V3"
         steps[#steps + 1] = "call p versioned"
      end
      assert.like_ldso(steps, { "versioned() = 2" })
   end)

   it("has its resolver called and its thread's place each time, as by dlsym",
      function ()
      local out = threads.program([[
         #include <dlfcn.h>
         #include <pthread.h>
         static e64_plugin *plugin;
         static void *handle;
         static void *work(void *data)
         { return e64_address(plugin, "local") == dlsym(handle, "local")
                ? NULL : e64_address(plugin, "local"); }
         int main(int argc, char **argv)
         {
             pthread_t thread;
             void *other;
             plugin = open_plugin(argv[1]);
             handle = dlopen(argv[2], RTLD_NOW);
             for (int i = 0; i < 6; i++) {
                 int (*ours)(void) = (int (*)(void))e64_entry(plugin, "chosen");
                 int (*theirs)(void) = (int (*)(void))dlsym(handle, "chosen");
                 printf("%d %d, ", ours(), theirs());
             }
             int *local = e64_address(plugin, "local");
             pthread_create(&thread, NULL, work, NULL);
             pthread_join(thread, &other);
             printf("%d %d %d\n", *local, other && other != local,
                    local == e64_address(plugin, "local"));
             return 0;
         }
      ]], { rich, assert(cc.shared([[
         int calls;
         _Thread_local int local;
         static int one(void) { return 1; }
         static int two(void) { return 2; }
         static void *choose(void) { return ++calls % 2 ? one : two; }
         int chosen(void) __attribute__((ifunc("choose")));
      ]])) })
      assert.equal("1 1, 2 2, 1 1, 2 2, 1 1, 2 2, 11 1 1\n", out)
   end)

   it("may be of any length, and one byte may make the difference", function ()
      local function name (length)
         return ("n%03d%s"):format(length, ("x"):rep(length)):sub(1,
            math.max(length, 4))
      end
      local p <close> = assert(elf.runtime {}:open(named(200, name)))
      local base = assert(p:lookup "base").address
      for _ = 1, 3 do
         for length = 1, 200 do
            local text = name(length)
            assert.equal(base + length, assert(p:lookup(text)).address)
            assert.falsy(p:lookup(text .. "x"))
            assert.falsy(p:lookup(text:sub(1, -2) .. "y"))
            assert.falsy(p:lookup("m" .. text:sub(2)))
         end
         assert.falsy(p:lookup "")
      end
   end)

   it("is another plugin's when that has taken the first one's place",
      function ()
      local paths = {}
      for i = 1, 4 do
         paths[i] = assert(cc.shared(("int f(void) { return %d; }\n"
            .. "%s"):format(i, i % 2 == 0 and "int even;" or "int odd;")))
      end
      local runtime <close> = elf.runtime {}
      for round = 1, 200 do
         local i = round % 4 + 1
         local p <close> = assert(runtime:open(paths[i]))
         assert.equal(i, assert(p:lookup "f"):as "int f(void)"())
         assert.equal(i % 2 == 0, p:lookup "even" ~= nil)
         assert.equal(i % 2 == 1, p:lookup "odd" ~= nil)
      end
   end)

   it("is found in what a plugin needs once that is opened by name", function ()
      local low = assert(cc.shared "int low;")
      local middle = fixtures.needing(low, "int middle;")
      local top = fixtures.needing(middle, "int top;")
      local runtime <close> = elf.runtime {}
      assert(runtime:open(top))
      local along = assert(runtime.loaded[middle])
      for _ = 1, 3 do
         assert.truthy(along:lookup "middle")
         assert.falsy(along:lookup "low")
      end
      local opened = assert(runtime:open(middle))
      for _ = 1, 3 do
         assert.truthy(opened:lookup "low")
         assert.truthy(along:lookup "low")
         assert.falsy(opened:lookup "top")
      end
   end)

   it("is found in the process as long as the host has it", function ()
      local out = threads.program([[
         #include <dlfcn.h>
         int main(int argc, char **argv)
         {
             e64_plugin *host;
             e64_runtime_new(NULL, &runtime, NULL);
             e64_host(runtime, &host, NULL);
             for (int round = 0; round < 4; round++) {
                 void *handle = round % 2 ? dlopen(argv[1], RTLD_NOW
                                                   | RTLD_GLOBAL) : NULL;
                 for (int i = 0; i < 3; i++)
                     // By RTLD_DEFAULT glibc would keep it open.
                     printf("%d", (e64_address(host, "comes") != NULL)
                            + 2 * (e64_address(host, "comes")
                                   == (handle ? dlsym(handle, "comes") : NULL))
                            + 4 * (e64_address(host, "strtod")
                                   == dlsym(RTLD_DEFAULT, "strtod")));
                 if (handle)
                     dlclose(handle);
             }
             return 0;
         }
      ]], { assert(cc.shared "int comes;") })
      assert.equal("666777666777", out)
   end)

   it("is found by a key as by its name, and by any number of them", function ()
      local out = threads.program([[
         #include <string.h>
         static const struct { const char *name, *version; } names[] = {
             { "versioned" }, { "versioned", "V1" }, { "versioned", "V2" },
             { "versioned", "V3" }, { "variable" }, { "nothing" }, { "touch" },
             { "local" }, { "" },
         };
         enum { NAMES = sizeof names / sizeof *names };
         int main(int argc, char **argv)
         {
             e64_plugin *plugin = open_plugin(argv[1]);
             e64_key *keys[NAMES], *none;
             int wrong = 0, found = 0;
             for (int i = 0; i < NAMES; i++)
                 e64_key_new(names[i].name, names[i].version, &keys[i], NULL);
             for (int round = 0; round < 3000; round++) {
                 int i = round % NAMES;
                 e64_symbol one, other;
                 e64_error error, same;
                 if (round % 100 == 0) {
                     e64_key_free(keys[i]);
                     e64_key_new(names[i].name, names[i].version, &keys[i],
                                 NULL);
                 }
                 e64_status status = e64_lookup_key(plugin, keys[i], &one,
                                                    &error);
                 wrong += status != e64_lookup(plugin, names[i].name,
                                               names[i].version, &other, &same);
                 if (status == E64_OK) {
                     found++;
                     wrong += one.address != other.address
                         || one.size != other.size || one.kind != other.kind
                         || one.plugin != other.plugin
                         || one.version != other.version
                         || strcmp(one.name, other.name)
                         || strcmp(one.file, other.file);
                 } else {
                     wrong += strcmp(error.message, same.message) != 0;
                     e64_lookup_key(plugin, keys[i], &one, NULL);
                     wrong += strcmp(e64_last_error()->message,
                                     same.message) != 0;
                 }
             }
             for (int i = 0; i < NAMES; i++)
                 e64_key_free(keys[i]);
             e64_key_free(NULL);
             wrong += e64_key_new(NULL, NULL, &none, NULL) != E64_INVALID;
             printf("wrong %d of %d\n", wrong, found);
             return 0;
         }
      ]], { rich })
      assert.equal("wrong 0 of 2001\n", out)
   end)
end)

describe("What a lookup has not found", function ()
   it("is told when it is asked for as it is at once", function ()
      local out = threads.program([[
         #include <string.h>
         static int is_last(const e64_error *error)
         {
             const e64_error *last = e64_last_error();
             int same = last->status == error->status
                 && !strcmp(last->message, error->message)
                 && !strcmp(last->symbol, error->symbol)
                 && !strcmp(last->path, error->path) && last == e64_last_error();
             for (int i = 0; same && error->near[i]; i++)
                 same = last->near[i] && !strcmp(last->near[i], error->near[i]);
             return same && strstr(last->message, "did you mean");
         }
         int main(int argc, char **argv)
         {
             static char longest[5000];
             e64_plugin *plugin = open_plugin(argv[1]), *other;
             e64_symbol symbol;
             e64_error error;
             for (int i = 0; i < 3; i++) {
                 e64_lookup(plugin, "variabel", NULL, &symbol, &error);
                 printf("%d", e64_address(plugin, "variabel") == NULL);
                 printf("%d", is_last(&error));
                 // What fails later, with a struct of its own, is not the last.
                 e64_address(plugin, "variabel");
                 e64_open(runtime, "/nowhere/x.so", NULL, &other, &error);
                 e64_lookup(plugin, "variabel", NULL, &symbol, &error);
                 printf("%d", is_last(&error));
                 e64_address(plugin, "variabel");
                 e64_open(runtime, "/nowhere/x.so", NULL, &other, NULL);
                 printf("%s ", e64_status_name(e64_last_error()->status));
             }
             memset(longest, 'x', sizeof longest - 1);
             e64_address(plugin, longest);
             printf("%d ", strlen(e64_last_error()->symbol) > 1500);
             e64_lookup(plugin, "touch", "V9", &symbol, NULL);
             printf("%s ", e64_last_error()->version);
             e64_address(plugin, "gone");
             e64_close(plugin, NULL);
             printf("%s\n", e64_last_error()->message);
             return 0;
         }
      ]], { rich })
      assert.equal(("111notfound "):rep(3) .. "1 V9 a plugin that has been "
         .. "closed since does not define 'gone'\n", out)
   end)

   it("leaves nothing behind when all is closed", function ()
      local out = threads.program([[
         #include <malloc.h>
         static long balance;
         static void *resize(void *data, void *block, size_t size)
         {
             balance += !block && size;
             balance -= block && !size;
             if (size)
                 return realloc(block, size);
             free(block);
             return NULL;
         }
         int main(int argc, char **argv)
         {
             e64_allocator allocator = { sizeof allocator, resize };
             e64_set_allocator(&allocator, NULL);
             for (int i = 0; i < 3; i++) {
                 e64_runtime_new(NULL, &runtime, NULL);
                 e64_plugin *plugin = open_plugin(argv[1]);
                 e64_address(plugin, "nothing");
                 if (i == 1)
                     e64_last_error();
                 e64_runtime_free(runtime, NULL);
                 printf("%d", (int)e64_last_error()->status == E64_UNDEFINED);
                 static long first;
                 first = i ? first : balance;
                 printf(" %ld ", balance - first);
             }
             return 0;
         }
      ]], { rich })
      assert.equal("1 0 1 0 1 0 ", out)
   end)
end)

-- More names than the table has places, so that they are written over all the
-- while, and plugins whose names are alike.
describe("Threads that look up the same and other names #threads", function ()
   it("all get their own plugin's", function ()
      local function many (i) return ("name_number_%d"):format(i) end
      local out = threads.program([[
         #include <pthread.h>
         #include <signal.h>
         #include <stdatomic.h>
         #include <string.h>

         enum { THREADS = 4, NAMES = 6000, ROUNDS = 12000 };

         static e64_plugin *steady;
         static char *base;
         static atomic_int wrong, going = THREADS;
         static const char *changing;

         static void ask(e64_plugin *plugin, char *from, unsigned i, int sparse)
         {
             char name[32];
             i = i % NAMES + 1;
             sprintf(name, sparse ? "missing_number_%u" : "name_number_%u", i);
             char *address = e64_address(plugin, name);
             if (address != (sparse ? NULL : from + i))
                 wrong++;
         }

         static void handle(int number)
         {
             static atomic_uint step;
             unsigned at = step++ * 7919;
             // What is missing a handler may not ask for.
             ask(steady, base, at, 0);
             ask(steady, base, at % 3, 0);
         }

         static void *work(void *data)
         {
             unsigned number = (unsigned)(long)data;
             for (unsigned i = 0; i < ROUNDS; i++) {
                 unsigned at = i * (number + 1) * 31;
                 ask(steady, base, i % 4 ? at % 64 : at, i % 2);
                 if (i % 512 == number)
                     pthread_kill(pthread_self(), SIGUSR1);
             }
             going--;
             return NULL;
         }

         int main(int argc, char **argv)
         {
             pthread_t threads[THREADS];
             steady = open_plugin(argv[1]);
             base = e64_address(steady, "base");
             signal(SIGUSR1, handle);
             for (long i = 0; i < THREADS; i++)
                 pthread_create(&threads[i], NULL, work, (void *)i);
             for (unsigned i = 0; going; i++) {
                 e64_plugin *plugin = open_plugin(argv[2]);
                 char *from = e64_address(plugin, "base");
                 for (unsigned k = 0; k < 20; k++)
                     ask(plugin, from, k % 8, k % 3 == 0);
                 e64_close(plugin, NULL);
             }
             for (int i = 0; i < THREADS; i++)
                 pthread_join(threads[i], NULL);
             printf("wrong %d\n", wrong);
             return 0;
         }
      ]], { named(6000, many), named(64, many) })
      assert.equal("wrong 0\n", out)
   end)
end)
