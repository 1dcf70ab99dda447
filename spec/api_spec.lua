-- The C API, used as an engine would use it.

local campaign = require "spec.support.campaign"
local fixtures = require "spec.support.fixtures"
local child = require "spec.support.child"
local cc = require "elf64load.cc"

local other = assert(cc.shared [[ long thing(void) { return 77; } ]])
local plugin = assert(cc.shared(
   "extern long thing(void); long ask(void) { return thing(); }",
   "-Wl,--no-as-needed " .. other))

-- A file that holds the other plugin from byte 4096 on.
local function pack ()
   local path = os.tmpname()
   local into, from = assert(io.open(path, "wb")), assert(io.open(other, "rb"))
   into:write(("x"):rep(4096), from:read "a")
   into:close()
   from:close()
   return path
end

local function name (path) return (path:match "[^/]*$") end

local EXPECTED = [[
version 0.1.0, last error ''
allocator: ok
runtime: ok
allocator too late: inuse (inuse)
short options: invalid (invalid)
no runtime: invalid (invalid)
log a 1 PLUGIN: mapped
log a 1 OTHER: mapped, needed by PLUGIN
open: ok
open again: ok
the same: 1
plugins 2, handles 2, state 2, segments 1
lookup: ok
thing of OTHER, kind 2, size 1
whence: ok
thing in OTHER
lookup: undefined (undefined, thinh)
near thing
no address: 1
last error undefined, nothing
host: ok
getpid: 1
nowhere: notfound (notfound)
close: ok
close: ok
still open: ok
log a 2 libz.so.1: not opened: libz.so.1: is not open, and `noload` forbids to
noload: notfound (notfound)
log a 1 OTHER: mapped
hold: ok
held: 1
start: ok
started: 1
log a 1 OTHER: unmapped
close: ok
log a 1 PLUGIN: unmapped
log a 1 OTHER: unmapped
close: ok
log a 1 packed: mapped
path: ok
path: packed thing 77
log a 1 packed: unmapped
close: ok
log a 1 (descriptor): mapped
fd: ok
fd: (descriptor) thing 77
log a 1 (descriptor): unmapped
close: ok
log a 1 in memory: mapped
bytes: ok
bytes: in memory thing 77
log a 1 in memory: unmapped
close: ok
log a 1 (reader): mapped
reader: ok
reader: (reader) thing 77
log a 1 (reader): unmapped
close: ok
]]

describe("The C API #build", function ()
   local packed, result

   setup(function ()
      packed = pack()
      local build = fixtures.loader()
      local program = campaign.program({ "spec/support/api.c",
         "src/elf64load.h", build .. "/lib/libelf64load.a" },
         child.sanitizer and "-fsanitize=address,undefined -ldl -lpthread"
         or "-ldl -lpthread")
      result = child.run({ program, plugin, other, packed })
   end)

   teardown(function () os.remove(packed) end)

   it("opens, looks up, tells, holds, closes and reads from every source",
      function ()
         local expected = EXPECTED:gsub("PLUGIN", name(plugin))
            :gsub("OTHER", name(other))
         assert.equal(0, result.code, child.describe(result) .. result.err)
         assert.equal(expected, result.out:sub(1, #expected))
      end)

   it("fails as badformat beyond a file's end, and for what is no ELF file",
      function ()
         assert.truthy(result.out:find("beyond: badformat (badformat)", 1,
            true), result.out)
         assert.truthy(result.out:find(
            "a pack is no plugin: badformat (badformat)", 1, true), result.out)
      end)

   it("takes all memory from the allocator, and gives it back", function ()
      assert.truthy(result.out:find("free: ok\nblocks: many, balanced: 1\n", 1,
         true), result.out)
   end)
end)
