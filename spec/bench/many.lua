--- Measures what one more plugin costs when many are open, beside dlopen in the
--- same run.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local sides = require "spec.bench.sides"

local many = { name = "many", key = "many" }

many.legend = "Times in us; %d pairs; growth is how many times as much as the tenth"

--- How many plugins the row opens.
many.count = 5000

-- Small, but with something of everything: code, constants, words to relocate,
-- variables, an import.
local PLUGIN <const> = [[
#include <string.h>
const char mark[] = "plugin 00000000";
const char *const marks[] = { mark, mark + 7 };
static const char *current = mark;
int state;
size_t number(void) { return strlen(current) + state; }
]]

--- Builds the measuring programs.
---@return programs
function many.build ()
   return sides.build "many.c"
end

--- Makes so many plugins of different contents, and gives the folder, which is
--- the caller's to remove.
---@param count integer
---@param more? string C that each has besides
---@return string folder
function many.plugins (count, more)
   local folder = os.tmpname()
   os.remove(folder)
   assert(os.execute("mkdir " .. campaign.quoted(folder)))
   local image = campaign.contents(assert(cc.shared(PLUGIN .. (more or ""), "-s")))
   local before, after = image:match "^(.*plugin )00000000(.*)$"
   for i = 0, count - 1 do
      local file = assert(io.open(("%s/%d.so"):format(folder, i), "wb"))
      assert(file:write(before, ("%08d"):format(i), after))
      assert(file:close())
   end
   return folder
end

---@class crowd: costs columns `tenth`, `last`, `closetenth`, `closelast` in
--- nanoseconds; `mappings`, `descriptors`, `bytes` that are left
---@field count integer of plugins
---@field growth table<"theirs"|"ours", table<"open"|"close", number>> the last
--- one, or the one while all are open, by medians, of the tenth

--- Measures opening and closing so many.
---@param programs programs
---@param plugins integer
---@param count integer pairs
---@return crowd? result
---@return string? why
function many.measure (programs, plugins, count)
   local folder = many.plugins(plugins)
   -- What malloc keeps at hand for each thread would count as in use.
   local columns, why = sides.run(programs, count, { folder,
      tostring(plugins) }, "GLIBC_TUNABLES=glibc.malloc.tcache_count=0")
   os.execute("rm -r " .. campaign.quoted(folder))
   if not columns then return nil, why end
   local result = sides.costs("many", columns, count)
   result.count, result.growth = plugins, {}
   for _, name in ipairs(sides.names) do
      local side = result[name]
      result.growth[name] = {
         open = side.last.median / side.tenth.median,
         close = side.closelast.median / side.closetenth.median,
      }
      -- Nothing may be divided by these.
      for _, column in ipairs { "mappings", "descriptors", "bytes" } do
         result.cost[column], result.spread[column] = nil, nil
      end
   end
   return result
end

--- What the row measures.
---@return task[]
function many.tasks ()
   local programs = many.build()
   return { { what = "many", run = function (count)
      return many.measure(programs, many.count, count)
   end } }
end

local LINE = "%-8s %-30s %-6s" .. (" %9s"):rep(9)

local function us (nanoseconds)
   return ("%.1f"):format(nanoseconds / 1e3)
end

-- Both sides of one measurement.
local function shown (result, lines)
   for _, name in ipairs(sides.names) do
      local side, growth, head = result[name], result.growth[name],
         name == "theirs"
      lines[#lines + 1] = LINE:format(head and "many" or "",
         head and tostring(result.count) or "", head and "dlopen" or "ours",
         us(side.tenth.median), us(side.last.median),
         ("%.2f"):format(growth.open), us(side.closetenth.median),
         us(side.closelast.median), ("%.2f"):format(growth.close),
         ("%.0f"):format(side.mappings.median),
         ("%.0f"):format(side.descriptors.median),
         ("%.0f"):format(side.bytes.median))
   end
end

--- What of a result the chart shows.
---@param result crowd
---@return bars
function many.bars (result)
   return { { "tenth", "many: the tenth open" },
      { "last", ("many: open %d"):format(result.count) },
      { "closetenth", "many: a close of ten" },
      { "closelast", ("many: a close of %d"):format(result.count) } }
end

--- The lines of the table for these measurements.
---@param results crowd[]
---@return string[]
function many.table (results)
   local lines = { LINE:format("row", "plugins", "side", "tenth", "last",
      "growth", "close 10th", "of all", "growth", "mappings", "fds", "bytes") }
   for _, result in ipairs(results) do shown(result, lines) end
   return lines
end

return many
