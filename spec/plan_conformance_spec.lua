-- Plans beside slots that dlopen has filled: spec/conformance/plan, over a few
-- libraries; over all of them with --full.

local campaign = require "spec.support.campaign"
local compare = require "spec.conformance.compare"
local cc = require "elf64load.cc"
local child = require "spec.support.child"

-- What runs the commands: a plain lua5.4 has no sanitizer.
local HOST <const> = child.build .. "/bin/elf64load "

-- Imports of each kind: called, pointed to, thread-local in three models, weak
-- and absent, IFUNC, the loader's own.
local SOURCE = [[
#include <stdlib.h>
#include <string.h>
extern char **environ;
char ***environment = &environ;
extern int absent __attribute__((weak));
int *nothing = &absent;
__thread int counter = 3;
extern __thread int elsewhere __attribute__((weak));
int *address_of_counter(void) { return &counter; }
int *address_of_elsewhere(void) { return &elsewhere; }
__thread int fixed __attribute__((tls_model("initial-exec"))) = 5;
int read_fixed(void) { return fixed; }
static int plain(void) { return 1; }
static void *choose(void) { return plain; }
int chosen(void) __attribute__((ifunc("choose")));
int (*pointer)(void) = chosen;
void *allocate(void) { return malloc(strlen("x")); }
int array[100];
int *inside = array + 3;
static void *volatile rewritten = &array;
void *volatile variable = &environ;
void *volatile another = &environ;
__attribute__((constructor)) static void rewrite(void)
{
    variable = malloc(1000);
    another = &array;
}
]]

local function describe_fault (result)
   local lines = {}
   for _, fault in ipairs(result.faults) do lines[#lines + 1] = fault end
   for _, other in ipairs(result.differences) do
      lines[#lines + 1] = ("%s: %s+%s %s %s: dlopen %s, plan %s"):format(
         other.verdict, other.file, other.offset, other.type, other.symbol,
         other.theirs, other.ours)
   end
   return table.concat(lines, "\n")
end

local sides

local function compared (path, mode, alter)
   return compare.plan(sides, path, mode, { alter = alter })
end

local function as_planned (path, mode)
   local result = compared(path, mode)
   assert(compare.good(result), describe_fault(result))
   return compare.sum(result)
end

describe("What a plan says of imports", function ()
   lazy_setup(function () sides = compare.build() end)

   for _, name in ipairs { "libz", "libsqlite3", "libssl" } do
      it(("stands in the slots of %s after a dlopen"):format(name), function ()
         for _, mode in ipairs { "host", "own" } do
            local sum = as_planned(assert(campaign.locate(name)), mode)
            assert(sum.equal > 40)
            assert.equal(0, sum.rewritten)
         end
      end)
   end

   it("is told by kinds: equal, an IFUNC's choice, the loader's own, rewritten by "
      .. "a constructor", function ()
      local sum = as_planned(assert(cc.shared(SOURCE)), "own")
      assert.equal(2, sum.rewritten)
      -- The fixture's own, twice, and strlen, if that is called.
      assert(sum.chosen >= 1)
      assert(sum.design >= 1)
      assert(sum.equal >= 10)
      assert(sum.other > 0)
   end)

   it("is noticed when it is wrong, for each kind of slot", function ()
      local path = assert(cc.shared(SOURCE))
      local kinds = {}
      for _, sample in ipairs(compare.samples(sides, path)) do
         local result = compared(path, "own", sample.number)
         if compare.sum(result).different == 1 then
            kinds[sample.type] = true
            assert.is_false(compare.good(result))
         else -- for no import
            assert(compare.good(result), sample.type)
         end
      end
      for _, kind in ipairs { "64", "GLOB_DAT", "JUMP_SLOT", "DTPMOD64",
         "DTPOFF64" } do
         assert.is_true(kinds[kind], kind)
      end
   end)

   it("is compared by a command, which fails and says where it is wrong",
      function ()
         local text = assert(campaign.output(
            HOST .. "spec/conformance/plan --mode own libz 2>&1"))
         assert.matches("52 compared %+ 0 excluded; 0 different$",
            (text:gsub("%d+ imports = ", "")))
         local pipe = assert(io.popen(
            HOST .. "spec/conformance/plan --mode own --damage 28 libz 2>&1"))
         text = pipe:read "a"
         local _, _, code = pipe:close()
         assert.equal(1, code)
         assert.matches("different: libz%.so[%d.]*%+%x+ GLOB_DAT", text)
      end)

   it("stands in the slots of seventeen libraries and all that they need #full",
      function ()
         local text, wrong = campaign.output(
            HOST .. "spec/conformance/plan --list 2>&1")
         assert(text, wrong)
         assert.matches(" compared %+ 0 excluded; 0 different$", text)
      end)
end)
