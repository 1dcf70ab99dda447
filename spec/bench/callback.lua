--- What a Lua function costs that C calls, beside cffi-lua.

local campaign = require "spec.support.campaign"
local calls = require "spec.bench.calls"
local cc = require "elf64load.cc"
local sides = require "spec.bench.sides"
local statistics = require "spec.bench.statistics"

local callback = { name = "callback", key = "callbacks" }

callback.legend = "Times in ns of the process; %d pairs; cost is how many times as "
   .. "much as with cffi-lua"

--- The scripts that measure; they need no building. Both are given what finds
--- the modules.
---@param folder? string where cffi.so is
---@return programs
function callback.build (folder)
   return { theirs = "spec/bench/callback_theirs.lua",
      ours = "spec/bench/callback_ours.lua",
      pairs = campaign.program { "spec/bench/pairs.c" },
      environment = sides.modules(folder) }
end

--- Measures calls of all signatures.
---@param made programs what `build` gave
---@param count integer pairs
---@return costs? result columns by signature, in picoseconds
---@return string? why
function callback.measure (made, count)
   local plugin = assert(cc.shared(campaign.contents "spec/bench/callback.c", "-O2"))
   local columns, why = sides.run(made, count, { plugin }, made.environment)
   if not columns then return nil, why end
   return sides.costs("callback", columns, count)
end

--- What the row measures.
---@param context context
---@return task[]
function callback.tasks (context)
   local made = callback.build(context.cffi)
   return { { what = "callback", run = function (count)
      return callback.measure(made, count)
   end } }
end

local LINE = "%-8s %-46s %9s %9s %9s %6s"

-- Each function of one measurement.
local function shown (result, lines)
   local function ns (picoseconds) return ("%.1f"):format(picoseconds / 1e3) end
   local all = {}
   for number, it in ipairs(calls.signatures) do
      local theirs, ours = result.theirs[it.name], result.ours[it.name]
      all[number] = result.cost[it.name]
      lines[#lines + 1] = LINE:format(number == 1 and "callback" or "",
         ("%s (%s)"):format(it.result, it.arguments), ns(theirs.median),
         ns(ours.median), ns(ours.high), ("%.2f"):format(all[number]))
   end
   lines[#lines + 1] = ("callback geometric mean of %d: %.2f"):format(#all,
      statistics.mean(all))
end

--- What of a result the chart shows.
---@return bars
function callback.bars ()
   local bars = {}
   for number, it in ipairs(calls.signatures) do
      bars[number] = { it.name, "callback: " .. it.name }
   end
   return bars
end

--- The lines of the table for these measurements.
---@param results costs[]
---@return string[]
function callback.table (results)
   local lines = { LINE:format("row", "function", "cffi-lua", "ours", "high",
      "cost") }
   for _, result in ipairs(results) do shown(result, lines) end
   return lines
end

return callback
