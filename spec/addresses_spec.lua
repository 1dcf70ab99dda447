-- Which plugin lies at an address, with many of them coming and going.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local child = require "spec.support.child"
local elf = require "elf64load"
local threads = require "spec.support.threads"

local plugin = assert(cc.shared([[
   extern "C" long variable = 5;
   extern "C" long f(long x)
   { try { throw x; } catch (long i) { return i + 1; } return 0; }
]], { language = "c++" }))

local function open ()
   return assert(elf.runtime {}:open(plugin))
end

-- All that is told of a plugin's addresses is of this one.
local function check (p, number)
   local f, variable = p:lookup "f", p:lookup "variable"
   for _, place in ipairs {
      { math.tointeger(f.address), "f" },
      { math.tointeger(f.address) + 3, "f" },
      { math.tointeger(variable.address), "variable" },
      { math.tointeger(variable.address) + 7, "variable" },
   } do
      local found = assert(elf.whence(place[1]))
      assert.equal(p.base, found.base)
      assert.equal(plugin, found.path or found.file)
      assert.equal(place[2], found.symbol)
   end
   assert.equal(number + 1, f:as "long f(long)"(number))
end

describe("A plugin", function ()
   it("is found by its addresses among three hundred", function ()
      local opened = {}
      for number = 1, 300 do opened[number] = open() end
      for number, p in ipairs(opened) do check(p, number) end
      for _, p in ipairs(opened) do p:close() end
   end)

   it("is found while others come and go in any order", function ()
      local opened, seed = {}, 12345
      for round = 1, 1000 do
         seed = (seed * 1103515245 + 12345) % (1 << 31)
         local slot = (seed >> 8) % 90 + 1
         if opened[slot] then
            local base = opened[slot].base
            opened[slot]:close()
            opened[slot] = nil
            -- Nothing is said to be where it was.
            local found = elf.whence(base)
            assert.truthy(not found or found.base ~= base)
         else
            opened[slot] = open()
            check(opened[slot], round)
         end
         local other = next(opened)
         if other then check(opened[other], round) end
      end
      for _, p in pairs(opened) do p:close() end
   end)

   it("stays found when others could not be opened", function ()
      local wrong = assert(cc.shared
         "extern long no_such_thing; long *f = &no_such_thing;")
      local before = open()
      for _ = 1, 100 do
         assert.fails_with("undefined", elf.open, wrong)
         check(before, 1)
      end
      before:close()
   end)
end)

describe("A plugin that a callback of dl_iterate_phdr closes", function ()
   it("stays mapped for another thread's callback", function ()
      assert.equal("1 1\n", threads.program([[
         #include <link.h>
         #include <pthread.h>
         #include <stdatomic.h>
         #include <stdio.h>
         #include <string.h>
         #include <unistd.h>
         static char **paths;
         static e64_plugin *closed;
         static atomic_int looks, seen;
         static int is_at(struct dl_phdr_info *info, int path)
         { return strcmp(info->dlpi_name, paths[path]) == 0; }
         static int look(struct dl_phdr_info *info, size_t size, void *data)
         {
             if (!is_at(info, 1))
                 return 0;
             looks = 1;
             usleep(100000);
             seen = info->dlpi_phdr[0].p_type != 0;
             return 1;
         }
         static int close_here(struct dl_phdr_info *info, size_t size, void *data)
         { return is_at(info, 2) && e64_close(closed, NULL) == E64_OK; }
         static void *work(void *data)
         { dl_iterate_phdr(look, NULL); return NULL; }
         int main(int argc, char **argv)
         {
             pthread_t thread;
             paths = argv;
             e64_runtime_new(NULL, &runtime, NULL);
             open_plugin(argv[2]);
             closed = open_plugin(argv[1]);
             pthread_create(&thread, NULL, work, NULL);
             while (!looks)
                 usleep(1000);
             int ended = dl_iterate_phdr(close_here, NULL);
             pthread_join(thread, NULL);
             printf("%d %d\n", ended, seen);
             return 0;
         }
      ]], { assert(cc.shared "int one(void) { return 1; }"),
         assert(cc.shared "int two(void) { return 2; }") }))
   end)
end)

describe("A child of fork", function ()
   it("opens, throws and closes, though threads were unwinding at the time",
      function ()
         local result = child.lua([[
            local elf = require "elf64load"
            local C = assert(elf.open(arg[1])):cdef
               "void begin(void); int forked(void); int result(int); void leave(int);"
            C.begin()
            for round = 1, 100 do
               local pid = C.forked()
               if pid == 0 then
                  local p = elf.runtime {}:open(arg[2])
                  local good = p:lookup "f":as "long f(long)"(round) == round + 1
                  p:close()
                  C.leave(good and 7 or 8)
               end
               assert(C.result(pid) == 7)
            end
            print "well"
            io.stdout:flush()
            C.leave(0)
         ]], { assert(cc.shared([[
            #include <pthread.h>
            #include <sys/wait.h>
            #include <unistd.h>
            static long deep(long x) { if (x) deep(x - 1); else throw 1; return x; }
            static void *work(void *)
            { for (;;) try { deep(20); } catch (int) { } return 0; }
            extern "C" void begin(void)
            {
                for (int i = 0; i < 3; i++) {
                    pthread_t thread;
                    pthread_create(&thread, 0, work, 0);
                }
            }
            extern "C" int forked(void)
            {
                int pid = fork();
                if (!pid)
                    alarm(200);
                return pid;
            }
            extern "C" int result(int pid)
            {
                int status = 0;
                waitpid(pid, &status, 0);
                return WIFEXITED(status) ? WEXITSTATUS(status)
                                         : -WTERMSIG(status);
            }
            extern "C" void leave(int code) { _exit(code); }
         ]],
            { language = "c++",
              flags = "-pthread" })), plugin }, { seconds = 200 })
         assert.equal("well\n", result.out, child.describe(result) .. result.err)
      end)
end)
