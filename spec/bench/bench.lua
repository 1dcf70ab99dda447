--- Measures how fast libraries open, beside dlopen in the same run.

local campaign = require "spec.support.campaign"
local count = require "spec.bench.count"
local primer = require "spec.bench.primer"
local sides = require "spec.bench.sides"
local statistics = require "spec.bench.statistics"

local quoted = campaign.quoted

local bench = {}

--- The rows that can be measured, in the order in which they are shown.
bench.rows = { "first", "index", "closure", "lazy" }

--- Builds the measuring programs.
---@return programs
function bench.build ()
   return sides.build "measure.c"
end

---@class measured
---@field row string
---@field library string
---@field path string
---@field pairs integer
---@field ratio number how many times faster than dlopen, by medians
---@field spread summary of the ratios of the pairs
---@field instructions? table<"theirs"|"ours"|"ratio", number>
---@field theirs table<string, summary> by column, times in nanoseconds
---@field ours table<string, summary>

--- Measures one library in one row.
---@param programs programs
---@param path string
---@param row "first"|"index"|"closure"|"lazy"
---@param times integer pairs
---@param counting? boolean whether instructions are counted as well
---@return measured? result
---@return string? why
function bench.measure (programs, path, row, times, counting)
   local words = { (row == "lazy" or row == "index") and row or "open", path }
   if row ~= "closure" then
      local listing, why = campaign.output(("exec %s list %s 2>&1"):format(
         quoted(programs.theirs), quoted(path)))
      if not listing then return nil, why end
      local needed = {}
      -- Libraries may print things of their own.
      for name in listing:gmatch "%f[^\n\0]/[^\n]+" do
         needed[#needed + 1] = name
      end
      if row == "index" then words[3] = primer.build(needed) end
      table.move(needed, 1, #needed, #words + 1, words)
   end
   local columns, why = sides.run(programs, times, words)
   if not columns then return nil, why end

   local result = { row = row, library = path:match "[^/]*$", path = path,
      pairs = times, theirs = {}, ours = {} }
   for _, name in ipairs(sides.names) do
      for column, values in pairs(columns[name]) do
         result[name][column] = statistics.summary(values)
      end
   end
   local ratios = {}
   for number, time in ipairs(columns.theirs.total) do
      ratios[number] = time / columns.ours.total[number]
   end
   result.spread = statistics.summary(ratios)
   result.ratio = result.theirs.total.median / result.ours.total.median
   if not counting then return result end
   result.instructions = {}
   for _, name in ipairs(sides.names) do
      local number
      number, why = count.instructions(programs[name], words)
      if not number then return nil, why end
      result.instructions[name] = number
   end
   result.instructions.ratio = result.instructions.theirs / result.instructions.ours
   return result
end

--- What the figures were measured on.
---@return table<string, string|integer>
function bench.machine ()
   local function line (path, pattern)
      return (campaign.contents(path) or ""):match(pattern)
   end
   return {
      processor = line("/proc/cpuinfo", "model name%s*:%s*([^\n]+)") or "?",
      cores = math.tointeger(tonumber(campaign.output "nproc")),
      kernel = line("/proc/sys/kernel/osrelease", "%S+") or "?",
      memory = math.tointeger(tonumber(line("/proc/meminfo",
         "MemTotal:%s*(%d+)")) // 1024) .. " MB",
      glibc = (campaign.output "getconf GNU_LIBC_VERSION" or "?"),
      compiler = campaign.output "gcc -dumpfullversion" or "?",
      hugepages = line("/sys/kernel/mm/transparent_hugepage/enabled",
         "%[(%w+)%]") or "none",
   }
end

-- One line of the table for each side of a measurement.
local LINE <const> = "%-8s %-30s %-6s %9s %9s %9s %6s %8s %8s %8s %8s %8s %7s"
   .. " %6s %9s %6s"

local function ms (nanoseconds)
   return ("%.3f"):format(nanoseconds / 1e6)
end

--- The lines of the table for these measurements.
---@param results measured[]
---@return string[]
function bench.table (results)
   local lines = { LINE:format("row", "library", "side", "median", "low", "high",
      "ratio", "map", "resolve", "apply", "init", "built", "dirty", "cost", "thousands", "ratio") }
   for _, result in ipairs(results) do
      for _, name in ipairs(sides.names) do
         local side, first = result[name], name == "theirs"
         local counts = result.instructions
         lines[#lines + 1] = LINE:format(first and result.row or "",
            first and result.library or "", first and "dlopen" or "ours",
            ms(side.total.median), ms(side.total.low), ms(side.total.high),
            first and "" or ("%.2f"):format(result.ratio),
            ms(side.map.median), ms(side.resolve.median),
            first and "-" or ms(side.apply.median), ms(side.init.median),
            result.row == "index" and ms(side.built.median) or "-",
            ("%.0f"):format(side.dirty.median),
            first and "" or ("%.2f"):format(side.dirty.median
               / result.theirs.dirty.median),
            counts and ("%.0f"):format(counts[name] / 1e3) or "-",
            first and "" or counts and ("%.2f"):format(counts.ratio) or "-")
      end
   end
   return lines
end

return bench
