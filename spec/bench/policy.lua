--- What a policy costs an open, beside the same open without one: policies in C,
--- and hooks in Lua.

local campaign = require "spec.support.campaign"
local fixtures = require "spec.support.fixtures"
local sides = require "spec.bench.sides"

local policy = { name = "policy", key = "policies",
   library = "libLLVM-14" }

policy.legend = "Times in ms; %d pairs; cost is how many times as much as without "
   .. "a policy"

--- The policies, in the order in which they are shown.
policy.kinds = { "empty", "provide", "intercept", "allow", "tables", "hooks" }

-- Both sides are the loader.
local function program (kind)
   local flags = "-Wl,-z,now"
   if kind then
      flags = ("%s -include spec/bench/policy.h -DPOLICY='policy_%s()'"):format(
         flags, kind)
   end
   return campaign.program({ "spec/bench/measure.c", "spec/bench/constructors.c",
      "spec/bench/ours.c", "spec/bench/constructors.h", "spec/bench/opener.h",
      "spec/bench/policy.h", "src/elf64load.h",
      fixtures.loader() .. "/lib/libelf64load.a" }, flags)
end

--- Builds the programs of each kind.
---@param lister string a program of the bench that lists dependencies
---@return table<string, programs>
function policy.build (lister)
   local made, pairs = {}, campaign.program({ "spec/bench/pairs.c" })
   for _, kind in ipairs(policy.kinds) do
      made[kind] = kind == "hooks" and {
         theirs = "spec/bench/hooks_theirs.lua",
         ours = "spec/bench/hooks_ours.lua",
         pairs = pairs, environment = sides.modules() }
         or { theirs = program(), ours = program(kind), pairs = pairs }
   end
   made.lister = lister
   return made
end

--- Measures one library under one policy, its dependencies open already.
---@param made table<string, programs>
---@param path string
---@param kind "empty"|"provide"|"intercept"|"allow"|"tables"|"hooks"
---@param count integer pairs
---@return costs? result
---@return string? why
function policy.measure (made, path, kind, count)
   local listing, why = campaign.output(("exec %s list %s 2>&1"):format(
      campaign.quoted(made.lister), campaign.quoted(path)))
   if not listing then return nil, why end
   local words = { "open", path }
   if kind == "hooks" then words = { path } end
   for name in listing:gmatch "%f[^\n\0]/[^\n]+" do words[#words + 1] = name end
   local columns
   columns, why = sides.run(made[kind], count, words, made[kind].environment)
   if not columns then return nil, why end
   local result = sides.costs(kind, columns, count)
   result.library = path:match "[^/]*$"
   return result
end

--- What the row measures.
---@param context context
---@return task[]
function policy.tasks (context)
   local made, tasks = policy.build(context.programs.theirs), {}
   for _, kind in ipairs(policy.kinds) do
      for _, path in ipairs(context.paths) do
         tasks[#tasks + 1] = {
            what = ("policy %s %s"):format(kind, path:match "[^/]*$"),
            run = function (count) return policy.measure(made, path, kind, count) end,
         }
      end
   end
   return tasks
end

local LINE = "%-8s %-30s %-7s %9s %9s %9s %6s %8s"

--- What of a result the chart shows.
---@param result costs
---@return bars
function policy.bars (result)
   return { { "total", "policy: " .. result.row } }
end

--- The lines of the table for these measurements.
---@param results costs[]
---@return string[]
function policy.table (results)
   local function ms (value) return ("%.3f"):format(value / 1e6) end
   local lines = { LINE:format("policy", "library", "side", "median", "low",
      "high", "cost", "resolve") }
   for _, result in ipairs(results) do
      for _, name in ipairs(sides.names) do
         local total, head = result[name].total, name == "theirs"
         lines[#lines + 1] = LINE:format(head and result.row or "",
            head and result.library or "", head and "without" or "with",
            ms(total.median), ms(total.low), ms(total.high),
            head and "" or ("%.3f"):format(result.cost.total),
            result[name].resolve and ms(result[name].resolve.median) or "-")
      end
   end
   return lines
end

return policy
