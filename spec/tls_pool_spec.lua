--- The pool of static thread-local storage: how much there is, what happens when
--- it is exhausted, and what space begins as that another plugin had before.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local elfedit = require "spec.support.elfedit"
local threads = require "spec.support.threads"
local elf = require "elf64load"

local INITIAL <const> = "-ftls-model=initial-exec"

-- Under lua5.4 the loader is a library that glibc has opened late.
local LATE <const> = child.host:find("lua5.4", 1, true) ~= nil
local POOL <const> = LATE and 1024 or 65536

-- `size` bytes at a fixed offset; the first begins as `value`.
local function plugin (size, value)
   return assert(cc.shared(threads.IMPORT .. ([[
      static __thread struct { long first; char rest[%d]; } room = { %d };
      static long change(long x)
      {
          room.rest[sizeof room.rest - 1] += x;
          room.first += x;
          return room.first * 1000 + room.rest[sizeof room.rest - 1];
      }
      static long check(long x)
      {
          for (int i = 0; i < sizeof room.rest; i++)
              if (room.rest[i])
                  return -1;
          return room.first;
      }
      long here(long x) { return change(x); }
      long before(long x) { return threads_run(change, x); }
      long after(long x) { return threads_new(change, x); }
      long check_here(void) { return check(0); }
      long check_before(void) { return threads_run(check, 0); }
      long check_after(void) { return threads_new(check, 0); }
   ]]):format(size - 8, value or 0), INITIAL .. threads.flags()))
end

local CALLS <const> = { "call a check_here", "call a check_before",
   "call a check_after", "call a here 3", "call a before 4", "call a after 5",
   "call a here 1" }

local function steps (path)
   return { "open w " .. threads.path(), "call w threads_start",
      "open a " .. path, table.unpack(CALLS) }
end

describe("An exhausted pool", function ()
   it("is an error with need, size and remedy", function ()
      for _, size in ipairs { 200000, 3000000 } do
         local message, detail = assert.fails_with("nomemory", elf.open,
            plugin(size))
         assert.truthy(message:find(size .. " bytes", 1, true), message)
         assert.truthy(message:find(POOL .. " bytes", 1, true), message)
         assert.truthy(message:find("GLIBC_TUNABLES=glibc.rtld."
            .. "optional_static_tls=", 1, true), message)
         assert.equal(LATE, message:find("command elf64load", 1, true) ~= nil)
         assert.equal(not LATE, message:find("E64_TLS_POOL", 1, true) ~= nil)
         assert.equal(plugin(size), detail.path)
      end
   end)

   it("leaves nothing behind, and no space is lost", function ()
      local large, fits = plugin(200000), plugin(POOL - 400)
      assert.leaves_nothing(function ()
         for _ = 1, 20 do assert.fails_with("nomemory", elf.open, large) end
      end)
      for _ = 1, 20 do
         local p <close> = assert(elf.open(fits))
         assert.equal("started", p.state)
         assert.fails_with("nomemory", elf.open, large)
      end
   end)

   it("takes what others gave back", function ()
      local paths = {}
      for i = 1, 24 do paths[i] = plugin(POOL // 8 // 8 * 8, i) end
      local open = {}
      for _ = 1, 3 do
         local failed
         for i, path in ipairs(paths) do
            local handle, _, kind = elf.open(path)
            if not handle then
               failed = i
               assert.equal("nomemory", kind)
               break
            end
            open[#open + 1] = handle
         end
         assert.truthy(failed and failed >= 7)
         for i, handle in ipairs(open) do
            assert.equal(i, handle:cdef "long check_here(void);".check_here())
         end
         while #open > 0 do table.remove(open):close() end
      end
   end)

   it("is avoided by the remedy that it names", function ()
      local size = LATE and 3000 or 70000
      for _, value in ipairs { 0, 9 } do
         local path = plugin(size, value)
         local message = assert.fails_with("nomemory", elf.open, path)
         local name, text = message:match "start the program with (%w+_%w+)=(%S+),"
         local env = { [name] = text }
         assert.like_ldso(steps(path), { "open a: ok",
            "check_here() = " .. value, "check_before() = " .. value,
            "check_after() = " .. value }, { env = env })
      end
   end)
end)

describe("A second area from glibc", function ()
   local env = { GLIBC_TUNABLES = "glibc.rtld.optional_static_tls=300000" }

   it("has many plugins in it, and begins as they say when they come again",
      function ()
         local lines = { "open w " .. threads.path(), "call w threads_start" }
         for round = 1, 3 do
            for i = 1, 6 do
               lines[#lines + 1] = ("open p%d %s"):format(i,
                  plugin(20000 + 8 * round, round % 2 * i))
               for _, call in ipairs(CALLS) do
                  lines[#lines + 1] = call:gsub("call a", "call p" .. i)
               end
            end
            for i = 6, 1, -1 do lines[#lines + 1] = "close p" .. i end
         end
         assert.like_ldso(lines, { "check_before() = 6", "check_after() = 1" },
            { env = env })
      end)
end)

describe("Space of the pool that is used again", function ()
   it("begins as the image says in all threads", function ()
      local lines = { "open w " .. threads.path(), "call w threads_start" }
      for round = 1, 12 do
         -- All of the pool each time, with and without an image of zeros.
         lines[#lines + 1] = "open a " .. plugin(round % 3 == 0 and 96
            or 700, round % 2 * round)
         table.move(CALLS, 1, #CALLS, #lines + 1, lines)
         lines[#lines + 1] = "close a"
      end
      assert.like_ldso(lines, { "check_before() = 0", "check_before() = 11" })
   end)

   it("is that of a plugin that could not be opened, too", function ()
      local function missing (size, value)
         return assert(cc.shared(([[
            __thread char room[%d] = { %d };
            extern void nowhere(void);
            char *f(void) { nowhere(); return room; }
         ]]):format(size, value), INITIAL .. " -Wl,-z,now"))
      end
      local lines = steps(plugin(300, 4))
      table.insert(lines, 3, "open x " .. missing(400, 7))
      table.insert(lines, 4, "open x " .. missing(500, 0))
      assert.like_ldso(lines, { "check_before() = 4" }, { may_fail = true })
   end)
end)

describe("The pool of a C program", function ()
   local SIZE <const> = [[
      int main(int argc, char **argv)
      {
          for (int i = 1; i < argc; i++) {
              e64_plugin *plugin = try_plugin(argv[i]);
              printf("%s\n", plugin ? "ok"
                  : e64_status_name(e64_last_error()->status));
              if (plugin)
                  e64_close(plugin, NULL);
          }
          return 0;
      }
   ]]
   local function says (sizes, source, flags)
      -- The worker is not needed: nothing of these runs.
      local paths = {}
      for i, size in ipairs(sizes) do
         paths[i] = assert(cc.shared(("__thread char room[%d] = { 1 };"
            .. "char *f(void) { return room; }"):format(size), INITIAL))
      end
      return threads.program(source, paths, { flags = flags })
   end

   it("has 4096 bytes", function ()
      assert.equal("ok\nok\nnomemory\n", says({ 100, 4000, 10000 }, SIZE))
   end)

   it("has what the program says, without the loader being built again", function ()
      assert.equal("ok\nok\nnomemory\n", says({ 10000, 19900, 40000 },
         "E64_TLS_POOL(20000)\n" .. SIZE))
   end)

   it("has what a file of C or C++ says, which no compiler warns of", function ()
      for _, way in ipairs { { "c", "c99" }, { "c++", "c++11" },
            { "c++", "c++20" } } do
         local pool = assert(cc.object(
            '#include <elf64load.h>\nE64_TLS_POOL(20000)\n',
            { language = way[1], flags = "-Wall -Wextra -Wpedantic -Werror "
               .. "-I src -std=" .. way[2] }))
         assert.equal("ok\nok\nnomemory\n",
            says({ 10000, 19900, 40000 }, SIZE, pool))
      end
   end)

   -- A thread on a stack of that size: what pthread_create answers, and what a
   -- plugin's variables are in it.
   local STACKS <const> = [[
      #include <pthread.h>
      #include <string.h>
      #include <sys/mman.h>
      static long (*check)(void);
      static void *work(void *data) { *(long *)data = check(); return 0; }
      int main(int argc, char **argv)
      {
          long sizes[] = { 16384, 32768, 65536, 262144 };
          e64_plugin *plugin = open_plugin(argv[1]);
          check = (long (*)(void))e64_entry(plugin, "check_here");
          for (int i = 0; i < 8; i++) {
              pthread_t thread;
              pthread_attr_t attributes;
              long answer = 0, size = sizes[i / 2];
              void *stack = mmap(0, size, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              memset(stack, 0xa5, size);
              pthread_attr_init(&attributes);
              if (i % 2)
                  pthread_attr_setstack(&attributes, stack, size);
              else
                  pthread_attr_setstacksize(&attributes, size);
              int error = pthread_create(&thread, &attributes, work, &answer);
              if (!error)
                  pthread_join(thread, 0);
              printf("%ld %s %ld\n", size, strerror(error), answer);
          }
          return 0;
      }
   ]]

   local BARE <const> = [[
      __thread struct { long first; char rest[900]; } room = { 77 };
      long check_here(void) { return room.first; }
   ]]

   it("of 4096 bytes leaves room on every stack", function ()
      local text = threads.program(STACKS, { assert(cc.shared(BARE, INITIAL)) })
      local lines = {}
      for size in ("16384 16384 32768 32768 65536 65536 262144 262144")
            :gmatch "%d+" do
         lines[#lines + 1] = size .. " Success 77\n"
      end
      assert.equal(table.concat(lines), text)
   end)

   it("of 65536 bytes does not: pthread_create refuses, as for any program with "
      .. "that much thread-local storage", function ()
      local path = assert(cc.shared(BARE, INITIAL))
      local ours = threads.program("E64_TLS_POOL(65536)\n" .. STACKS, { path })
      local theirs = child.run({ assert(cc.program([[
         #include <dlfcn.h>
         #include <stdio.h>
         __thread char much[65536] = { 1 };
         #define e64_plugin void
         #define open_plugin(path) (much[0]++, dlopen(path, RTLD_NOW))
         #define e64_entry dlsym
      ]] .. STACKS, "-pthread")), path })
      assert.equal(theirs.out, ours)
      assert.truthy(ours:find "16384 Invalid argument 0")
      assert.truthy(ours:find "262144 Success 77")
   end)
end)

describe("Threads on the smallest stacks", function ()
   -- What a function of the plugin answers in threads of 16 KB, twice in each.
   local SMALL <const> = [[
      #include <limits.h>
      #include <pthread.h>
      #include <stdlib.h>
      #include <string.h>
      #include <sys/mman.h>
      static long (*step)(void);
      static void *work(void *data)
      {
          *(long *)data = step() * 1000;
          *(long *)data += step();
          return 0;
      }
      int main(int argc, char **argv)
      {
          e64_plugin *plugin = open_plugin(argv[1]);
          step = (long (*)(void))e64_entry(plugin, "step");
          for (int i = 0; i < 4; i++) {
              pthread_t thread;
              pthread_attr_t attributes;
              long answer = 0;
              void *stack = mmap(0, PTHREAD_STACK_MIN, PROT_READ | PROT_WRITE,
                                 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
              memset(stack, 0xa5, PTHREAD_STACK_MIN);
              pthread_attr_init(&attributes);
              if (i % 2)
                  pthread_attr_setstack(&attributes, stack, PTHREAD_STACK_MIN);
              else
                  pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN);
              int error = pthread_create(&thread, &attributes, work, &answer);
              if (!error)
                  pthread_join(thread, 0);
              printf("%d %s %ld\n", (int)PTHREAD_STACK_MIN, strerror(error),
                     answer);
              fflush(stdout);
          }
          return 0;
      }
   ]]

   local THEIRS <const> = [[
      #include <dlfcn.h>
      #include <stdio.h>
      #define e64_plugin void
      #define open_plugin(path) dlopen(path, RTLD_NOW)
      #define e64_entry dlsym
   ]] .. SMALL

   local function compare (path, answer)
      local line = ("16384 Success %d\n"):format(answer)
      local theirs = child.run { assert(cc.program(THEIRS, "-pthread")), path }
      assert.equal(line:rep(4), theirs.out, child.describe(theirs))
      assert.equal(theirs.out, threads.program(SMALL, { path }))
   end

   for model, flags in pairs {
      ["general dynamic"] = "-ftls-model=global-dynamic -mtls-dialect=gnu",
      ["local dynamic"] = "-ftls-model=local-dynamic -mtls-dialect=gnu",
      TLSDESC = "-ftls-model=global-dynamic -mtls-dialect=gnu2",
      ["initial-exec"] = INITIAL,
   } do
      it("have room for variables, small and large: " .. model, function ()
         for _, size in ipairs { 8, model == "initial-exec" and 900 or 500000 } do
            for _, value in ipairs { 0, 40 } do
               compare(assert(cc.shared(([[
                  static __thread struct { long first; char rest[%d]; } room
                      = { %d };
                  long step(void)
                  {
                      room.first += 2;
                      return room.first + room.rest[sizeof room.rest - 1]++;
                  }
               ]]):format(size, value), flags)), (value + 2) * 1000 + value + 5)
            end
         end
      end)
   end

   -- Sanitizers need more of a stack for that.
   it("have room for thread_local objects and for a throw #build", function ()
      compare(assert(cc.shared([[
         #include <stdexcept>
         #include <string>
         struct Object { std::string text = "four"; ~Object() { text.clear(); } };
         static thread_local Object object;
         extern "C" long step()
         {
             try {
                 if (object.text.size() >= 4)
                     throw std::runtime_error(object.text += "!");
             } catch (const std::exception &e) {
                 return std::string(e.what()).size();
             }
             return 0;
         }
      ]], { language = "c++" })), 5006)
   end)
end)

describe("A PT_TLS that is absurd", function ()
   local DYNAMIC <const> = "-ftls-model=global-dynamic -mtls-dialect=gnu"
   local MODELS <const> = { INITIAL, DYNAMIC, DYNAMIC .. "2" }

   local function edited (change, flags)
      local image = elfedit.read(assert(cc.shared([[
         __thread long first = 3, second = 4;
         long sum(void) { return first + second; }
      ]], flags or INITIAL)))
      change(image:segment "PT_TLS", image)
      return image:save()
   end

   it("in size is an error", function ()
      for _, flags in ipairs(MODELS) do
         for _, size in ipairs { 1 << 40, 1 << 62, -1, -16 } do
            local path = edited(function (segment) segment.p_memsz = size end,
               flags)
            assert.fails_with("badformat", elf.open, path)
         end
      end
      for _, size in ipairs { 1 << 31, (1 << 32) - 1, 1 << 24 } do
         local path = edited(function (segment) segment.p_memsz = size end)
         assert.fails_with("nomemory", elf.open, path)
      end
      assert.fails_with("badformat", elf.open, edited(function (segment)
         segment.p_filesz = segment.p_memsz + 1
      end))
   end)

   it("in alignment is an error", function ()
      for _, flags in ipairs(MODELS) do
         for _, align in ipairs { 3, 24, 1 << 40, -1, -8 } do
            local path = edited(function (segment) segment.p_align = align end,
               flags)
            assert.fails_with("badformat", elf.open, path)
         end
      end
      for _, align in ipairs { 128, 1 << 31 } do
         local path = edited(function (segment) segment.p_align = align end)
         assert.fails_with("unsupported", elf.open, path)
      end
   end)

   it("in place is an error", function ()
      for _, flags in ipairs(MODELS) do
         for _, address in ipairs { 1 << 20, 1 << 62, -1, -4096 } do
            local path = edited(function (segment)
               segment.p_vaddr = address
            end, flags)
            assert.fails_with("badformat", elf.open, path)
         end
      end
   end)

   it("is no matter for symbols that lie far outside of it", function ()
      for _, flags in ipairs(MODELS) do
         for _, offset in ipairs { 16, 4096, 1 << 62, -1 } do
            local image = elfedit.read(assert(cc.shared([[
               __thread long first = 3, second = 4;
               long distance(void) { return (long)&second - (long)&first; }
            ]], flags)))
            local first = image:symbol "first".st_value
            image:symbol "second".st_value = offset
            assert.like_ldso({ "open a " .. image:save(), "call a distance" },
               { "distance() = " .. offset - first })
         end
      end
   end)

   it("and of a size of none has no variables", function ()
      for _, flags in ipairs(MODELS) do
         local path = edited(function (segment)
            segment.p_memsz, segment.p_filesz = 0, 0
         end, flags)
         assert.fails_with("badformat", elf.open, path)
      end
   end)

   it("keeps its place modulo p_align", function ()
      local path = edited(function (segment) segment.p_align = 64 end,
         INITIAL)
      local image = elfedit.read(path)
      local rest = (image:segment "PT_TLS".p_vaddr
         + image:symbol "second".st_value) % 64
      local lines = { "open a " .. path, "call a sum" }
      assert.like_ldso(lines, { "sum() = 7" })
      local p <close> = assert(elf.open(path))
      assert.equal(rest, math.tointeger(p:lookup "second".address) % 64)
   end)
end)

describe("A plugin's storage at a fixed offset", function ()
   it("is told of by where a lookup finds it in two threads", function ()
      local path = assert(cc.shared(threads.IMPORT .. [[
         __thread long number = 1;
         static long distance(long x)
         { return (char *)&number - (char *)__builtin_thread_pointer(); }
         long same(void) { return distance(0) == threads_run(distance, 0)
             && distance(0) == threads_new(distance, 0); }
      ]], INITIAL .. threads.flags()))
      assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
         "open a " .. path, "call a same" }, { "same() = 1" })
   end)
end)
