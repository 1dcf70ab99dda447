--- What a call of a plugin's function from Lua costs, beside a binding in C that
--- is written by hand.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local sides = require "spec.bench.sides"

local call = { name = "call", key = "calls" }

call.legend = "Times in ns of the process; %d processes; cost is how many times "
   .. "as much as by hand"

--- Builds the plugin and the binding.
---@return { environment: string, words: string[] }
function call.build ()
   local function text (name) return campaign.contents("spec/bench/" .. name) end
   return { environment = sides.modules(), words = {
      assert(cc.shared(text "call.c", "-O2")),
      assert(cc.shared(text "binding.c", "-O2 "
         .. assert(campaign.output "pkg-config --cflags lua5.4"))) } }
end

--- Measures calls of `int f(int, int)`.
---@param made { environment: string, words: string[] } what `build` gave
---@param count integer processes
---@return costs? result column `int`, in picoseconds
---@return string? why
function call.measure (made, count)
   local columns, why = sides.alone("spec/bench/call_both.lua", count,
      made.words, made.environment)
   if not columns then return nil, why end
   return sides.costs("call", columns, count)
end

--- What the row measures.
---@return task[]
function call.tasks ()
   local made = call.build()
   return { { what = "call", run = function (count)
      return call.measure(made, count)
   end } }
end

local LINE <const> = "%-8s %-30s %-8s %9s %9s %9s %6s"

--- What of a result the chart shows.
---@return bars
function call.bars ()
   return { { "int", "call: int (int, int)" } }
end

--- The lines of the table for these measurements.
---@param results costs[]
---@return string[]
function call.table (results)
   local lines = { LINE:format("row", "function", "side", "median", "low",
      "high", "cost") }
   for _, result in ipairs(results) do
      for _, name in ipairs(sides.names) do
         local side, head = result[name].int, name == "theirs"
         local words = {}
         for number, field in ipairs { "median", "low", "high" } do
            words[number] = ("%.1f"):format(side[field] / 1e3)
         end
         words[4] = head and "" or ("%.2f"):format(result.cost.int)
         lines[#lines + 1] = LINE:format(head and "call" or "",
            head and "int (int, int)" or "", head and "by hand" or "ours",
            table.unpack(words))
      end
   end
   return lines
end

return call
