--- What a policy's functions are asked and told, and what becomes of an open when
--- one of them does what it must not.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local compile = require "spec.support.compile"
local elf = require "elf64load"

-- Its constructor and destructor write into what the script can see.
local plugin = compile.shared [[
   int started, answer_is = 42;
   int answer(void) { return answer_is; }
   __attribute__((constructor)) static void start(void) { started = 1; }
]]

local outer = compile.group {
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

-- Each hook, and an open that asks it.
---@type table<string, fun(f: function): table, string>
local hooks = {
   search = function (f) return { search = f }, "asked for" end,
   accept = function (f) return { accept = f }, plugin end,
}

local function fails (f, make)
   local policy, name = make(f)
   local runtime <close> = elf.runtime(policy)
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
         assert.equal(name .. ": what is wrong", message)
         message, detail = fails(function () error() end, make)
         assert.is_nil(detail.error)
         assert.equal(name .. ": nil", message)
      end)

      it("that raises what cannot be shown fails the open", function ()
         local thing = setmetatable({}, { __tostring = error })
         local _, detail = fails(function () error(thing) end, make)
         assert.equal(thing, detail.error)
      end)

      it("that answers the wrong type fails the open", function ()
         local message, detail = fails(function () return 3 end, make)
         assert.is_truthy(message:find("answered a number", 1, true), message)
         assert.is_truthy(detail.error:find("answered a number", 1, true))
      end)

      it("that yields fails the open", function ()
         coroutine.wrap(function ()
            local message = fails(coroutine.yield, make)
            assert.is_truthy(message:find("attempt to yield across a C-call "
               .. "boundary", 1, true), message)
         end)()
      end)

      it("that opens in its runtime what it is asked of fails the open",
         function ()
            local runtime, kinds, said
            local policy, name = make(function (asked)
               local what = type(asked) == "string" and asked or "libz.so.1"
               local _, message, kind = runtime:open(what)
               kinds, said = kind, message
               error(message, 0)
            end)
            local own <close> = elf.runtime(policy)
            runtime = own
            local _, detail = assert.fails_with("hook", own.open, own, name)
            assert.equal("hook", kinds)
            assert.is_true(detail.error == nil or detail.error == said)
            assert.is_nil(next(own.core:plugins()))
         end)

      it("that opens them in another runtime may", function ()
         local done
         local policy, name = make(function ()
            local other <close> = elf.runtime {}
            done = assert(other:open(outer.outer)).state
            return hook == "search" and plugin or true
         end)
         local runtime <close> = elf.runtime(policy)
         assert(runtime:open(name))
         assert.equal("started", done)
      end)

      it("that closes its runtime fails the open", function ()
         local runtime, kinds
         local policy, name = make(function ()
            local _, _, kind = runtime:close()
            kinds = kind
            return hook == "search" and plugin or true
         end)
         local own <close> = elf.runtime(policy)
         runtime = own
         assert.fails_with("hook", own.open, own, name)
         assert.equal("inuse", kinds)
      end)
   end)
end

describe("A hook that is shown a plugin", function ()
   it("and opens others fails the open though it is content", function ()
      local runtime
      local own <close> = elf.runtime {
         accept = function ()
            runtime:open "libz.so.1"
            return true
         end,
      }
      runtime = own
      local message = assert.fails_with("hook", own.open, own, plugin)
      assert.is_truthy(message:find("opens a plugin", 1, true), message)
      assert.is_nil(next(own.core:plugins()))
   end)

   it("and closes it fails the open", function ()
      local runtime <close> = elf.runtime {
         accept = function (p)
            p:close()
            return true
         end,
      }
      local message = assert.fails_with("hook", runtime.open, runtime, plugin)
      assert.is_truthy(message:find("cannot be closed", 1, true), message)
      assert.is_nil(next(runtime.core:plugins()))
   end)

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
   local opener = compile.shared([[
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
   ]], "-pthread")

   for hook, make in pairs(hooks) do
      it(("fails the open as 'hook': '%s'"):format(hook), function ()
         local asked = 0
         local policy, name = make(function ()
            asked = asked + 1
            return hook == "search" and plugin or true
         end)
         local runtime <close> = elf.runtime(policy)
         local p = assert(runtime:open(opener))
         asked = 0
         local C = p:cdef "const char *elsewhere(const char *path);"
         local said = elf.string(C.elsewhere(name))
         assert.equal(("%s: the policy's '%s' is a Lua function, and this "
            .. "thread is not in a call from its Lua state"):format(name, hook),
            said)
         assert.equal(0, asked)
      end)
   end

   it("and whose Lua state is closed fails it, too", function ()
      for hook, make in pairs(hooks) do
         local result = child.lua([[
            local hook, opener, name = ...
            local elf = require "elf64load"
            local runtime = elf.runtime { [hook] = function ()
               return hook == "accept" or nil
            end }
            local p = assert(runtime:open(opener))
            local C = p:cdef "void at_exit(const char *path);"
            C.at_exit(name)
         ]], { hook, compile.shared [[
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
         ]], (select(2, make(print))) })
         assert.equal(0, result.code, result.err)
         assert.is_truthy(result.out:find(("the policy's '%s' is a Lua function"
            .. ", and its Lua state has been closed"):format(hook), 1, true),
            result.out)
      end
   end)
end)
