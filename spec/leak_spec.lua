-- A large library that we did not write, opened and closed again and again:
-- nothing stays and nothing grows.

local assert = require "spec.support.assert"
local child = require "spec.support.child"

-- Runs `once` a thousand times in a child that does nothing else, and compares
-- what there is with what there was after the first hundred, when all that is
-- made once has been made.
local STEADY = [[
local elf = require "elf64load"
local resources = require "spec.support.resources"

local function rounds (from, to)
   for round = from, to do
      once(elf)
      -- Lua's garbage is not what is measured.
      if round % 10 == 0 then collectgarbage() end
   end
end

rounds(1, 100)
-- Reading resident memory makes some resident: the first reading is not used.
resources.resident()
local before, heap = resources.snapshot(), resources.heap()
local resident = resources.resident()
rounds(101, 1000)
local grown = resources.resident() - resident
print("resident", grown)
print("heap", resources.heap() - heap)
print(resources.difference(before, resources.snapshot()) or "same")
]]

local GROWTH <const> = 64 * 1024

local function steady (once, ...)
   local result = child.lua("local function once (elf)\n" .. once .. "\nend\n"
      .. STEADY, { ... }, { seconds = 300 })
   assert.equal(0, result.code, child.describe(result) .. result.err)
   local grown, heap, rest = result.out:match
      "^resident\t(%S+)\nheap\t(%S+)\n(.*)"
   assert.equal("same\n", rest)
   assert.truthy(math.tointeger(heap) <= GROWTH, result.out)
   -- A sanitizer keeps what was freed for a while.
   assert.truthy(child.sanitizer or math.tointeger(grown) <= GROWTH, result.out)
end

describe("A thousand opens and closes of libsqlite3", function ()
   it("leave mappings, descriptors and resident memory as they were", function ()
      steady [[
         local p <close> = assert(elf.open "libsqlite3.so.0")
         local C = p:cdef "int sqlite3_libversion_number(void);"
         assert(C.sqlite3_libversion_number() > 3000000)
      ]]
   end)

   it("do so too when it is never started", function ()
      steady [[
         local p <close> = assert(elf.open("libsqlite3.so.0", { start = false }))
         assert(p:lookup "sqlite3_open")
      ]]
   end)

   it("do so too in runtimes of their own", function ()
      steady [[
         local runtime <close> = elf.runtime {}
         assert(runtime:open "libsqlite3.so.0")
      ]]
   end)

   it("do so too when it is loaded from memory", function ()
      steady [[
         if not bytes then
            local p <close> = assert(elf.open "libsqlite3.so.0")
            local file = assert(io.open(p.path, "rb"))
            bytes = file:read "a"
            file:close()
         end
         local p <close> = assert(elf.load(bytes, "libsqlite3 from memory"))
         assert(p:lookup "sqlite3_open")
      ]]
   end)
end)
