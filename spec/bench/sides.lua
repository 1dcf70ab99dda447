--- What the rows of the bench share: a program for each side, the two of them
--- run by turns, and what they print as columns.

local campaign = require "spec.support.campaign"
local fixtures = require "spec.support.fixtures"
local statistics = require "spec.bench.statistics"

local quoted = campaign.quoted

local sides = {}

--- The sides by their numbers, in the order in which they are shown.
sides.names = { "theirs", "ours" }

---@class programs
---@field theirs string
---@field ours string
---@field pairs string
---@field environment? string assignments

---@class task something that a row measures
---@field what string
---@field run fun(count: integer): table?, string? the result of so many pairs, or
--- why there is none

---@class context what rows are told
---@field paths string[] of the libraries that were asked for
---@field programs programs that open one library
---@field cffi? string the folder of cffi-lua's cffi.so
---@field jitlink? string LLVM's linker

--- Builds a program of the bench with each side's way of opening.
---@param main string a file of this folder
---@return programs
function sides.build (main)
   local folder = "spec/bench/"
   local archive = fixtures.loader() .. "/lib/libelf64load.a"
   local function program (...)
      local sources = {}
      for number, name in ipairs { ... } do
         sources[number] = name:find("/", 1, true) and name or folder .. name
      end
      local path = campaign.program(sources, "-Wl,-z,now")
      -- Pages of a file that has not been written to the disk yet count as dirty
      -- in the process that runs it, the loader's code among them.
      assert(os.execute("sync " .. quoted(path)))
      return path
   end
   return {
      theirs = program(main, "constructors.c", "theirs.c", "constructors.h",
         "opener.h"),
      ours = program(main, "constructors.c", "ours.c", "constructors.h",
         "opener.h", "src/elf64load.h", archive),
      pairs = program "pairs.c",
   }
end

--- The variables by which a measuring script finds modules: the loader's, those of
--- this folder, and others.
---@param folder? string where others are
---@return string assignments
function sides.modules (folder)
   local root, more = campaign.output "pwd", folder and folder .. "/?.so;" or ""
   return ("LUA_PATH=%s LUA_CPATH=%s"):format(
      quoted(("%s/lua/?.lua;%s/lua/?/init.lua;%s/?.lua;;"):format(root, root,
         root)),
      quoted(("%s/lua/?.so;%s;"):format(fixtures.loader(), more)))
end

---@alias columns table<string, integer[]> by name, one value of each pair

-- Runs a program, which prints lines of a side's number and NAME=VALUE, and adds
-- these to the columns. Answers why it failed.
local function gather (columns, program, words, environment)
   local command = { environment or "", "exec", quoted(program) }
   for _, word in ipairs(words) do command[#command + 1] = quoted(word) end
   local messages = os.tmpname()
   command[#command + 1] = "2>" .. quoted(messages)
   local pipe = assert(io.popen(table.concat(command, " ")))
   for line in pipe:lines() do
      local side = columns[sides.names[tonumber(line:sub(1, 1))]]
      for name, value in line:gmatch "(%l+)=(%-?%d+)" do
         side[name] = side[name] or {}
         table.insert(side[name], math.tointeger(tonumber(value)))
      end
   end
   local ok, _, status = pipe:close()
   local why = (campaign.contents(messages) or ""):gsub("%s+$", "")
   os.remove(messages)
   if not ok then return ("status %s: %s"):format(status, why) end
end

-- The columns, if each has so many values.
local function complete (columns, count)
   for _, side in pairs(columns) do
      for _, values in pairs(side) do
         if #values ~= count then
            return nil, ("%d of %d measurements came"):format(#values, count)
         end
      end
   end
   return columns
end

--- Runs both sides by turns. They print lines of NAME=VALUE.
---@param programs programs
---@param count integer pairs
---@param words string[] what the programs are given
---@param environment? string assignments
---@return table<"theirs"|"ours", columns>? columns
---@return string? why
function sides.run (programs, count, words, environment)
   local columns = { theirs = {}, ours = {} }
   local why = gather(columns, programs.pairs, { tostring(count), programs.theirs,
      programs.ours, table.unpack(words) }, environment)
   if why then return nil, why end
   return complete(columns, count)
end

--- Runs a program that measures both sides by turns itself, so many times. It
--- prints lines of a side's number, 1 or 2, and NAME=VALUE.
---@param program string
---@param count integer
---@param words string[] what it is given
---@param environment? string assignments
---@return table<"theirs"|"ours", columns>? columns
---@return string? why
function sides.alone (program, count, words, environment)
   local columns = { theirs = {}, ours = {} }
   for _ = 1, count do
      local why = gather(columns, program, words, environment)
      if why then return nil, why end
   end
   return complete(columns, count)
end

---@class costs
---@field row string
---@field pairs integer
---@field cost table<string, number> by column: times as much as dlopen, by
--- medians
---@field theirs table<string, summary> by column
---@field ours table<string, summary>
---@field spread table<string, summary> by column: of the pairs' ratios, how many
--- times faster

---@alias bars string[][] columns of costs, each with what it is

--- The costs of each column.
---@param row string
---@param columns table<"theirs"|"ours", columns>
---@param count integer pairs
---@return costs
function sides.costs (row, columns, count)
   local result = { row = row, pairs = count, cost = {}, spread = {} }
   for _, name in ipairs(sides.names) do
      result[name] = {}
      for column, values in pairs(columns[name]) do
         result[name][column] = statistics.summary(values)
      end
   end
   for column, summary in pairs(result.ours) do
      result.cost[column] = summary.median / result.theirs[column].median
      -- What is left of something may be nothing.
      if math.min(table.unpack(columns.ours[column])) > 0 then
         local ratios = {}
         for number, value in ipairs(columns.theirs[column]) do
            ratios[number] = value / columns.ours[column][number]
         end
         result.spread[column] = statistics.summary(ratios)
      end
   end
   return result
end

local LINE = "%-8s %-30s %-6s" .. (" %9s %9s %9s %6s"):rep(2)

--- The lines of a table of costs with two columns.
---@param results costs[]
---@param what fun(result: costs): string what was measured
---@param first string column
---@param second string column
---@param shown fun(value: number): string
---@return string[]
function sides.table (results, what, first, second, shown)
   local lines = { LINE:format("row", "library", "side", first, "low", "high",
      "cost", second, "low", "high", "cost") }
   for _, result in ipairs(results) do
      for _, name in ipairs(sides.names) do
         local words, head = {}, name == "theirs"
         for _, column in ipairs { first, second } do
            local summary = result[name][column]
            for _, field in ipairs { "median", "low", "high" } do
               words[#words + 1] = shown(summary[field])
            end
            words[#words + 1] = head and ""
               or ("%.2f"):format(result.cost[column])
         end
         lines[#lines + 1] = LINE:format(head and result.row or "",
            head and what(result) or "", head and "dlopen" or "ours",
            table.unpack(words))
      end
   end
   return lines
end

local RATIO <const> = "%-8s %-42s" .. (" %10s %9s %9s"):rep(2) .. " %8s"

--- The lines of a table of times in picoseconds, a line for each column of each
--- result.
---@param results costs[]
---@param theirs string the name of the other side
---@param names string[] of columns
---@param what fun(result: costs, column: string): string what was measured
---@return string[]
function sides.ratios (results, theirs, names, what)
   local lines = { RATIO:format("row", "what", theirs, "low", "high", "ours",
      "low", "high", "ratio") }
   for _, result in ipairs(results) do
      for _, column in ipairs(names) do
         local words = {}
         for _, name in ipairs(sides.names) do
            for _, field in ipairs { "median", "low", "high" } do
               words[#words + 1] = ("%.1f"):format(result[name][column][field]
                  / 1e3)
            end
         end
         words[7] = ("%.2f"):format(1 / result.cost[column])
         lines[#lines + 1] = RATIO:format(result.row, what(result, column),
            table.unpack(words))
      end
   end
   return lines
end

return sides
