--- What is open already is opened again: one handle more, and nothing else.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local elf = require "elf64load"
local fixtures = require "spec.support.fixtures"
local threads = require "spec.support.threads"

local counting = assert(cc.shared [[
   #include <unistd.h>
   static void say(const char *text, int size) { write(1, text, size); }
   __attribute__((constructor)) static void start(void) { say("start\n", 6); }
   __attribute__((destructor)) static void stop(void) { say("stop\n", 5); }
   long answer(void) { return 42; }
]])

local quiet = assert(cc.shared "long answer(void) { return 42; }")

describe("A plugin that is opened again", function ()
   it("is started once and stopped with its last handle, as under ld.so",
      function ()
      assert.like_ldso({ "open a " .. counting, "open b " .. counting,
         "open c " .. counting .. " lazy", "close a", "close b", "say three",
         "call c answer", "close c", "say over", "open d " .. counting,
         "close d" }, { "start", "stop", "answer() = 42" })
   end)

   it("is another one when its file was copied and has other bytes since",
      function ()
         local path = os.tmpname()
         finally(function () os.remove(path) end)
         -- In its place, so that the file's number stays.
         local function put (made)
            local file = assert(io.open(path, "wb"))
            assert(file:write(campaign.contents(made)))
            assert(file:close())
         end
         local runtime <close> = elf.runtime {
            verify = function () return true end,
         }
         put(assert(cc.shared "int first(void) { return 1; }"))
         local one = assert(runtime:open(path))
         assert.equal(one, assert(runtime:open("/proc/self/root" .. path)))
         put(assert(cc.shared "int second(void) { return 2; }"))
         local two = assert(runtime:open("/proc/self/root/." .. path))
         assert.not_equal(one, two)
         assert(one:lookup "first")
         assert(two:lookup "second")
      end)

   it("becomes global when it is opened so, as under ld.so", function ()
      local wanting = assert(cc.shared [[
         extern long answer(void) __attribute__((weak));
         long ask(void) { return answer ? answer() : -1; }
      ]])
      assert.like_ldso({ "open a " .. counting, "open b " .. counting,
         "open w " .. wanting, "call w ask", "close w",
         "open c " .. counting .. " global", "open x " .. wanting,
         "call x ask" }, { "ask() = -1", "ask() = 42" })
   end)

   it("is opened again by its constructor, and once more by name after it came "
      .. "along, as under ld.so", function ()
      local self = assert(cc.shared [[
         #define _GNU_SOURCE
         #include <dlfcn.h>
         long opened;
         __attribute__((constructor)) static void start(void)
         {
             Dl_info info;
             void *other;
             dladdr(&opened, &info);
             if ((other = dlopen(info.dli_fname, RTLD_NOW)))
                 opened = dlsym(other, "opened") == &opened;
         }
         long result(void) { return opened; }
      ]])
      local needing = fixtures.needing(self, "long top(void) { return 5; }")
      assert.like_ldso({ "open n " .. needing, "open s " .. self,
         "call s result", "open t " .. self, "close s", "close n",
         "call t result", "mapped " .. self, "mapped " .. needing },
         { "result() = 1" })
   end)

   it("is known by its name first, and its file may have been replaced, as under "
      .. "ld.so", function ()
      local folder = child.run({ "mktemp", "-d" }).out:match "[^\n]+"
      local placed = folder .. "/placed.so"
      local function numbered (number)
         return assert(cc.shared(("long answer(void) { return %d; }"):format(number)))
      end
      local mover = assert(cc.shared(([[
         #include <stdio.h>
         #include <unistd.h>
         static long place(const char *path)
         { unlink("%s.new"); return symlink(path, "%s.new")
                                 || rename("%s.new", "%s"); }
         long first(void) { return place("%s"); }
         long second(void) { return place("%s"); }
      ]]):format(placed, placed, placed, placed, numbered(1), numbered(2))))
      assert.like_ldso({ "open m " .. mover, "call m first", "open a " .. placed,
         "call a answer", "call m second", "open b " .. placed, "call b answer",
         "open c " .. folder .. "/./placed.so", "call c answer", "close a",
         "close b", "open d " .. placed, "call d answer" },
         { "answer() = 1", "answer() = 2" })
      child.run { "rm", "-rf", folder }
   end)

   it("leaves its name to the new file when it is closed, though it has to wait",
      function ()
      local pinning = [[
         #include <pthread.h>
         static pthread_key_t key;
         static void end(void *value) { (void)value; }
         int pin(void) { return pthread_key_create(&key, end); }
         long answer(void) { return ANSWER; }
      ]]
      local folder = child.run({ "mktemp", "-d" }).out:match "[^\n]+"
      local placed = folder .. "/placed.so"
      local function place (number)
         disk.replace(placed, disk.contents(assert(cc.shared(pinning,
            "-DANSWER=" .. number))))
      end
      local function answer (plugin)
         return plugin:lookup "answer":as "long answer(void)"()
      end
      for unload, now in pairs { wait = 2, leak = 2, refuse = 1 } do
         local runtime = elf.runtime { unload = unload }
         place(1)
         local old = assert(runtime:open(placed))
         assert.equal(0, old:lookup "pin":as "int pin(void)"())
         place(2)
         assert.equal(unload ~= "refuse", old:close() ~= nil)
         local new = assert(runtime:open(placed))
         assert.equal(now, answer(new))
      end
      child.run { "rm", "-rf", folder }
   end)

   it("is not taken where the policy has something else by that name",
      function ()
      local other = assert(cc.shared "long answer(void) { return 43; }")
      local runtime <close> = elf.runtime {
         provide = { ["liba.so"] = other }, path = "/nowhere/?",
      }
      local plain = assert(runtime:open(quiet))
      for _ = 1, 3 do
         local p <close> = assert(runtime:open "liba.so")
         assert.equal(other, p.path)
         assert.equal(plain, assert(runtime:open(quiet)))
      end
      assert.equal(4, plain.handles)
   end)

   it("is another one each time that it is private", function ()
      local runtime <close> = elf.runtime {}
      local first = assert(runtime:open(quiet))
      local second = assert(runtime:open(quiet, { private = true }))
      assert.not_equal(first, second)
      assert.equal(first, assert(runtime:open(quiet)))
      assert.equal(2, first.handles)
   end)

   it("makes room for what had to wait, like any open", function ()
      local waiting = assert(cc.shared [[
         #include <pthread.h>
         #include <unistd.h>
         static int gate[2];
         static pthread_t thread;
         static void *work(void *data) { char c; read(gate[0], &c, 1); return 0; }
         int begin(void)
         { pipe(gate); return pthread_create(&thread, 0, work, 0) ? -1 : gate[1]; }
         unsigned long id(void) { return thread; }
      ]])
      local joining = assert(cc.shared [[
         #include <pthread.h>
         #include <unistd.h>
         void finish(int gate, unsigned long id)
         { write(gate, "", 1); pthread_join((pthread_t)id, 0); }
      ]])
      local runtime <close> = elf.runtime {}
      local j = assert(runtime:open(joining))
      local w = assert(runtime:open(waiting))
      local gate = w:lookup "begin":as "int begin(void)"()
      local id = w:lookup "id":as "unsigned long id(void)"()
      local path = w.path
      assert(w:close())
      assert.truthy(runtime.loaded[path] or #w:pins() > 0)
      j:lookup "finish":as "void finish(int, unsigned long)"(gate, id)
      assert(runtime:open(joining)):close()
      assert.equal(0, #w:pins())
   end)

   -- The last handle goes again and again while others open it.
   it("by many threads is whole whenever it is open #threads", function ()
      assert.equal("wrong 0, running 0\n", threads.program([[
         #include <pthread.h>
         #include <stdatomic.h>

         enum { THREADS = 4, ROUNDS = 1500 };

         static atomic_int wrong;
         static const char *path, *beside;

         static void *work(void *data)
         {
             for (int i = 0; i < ROUNDS; i++) {
                 e64_plugin *plugin = try_plugin(path), *again;
                 if (!plugin) {
                     wrong++;
                     continue;
                 }
                 int (*up)(void) = (int (*)(void))e64_entry(plugin, "up");
                 if (!up || up() != 1)
                     wrong++;
                 if (i % 3 == 0) {
                     again = try_plugin(path);
                     if (again != plugin)
                         wrong++;
                     e64_close(again, NULL);
                 }
                 if (i % 7 == 0)
                     e64_close(try_plugin(beside), NULL);
                 e64_close(plugin, NULL);
             }
             return NULL;
         }

         int main(int argc, char **argv)
         {
             pthread_t threads[THREADS];
             path = argv[1];
             beside = argv[2];
             e64_runtime_new(NULL, &runtime, NULL);
             for (int i = 0; i < THREADS; i++)
                 pthread_create(&threads[i], NULL, work, NULL);
             for (int i = 0; i < THREADS; i++)
                 pthread_join(threads[i], NULL);
             e64_plugin *last = open_plugin(path);
             e64_plugin_info info;
             e64_plugin_describe(last, &info);
             printf("wrong %d, running %d\n", wrong, info.handles - 1);
             return 0;
         }
      ]], { assert(cc.shared [[
         static int running;
         __attribute__((constructor)) static void start(void) { running++; }
         __attribute__((destructor)) static void stop(void) { running--; }
         int up(void) { return running; }
      ]]), assert(cc.shared "int beside;") }))
   end)
end)
