--- What a policy's functions are asked and told, and what becomes of an open when
--- one of them does what it must not.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"

-- Its constructor and destructor write into what the script can see.
local plugin = assert(cc.shared [[
   int started, answer_is = 42;
   int answer(void) { return answer_is; }
   __attribute__((constructor)) static void start(void) { started = 1; }
]])

local outer = fixtures.group {
   outer = { source = "extern int inner; int *outer(void) { return &inner; }",
      needs = { "inner" } },
   inner = { source = "int inner = 7;" },
}

describe("accept", function ()
   it("is shown each plugin, dependencies first, bound and not started",
      function ()
         local shown = {}
         local runtime <close> = elf.runtime {
            accept = function (p)
               shown[#shown + 1] = p.path:match "(%w+)%.so" .. " " .. p.state
               assert.is_not_nil(p:lookup(p.path:match "(%w+)%.so"))
               return true
            end,
         }
         assert(runtime:open(outer.outer))
         assert.same({ "inner mapped", "outer mapped" }, shown)
      end)

   it("refuses with its reason, and leaves nothing", function ()
      local started = false
      local runtime <close> = elf.runtime {
         accept = function (p)
            started = started or p:lookup "started":as "int"[0] ~= 0
            return nil, "too new"
         end,
      }
      local message, detail = assert.fails_with("denied", runtime.open, runtime,
         plugin)
      assert.equal(plugin .. ": the policy's 'accept' refuses it: too new",
         message)
      assert.equal(plugin, detail.path)
      assert.is_false(started)
      assert.leaves_nothing(runtime.open, runtime, plugin)
      assert.is_nil(next(runtime.core:plugins()))
   end)

   it("refuses when it answers nothing", function ()
      for _, f in ipairs { function () end, function () return false end } do
         local runtime <close> = elf.runtime { accept = f }
         local message = assert.fails_with("denied", runtime.open, runtime,
            plugin)
         assert.equal(plugin .. ": the policy's 'accept' refuses it", message)
      end
   end)

   it("may be anything that can be called", function ()
      local runtime <close> = elf.runtime {
         accept = setmetatable({}, { __call = function () return true end }),
      }
      assert(runtime:open(plugin))
   end)
end)

describe("verify", function ()
   local bytes_of <const> = disk.contents

   it("sees the bytes: their count, parts and digests", function ()
      local bytes, seen = bytes_of(plugin), {}
      local runtime <close> = elf.runtime {
         verify = function (image, name)
            seen = { #image, name }
            for _, range in ipairs { { 1, 4 }, { -3 }, { 0, 2 }, { 5, 4 },
               { -10, -8 }, { 1, 1 << 40 }, { -(1 << 40), 1 } } do
               assert.equal(bytes:sub(table.unpack(range)),
                  image:sub(table.unpack(range)))
            end
            for _, sum in ipairs { "sha256", "sha384", "sha512" } do
               local words = child.run({ sum .. "sum", plugin }).out
               assert.equal(words:match "%x+", image:digest(sum))
            end
            assert.equal(image:digest "sha256", image:digest())
            assert.has_error(function () image:digest "md4" end)
            return true
         end,
      }
      assert(runtime:open(plugin))
      assert.same({ #bytes, plugin }, seen)
   end)

   it("refuses before anything is mapped", function ()
      local mapped = 0
      local runtime <close> = elf.runtime {
         verify = function (image) return image:sub(1, 4) == "none", "unknown" end,
         on = { mapped = function () mapped = mapped + 1 end },
      }
      local message, detail = assert.fails_with("denied", runtime.open, runtime,
         plugin)
      assert.equal(plugin .. ": the policy's 'verify' refuses it: unknown",
         message)
      assert.equal(plugin, detail.path)
      assert.equal(0, mapped)
      assert.leaves_nothing(runtime.open, runtime, plugin)
   end)

   it("is asked of each file and of sources", function ()
      local names = {}
      local runtime <close> = elf.runtime {
         verify = function (_, name)
            names[#names + 1] = name:match "[^/]*$"
            return true
         end,
      }
      assert(runtime:open(outer.outer))
      assert(runtime:load(bytes_of(plugin), "from memory"))
      assert.same({ "outer.so", "inner.so", "from memory" }, names)
   end)

   it("has what it has seen mapped, whatever the file becomes", function ()
      local path = os.tmpname()
      disk.write(path, bytes_of(plugin))
      local runtime <close> = elf.runtime {
         verify = function (image)
            -- The same file, in place.
            local other = assert(io.open(path, "r+b"))
            other:write(("x"):rep(#image))
            other:close()
            return image:sub(2, 4) == "ELF"
         end,
      }
      local p = assert(runtime:open(path))
      assert.equal(42, p:cdef "int answer(void);".answer())
      os.remove(path)
   end)

   it("cannot look at the bytes any more when it has answered", function ()
      local kept
      local runtime <close> = elf.runtime {
         verify = function (image)
            kept = image
            return true
         end,
      }
      assert(runtime:open(plugin))
      for _, f in ipairs {
         function () return #kept end, function () return kept:sub(1) end,
         function () return kept:digest() end,
      } do
         assert.has_error(f, "closed: the bytes could be looked at while the "
            .. "hook ran, and no longer")
      end
      assert.is_truthy(tostring(kept):find "view of %d+ bytes %(closed%)")
   end)
end)

describe("order", function ()
   -- Three that need nothing of each other, and one that needs them; each tells
   -- a fixture that it was started.
   local function member (name)
      return ([[
         #include <stdlib.h>
         #include <string.h>
         __attribute__((constructor)) static void start(void)
         {
             const char *before = getenv("STARTED");
             char all[100];
             strcpy(all, before ? before : "");
             strcat(all, "%s ");
             setenv("STARTED", all, 1);
         }
      ]]):format(name)
   end

   local group = fixtures.group {
      root = { source = member "root", needs = { "one", "two", "three" } },
      one = { source = member "one" }, two = { source = member "two" },
      three = { source = member "three" },
   }

   local function started (policy)
      local C = elf.host:cdef [[
         char *getenv(const char *); int unsetenv(const char *);
      ]]
      C.unsetenv "STARTED"
      local runtime <close> = elf.runtime(policy)
      local p, message, kind, detail = runtime:open(group.root)
      if not p then return nil, message, kind, detail end
      return elf.string(C.getenv "STARTED")
   end

   local function named (plugins, names)
      local list = {}
      for name in names:gmatch "%w+" do
         for _, p in ipairs(plugins) do
            if p.path == group[name] then list[#list + 1] = p end
         end
      end
      return list
   end

   it("is shown the plugins as they would start", function ()
      local shown
      local usual = started {}
      assert.equal(usual, started {
         order = function (plugins)
            local names = {}
            for at, p in ipairs(plugins) do
               names[at] = p.path:match "(%w+)%.so$" .. " "
            end
            shown = table.concat(names)
            return plugins
         end,
      })
      assert.equal(usual, shown)
   end)

   it("says who starts first", function ()
      for _, order in ipairs { "two three one root", "one three two root" } do
         assert.equal(order .. " ", started {
            order = function (plugins) return named(plugins, order) end,
         })
      end
   end)

   it("keeps dependencies first, unless it is forced", function ()
      local function first (plugins)
         return named(plugins, "root one two three")
      end
      assert.fails_with("hook", started, { order = first })
      assert.equal("root one two three ",
         started { order = first, force = true })
   end)

   it("must give the same plugins", function ()
      for text, order in pairs {
         ["answered 1 plugins; the 4"] = function (plugins)
            return { plugins[1] }
         end,
         ["answered a nil; the list"] = function () end,
         ["answered a number in place 2"] = function (plugins)
            plugins[2] = 2
            return plugins
         end,
         [group.root] = function (plugins)
            plugins[2] = plugins[1]
            return plugins
         end,
      } do
         local message = assert.fails_with("hook", started, { order = order })
         assert.is_truthy(message:find(text, 1, true), message)
      end
   end)

   it("has `force` beside it, not alone", function ()
      local _, message = pcall(elf.runtime, { force = true })
      assert.equal("the policy's 'force' is about its 'order', which it does "
         .. "not have", message)
   end)
end)

describe("on", function ()
   it("tells what happens to a plugin, in order", function ()
      local told = {}
      local function tell (event)
         told[#told + 1] = event.name .. " " .. event.path
         assert.is_true(event.when > 0 and event.took >= 0)
         assert.equal(event.path, event.plugin.path)
      end
      local runtime <close> = elf.runtime {
         on = { mapped = tell, bound = tell, started = tell, stopped = tell,
            unmapped = tell },
      }
      assert(runtime:open(plugin)):close()
      for at, name in ipairs { "mapped", "bound", "started", "stopped",
         "unmapped" } do
         assert.equal(name .. " " .. plugin, told[at])
      end
      assert.equal(5, #told)
   end)

   it("tells what failed, and why", function ()
      local told = {}
      local runtime <close> = elf.runtime {
         on = { failed = function (event) told[#told + 1] = event end },
      }
      local _, message, kind = runtime:open "libnope.so"
      assert.equal(1, #told)
      assert.equal("libnope.so", told[1].path)
      assert.equal(message, told[1].message)
      assert.equal(kind, told[1].kind)
      assert.is_not_nil(told[1].detail.scopes)
   end)

   it("warns of a function that raises, and goes on", function ()
      local result = child.lua([[
         warn "@on"
         local elf = require "elf64load"
         local runtime = elf.runtime {
            on = { mapped = function () error "too late" end },
         }
         print((runtime:open(...)).state)
      ]], { plugin })
      assert.equal("started\n", result.out, result.err)
      assert.is_truthy(result.err:find("the policy's function for the event "
         .. "'mapped' raised: ", 1, true), result.err)
      assert.is_truthy(result.err:find("too late", 1, true))
   end)

   it("has events that there are, and functions", function ()
      local function refused (policy)
         return (select(2, pcall(elf.runtime, policy)))
      end
      assert.equal("the policy's 'on' has no 'started_' (did you mean "
         .. "'started'?)", refused { on = { started_ = print } })
      assert.equal("the policy's 'on.failed' is a number; a function expected",
         refused { on = { failed = 3 } })
      assert.equal("the policy's 'on' is a function; a table expected",
         refused { on = print })
   end)
end)

-- ------------------------------------------------------------------ bad input

-- Asks `resolve`, and can do without an answer.
local lacking = assert(cc.shared [[
   extern int absent(void) __attribute__((weak));
   int has(void) { return absent != 0; }
]])

-- Each hook, and an open that asks it.
---@type table<string, fun(f: function): table, string>
local hooks = {
   search = function (f) return { search = f }, "asked for" end,
   accept = function (f) return { accept = f }, plugin end,
   verify = function (f) return { verify = f }, plugin end,
   order = function (f) return { order = f }, plugin end,
   scope = function (f) return { scope = f }, plugin end,
   resolve = function (f) return { resolve = f }, lacking end,
}

-- What it fails about.
local function about (hook, name)
   return hook == "resolve" and name .. " needs 'absent'" or name
end

-- What a hook answers that is content.
local function content (hook, given)
   if hook == "search" then return plugin end
   if hook == "scope" or hook == "resolve" then return nil end
   return hook == "order" and given or true
end

local function fails (f, make)
   local runtime
   local policy, name = make(function (...) return f(runtime, ...) end)
   local own <close> = elf.runtime(policy)
   runtime = own
   local message, detail = assert.fails_with("hook", runtime.open, runtime, name)
   assert.is_nil(next(runtime.core:plugins()), "something is open")
   assert.leaves_nothing(runtime.open, runtime, name)
   return message, detail, name
end

for hook, make in pairs(hooks) do
   describe(("A hook '%s'"):format(hook), function ()
      it("that raises fails the open, with what it raised", function ()
         local thing = setmetatable({}, {
            __tostring = function () return "what is wrong" end,
         })
         local message, detail, name = fails(function () error(thing) end, make)
         assert.equal(thing, detail.error)
         assert.equal(("%s: in the hook '%s': what is wrong"):format(
            about(hook, name), hook), message)
         message, detail = fails(function () error() end, make)
         assert.is_nil(detail.error)
         assert.equal(("%s: in the hook '%s': nil"):format(about(hook, name),
            hook), message)
      end)

      it("that raises what cannot be shown fails the open", function ()
         local thing = setmetatable({}, { __tostring = error })
         local _, detail = fails(function () error(thing) end, make)
         assert.equal(thing, detail.error)
      end)

      it("that answers the wrong type fails the open", function ()
         local answer, words = 3, "answered a number"
         if hook == "resolve" then -- a number is an address
            answer, words = {}, "needs a symbol, a pointer or an address"
         end
         local message, detail = fails(function () return answer end, make)
         assert.is_truthy(message:find(words, 1, true), message)
         assert.is_truthy(detail.error:find(words, 1, true))
      end)

      it("that yields fails the open", function ()
         coroutine.wrap(function ()
            local message = fails(function () coroutine.yield() end, make)
            assert.is_truthy(message:find("attempt to yield across a C-call "
               .. "boundary", 1, true), message)
         end)()
      end)

      it("that opens in its runtime what it is asked of fails the open",
         function ()
            local kinds, said
            local _, detail = fails(function (runtime, asked)
               local what = type(asked) == "string" and asked or "libz.so.1"
               local _, message, kind = runtime:open(what)
               kinds, said = kind, message
               error(message, 0)
            end, make)
            assert.equal("hook", kinds)
            assert.is_true(detail.error == nil or detail.error == said)
         end)

      it("that opens or plans others fails the open, content or not", function ()
         for _, deed in ipairs { "open", "plan" } do
            local kinds
            local message = fails(function (runtime, given)
               local _, _, kind = runtime[deed](runtime, "libz.so.1")
               kinds = kind
               return content(hook, given)
            end, make)
            assert.equal("hook", kinds)
            assert.is_truthy(message:find(deed == "open" and "opens a plugin"
               or "plans an open", 1, true), message)
         end
      end)

      it("that closes what is open in its runtime fails the open", function ()
         local earlier, kinds
         local policy, name = make(function (given)
            if earlier then
               local _, _, kind = earlier:close()
               kinds = kind
            end
            return content(hook, given)
         end)
         local runtime <close> = elf.runtime(policy)
         local open = assert(runtime:open(outer.outer))
         earlier = open
         local message = assert.fails_with("hook", runtime.open, runtime, name)
         assert.is_truthy(message:find("closes a plugin", 1, true), message)
         assert.equal("inuse", kinds)
         assert.equal("started", open.state)
         assert.leaves_nothing(runtime.open, runtime, name)
      end)

      it("that opens them in another runtime may", function ()
         local done
         local policy, name = make(function (given)
            local other <close> = elf.runtime {}
            done = assert(other:open(outer.outer)).state
            return content(hook, given)
         end)
         local runtime <close> = elf.runtime(policy)
         assert(runtime:open(name))
         assert.equal("started", done)
      end)

      it("that closes its runtime fails the open", function ()
         local runtime, kinds
         local policy, name = make(function (given)
            local _, _, kind = runtime:close()
            kinds = kind
            return content(hook, given)
         end)
         local own <close> = elf.runtime(policy)
         runtime = own
         assert.fails_with("hook", own.open, own, name)
         assert.equal("inuse", kinds)
      end)
   end)
end

describe("A hook that is shown a plugin", function ()
   for hook, shown in pairs {
      accept = function (given) return given end,
      order = function (given) return given[1] end,
      scope = function (given) return given end,
      resolve = function (given) return given.wanter end,
   } do
      it(("and closes it fails the open: '%s'"):format(hook), function ()
         local message = fails(function (_, given)
            shown(given):close()
            return content(hook, given)
         end, hooks[hook])
         assert.is_truthy(message:find("cannot be closed", 1, true), message)
      end)
   end

   it("and keeps the handle finds it closed when the open failed", function ()
      local kept
      local runtime <close> = elf.runtime {
         accept = function (p)
            kept = p
            return nil, "no"
         end,
      }
      assert.fails_with("denied", runtime.open, runtime, plugin)
      assert.equal("closed", kept.state)
      assert.equal(plugin, kept.path)
      assert.has_error(function () kept:lookup "answer" end)
   end)
end)

describe("A hook whose thread is in no call from its Lua state", function ()
   -- A plugin whose thread asks dlopen.
   local opener = assert(cc.shared([[
      #include <dlfcn.h>
      #include <pthread.h>
      #include <string.h>
      static const char *path;
      static char said[400];
      static void *run(void *unused)
      {
          void *handle = dlopen(path, RTLD_NOW);
          strncpy(said, handle ? "opened" : dlerror(), sizeof said - 1);
          return 0;
      }
      const char *elsewhere(const char *given)
      {
          pthread_t thread;
          path = given;
          pthread_create(&thread, 0, run, 0);
          pthread_join(thread, 0);
          return said;
      }
   ]], "-pthread"))

   for hook, make in pairs(hooks) do
      it(("fails the open as 'hook': '%s'"):format(hook), function ()
         local asked = 0
         local policy, name = make(function (given)
            asked = asked + 1
            return content(hook, given)
         end)
         local runtime <close> = elf.runtime(policy)
         local p = assert(runtime:open(opener))
         asked = 0
         local C = p:cdef "const char *elsewhere(const char *path);"
         local said = elf.string(C.elsewhere(name))
         assert.equal(("%s: the policy's '%s' is a Lua function, and this "
            .. "thread is not in a call from its Lua state"):format(
            about(hook, name), hook), said)
         assert.equal(0, asked)
      end)
   end

   it("and whose Lua state is closed fails it, too", function ()
      for hook, make in pairs(hooks) do
         local result = child.lua([[
            local hook, opener, name = ...
            local elf = require "elf64load"
            local runtime = elf.runtime { [hook] = function (given)
               if hook == "search" or hook == "scope" or hook == "resolve" then
                  return nil
               end
               return hook == "order" and given or true
            end }
            local p = assert(runtime:open(opener))
            local C = p:cdef "void at_exit(const char *path);"
            C.at_exit(name)
         ]], { hook, assert(cc.shared [[
            #include <dlfcn.h>
            #include <stdio.h>
            #include <string.h>
            static char path[400];
            void at_exit(const char *given) { strcpy(path, given); }
            __attribute__((destructor)) static void stop(void)
            {
                puts(dlopen(path, RTLD_NOW) ? "opened" : dlerror());
                fflush(stdout);
            }
         ]]), (select(2, make(print))) })
         assert.equal(0, result.code, result.err)
         assert.is_truthy(result.out:find(("the policy's '%s' is a Lua function"
            .. ", and its Lua state has been closed"):format(hook), 1, true),
            result.out)
      end
   end)
end)
