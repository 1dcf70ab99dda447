-- The bench, with as few measurements as it takes to see that it measures.

local campaign = require "spec.support.campaign"
local bench = require "spec.bench.bench"
local policy = require "spec.bench.policy"
local call = require "spec.bench.call"
local calls = require "spec.bench.calls"
local callback = require "spec.bench.callback"
local lookup = require "spec.bench.lookup"
local whence = require "spec.bench.whence"
local link = require "spec.bench.link"
local throw = require "spec.bench.throw"
local tls = require "spec.bench.tls"
local many = require "spec.bench.many"
local chart = require "spec.bench.chart"
local json = require "spec.bench.json"
local report = require "spec.bench.report"
local statistics = require "spec.bench.statistics"
local cc = require "elf64load.cc"
local child = require "spec.support.child"
local fixtures = require "spec.support.fixtures"

-- What runs the commands: a plain lua5.4 has no sanitizer.
local HOST <const> = child.build .. "/bin/elf64load "

-- A library whose constructors take 600 ms, in DT_INIT and in DT_INIT_ARRAY: long
-- beside what a busy machine adds.
local SLOW = [[
#include <time.h>
static void rest(long ms)
{
    struct timespec time = { 0, ms * 1000000 };
    nanosleep(&time, 0);
}
void _init(void) { rest(200); }
__attribute__((constructor)) static void one(void) { rest(200); }
__attribute__((constructor)) static void two(void) { rest(200); }
]]

-- What the throws' plugin calls of libclang-cpp. One call of a hundred
-- takes a tenth of a millisecond.
local ROLES = [[
#include <time.h>
extern "C" void each_role(unsigned, void (*call)(long, unsigned), long x) __asm__(
    "_ZN5clang5index22applyForEachSymbolRoleEjN4llvm12function_refIFvNS0_"
    "10SymbolRoleEEEE");
void each_role(unsigned roles, void (*call)(long, unsigned), long x)
{
    struct timespec time = { 0, 100000 };
    if (x % 100 == 0) nanosleep(&time, 0);
    call(x, roles);
}
]]

describe("The bench #once", function ()
   local programs

   lazy_setup(function () programs = bench.build() end)

   for _, row in ipairs(bench.rows) do
      it("measures both sides of the row " .. row, function ()
         local result = assert(bench.measure(programs,
            assert(campaign.locate "libsqlite3"), row, 3))
         for _, name in ipairs { "theirs", "ours" } do
            local side = result[name]
            assert(side.total.median > 0)
            assert(side.total.low <= side.total.median)
            assert(side.total.median <= side.total.high)
            assert(side.map.median > 0)
            assert(side.resolve.median > 0)
            assert(side.map.median + side.resolve.median + side.apply.median
               <= side.total.high * 1.5)
            assert(side.dirty.median > 0)
            assert.equal(row == "index", side.built.median > 0)
         end
         assert(result.ours.apply.median > 0)
         assert(math.abs(result.ratio - result.theirs.total.median
            / result.ours.total.median) < 1e-9)
      end)
   end

   it("takes constructors out of the total on both sides", function ()
      local path = assert(cc.shared(SLOW, "-nostartfiles -Wl,-init,_init"))
      -- On a busy machine some of them take longer.
      local result = assert(bench.measure(programs, path, "closure", 3))
      for _, name in ipairs { "theirs", "ours" } do
         local side = result[name]
         assert(side.init.low >= 600e6, name .. " lost a constructor")
         assert(side.init.low < 800e6, name .. " counted one twice")
         assert(side.total.low < 200e6, name .. " counts constructors")
      end
   end)

   -- Constructors of a library and of one that it needs, 50 million instructions
   -- each.
   local BUSY <const> = [[
      static volatile long n;
      __attribute__((constructor)) static void one(void)
      {
          for (long i = 0; i < 10000000; i++) n++;
      }
   ]]

   it("counts instructions on both sides, without constructors #full #build",
      function ()
         local path = fixtures.needing(assert(cc.shared(BUSY)), BUSY)
         local result = assert(bench.measure(programs, path, "closure", 1, true))
         for _, name in ipairs { "theirs", "ours" } do
            local number = result.instructions[name]
            assert(number > 10e3 and number < 10e6, number)
         end
         assert.equal(("%.2f"):format(result.instructions.ratio),
            bench.table { result }[3]:match "%S+$")
      end)

   it("opens dependencies by paths under which they are open already", function ()
      -- Some of libgtk-3's open libm by its name before its own turn comes.
      local result = assert(bench.measure(programs,
         assert(campaign.locate "libgtk-3"), "first", 1))
      assert(result.ours.total.median > 0)
   end)

   it("measures throws on both sides, and each of them", function ()
      local path = assert(cc.shared(ROLES, { language = "c++" }))
      local result = assert(throw.measure(throw.build(), path, 3))
      for _, name in ipairs { "theirs", "ours" } do
         local side = result[name]
         assert(side.first.low >= 100e3, name .. " lost the first call's rest")
         -- One call of a hundred rests.
         assert(side.hot.low >= 1e3, name .. " lost those of the others")
         assert(side.hot.median < side.first.median)
      end
      for column, cost in pairs(result.cost) do
         assert(math.abs(cost - result.ours[column].median
            / result.theirs[column].median) < 1e-9)
      end
      local lines = throw.table { result }
      assert.equal(3, #lines)
      assert.matches(("%.2f"):format(result.cost.hot), lines[3], 1, true)
   end)

   it("says why throws could not be measured", function ()
      local result, why = throw.measure(throw.build(),
         assert(cc.shared "int f(void) { return 0; }"), 1)
      assert.is_nil(result)
      assert.matches("applyForEachSymbolRole", why, 1, true)
   end)

   it("measures accesses to thread-local variables on both sides, in both "
      .. "threads", function ()
         local built = tls.build()
         local results = {}
         for number, access in ipairs(tls.accesses) do
            local result = assert(tls.measure(built, access, 2))
            for _, name in ipairs { "theirs", "ours" } do
               for _, column in ipairs { "main", "thread" } do
                  local summary = result[name][column]
                  -- More than a cycle, and less than what a slow path takes.
                  assert(summary.low > 200, access.name)
                  assert(summary.median < 50e3, access.name)
               end
            end
            results[number] = result
         end
         local lines = tls.table(results)
         assert.equal(1 + 2 * #tls.accesses, #lines)
         assert.matches(("%.2f"):format(results[1].cost.thread), lines[3], 1, true)
      end)

   it("measures many plugins on both sides, and what is left of them",
      function ()
         local result = assert(many.measure(many.build(), 40, 2))
         for _, name in ipairs { "theirs", "ours" } do
            local side, growth = result[name], result.growth[name]
            assert(side.tenth.low > 0 and side.closetenth.low > 0)
            assert.equal(side.last.median / side.tenth.median, growth.open)
            assert.equal(side.closelast.median / side.closetenth.median,
               growth.close)
            assert.equal(0, side.descriptors.high)
         end
         local lines = many.table { result }
         assert.equal(3, #lines)
         assert.matches(("%.2f"):format(result.growth.ours.close), lines[3], 1,
            true)
      end)

   it("says why something could not be measured", function ()
      local path = assert(cc.shared("extern int nobody(void);"
         .. "int f(void) { return nobody(); }"))
      local result, why = bench.measure(programs, path, "closure", 1)
      assert.is_nil(result)
      assert.matches("nobody", why, 1, true)
   end)

   it("gives medians, quartiles and geometric means", function ()
      local summary = statistics.summary { 5, 1, 4, 2, 3 }
      assert.same({ median = 3, low = 2, high = 4 }, summary)
      assert.same({ median = 1.5, low = 1.25, high = 1.75 },
         statistics.summary { 1, 2 })
      assert(math.abs(statistics.mean { 1, 4 } - 2) < 1e-12)
      assert.is_nil(statistics.mean {})
   end)

   it("writes JSON", function ()
      assert.equal('{"a": [1, 2.5], "b": "x\\"\\\\\\u0001", "c": {"d": true}}\n',
         json.encode { a = { 1, 2.5 }, b = 'x"\\\1', c = { d = true } })
   end)

   it("draws a bar of the right length for each ratio", function ()
      local svg = chart.draw("t <", "s", { "first", "closure" }, {
         { row = "first", what = "liba", ratio = 2 },
         { row = "closure", what = "liba", ratio = 0.5, instructions = 0.8 },
      }, {})
      assert.matches("<text[^>]*>t &lt;</text>", svg)
      local widths = {}
      for width in svg:gmatch '<rect x="250" y="[%d.]+" width="([%d.]+)"' do
         widths[#widths + 1] = tonumber(width)
      end
      -- The first one is the legend's.
      assert.same(3, #widths)
      assert(math.abs(widths[2] / widths[3] - 4) < 0.01)
      -- The legend's, too.
      local _, dots = svg:gsub("<circle", "")
      assert.equal(2, dots)
   end)

   it("draws a bar to the left for what is slower", function ()
      local svg = chart.draw("t", "s", {}, {}, {
         { what = "a", ratio = 10 }, { what = "b", ratio = 0.1 },
      })
      local found = {}
      for x, width in svg:gmatch '<rect x="([%d.]+)" y="%d+" width="([%d.]+)"' do
         found[#found + 1] = { tonumber(x), tonumber(width) }
      end
      assert.same({ { 530, 280 }, { 250, 280 } }, found)
   end)

   it("measures policies beside no policy, and both open all that is meant #build",
      function ()
         local built = policy.build(programs.theirs)
         local results = {}
         for number, kind in ipairs(policy.kinds) do
            local result = assert(policy.measure(built,
               assert(campaign.locate "libz.so.1"), kind, 2))
            assert(result.theirs.total.low > 0 and result.ours.total.low > 0)
            results[number] = result
         end
         local lines = policy.table(results)
         assert.equal(1 + 2 * #policy.kinds, #lines)
         assert.matches(("%.3f"):format(results[2].cost.total), lines[5], 1, true)
      end)

   it("measures calls beside a binding that is written by hand #build", function ()
      local result = assert(call.measure(call.build(), 2))
      assert(result.theirs.int.low > 0 and result.ours.int.low > 0)
      assert.equal(result.ours.int.median / result.theirs.int.median,
         result.cost.int)
      local lines = call.table { result }
      assert.equal(3, #lines)
      assert.matches(("%.2f"):format(result.cost.int), lines[3], 1, true)
   end)

   -- A line of the table for each column, with the ratio of its medians.
   local function shows_ratios (lines, result, columns)
      assert.equal(1 + #columns, #lines)
      for number, column in ipairs(columns) do
         local theirs, ours = result.theirs[column], result.ours[column]
         assert(theirs.low > 0 and ours.low > 0, column)
         assert(math.abs(result.cost[column] * theirs.median / ours.median - 1)
            < 1e-9)
         assert.matches((" %.2f"):format(1 / result.cost[column]),
            lines[number + 1], 1, true)
      end
   end

   it("measures lookups and opening again beside dlsym and dlopen #build",
      function ()
         local result = assert(lookup.measure(lookup.build(4), 2))
         shows_ratios(lookup.table { result }, result, lookup.kinds)
      end)

   it("measures finding symbols at addresses beside dladdr #build", function ()
      local result = assert(whence.measure(whence.build(),
         assert(campaign.locate "libsqlite3"), 2))
      shows_ratios(whence.table { result }, result, { "first", "hot" })
      local none, why = whence.measure(whence.build(),
         assert(cc.shared "int f(void) { return 0; }"), 1)
      assert.is_nil(none)
      assert.matches("less than 64 functions", why, 1, true)
   end)

   it("measures callbacks beside another module's, of each signature #build",
      function ()
         -- In its place the loader's own, under the other's names.
         local folder = os.tmpname()
         os.remove(folder)
         assert(os.execute("mkdir " .. folder))
         campaign.write(folder .. "/cffi.lua", [[
            local elf, declared = require "elf64load"
            return { cast = elf.callback,
               cdef = function (text) declared = text end,
               load = function (path) return elf.open(path):cdef(declared) end }
         ]])
         local made = callback.build(folder)
         made.environment = made.environment:gsub("LUA_PATH='",
            "%0" .. folder .. "/?.lua;")
         local result = assert(callback.measure(made, 2))
         os.execute("rm -r " .. folder)
         local lines = callback.table { result }
         assert.equal(2 + #calls.signatures, #lines)
         for number, it in ipairs(calls.signatures) do
            local cost = result.cost[it.name]
            assert(result.ours[it.name].low > 5e3, it.name)
            assert(cost > 0.2 and cost < 5, it.name)
            assert.matches(("%.2f"):format(cost), lines[number + 1], 1, true)
         end
      end)

   it("measures linking a fresh object, which is different each time #build",
      function ()
         local size = #campaign.contents(link.template())
         assert(size > 95e3 and size < 110e3, size)
         local result = assert(link.measure(link.build(), "object", 3))
         for _, name in ipairs { "theirs", "ours" } do
            for _, column in ipairs { "total", "cpu" } do
               assert(result[name][column].low > 0, name .. column)
            end
         end
         -- A compiler and a linker have been started.
         assert(result.theirs.total.low > 1e6)
         local lines = link.table { result }
         assert.equal(3, #lines)
         assert.matches(("%.1f"):format(result.ratio.total), lines[3], 1, true)
      end)

   -- llvm-jitlink prints such a table.
   local TIMES <const> = [[
printf '%%s\n' '   ---User Time---   --User+System--   ---Wall Time---  --- Name ---' \
   '   0.0335 ( 99.0%%)   0.0367 ( 98.4%%)   0.1277 ( 91.3%%)  time to link object files' \
   '   0.0003 (  0.8%%)   0.0004 (  1.0%%)   0.0061 (  4.4%%)  time to execute jitlink'"'"'d code' \
   '   0.0001 (  0.2%%)   0.0002 (  0.6%%)   0.0060 (  4.3%%)  %s' >&2
exit %d
]]

   local function against (linker)
      return link.measure(link.build(linker), "archive", 2)
   end

   local function told (name, code)
      local path = fixtures.text("#!/bin/sh\n" .. TIMES:format(name, code), ".sh")
      assert(os.execute("chmod +x " .. path))
      return against(path)
   end

   it("measures linking an archive beside what a linker says of itself #build",
      function ()
         local result = assert(told("time to load/add object files", 0))
         assert.equal(133.7e6, result.theirs.total.median)
         assert.equal(36.9e6, result.theirs.cpu.median)
         assert(result.ours.total.low > 0 and result.ours.cpu.low > 0)
         assert(math.abs(result.ratio.total * result.ours.total.median
            / 133.7e6 - 1) < 1e-9)
         local none, why = told("time to load", 0)
         assert.is_nil(none)
         assert.matches("times were not found", why, 1, true)
         none, why = told("time to load/add object files", 3)
         assert.is_nil(none)
         assert.matches("0.0367", why, 1, true)
      end)

   it("measures linking an archive beside LLVM's linker #full #build",
      function ()
         local result = assert(against())
         assert(result.theirs.total.low > 1e6)
         assert(result.ours.total.low > 0)
      end)

   it("keeps a run in a README, in place of the one before", function ()
      local folder = os.tmpname()
      os.remove(folder)
      assert(os.execute("mkdir " .. folder))
      campaign.write(folder .. "/README.md", "# The bench\n")
      local other = { key = "others", legend = "of %d", table = function ()
         return { "the table of the others" }
      end, bars = function () return { { "total", "other" } } end }
      local run = { machine = bench.machine(), pairs = 3, rows = {}, results = {},
         others = { other }, measured = { [other] = { { row = "other",
            cost = { total = 0.25 }, spread = { total = { low = 3, high = 5 } } } } } }
      for _ = 1, 2 do report.record(folder .. "/", run, report.text(run)) end
      local text = campaign.contents(folder .. "/README.md")
      local _, count = text:gsub("of 3\nthe table of the others\n", "")
      assert.equal(1, count)
      assert.matches("^# The bench\n\n## The last full run\n", text)
      assert.matches('"others": %[{"cost": {"total": 0.25}, "row": "other",',
         campaign.contents(folder .. "/results.json"))
      local svg = campaign.contents(folder .. "/results.svg")
      assert.matches(">other<", svg, 1, true)
      assert.matches(">4<", svg, 1, true)
      os.execute("rm -r " .. folder)
   end)

   it("works as a command", function ()
      local folder = os.tmpname()
      os.remove(folder)
      assert(os.execute("mkdir " .. folder))
      local text = campaign.output(HOST .. ("spec/bench/run --pairs 1 --rows closure "
         .. "--json %s/j --svg %s/s libz 2>&1"):format(folder, folder))
      assert(text, "spec/bench/run failed")
      assert.matches("closure +libz", text)
      assert.matches("closure +geometric mean of 1: [%d.]+", text)
      assert.matches('"means": {"closure": {"count": 1, "dirty": [%d.]+, "time": [%d.]+}}',
         campaign.contents(folder .. "/j"))
      assert.matches("^<svg .*</svg>\n$", campaign.contents(folder .. "/s"))
      os.execute("rm -r " .. folder)
      local _, _, code = os.execute(HOST
         .. "spec/bench/run --rows no libz >/dev/null 2>&1")
      assert.equal(2, code)
   end)
end)
