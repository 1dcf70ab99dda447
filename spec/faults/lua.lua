-- What a Lua state does while its allocations fail: see lua.c.

local elf = require "elf64load"

local plain, missing, object, second, archive = ...

local function close (plugin) assert(plugin:close()) end
local function nothing () end

local open = assert(elf.open(plain, { private = true }))
local C = open:cdef [[ long check(void); ]]
local bytes = assert(io.open(plain, "rb")):read "a"

local raising = elf.runtime {}
raising.searchers = { function () error { "a table" } end }
local searching = elf.runtime {}
table.insert(searching.searchers, 1, function () return plain end)

-- Callbacks that were freed keep their memory until some more are: those that are
-- made below are of one size, and there are as many as there can be.
for _ = 1, 600 do elf.callback("int (int)", nothing) end
collectgarbage()

-- All that a policy may be asked and told.
local function yes () return true end
local function same (list) return list end
local asking = elf.runtime {
   search = function () return nil, "not here" end,
   verify = function (image) return #image:digest() == 64 end,
   accept = yes, order = same,
   scope = function (_, default) return default end,
   resolve = function () return nil end,
   on = { mapped = nothing, started = nothing, unmapped = nothing },
   provide = { ["thing"] = plain },
   intercept = {
      ["int puts(const char *)"] = function (original, text)
         return original(text)
      end,
   },
}

local defining = elf.runtime {}
assert(defining:define("int score(int)", function (x) return x end))

return {
   { "hooks", function () return assert(asking:open "thing") end, close },
   { "policy", function ()
      local runtime <close> = elf.runtime {
         allow = { "*" }, deny = { "system" },
         intercept = { ["int puts(const char *)"] = nothing },
         provide = { ["libfoo.so"] = { ["int foo(int)"] = nothing,
            ["int level"] = 3 } },
         resolve = function () return nothing, "void nothing(int)" end,
         plugins = { ["*.so"] = { deny = { "exec*" } } },
      }
      assert(runtime:open(plain))
   end, nothing },
   { "define", function ()
      assert(defining:define("int score(int)", function (x) return x end))
   end, nothing },
   { "define-variable", function ()
      return assert(defining:define("int level", 3))
   end, function () assert(defining:undefine "level") end },
   { "open", function () return assert(elf.open(plain)) end, close },
   { "open-core", function ()
      return assert(elf.open(plain, { private = true }))
   end, close },
   { "load", function () return assert(elf.load(bytes, "bytes")) end, close },
   { "load-reader", function ()
      return assert(elf.load(elf.source { name = "reader", size = #bytes,
         read = function (at, size) return bytes:sub(at + 1, at + size) end }))
   end, close },
   { "open-object", function () return assert(elf.open(second)) end, close },
   { "link", function ()
      return assert(elf.link { object, second, archive })
   end, close },
   { "open-missing", function ()
      local plugin, message = elf.open(missing)
      assert(not plugin and message:find(missing, 1, true), "not found: memory")
   end, nothing },
   { "searcher", function () return assert(searching:open "thing") end, close },
   { "searcher-raises", function ()
      local plugin = raising:open "thing"
      assert(not plugin)
   end, nothing },
   { "lookup", function () return assert(open:lookup "check") end, nothing },
   { "lookup-missing", function () return (open:lookup "chekc") end, nothing },
   { "symbols", function () return open:symbols() end, nothing },
   { "loaded", function () return elf.loaded[plain] end, nothing },
   { "all", function () for _ in pairs(elf.loaded) do nothing() end end,
      nothing },
   { "call", function () assert(C.check() == 42) end, nothing },
   { "cdef", function ()
      return assert(open:cdef "long check(void);").check()
   end, nothing },
   { "whence", function () return elf.whence(open:lookup "check") end,
      nothing },
   { "close", function ()
      local plugin = elf.open(plain, { private = true })
      if plugin then assert(plugin:close()) end
   end, nothing },
   { "runtime", function ()
      local runtime <close> = elf.runtime { path = "./?.so" }
      assert(runtime:open(plain))
   end, nothing },
}
