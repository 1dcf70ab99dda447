-- The yardstick itself, over a few libraries: it must find nothing wrong where
-- nothing is, and everything that is.

local campaign = require "spec.support.campaign"
local compare = require "spec.conformance.compare"
local cc = require "elf64load.cc"
local child = require "spec.support.child"

-- What runs the commands: a plain lua5.4 has no sanitizer.
local HOST <const> = child.build .. "/bin/elf64load "

-- Every kind of relocation that a compiler makes ld write into a library.
local SOURCE = [[
#include <stdlib.h>
__thread int counter = 3;
static __thread long private[9] = { 1 };
int *address_of_counter(void) { return &counter; }
long *address_of_private(int i) { return &private[i]; }

static int plain(void) { return 1; }
static void *choose(void) { return plain; }
int chosen(void) __attribute__((ifunc("choose")));
static int hidden(void) __attribute__((ifunc("choose")));
int (*pointer)(void) = chosen;
int both(void) { return chosen() + hidden(); }

int array[100];
int *one_past_the_end = array + 100;
int *before_the_start = array - 4000;
extern char _end[];
char *end = _end;
extern char **environ;
char ***environment = &environ;
extern int absent __attribute__((weak));
int *nothing = &absent;
static int own;
int *relative = &own;
void *allocate(void) { return malloc(1); }

static void *volatile rewritten = &own;
__attribute__((constructor)) static void rewrite(void)
{
    rewritten = malloc(1000);
}
]]

local function fixture (flags)
   return assert(cc.shared(SOURCE, flags))
end

local function describe_fault (result)
   local lines = {}
   for _, fault in ipairs(result.faults) do lines[#lines + 1] = fault end
   for _, other in ipairs(result.differences) do
      lines[#lines + 1] = ("%s: %s+%s %s %s: dlopen %s, ours %s"):format(
         other.verdict, other.file, other.offset, other.type, other.symbol,
         other.theirs, other.ours)
   end
   return table.concat(lines, "\n")
end

local sides

local function equal_slots (path, mode)
   local result = compare.run(sides, path, mode)
   assert(compare.good(result), describe_fault(result))
   return compare.sum(result), result
end

describe("The yardstick", function ()
   lazy_setup(function () sides = compare.build() end)

   it("finds no difference between two processes that both use dlopen",
      function ()
         for _, mode in ipairs { "host", "own" } do
            local result = compare.run(sides, campaign.locate "libsqlite3", mode,
               { ours = "theirs" })
            assert(compare.good(result), describe_fault(result))
            assert.equal(compare.sum(result).total, compare.sum(result).equal)
         end
      end)

   for _, name in ipairs { "libz", "libsqlite3" } do
      for _, mode in ipairs { "host", "own" } do
         it(("finds every slot of %s as dlopen leaves it, dependencies %s"):format(
            name, mode == "host" and "opened by glibc" or "our own"),
            function ()
               local sum = equal_slots(assert(campaign.locate(name)), mode)
               assert(sum.total > 50)
            end)
      end
   end

   it("finds every slot as dlopen leaves it when each call has been made first",
      function ()
         for _, name in ipairs { "libz", "libpython3.11", "libc++.so.1" } do
            local path = campaign.locate(name)
            local result = path and compare.run(sides, path, "own",
               { ours = "lazy" })
            assert(not path or compare.good(result), path
               and describe_fault(result))
         end
      end)

   it("counts a slot that a constructor rewrote apart from equal ones",
      function ()
         local sum = equal_slots(fixture(), "own")
         assert.equal(1, sum.rewritten)
      end)

   it("counts our __tls_get_addr and __cxa_finalize as ours by design and "
      .. "nothing else", function ()
      local sum = equal_slots(fixture(), "own")
      assert.equal(2, sum.design)
   end)

   it("compares packed relative relocations", function ()
      local path = fixture "-Wl,-z,pack-relative-relocs"
      local kinds = {}
      for _, sample in ipairs(compare.samples(sides, path)) do
         kinds[sample.type] = true
      end
      assert.is_true(kinds.RELR)
      equal_slots(path, "own")
   end)

   it("notices a damaged slot of each type of relocation", function ()
      local path = fixture()
      local samples = compare.samples(sides, path)
      local kinds = {}
      for _, sample in ipairs(samples) do
         kinds[sample.type] = true
         local result = compare.run(sides, path, "own",
            { alter = sample.number })
         assert.equal(1, compare.sum(result).different, sample.type)
         assert.is_false(compare.good(result))
      end
      for _, kind in ipairs { "64", "GLOB_DAT", "JUMP_SLOT", "RELATIVE",
         "IRELATIVE", "DTPMOD64", "DTPOFF64" } do
         assert.is_true(kinds[kind], kind)
      end
   end)

   it("does not pass over a relocation that it cannot compare", function ()
      local path = fixture()
      local result = compare.run(sides, path, "own", { drop = 0 })
      assert.equal(1, compare.sum(result).excluded)
      assert.is_false(compare.good(result))
   end)

   it("does not take a library that dlopen alone opens for compared", function ()
      -- Two sides that open different files: the second one has no libsqlite3.
      local result = compare.run(sides, assert(campaign.locate "libsqlite3"),
         "own", { ours = "theirs", second = assert(campaign.locate "libz") })
      assert.matches("libsqlite3[^\n]*: dlopen opened it, we did not",
         table.concat(result.faults, "\n"))
      assert.is_false(compare.good(result))
      assert(compare.sum(result).excluded > 2000)
   end)

   it("does not take a library that glibc opens on both sides for compared",
      function ()
         local path = assert(campaign.locate "libresolv.so.2")
         for _, mode in ipairs { "host", "own" } do
            local result = compare.run(sides, path, mode)
            assert.is_false(compare.good(result))
            assert.equal(compare.sum(result).total,
               compare.sum(result).excluded)
            assert.matches("glibc opened it on our side too",
               result.faults[1], 1, true)
         end
      end)

   it("fails as a command when a slot differs and says which", function ()
      local pipe = assert(io.popen(
         HOST .. "spec/conformance/slots --mode own --damage 0 libz 2>&1"))
      local text = pipe:read "a"
      local _, _, code = pipe:close()
      assert.equal(1, code)
      assert.matches("different: libz%.so[%d.]*%+%x+ RELATIVE", text)
      assert.matches("; 1 different; 1 comparisons are not good\n$", text)
   end)

   it("succeeds as a command when all slots are equal", function ()
      local text = campaign.output(
         HOST .. "spec/conformance/slots --mode own libz 2>&1")
      assert.matches("compared %+ 0 excluded; 0 different\n?$", text)
   end)

   it("refuses a library that is not there", function ()
      local _, _, code = os.execute(
         HOST .. "spec/conformance/slots no-such-library >/dev/null 2>&1")
      assert.equal(2, code)
   end)
end)
