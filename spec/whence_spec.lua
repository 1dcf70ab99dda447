--- Which symbol an address belongs to, where symbols overlap.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local elf = require "elf64load"
local threads = require "spec.support.threads"

local SIZE <const> = 2000 -- bytes that symbols are spread over

-- Symbols that lie in one another, beside, across and upon one another, with
-- gaps, and now and then without a size.
local function scattered (count, seed)
   local lines = { (".section .note.GNU-stack,\"\",@progbits\n"
      .. ".text\n.globl base\nbase: .skip %d"):format(SIZE + 100) }
   local function random (most)
      seed = (seed * 1103515245 + 12345) % (1 << 31)
      return (seed >> 8) % most
   end
   for i = 1, count do
      local size = i % 7 == 0 and 0 or random(1 << random(9))
      lines[#lines + 1] = (".globl s%d\n.type s%d, @function\n"
         .. ".set s%d, base + %d\n.size s%d, %d"):format(i, i, i,
         8 + random(SIZE), i, size)
   end
   return table.concat(lines, "\n")
end

local ASKING <const> = [[
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>
extern char base[];
long run(void)
{
    for (int i = 0; i < %d; i++) {
        Dl_info info;
        char line[200];
        dladdr(base + i, &info);
        write(1, line, sprintf(line, "%%d %%s %%ld\n", i,
              info.dli_sname ? info.dli_sname : "(none)", info.dli_saddr
              ? (char *)info.dli_saddr - base : -1));
    }
    return 0;
}
]]

local function fixture (count, seed)
   local symbols = assert(cc.object(scattered(count, seed),
      { language = "assembly" }))
   return assert(cc.shared(ASKING:format(SIZE + 100),
      { flags = symbols }))
end

-- By the rule as it is told: the highest that reaches it, the first of equals.
local function reaching (symbols, address)
   local best
   for _, symbol in ipairs(symbols) do
      local distance = address - symbol.address
      if distance >= 0 and (symbol.size == 0 or distance < symbol.size)
         and (not best or symbol.address > best.address) then
         best = symbol
      end
   end
   return best and best.name
end

describe("The symbol of an address", function ()
   for _, count in ipairs { 5, 40, 300 } do
      it(("is the highest of %d that reach it, however often it is asked")
         :format(count), function ()
         local p <close> = assert(elf.runtime {}:open(fixture(count, count)))
         local symbols, base = {}, assert(p:lookup "base").address
         for _, symbol in ipairs(p:symbols()) do
            -- Read once: each field is made anew.
            symbols[#symbols + 1] = { name = symbol.name, size = symbol.size,
               address = symbol.address }
         end
         -- Back and forth: the first is asked before there is an index.
         for step = 0, 2 * SIZE + 199 do
            local offset = step < SIZE + 100 and step or 2 * SIZE + 199 - step
            local place = assert(elf.whence(base + offset))
            assert.equal(reaching(symbols, base + offset), place.symbol)
         end
      end)

      it(("is by dladdr that which ld.so's has, among %d"):format(count),
         function ()
         local path = fixture(count, 7 * count)
         assert.like_ldso({ "open p " .. path, "call p run", "call p run" },
            { "0 base 0", "run() = 0" })
      end)
   end

   it("that nothing exports is found among those of an object", function ()
      local lines = {}
      for i = 1, 100 do
         lines[i] = ("%sint f%d(int x) { return x * %d; }"):format(
            i % 3 == 0 and "" or "static __attribute__((used)) ", i, i + 3)
      end
      local p <close> = assert(elf.runtime {}:open(
         assert(cc.object(table.concat(lines, "\n")))))
      for _ = 1, 3 do
         for i = 1, 100 do
            local at = assert(p:lookup("f" .. i)).address
            assert.equal("f" .. i, assert(elf.whence(at)).symbol)
            assert.equal("f" .. i, assert(elf.whence(at + 1)).symbol)
         end
      end
   end)

   it("leaves no mappings when what was asked about is closed", function ()
      local path = fixture(300, 1)
      local function mappings ()
         local count = 0
         for _ in io.lines "/proc/self/maps" do count = count + 1 end
         return count
      end
      local function ask ()
         local p <close> = assert(elf.runtime {}:open(path))
         local base = assert(p:lookup "base").address
         for i = 1, 5 do assert(elf.whence(base + i)) end
      end
      ask()
      local before = mappings()
      for _ = 1, 200 do ask() end
      assert.truthy(mappings() < before + 100)
   end)

   -- Each opens a copy of its own and asks at the same time as others, and as
   -- a handler of signals on each.
   it("is asked for the first time by many threads and handlers #threads",
      function ()
      assert.equal("wrong 0\n", threads.program([[
         #include <pthread.h>
         #include <signal.h>
         #include <stdatomic.h>
         #include <string.h>

         enum { THREADS = 4, ROUNDS = 40, SIZE = 2000 };

         static const char *path;
         static e64_plugin *_Atomic plugin;
         static char *_Atomic base;
         static const char *_Atomic expected[SIZE];
         static atomic_int wrong;
         static pthread_barrier_t barrier;

         static void ask(int offset)
         {
             e64_place place;
             if (e64_whence(base + offset, &place, NULL) != E64_OK
                 || place.plugin != plugin
                 || (expected[offset] && strcmp(expected[offset],
                                                place.symbol) != 0))
                 wrong++;
         }

         static void handle(int number) { ask(77); ask(1500); }

         static void *work(void *data)
         {
             long number = (long)data;
             for (int round = 0; round < ROUNDS; round++) {
                 if (number == 0) {
                     plugin = open_plugin(path);
                     base = e64_address(plugin, "base");
                 }
                 pthread_barrier_wait(&barrier);
                 for (int i = 0; i < 20; i++) {
                     ask((round * 131 + i * 17 + number) % SIZE);
                     if (i % 5 == number)
                         pthread_kill(pthread_self(), SIGUSR1);
                 }
                 pthread_barrier_wait(&barrier);
                 if (number == 0)
                     e64_close(plugin, NULL);
             }
             return NULL;
         }

         int main(int argc, char **argv)
         {
             pthread_t threads[THREADS];
             e64_place place;
             path = argv[1];
             plugin = open_plugin(path);
             base = e64_address(plugin, "base");
             for (int i = 0; i < SIZE; i++)
                 if (e64_whence(base + i, &place, NULL) == E64_OK)
                     expected[i] = strdup(place.symbol);
             e64_close(plugin, NULL);
             signal(SIGUSR1, handle);
             pthread_barrier_init(&barrier, NULL, THREADS);
             for (long i = 0; i < THREADS; i++)
                 pthread_create(&threads[i], NULL, work, (void *)i);
             for (int i = 0; i < THREADS; i++)
                 pthread_join(threads[i], NULL);
             printf("wrong %d\n", wrong);
             return 0;
         }
      ]], { fixture(300, 5) }))
   end)
end)
