-- The C API, used as an engine would use it.

local campaign = require "spec.support.campaign"
local fixtures = require "spec.support.fixtures"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local policy = require "spec.support.policy"

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

describe("A NULL where none may be", function ()
   it("is refused, or lets a function without a status do nothing", function ()
      assert.equal("open: ok\nretain 0\ndescribe 0 0\nimports 0 0 0\n"
         .. "visit 0 0 0 0 0 0 0 0 0 0\nplan 0 0 0 0\n"
         .. "a lookup's plugin, name or key, and symbol must not be NULL\n"
         .. "invalid invalid invalid 0 0\n", policy.program([[
         int main(int argc, char **argv)
         {
             begin();
             e64_plugin *plugin = opens(argv[1]);
             e64_plugin_info info = { .handles = 5 };
             e64_plan_info planned = { .objects = 5 };
             e64_symbol symbol;
             struct e64_plan *plan;
             e64_key *key;
             printf("retain %d\n", e64_retain(NULL) != NULL);
             e64_plugin_describe(plugin, NULL);
             e64_plugin_describe(NULL, &info);
             printf("describe %d %d\n", info.handles, info.name != NULL);
             printf("imports %zu %zu %zu\n", e64_imports(NULL),
                    e64_relocations(NULL, NULL, 0),
                    e64_relocations(plugin, NULL, 1));
             printf("visit %d %d %d %d %d %d %d %d %d %d\n",
                    e64_plugins(NULL, NULL, NULL),
                    e64_plugins(runtime, NULL, NULL),
                    e64_symbols(NULL, NULL, NULL),
                    e64_symbols(plugin, NULL, NULL),
                    e64_pins(NULL, NULL, NULL), e64_pins(plugin, NULL, NULL),
                    e64_why(NULL, NULL, NULL), e64_why(plugin, NULL, NULL),
                    e64_bindings(NULL, NULL, NULL, NULL),
                    e64_bindings(plugin, NULL, NULL, NULL));
             e64_plan(runtime, "libz.so.1", NULL, &plan, NULL);
             e64_plan_describe(plan, NULL);
             e64_plan_describe(NULL, &planned);
             printf("plan %zu %d %d %d\n", planned.objects,
                    e64_plan_objects(NULL, NULL, NULL),
                    e64_plan_objects(plan, NULL, NULL),
                    e64_plan_bindings(plan, NULL, NULL)
                    + e64_plan_clashes(NULL, NULL, NULL)
                    + e64_plan_missing(NULL, NULL, NULL)
                    + e64_plan_starts(plan, NULL, NULL));
             e64_plan_free(plan);
             e64_key_new("thing", NULL, &key, NULL);
             e64_lookup_key(plugin, NULL, &symbol, &error);
             puts(error.message);
             printf("%s %s %s %d %d\n",
                    e64_status_name(e64_lookup_key(NULL, key, &symbol, &error)),
                    e64_status_name(e64_lookup_key(plugin, key, NULL, &error)),
                    e64_status_name(e64_lookup(plugin, NULL, NULL, &symbol,
                                               &error)),
                    e64_address(NULL, "thing") != NULL,
                    e64_entry(plugin, NULL) != NULL);
             e64_key_free(key);
             e64_close(plugin, NULL);
             e64_runtime_free(runtime, NULL);
         }]], { other }))
   end)
end)
