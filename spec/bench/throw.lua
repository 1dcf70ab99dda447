--- Measures what a throw through a library costs, beside the same throw when
--- dlopen has opened the library, in the same run.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local sides = require "spec.bench.sides"

local throw = { name = "throw", key = "throws",
   library = "libclang-cpp" }

throw.legend = "Times in us; %d pairs; cost is how many times as much as when "
   .. "dlopen opened it"

--- Builds the measuring programs.
---@return programs
function throw.build ()
   return sides.build "throw.c"
end

---@class thrown: costs columns `first` and `hot`, in nanoseconds
---@field library string
---@field path string

--- Measures throws through one library, which has to be libclang-cpp: it has
--- the function that calls back.
---@param programs programs
---@param path string
---@param count integer pairs
---@return thrown? result
---@return string? why
function throw.measure (programs, path, count)
   local plugin = assert(cc.shared(campaign.contents "spec/bench/throw.cc",
      { language = "c++",
        flags = "-Wl,--no-as-needed " .. campaign.quoted(path) }))
   local columns, why = sides.run(programs, count, { path, plugin })
   if not columns then return nil, why end
   local result = sides.costs("throw", columns, count)
   result.library, result.path = path:match "[^/]*$", path
   return result
end

--- What the row measures.
---@param context context
---@return task[]
function throw.tasks (context)
   local programs, tasks = throw.build(), {}
   for number, path in ipairs(context.paths) do
      tasks[number] = { what = "throw " .. path:match "[^/]*$",
         run = function (count) return throw.measure(programs, path, count) end }
   end
   return tasks
end

local function us (nanoseconds)
   return ("%.2f"):format(nanoseconds / 1e3)
end

--- What of a result the chart shows.
---@return bars
function throw.bars ()
   return { { "first", "throw: the first" }, { "hot", "throw: more" } }
end

--- The lines of the table for these measurements.
---@param results thrown[]
---@return string[]
function throw.table (results)
   return sides.table(results, function (result) return result.library end,
      "first", "hot", us)
end

return throw
