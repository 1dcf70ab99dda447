--- What a run has measured, as a table, JSON and a chart.

local campaign = require "spec.support.campaign"
local bench = require "spec.bench.bench"
local chart = require "spec.bench.chart"
local json = require "spec.bench.json"
local statistics = require "spec.bench.statistics"

local report = {}

---@class run
---@field machine table<string, string|integer>
---@field pairs integer
---@field rows string[] of opens
---@field results measured[]
---@field others table[] the modules of the rows that are not opens, in their order
---@field measured table<table, table[]> the results of those that were asked for

-- A line about the machine.
local function described (machine)
   return ("%s, %d cores, %s; Linux %s, %s"):format(machine.processor,
      machine.cores, machine.memory, machine.kernel, machine.glibc)
end

---@class means
---@field time number of the ratios of a row
---@field instructions? number
---@field dirty number our memory, of all libraries together, in units of dlopen's
---@field count integer of libraries

-- The geometric means of each row of opens.
local function means_of (run)
   local means = {}
   for _, row in ipairs(run.rows) do
      local ratios, counts, dirty = {}, {}, { theirs = 0, ours = 0 }
      for _, result in ipairs(run.results) do
         if result.row == row then
            ratios[#ratios + 1] = result.ratio
            counts[#counts + 1] = result.instructions and result.instructions.ratio
            for side in pairs(dirty) do
               dirty[side] = dirty[side] + result[side].dirty.median
            end
         end
      end
      means[row] = { time = statistics.mean(ratios), count = #ratios,
         instructions = statistics.mean(counts), dirty = dirty.ours / dirty.theirs }
   end
   return means
end

--- The tables.
---@param run run
---@return string
function report.text (run)
   local lines = { described(run.machine) }
   local function add (...) lines[#lines + 1] = string.format(...) end
   if run.rows[1] then
      add("Times in ms, dirty memory in KB, thousands of instructions; %d pairs; "
         .. "a ratio above 1 is faster than dlopen, or less than it", run.pairs)
      table.move(bench.table(run.results), 1, 1 + 2 * #run.results, #lines + 1, lines)
   end
   local means = means_of(run)
   for _, row in ipairs(run.rows) do
      local it = means[row]
      if it.time then
         add("%-8s geometric mean of %d: %.2f%s; dirty memory of all %.2f times as much",
            row, it.count, it.time, it.instructions and (", of instructions %.2f")
            :format(it.instructions) or "", it.dirty)
      end
   end
   for _, other in ipairs(run.others) do
      local results = run.measured[other]
      if results then
         add(other.legend, run.pairs)
         local shown = other.table(results)
         table.move(shown, 1, #shown, #lines + 1, lines)
      end
   end
   return table.concat(lines, "\n")
end

--- All that was measured.
---@param run run
---@return string
function report.json (run)
   local all = { machine = run.machine, pairs = run.pairs, results = run.results,
      means = means_of(run) }
   for other, results in pairs(run.measured) do all[other.key] = results end
   return json.encode(all)
end

--- The ratios as a chart.
---@param run run
---@return string
function report.svg (run)
   local bars, others = {}, {}
   for number, result in ipairs(run.results) do
      bars[number] = { row = result.row,
         what = result.library:match "^(.-)%.so" or result.library,
         ratio = result.ratio, low = result.spread.low, high = result.spread.high,
         instructions = result.instructions and result.instructions.ratio }
   end
   for _, other in ipairs(run.others) do
      for _, result in ipairs(run.measured[other] or {}) do
         for _, bar in ipairs(other.bars(result)) do
            local spread = result.spread[bar[1]]
            others[#others + 1] = { what = bar[2],
               ratio = 1 / result.cost[bar[1]], low = spread.low,
               high = spread.high }
         end
      end
   end
   return chart.draw("Opening a library: how many times faster than dlopen",
      described(run.machine), run.rows, bars, others)
end

-- The section of the README that --record writes: its last one.
local HEADING <const> = "## The last full run\n"

--- Keeps a run: the tables in README.md of a folder, all of it beside that.
---@param folder string
---@param run run
---@param text string its tables
function report.record (folder, run, text)
   local readme = folder .. "README.md"
   local before = assert(campaign.contents(readme))
   local at = before:find("\n" .. HEADING, 1, true)
   before = at and before:sub(1, at) or before .. "\n"
   campaign.write(readme, ("%s%s\n%s.\n\n![](results.svg)\n\n```\n%s\n```\n"):format(
      before, HEADING, "By `--record`, with all columns in `results.json`",
      text:gsub(" +\n", "\n")))
   campaign.write(folder .. "results.json", report.json(run))
   campaign.write(folder .. "results.svg", report.svg(run))
end

return report
