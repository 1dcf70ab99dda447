--- What it takes to look a name up in a plugin and to open again what is open,
--- beside dlsym and dlopen in the same process.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local sides = require "spec.bench.sides"

local lookup = { name = "lookup", key = "lookups" }

lookup.legend = "Times in ns; %d processes; a ratio above 1 is faster than glibc"

--- How many libraries the plugin needs: as many as a large one of a desktop.
lookup.dependencies = 128

-- How many functions each of them has.
local FUNCTIONS <const> = 256

--- What is measured, in the order in which it is shown.
lookup.kinds = { "hot", "deep", "miss", "hotkey", "deepkey", "misskey",
   "reopen" }

local MEANING <const> = {
   hot = "the same name, the plugin's",
   deep = "names of the last dependency",
   miss = "names that nothing defines",
   hotkey = "the same by a key",
   deepkey = "the same by keys",
   misskey = "the same by keys",
   reopen = "open and close of what is open",
}

-- C for functions of such names, each of which answers something else.
local function functions (prefix, seed)
   local out = {}
   for number = 1, FUNCTIONS do
      out[number] = ("int %s_function_%d(void) { return %d; }\n"):format(prefix,
         number, seed * FUNCTIONS + number)
   end
   return table.concat(out)
end

--- Builds the plugin, what it needs, and the program that measures.
---@param dependencies integer
---@return { program: string, words: string[] }
function lookup.build (dependencies)
   local paths = {}
   for number = 1, dependencies do
      paths[number] = campaign.quoted(assert(cc.shared(
         functions("dependency_" .. number, number))))
   end
   return {
      program = campaign.program({ "spec/bench/lookup.c", "spec/bench/turns.h",
         "src/elf64load.h", fixtures.loader() .. "/lib/libelf64load.a" },
         "-Wl,-z,now"),
      words = { fixtures.needing(table.concat(paths, " "), functions("plugin", 0)),
         tostring(dependencies) },
   }
end

--- Measures all kinds.
---@param made { program: string, words: string[] } what `build` gave
---@param count integer processes
---@return costs? result columns by kind, in picoseconds
---@return string? why
function lookup.measure (made, count)
   local columns, why = sides.alone(made.program, count, made.words)
   if not columns then return nil, why end
   return sides.costs("lookup", columns, count)
end

--- What the row measures.
---@return task[]
function lookup.tasks ()
   local made = lookup.build(lookup.dependencies)
   return { { what = "lookup", run = function (count)
      return lookup.measure(made, count)
   end } }
end

--- What of a result the chart shows.
---@return bars
function lookup.bars ()
   local bars = {}
   for number, kind in ipairs(lookup.kinds) do
      bars[number] = { kind, "lookup: " .. kind }
   end
   return bars
end

--- The lines of the table for these measurements.
---@param results costs[]
---@return string[]
function lookup.table (results)
   return sides.ratios(results, "glibc", lookup.kinds, function (_, kind)
      return ("%s: %s"):format(kind, MEANING[kind])
   end)
end

return lookup
