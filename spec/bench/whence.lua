--- What it takes to find the symbol at an address of a library, beside dladdr in
--- the same process.

local campaign = require "spec.support.campaign"
local fixtures = require "spec.support.fixtures"
local sides = require "spec.bench.sides"

local whence = { name = "whence", key = "whence",
   library = "libLLVM-14" }

whence.legend = "Times in ns; %d processes; a ratio above 1 is faster than dladdr"

--- Builds the program that measures.
---@return string
function whence.build ()
   return campaign.program({ "spec/bench/whence.c", "spec/bench/turns.h",
      "src/elf64load.h", fixtures.loader() .. "/lib/libelf64load.a" },
      "-Wl,-z,now")
end

---@class found: costs columns `first` and `hot`, in picoseconds
---@field library string

--- Measures one library.
---@param program string
---@param path string
---@param count integer processes
---@return found? result
---@return string? why
function whence.measure (program, path, count)
   local columns, why = sides.alone(program, count, { path })
   if not columns then return nil, why end
   local result = sides.costs("whence", columns, count)
   result.library = path:match "[^/]*$"
   return result
end

--- What the row measures.
---@param context context
---@return task[]
function whence.tasks (context)
   local program, tasks = whence.build(), {}
   for number, path in ipairs(context.paths) do
      tasks[number] = { what = "whence " .. path:match "[^/]*$",
         run = function (count) return whence.measure(program, path, count) end }
   end
   return tasks
end

--- What of a result the chart shows.
---@param result found
---@return bars
function whence.bars (result)
   local library = result.library:match "^(.-)%.so" or result.library
   return { { "first", library .. ": whence, the first" },
      { "hot", library .. ": whence, more" } }
end

--- The lines of the table for these measurements.
---@param results found[]
---@return string[]
function whence.table (results)
   return sides.ratios(results, "dladdr", { "first", "hot" },
      function (result, column)
         return ("%s, %s"):format(result.library, column == "first"
            and "the first question" or "more")
      end)
end

return whence
