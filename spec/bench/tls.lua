--- Measures what an access to a plugin's thread-local variables costs, beside
--- the same access when dlopen has opened the plugin, in the same run.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local sides = require "spec.bench.sides"

local tls = { name = "tls", key = "tls" }

tls.legend = "Times in ns; %d pairs; cost is how many times as much as when "
   .. "dlopen opened it"

---@class access
---@field name string
---@field dialect "gnu"|"gnu2" __tls_get_addr or TLS descriptors
---@field image integer what the variables begin as
---@field beside integer bytes of other variables in the plugin

--- What is measured. glibc gives small plugins whose descriptors it fills a
--- fixed place in each thread, out of 512 bytes for all of them; the large one
--- does not fit.
---@type access[]
tls.accesses = {
   { name = "gnu", dialect = "gnu", image = 0, beside = 1 },
   { name = "gnu2", dialect = "gnu2", image = 0, beside = 1 },
   { name = "gnu2, image not zero", dialect = "gnu2", image = 7, beside = 1 },
   { name = "gnu2, large", dialect = "gnu2", image = 0, beside = 4096 },
}

--- Builds the measuring programs.
---@return programs
function tls.build ()
   return sides.build "tls.c"
end

---@class accessed: costs columns `main` and `thread`, in picoseconds
---@field access string

--- Measures one kind of access.
---@param programs programs
---@param access access
---@param count integer pairs
---@return accessed? result
---@return string? why
function tls.measure (programs, access, count)
   local plugin = assert(cc.shared(campaign.contents "spec/bench/access.c",
      ("-mtls-dialect=%s -D IMAGE=%d -D BESIDE=%d -Wl,-z,now"):format(
         access.dialect, access.image, access.beside)))
   local columns, why = sides.run(programs, count, { plugin })
   if not columns then return nil, why end
   local result = sides.costs("tls", columns, count)
   result.access = access.name
   return result
end

--- What the row measures.
---@return task[]
function tls.tasks ()
   local programs, tasks = tls.build(), {}
   for number, access in ipairs(tls.accesses) do
      tasks[number] = { what = "tls " .. access.name,
         run = function (count) return tls.measure(programs, access, count) end }
   end
   return tasks
end

local function ns (picoseconds)
   return ("%.2f"):format(picoseconds / 1e3)
end

--- What of a result the chart shows.
---@param result accessed
---@return bars
function tls.bars (result)
   local what = ("tls: %s, "):format(result.access)
   return { { "main", what .. "main" }, { "thread", what .. "thread" } }
end

--- The lines of the table for these measurements.
---@param results accessed[]
---@return string[]
function tls.table (results)
   return sides.table(results, function (result) return result.access end,
      "main", "thread", ns)
end

return tls
