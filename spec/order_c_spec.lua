-- The verify and the order hook, driven from C programs without Lua.

local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local policy = require "spec.support.policy"

local function member (name, needs)
   return { needs = needs, source = ([[
      extern int puts(const char *);
      __attribute__((constructor)) static void begin(void) { puts("%s"); }
      long %s(void) { return 7; }]]):format(name, name) }
end

local group = fixtures.group {
   one = member("one"), two = member("two"), three = member("three", { "one" }),
   root = member("root", { "one", "two", "three" }),
}
local circle = fixtures.group {
   head = member("head", { "tail" }), tail = member("tail", { "head" }),
   top = member("top", { "head", "tail" }),
}

local family = assert(cc.shared("int one(void) { return 7; }",
   "-Wl,-soname,libanl.so.7"))

describe("The verify hook", function ()
   local HOOK = [[
      #include <fcntl.h>
      static int refuses, spoils;
      static e64_status verify(void *data, e64_runtime *asked,
                               const e64_image *image, e64_error *error)
      {
          char *bytes = malloc(image->size);
          int file = open(image->path, O_RDWR);
          int same = image->struct_size == sizeof *image
                  && read(file, bytes, image->size) == image->size
                  && read(file, bytes, 1) == 0
                  && lseek(file, 0, SEEK_SET) == 0
                  && read(file, bytes, image->size) == image->size
                  && memcmp(bytes, image->bytes, image->size) == 0;
          printf("verify %s: %d\n", base(image->path), same);
          if (spoils) {
              // What a later read would find is no plugin any more.
              ftruncate(file, 100);
              pwrite(file, "spoilt", 6, 0);
          }
          close(file);
          free(bytes);
          return refuses ? E64_DENIED : E64_OK;
      }
      static char copy[64] = "/tmp/verify-XXXXXX";
      static const char *copied(const char *path)
      {
          char bytes[65536];
          int from = open(path, O_RDONLY), to = mkstemp(copy);
          write(to, bytes, read(from, bytes, sizeof bytes));
          close(from);
          close(to);
          return copy;
      }]]

   it("has nothing opened that glibc would read again", function ()
      local body = [[
         int main(int argc, char **argv)
         {
             options.verify = %s;
             begin();
             e64_plugin *plugin = opens(argv[1]);
             printf("mapped: %%d\n", mapped(base(argv[1])) > 0);
         }]]
      local out = policy.program(HOOK .. body:format "verify", { family })
      assert.equal("verify " .. family:match "[^/]*$" .. ": 1\nopen: denied\n"
         .. "message: " .. family .. ": is libanl.so.7 by its DT_SONAME, which "
         .. "belongs to the host family: only glibc may open it, and would read "
         .. "the file again, which need not be what `verify` has seen; open it "
         .. "by its DT_SONAME, or have the program open it before\nmapped: 0\n",
         out)
      assert.equal("open: ok\nmapped: 1\n",
         policy.program(HOOK .. body:format "NULL", { family }))
   end)

   it("sees what is mapped, whatever becomes of the file", function ()
      local out = policy.program(HOOK .. [[
         int main(int argc, char **argv)
         {
             options.verify = verify;
             spoils = 1;
             begin();
             e64_plugin *plugin = opens(copied(argv[1]));
             printf("%ld %d %d\n", call(plugin, "one"), mapped("/memfd:verify-")
                    > 2, mapped(copy));
             opens(copy);
             unlink(copy);
             e64_close(plugin, NULL);
             e64_close(plugin, NULL);
             printf("left: %d\n", mapped("/memfd:verify-"));
         }]], { group.one })
      assert.equal("one\n7 1 0\nopen: ok\nleft: 0\n",
         (out:gsub("^verify verify%-%w+: 1\n(.-)open: ok\n", "%1", 1)))
   end)

   it("sees it without memfd_create, too", function ()
      local out = policy.program(HOOK .. "\n" .. [[
         #include <errno.h>
         int memfd_create(const char *name, unsigned flags)
         {
             errno = EPERM;
             return -1;
         }
         int main(int argc, char **argv)
         {
             options.verify = verify;
             spoils = 1;
             begin();
             e64_plugin *plugin = opens(copied(argv[1]));
             printf("%ld %d\n", call(plugin, "one"), mapped("verify-"));
             unlink(copy);
         }]], { group.one })
      assert.truthy(out:find "^verify verify%-%w+: 1\none\nopen: ok\n7 0\n$",
         out)
   end)

   it("refuses before anything is mapped, for sources as well", function ()
      local out = policy.program(HOOK .. [[
         int main(int argc, char **argv)
         {
             static char bytes[65536];
             int file = open(argv[1], O_RDONLY);
             e64_source source = { .struct_size = sizeof source,
                                   .kind = E64_SOURCE_BYTES, .name = argv[1],
                                   .bytes = bytes };
             e64_plugin *plugin;
             source.size = read(file, bytes, sizeof bytes);
             options.verify = verify;
             refuses = 1;
             begin();
             opens(argv[1]);
             printf("%s\n", e64_status_name(e64_load(runtime, &source, NULL,
                                                     &plugin, NULL)));
             refuses = 0;
             printf("%s\n", e64_status_name(e64_load(runtime, &source, NULL,
                                                     &plugin, NULL)));
             printf("%ld\n", call(plugin, "one"));
         }]], { group.one })
      assert.equal("verify one.so: 1\nopen: denied\nmessage: " .. group.one
         .. ": the verify hook refused it (denied), and gave no "
         .. "reason\nverify one.so: 1\ndenied\n"
         .. "verify one.so: 1\none\nok\n7\n", out)
   end)
end)

describe("The order hook", function ()
   -- The hook's data: digits for the places of the answer.
   local HOOK = [[
      static e64_status order(void *data, e64_runtime *asked,
                              e64_plugin **plugins, size_t count,
                              e64_error *error)
      {
          e64_plugin *came[16];
          const char *places = data;
          memcpy(came, plugins, count * sizeof *came);
          for (size_t i = 0; i < count; i++)
              printf("%s ", path_of(came[i]));
          puts("");
          for (size_t i = 0; i < count && places[i] && places[i] != 'x'; i++)
              plugins[i] = places[i] == '-' ? NULL : came[places[i] - '0'];
          return places[0] == 'x' ? E64_HOOK : E64_OK;
      }
      static void ordering(const char *places, int force)
      {
          options.order = order;
          options.order_data = (void *)places;
          options.force = force;
          begin();
      }]]

   local function run (places, force, path)
      return policy.program(HOOK .. ([[
         int main(int argc, char **argv)
         {
             ordering("%s", %d);
             e64_plugin *plugin = opens(argv[1]);
             printf("mapped: %%d\n", mapped("one.so") + mapped("head.so") > 0);
             if (plugin)
                 opens(argv[1]);
         }]]):format(places, force), { path or group.root })
   end

   it("gets what starts in ld.so's order, and sees it started in its own",
      function ()
         assert.equal("one.so three.so two.so root.so \n"
            .. "two\none\nthree\nroot\nopen: ok\nmapped: 1\nopen: ok\n",
            run("2013", 0))
         assert.equal("one.so three.so two.so root.so \n"
            .. "one\nthree\ntwo\nroot\nopen: ok\nmapped: 1\nopen: ok\n",
            run("", 0))
      end)

   it("may not start what others need after them, unless it is forced",
      function ()
         local out = run("1023", 0)
         assert.truthy(out:find("open: hook\nmessage: " .. group.root
            .. ": the order hook starts " .. group.three .. " before "
            .. group.one .. ", which it needs; put " .. group.one
            .. " first, or set `force`\nmapped: 0\n", 1, true), out)
         assert.truthy(run("3102", 1):find("root\nthree\none\ntwo\nopen: ok\n",
            1, true))
      end)

   it("cuts a circle where ld.so does, and names it when it is cut elsewhere",
      function ()
         local out = run("", 0, circle.top)
         assert.truthy(out:find("head.so tail.so top.so \nhead\ntail\ntop\n", 1,
            true) or out:find("tail.so head.so top.so \ntail\nhead\ntop\n", 1,
            true), out)
         out = run("102", 0, circle.top)
         assert.truthy(out:find "open: hook\nmessage: .-they need each other in "
            and out:find("a circle, which is cut where ld.so cuts it: ", 1,
            true), out)
         assert.truthy(run("102", 1, circle.top):find("\nopen: ok\n", 1, true))
      end)

   it("must answer the same plugins, forced or not", function ()
      for places, left in pairs {
         ["0003"] = "three", ["-123"] = "one", ["0122"] = "root",
      } do
         for force = 0, 1 do
            assert.truthy(run(places, force):find(("open: hook\nmessage: %s: "
               .. "the order hook has left out %s: its answer must be the same "
               .. "plugins in another order\nmapped: 0\n"):format(group.root,
               group[left]), 1, true))
         end
      end
      assert.truthy(run("x", 0):find("open: hook\nmessage: " .. group.root
         .. ": the order hook failed, and gave no reason\n", 1, true))
   end)

   it("is asked when a start is held back, and kept to later", function ()
      assert.equal("one.so three.so two.so root.so \nheld\n"
         .. "two\none\nthree\nroot\nstarted\n", policy.program(HOOK .. [[
         int main(int argc, char **argv)
         {
             e64_open_options hold = { .struct_size = sizeof hold, .hold = 1 };
             e64_plugin *plugin;
             ordering("2013", 0);
             e64_open(runtime, argv[1], &hold, &plugin, NULL);
             puts("held");
             e64_start(plugin, NULL);
             puts("started");
         }]], { group.root }))
   end)
end)
