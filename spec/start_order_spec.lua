-- When constructors and destructors run, and in what order, against ld.so.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"

-- A plugin that says when it starts and when it stops.
local function talker (name, more)
   return ([[
      #include <unistd.h>
      static void say(const char *text)
      { int n = 0; while (text[n]) n++; write(1, text, n); }
      __attribute__((constructor)) static void start(void)
      { say("+%s\n"); }
      __attribute__((destructor)) static void stop(void)
      { say("-%s\n"); }
      %s
   ]]):format(name, name, more or "")
end

-- Paths of plugins that need one another: { a = "b c", b = "", ... }.
local function graph (needs, flags)
   local members = {}
   for name, text in pairs(needs) do
      local list = {}
      for other in text:gmatch "%S+" do list[#list + 1] = other end
      members[name] = { source = talker(name), needs = list,
         flags = flags and flags[name] }
   end
   return fixtures.group(members)
end

describe("Within a plugin", function ()
   local source = [[
      #include <unistd.h>
      #define SAY(text) write(1, text "\n", sizeof text)
      void dt_init(void) { SAY("DT_INIT"); }
      void dt_fini(void) { SAY("DT_FINI"); }
      __attribute__((constructor)) static void c1(void) { SAY("c1"); }
      __attribute__((constructor)) static void c2(void) { SAY("c2"); }
      __attribute__((constructor(200))) static void c200(void) { SAY("c200"); }
      __attribute__((constructor(101))) static void c101(void) { SAY("c101"); }
      __attribute__((destructor)) static void d1(void) { SAY("d1"); }
      __attribute__((destructor)) static void d2(void) { SAY("d2"); }
      __attribute__((destructor(200))) static void d200(void) { SAY("d200"); }
      __attribute__((destructor(101))) static void d101(void) { SAY("d101"); }
   ]]

   it("DT_INIT comes before DT_INIT_ARRAY, DT_FINI_ARRAY backwards before DT_FINI",
      function ()
         local path = assert(cc.shared(source, "-Wl,-init,dt_init,-fini,dt_fini"))
         assert.like_ldso({ "open a " .. path, "close a", "say end" }, {
            "DT_INIT\nc101\nc200\nc1\nc2\nopen a: ok\n",
            "d2\nd1\nd200\nd101\nDT_FINI\nclose a: ok" })
      end)

   it("the same holds at exit", function ()
      local path = assert(cc.shared(source, "-Wl,-init,dt_init,-fini,dt_fini"))
      assert.like_ldso({ "open a " .. path, "say end" },
         { "end\nd2\nd1\nd200\nd101\nDT_FINI" })
   end)

   it("either of them may be missing", function ()
      local alone = assert(cc.shared([[
         #include <unistd.h>
         void dt_init(void) { write(1, "init\n", 5); }
         void dt_fini(void) { write(1, "fini\n", 5); }
      ]], "-nostartfiles -Wl,-init,dt_init,-fini,dt_fini"))
      assert.like_ldso({ "open a " .. alone, "close a" },
         { "init\nopen a: ok\nfini\n" })
      local none = assert(cc.shared("long x = 1;", "-nostdlib"))
      assert.like_ldso({ "open a " .. none, "close a" }, { "open a: ok" })
   end)

   it("constructors get argc, argv and the environment", function ()
      local path = assert(cc.shared([[
         #include <fcntl.h>
         #include <string.h>
         #include <unistd.h>
         extern char **environ;
         static int count; static char **arguments, **variables;
         __attribute__((constructor)) static void start(int argc, char **argv,
                                                        char **envp)
         { count = argc; arguments = argv; variables = envp; }
         void dt_init(int argc, char **argv, char **envp)
         { if (argc == 0) write(1, "bad\n", 4); }
         long same_environment(void) { return variables == environ; }
         long same_arguments(void)
         {
             static char line[65536];
             int fd = open("/proc/self/cmdline", O_RDONLY);
             long size = read(fd, line, sizeof line), seen = 0;
             close(fd);
             for (long at = 0; at < size; at += strlen(line + at) + 1)
                 if (seen >= count || strcmp(line + at, arguments[seen++]))
                     return 0;
             return seen == count && !arguments[count];
         }
      ]], "-Wl,-init,dt_init"))
      assert.like_ldso({ "open a " .. path, "call a same_arguments",
         "call a same_environment" },
         { "same_arguments() = 1", "same_environment() = 1" })
   end)

   it("what atexit registered runs when the plugin stops", function ()
      local path = assert(cc.shared(talker("a", [[
         #include <stdlib.h>
         static void first(void) { say("first\n"); }
         static void second(void) { say("second\n"); }
         long register_(void) { atexit(first); atexit(second); return 1; }
      ]])))
      assert.like_ldso({ "open a " .. path, "call a register_", "close a",
         "say end" }, { "second\nfirst\n" })
      assert.like_ldso({ "open a " .. path, "call a register_", "say end" },
         { "end\nsecond\nfirst\n-a" })
   end)

   it("C++ objects are built and taken down", function ()
      local path = assert(cc.shared([[
         #include <unistd.h>
         struct talker {
            char name;
            talker(char c) : name(c) { say('+'); }
            ~talker() { say('-'); }
            void say(char sign) { char text[] = { sign, name, '\n' };
               write(1, text, 3); }
         };
         static talker a('a'), b('b');
         talker &inner() { static talker c('c'); return c; }
         extern "C" long use() { inner().say('!'); return 1; }
      ]], { language = "c++" }))
      assert.like_ldso({ "open a " .. path, "call a use", "close a",
         "say end" }, { "+a\n+b\nopen a: ok\n+c\n!c\n", "-c\n-b\n-a\n" })
      assert.like_ldso({ "open a " .. path, "call a use", "say end" },
         { "end\n-c\n-b\n-a\n" })
   end)
end)

describe("Among plugins", function ()
   -- Opens the root, closes it; then again, left open at exit.
   local function agree (needs, texts, flags)
      local paths = graph(needs, flags)
      assert.like_ldso({ "open x " .. paths.a, "close x", "say between",
         "open x " .. paths.a, "say end" }, texts)
   end

   it("what is needed starts first and stops last", function ()
      agree({ a = "b", b = "c", c = "" }, { "+c\n+b\n+a\nopen x: ok\n-a\n-b\n-c" })
   end)

   it("what stands first in DT_NEEDED starts as under ld.so", function ()
      agree({ a = "b c d", b = "", c = "", d = "" })
   end)

   it("a diamond's end starts once", function ()
      agree({ a = "b c", b = "d", c = "d", d = "" }, { "+d\n" })
   end)

   it("a dependency of a dependency that stands elsewhere too comes first",
      function ()
         agree({ a = "b c", b = "", c = "b" })
         agree({ a = "c b", b = "", c = "b" })
         agree({ a = "b c d", b = "d", c = "", d = "c" })
      end)

   it("a circle of two is cut where ld.so cuts it", function ()
      agree { a = "b", b = "a" }
      agree { a = "b", b = "c", c = "b" }
   end)

   it("a circle of three, or two that share a member, is cut there, too",
      function ()
         agree { a = "b", b = "c", c = "a" }
         agree { a = "b c", b = "c", c = "b" }
         agree { a = "b", b = "c d", c = "b", d = "b" }
         agree { a = "d b", b = "c", c = "a e", d = "c", e = "d" }
      end)

   it("one that needs itself starts once", function ()
      agree({ a = "a b", b = "b" }, { "+b\n+a\n" })
   end)

   it("DF_1_INITFIRST starts before the others, the last found of several",
      function ()
         local initfirst = "-Wl,-z,initfirst"
         agree({ a = "b c d", b = "", c = "", d = "" }, {}, { c = initfirst })
         agree({ a = "b c d", b = "", c = "", d = "" }, {},
            { b = initfirst, d = initfirst })
         agree({ a = "b", b = "c", c = "" }, {}, { a = initfirst })
      end)

   -- A small generator of its own: the graphs are the same for ever.
   local function generator (seed)
      return function (limit)
         seed = (seed * 6364136223846793005 + 1442695040888963407)
         return (seed >> 33) % limit
      end
   end

   for seed = 1, 16 do
      it(("random graph %d is started and stopped as by ld.so"):format(seed),
         function ()
            local random = generator(seed)
            local count = 4 + random(4)
            local names, needs = {}, {}
            for i = 1, count do names[i] = ("abcdefgh"):sub(i, i) end
            for i = 1, count do
               local list, seen = {}, {}
               for _ = 1, 1 + random(3) do
                  -- Half of the graphs have edges in both directions.
                  local to = seed % 2 == 0 and 1 + random(count)
                     or i + 1 + random(count)
                  if to ~= i and to <= count and not seen[to] then
                     seen[to] = true
                     list[#list + 1] = names[to]
                  end
               end
               needs[names[i]] = table.concat(list, " ")
            end
            local paths = graph(needs)
            local second = names[1 + random(count)]
            -- One root alone; two roots closed in both orders; and at exit.
            assert.like_ldso { "open x " .. paths.a, "close x", "say next",
               "open x " .. paths.a, "open y " .. paths[second], "close x",
               "say one left", "close y", "say next",
               "open y " .. paths[second], "open x " .. paths.a, "close x",
               "say one left", "close y", "say next",
               "open y " .. paths[second], "open x " .. paths.a, "say end" }
         end)
   end
end)

describe("Several handles", function ()
   it("stop a plugin with the last one", function ()
      local paths = graph { a = "" }
      assert.like_ldso({ "open x " .. paths.a, "open y " .. paths.a, "close x",
         "say still", "close y", "say gone" }, { "still\n-a\n" })
   end)

   it("on a dependency keep it when its dependent goes", function ()
      local paths = graph { a = "b", b = "" }
      assert.like_ldso({ "open x " .. paths.a, "open y " .. paths.b, "close x",
         "say still", "close y", "say gone" }, { "still\n-b\n" })
      assert.like_ldso({ "open y " .. paths.b, "open x " .. paths.a, "close y",
         "say still", "close x", "say gone" }, { "still\n-a\n-b\n" })
   end)

   it("closed in any order leave a circle whole until the last", function ()
      local paths = graph { a = "b", b = "a" }
      assert.like_ldso({ "open x " .. paths.a, "open y " .. paths.b, "close x",
         "say still", "close y", "say gone", "open y " .. paths.b, "close y" },
         { "still\n-" })
   end)
end)

describe("A plugin that another is bound to without needing it", function ()
   local paths = fixtures.group {
      provider = { source = talker("provider", [[
         long thing(void) { return 5; } ]]) },
      user = { source = talker("user", [[
         extern long thing(void); long ask(void) { return thing(); } ]]) },
   }

   it("stays until that one is closed", function ()
      assert.like_ldso({ "open p " .. paths.provider .. " global",
         "open u " .. paths.user, "close p", "call u ask", "close u",
         "say end" }, { "close p: ok\nask() = 5", "-user\n-provider\n" })
   end)

   it("is stopped after it at exit", function ()
      assert.like_ldso({ "open p " .. paths.provider .. " global",
         "open u " .. paths.user, "say end" }, { "end\n-user\n-provider\n" })
   end)
end)

describe("A failed open", function ()
   it("starts nothing, not even what could have been started", function ()
      local paths = fixtures.group {
         a = { needs = { "b" }, source = talker("a", [[
            extern long missing(void); long f(void) { return missing(); } ]]) },
         b = { source = talker "b" },
      }
      assert.like_ldso({ "open x " .. paths.a, "open y " .. paths.b },
         { "open x: failed\n+b\nopen y: ok" }, { kind = "undefined" })
   end)

   it("keeps nothing, not even what DF_1_NODELETE would have kept", function ()
      local paths = fixtures.group {
         a = { needs = { "b" }, source = talker("a", [[
            extern long missing(void); long f(void) { return missing(); } ]]) },
         b = { source = talker "b", flags = "-Wl,-z,nodelete" },
      }
      assert.like_ldso({ "open x " .. paths.a, "open b " .. paths.b
         .. " noload" }, { "open x: failed\nopen b: failed" },
         { kind = "notfound" })
      assert.leaves_nothing(elf.open, paths.a)
   end)
end)

describe("A plugin that was opened with start = false", function ()
   local paths = graph { a = "b", b = "", c = "b" }

   local function said (body)
      local result = child.lua([[
         local elf = require "elf64load"
         local function say (...)
            io.write(table.concat({ ... }, " "), "\n")
            io.stdout:flush()
         end
      ]] .. body, { paths.a, paths.b, paths.c })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      return result.out
   end

   it("is started when it is opened once more without", function ()
      assert.equal("+b\n+a\nstarted started\n-a\n-b\nend\n", said [[
         local p = assert(elf.open(arg[1], { start = false }))
         local q = assert(elf.open(arg[1]))
         say(p.state, q.state)
         p:close()
         q:close()
         say "end"
      ]])
   end)

   it("is started when something that is started needs it", function ()
      assert.equal("mapped\n+b\n+c\nstarted started\nend\n-c\n-b\n", said [[
         local p = assert(elf.open(arg[2], { start = false }))
         say(p.state)
         local q = assert(elf.open(arg[3]))
         say(p.state, q.state)
         say "end"
      ]])
   end)

   it("needs what is started already without starting it twice", function ()
      assert.equal("+b\nmapped\n+a\nend\n-a\n-b\n", said [[
         local p = assert(elf.open(arg[2]))
         local q = assert(elf.open(arg[1], { start = false }))
         say(q.state)
         assert(q:start())
         say "end"
      ]])
   end)

   it("stops what was started of it and nothing else", function ()
      assert.equal("+b\n-b\nend\n", said [[
         local p = assert(elf.open(arg[1], { start = false }))
         local q = assert(elf.open(arg[2]))
         p:close()
         q:close()
         say "end"
      ]])
   end)
end)

describe("At exit", function ()
   it("everything still open stops, in every runtime, once", function ()
      local paths = graph { a = "b", b = "" }
      local result = child.lua([[
         local elf = require "elf64load"
         local one, two = elf.runtime {}, elf.runtime {}
         assert(one:open(arg[1]))
         assert(two:open(arg[1]))
         assert(two:open(arg[2])):close()
         print "end"
         io.stdout:flush()
      ]], { paths.a, paths.b })
      assert.equal(0, result.code, result.err)
      assert.equal("+b\n+a\n+b\n+a\nend\n", result.out:sub(1, 16))
      local stops = {}
      for stop in result.out:sub(17):gmatch "[^\n]+" do
         stops[#stops + 1] = stop
      end
      table.sort(stops)
      assert.same({ "-a", "-a", "-b", "-b" }, stops)
   end)

   it("it is the same when Lua closes its state and when it does not", function ()
      local paths = graph { a = "b", b = "" }
      for _, how in ipairs { "", "os.exit(true)", "os.exit(true, true)",
         "error 'x'" } do
         local result = child.lua([[
            local elf = require "elf64load"
            local p = assert(elf.open(arg[1]))
            io.write "end\n"
            io.stdout:flush()
         ]] .. how, { paths.a })
         assert.equal("+b\n+a\nend\n-a\n-b\n", result.out, how .. result.err)
      end
   end)

   it("a runtime that is closed stops its plugins then", function ()
      local paths = graph { a = "b", b = "", c = "" }
      local result = child.lua([[
         local elf = require "elf64load"
         local runtime = elf.runtime {}
         assert(runtime:open(arg[1]))
         assert(runtime:open(arg[2]))
         runtime:close()
         io.write "end\n"
         io.stdout:flush()
      ]], { paths.a, paths.c })
      assert.equal("+b\n+a\n+c\n", result.out:sub(1, 9))
      assert.truthy(result.out:find "%-a\n.*%-b\n.*end\n$")
      assert.truthy(result.out:find "%-c\n.*end\n$")
   end)
end)

describe("A collected handle", function ()
   it("that was not closed unloads nothing", function ()
      local result = child.lua([[
         local elf = require "elf64load"
         do local p = assert(elf.open(arg[1])) end
         collectgarbage()
         collectgarbage()
         io.write "end\n"
         io.stdout:flush()
      ]], { graph { a = "" }.a })
      assert.equal("+a\nend\n-a\n", result.out)
   end)
end)

-- Its state tells how far a plugin is.
describe("The state of a plugin", function ()
   it("is mapped, then started, then stopped", function ()
      local p = assert(elf.open(assert(cc.shared "long x;"), { start = false }))
      assert.equal("mapped", p.state)
      assert(p:start())
      assert.equal("started", p.state)
      p:close()
   end)

   it("of the host is host", function ()
      assert.equal("host", elf.host.state)
   end)
end)
