--- Measures what a throw through a library costs, beside the same throw when
--- dlopen has opened the library, in the same run.

local campaign = require "spec.support.campaign"
local compile = require "spec.support.compile"
local statistics = require "spec.bench.statistics"

local quoted = campaign.quoted

local throw = {}

--- Builds the measuring programs.
---@return programs
function throw.build ()
   local folder = "spec/bench/"
   local archive = campaign.loader() .. "/lib/libelf64load.a"
   local function program (...)
      local sources = {}
      for number, name in ipairs { ... } do
         sources[number] = name:find("/", 1, true) and name or folder .. name
      end
      return campaign.program(sources, "-Wl,-z,now")
   end
   return {
      theirs = program("throw.c", "constructors.c", "theirs.c",
         "constructors.h", "opener.h"),
      ours = program("throw.c", "constructors.c", "ours.c", "constructors.h",
         "opener.h", "src/elf64load.h", archive),
      pairs = campaign.program { folder .. "pairs.c" },
   }
end

---@class thrown
---@field row "throw"
---@field library string
---@field path string
---@field pairs integer
---@field cost table<"first"|"hot", number> times as much as dlopen, by medians
---@field theirs table<"first"|"hot", summary> in nanoseconds
---@field ours table<"first"|"hot", summary>

local SIDES = { "theirs", "ours" }
local COLUMNS = { "first", "hot" }

--- Measures throws through one library, which has to be libclang-cpp: it has
--- the function that calls back.
---@param programs programs
---@param path string
---@param count integer pairs
---@return thrown? result
---@return string? why
function throw.measure (programs, path, count)
   local plugin = compile.cplusplus(campaign.contents "spec/bench/throw.cc",
      "-Wl,--no-as-needed " .. quoted(path))
   local lines, why = campaign.output(("exec %s %d %s %s %s %s 2>&1"):format(
      quoted(programs.pairs), count, quoted(programs.theirs),
      quoted(programs.ours), quoted(path), quoted(plugin)))
   if not lines then return nil, why end
   local times = { { first = {}, hot = {} }, { first = {}, hot = {} } }
   for side, first, hot in lines:gmatch "(%d) first=(%d+) hot=(%d+)" do
      local columns = times[tonumber(side)]
      table.insert(columns.first, math.tointeger(tonumber(first)))
      table.insert(columns.hot, math.tointeger(tonumber(hot)))
   end
   local result = { row = "throw", library = path:match "[^/]*$", path = path,
      pairs = count, cost = {} }
   for number, name in ipairs(SIDES) do
      result[name] = {}
      for _, column in ipairs(COLUMNS) do
         local values = times[number][column]
         if #values ~= count then
            return nil, ("%d of %d measurements came"):format(#values, count)
         end
         result[name][column] = statistics.summary(values)
      end
   end
   for _, column in ipairs(COLUMNS) do
      result.cost[column] = result.ours[column].median
         / result.theirs[column].median
   end
   return result
end

local LINE = "%-8s %-30s %-6s %9s %9s %9s %6s %9s %9s %9s %6s"

local function us (nanoseconds)
   return ("%.2f"):format(nanoseconds / 1e3)
end

--- The lines of the table for these measurements.
---@param results thrown[]
---@return string[]
function throw.table (results)
   local lines = { LINE:format("row", "library", "side", "first", "low",
      "high", "cost", "hot", "low", "high", "cost") }
   for _, result in ipairs(results) do
      for _, name in ipairs(SIDES) do
         local words, head = {}, name == "theirs"
         for _, column in ipairs(COLUMNS) do
            local summary = result[name][column]
            for _, field in ipairs { "median", "low", "high" } do
               words[#words + 1] = us(summary[field])
            end
            words[#words + 1] = head and ""
               or ("%.2f"):format(result.cost[column])
         end
         lines[#lines + 1] = LINE:format(head and result.row or "",
            head and result.library or "", head and "dlopen" or "ours",
            table.unpack(words))
      end
   end
   return lines
end

return throw
