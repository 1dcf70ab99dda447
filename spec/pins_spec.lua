--- What keeps plugins mapped is seen and named, and they are unmapped when it
--- has gone.

local cc = require "elf64load.cc"
local pinning = require "spec.support.pinning"
local elf = require "elf64load"

local target = pinning.target()
local H = assert(elf.open(pinning.holder())):cdef(pinning.holds)

local mapped = pinning.mapped

local function address (p, name) return assert(p:lookup(name)).address end

local function pin_of (p, kind)
   for _, pin in ipairs(p:pins()) do
      if pin.kind == kind then return pin end
   end
end

local function kinds (p)
   local list, seen = {}, {}
   for _, pin in ipairs(p:pins()) do
      if not seen[pin.kind] then list[#list + 1] = pin.kind end
      seen[pin.kind] = true
   end
   table.sort(list)
   return table.concat(list, " ")
end

-- A thread may need a moment to get where it points into a plugin, and what a
-- call has left on its stack may be taken for a return address for a while.
local function soon (condition)
   for _ = 1, 5000 do
      if condition() then return true end
      H.rest()
   end
   return false
end

local function arrive (C)
   assert(soon(function () return C.arrived() == 1 end))
end

local function is_gone (p)
   return #p:pins() == 0 and not mapped(target)
end

---@class case
---@field kind string
---@field says string in the message
---@field make fun(p: elf64load.plugin, C: elf64load.namespace): any
---@field free fun(made: any, held: table)

local function free_thread (thread, held)
   H.let_go(held.descriptor)
   H.join_that(thread)
end

---@type table<string, case>
local cases = {
   ["a key that it has made"] = {
      kind = "key", says = "destructor on_key",
      make = function (_, C) return C.make_key() end,
      free = function (key) H.key_end(key) end,
   },
   ["a C11 key that it has made"] = {
      kind = "key", says = "destructor on_key",
      make = function (_, C) return C.make_tss() end,
      free = function (key) H.key_end(key) end,
   },
   ["a key that another plugin has made"] = {
      kind = "key", says = "destructor on_key",
      make = function (p) return H.key_for(address(p, "on_key")) end,
      free = function (key) H.key_end(key) end,
   },
   ["a thread that it has started"] = {
      kind = "thread", says = "started at wait_first",
      make = function (_, C) return C.start() end, free = free_thread,
   },
   ["a thread that it has started, which calls pthread_exit"] = {
      kind = "thread", says = "started at exit_first",
      make = function (_, C) return C.start_exit() end, free = free_thread,
   },
   ["a C11 thread that it has started"] = {
      kind = "thread", says = "started at wait_c11",
      make = function (_, C) return C.start_c11() end, free = free_thread,
   },
   ["a thread that another plugin has started in it"] = {
      kind = "thread", says = "started at wait_first",
      make = function (p) H.thread_at(address(p, "wait_first")) end,
      free = function (_, held)
         H.let_go(held.descriptor)
         H.join()
      end,
   },
   ["a return address on the stack of a thread that waits"] = {
      kind = "stack", says = "returns to it, at wait_here+0x",
      make = function (p, C) H.thread_calls(address(p, "wait_here")); arrive(C) end,
      free = function (_, held)
         H.let_go(held.descriptor)
         H.join()
      end,
   },
   ["a thread that runs in it"] = {
      kind = "stack", says = "thread ",
      make = function (p, C) H.thread_calls(address(p, "turn_here")); arrive(C) end,
      free = function (_, held)
         H.stop_turning(held.place)
         H.join()
      end,
   },
   ["a signal's handler"] = {
      kind = "signal", says = "signal 12, SIGUSR2 is handled by on_signal",
      make = function (p) H.handle(address(p, "on_signal")) end,
      free = function () H.unhandle() end,
   },
}

local function opened (runtime)
   local p = assert(runtime:open(target))
   local C = p:cdef(pinning.has)
   return p, C, { descriptor = C.descriptor(), place = C.place() }
end

describe("What points into a plugin", function ()
   for what, case in pairs(cases) do
      it("is named and keeps it mapped until it has gone: " .. what, function ()
         local runtime <close> = elf.runtime {}
         local p, C, held = opened(runtime)
         local made = case.make(p, C)
         assert.is_true(soon(function () return pin_of(p, case.kind) ~= nil end))
         assert.is_true(soon(function ()
            return pin_of(p, case.kind).message:find(case.says, 1, true)
         end), case.says)
         assert.is_true(p:close())
         assert.is_true(mapped(target))
         assert.is_not_nil(pin_of(p, case.kind), kinds(p))
         case.free(made, held)
         assert.is_true(soon(function () return is_gone(p) end), kinds(p))
      end)

      it("has a close refused where the runtime says so: " .. what, function ()
         local runtime <close> = elf.runtime { unload = "refuse" }
         local p, C, held = opened(runtime)
         local made = case.make(p, C)
         assert.is_true(soon(function () return pin_of(p, case.kind) ~= nil end))
         local done, message, kind, detail = p:close()
         assert.is_nil(done)
         assert.equal("inuse", kind)
         assert.equal(target, detail.path)
         assert.is_not_nil(message:find("thread ", 1, true)
            or message:find(case.says, 1, true), message)
         assert.equal("started", p.state)
         assert.equal("inuse", select(3, runtime:close()))
         case.free(made, held)
         assert.is_true(soon(function () return p:close() end))
         assert.is_true(is_gone(p), kinds(p))
      end)
   end

   it("is not there after a close in other cases", function ()
      for _, name in ipairs { "descriptor", "make_plain", "own_handlers" } do
         local runtime <close> = elf.runtime {}
         local p, C = opened(runtime)
         assert.is_not_nil(C[name]())
         p:close()
         assert.is_false(mapped(target), name)
         assert.same({}, p:pins())
      end
   end)

   it("may be a thread that is cancelled", function ()
      local runtime <close> = elf.runtime {}
      local p, C = opened(runtime)
      H.join_that(C.start_cancelled())
      p:close()
      assert.is_true(soon(function () return is_gone(p) end), kinds(p))
   end)

   it("is looked after at the next close and the next open", function ()
      for _, method in ipairs { "open", "close" } do
         local runtime <close> = elf.runtime {}
         local other = assert(cc.shared "int nothing;")
         local q = assert(runtime:open(other))
         local p = opened(runtime)
         H.handle(address(p, "on_signal"))
         p:close()
         H.unhandle()
         assert.is_true(mapped(target))
         if method == "open" then
            assert(runtime:open(other))
         else
            q:close()
         end
         assert.is_false(mapped(target), method)
      end
   end)

   it("keeps what the plugin needs, which is stopped", function ()
      local runtime <close> = elf.runtime {}
      local needed = assert(cc.shared "long needed(void) { return 1; }")
      local user = assert(cc.shared([[
         long needed(void);
         void on_signal(int number) { needed(); }
      ]], "-Wl,--no-as-needed " .. needed))
      local p = assert(runtime:open(user))
      local q = assert(runtime:open(needed))
      assert.equal("dependent handle", kinds(q))
      assert.equal(user, pin_of(q, "dependent").path)
      H.handle(address(p, "on_signal"))
      p:close()
      q:close()
      assert.equal("signal", kinds(p))
      assert.equal("dependent", kinds(q))
      assert.equal(user, pin_of(q, "dependent").path)
      H.unhandle()
      assert.equal("", kinds(q))
      assert.is_false(mapped(needed))
      assert.is_false(mapped(user))
   end)

   it("does not keep what does not need the plugin", function ()
      local runtime <close> = elf.runtime {}
      local other = assert(cc.shared "int other;")
      local p, q = opened(runtime), assert(runtime:open(other))
      H.handle(address(p, "on_signal"))
      p:close()
      q:close()
      assert.is_true(mapped(target))
      assert.is_false(mapped(other))
      H.unhandle()
      assert.same({}, p:pins())
   end)

   it("lets a plugin be opened anew", function ()
      local runtime <close> = elf.runtime {}
      local p = opened(runtime)
      H.handle(address(p, "on_signal"))
      p:close()
      local q = opened(runtime)
      assert.is_false(p == q)
      H.unhandle()
      assert.same({}, p:pins())
      assert.equal("handle", kinds(q))
      assert.equal(1, pin_of(q, "handle").number)
   end)

   it("outlives its runtime, and is looked after by others", function ()
      local runtime = elf.runtime {}
      local p = opened(runtime)
      H.handle(address(p, "on_signal"))
      assert.is_true(runtime:close())
      assert.is_true(mapped(target))
      H.unhandle()
      local another <close> = elf.runtime {}
      assert(another:open(assert(cc.shared "int nothing;")))
      assert.is_false(mapped(target))
   end)

   it("may be the file itself", function ()
      local runtime <close> = elf.runtime {}
      local path = assert(cc.shared("int nothing_else;", "-Wl,-z,nodelete"))
      local p = assert(runtime:open(path))
      assert.equal("handle nodelete", kinds(p))
      assert.is_not_nil(pin_of(p, "nodelete").message:find "DF_1_NODELETE")
      local q = assert(runtime:open(assert(cc.shared "int nothing;"),
         { nodelete = true }))
      assert.equal("handle nodelete", kinds(q))
      local unique = assert(runtime:open(assert(cc.shared([[
         inline int &counter() { static int count; return count; }
         extern "C" int *f() { return &counter(); }
      ]], { language = "c++" }))))
      assert.equal("handle unique", kinds(unique))
   end)

   it("may be an object of a thread", function ()
      local runtime = elf.runtime {}
      local p = assert(runtime:open(assert(cc.shared([[
         struct object { long value = 1; ~object() { value = 0; } };
         static thread_local object one;
         extern "C" long touch() { return one.value; }
      ]], { language = "c++" }))))
      assert.equal("handle", kinds(p))
      p:cdef "long touch(void);".touch()
      assert.equal("handle thread_local", kinds(p))
      local text = pin_of(p, "thread_local").message
      assert.is_not_nil(text:find("thread_local object", 1, true), text)
   end)
end)

describe("A refused close", function ()
   it("raises at the end of a scope", function ()
      local runtime <close> = elf.runtime { unload = "refuse" }
      local p
      local ok, message = pcall(function ()
         local q <close> = opened(runtime)
         p = q
         H.handle(address(q, "on_signal"))
      end)
      assert.is_false(ok)
      assert.is_not_nil(tostring(message):find("inuse: ", 1, true), message)
      assert.equal("started", p.state)
      H.unhandle()
      assert.is_true(p:close())
   end)

   it("is one of the last handle only", function ()
      local runtime <close> = elf.runtime { unload = "refuse" }
      local p, q = opened(runtime), opened(runtime)
      H.handle(address(p, "on_signal"))
      assert.is_true(p:close())
      assert.equal("inuse", select(3, q:close()))
      H.unhandle()
      assert.is_true(q:close())
      assert.is_false(mapped(target))
   end)
end)

describe("A policy", function ()
   it("knows the ways to unload", function ()
      assert.has_error(function () elf.runtime { unload = "explode" } end,
         "the policy's 'unload' is 'explode'; wait, refuse or leak expected")
   end)
end)
