--- What it takes from an object that a compiler has just written to a call of it,
--- beside cc and dlopen; and from an archive, beside LLVM's linker in a process.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local sides = require "spec.bench.sides"

local link = { name = "link", key = "links" }

link.legend = "Times in ms; %d pairs; a ratio above 1 is faster than the other"

--- What is linked, in the order in which it is shown.
link.kinds = { "object", "archive" }

--- LLVM's linker, where nobody says otherwise.
link.jitlink = "llvm-jitlink-14"

-- Makes an object of about 100 KB: code, calls within it and of libc, strings,
-- switch tables, pointers that need relocating, variables. A number goes through
-- all of its functions; the program that measures replaces it.
local HEAD <const> = [[
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
const char mark[] = "fresh 00000000";
struct item { const char *name; long (*act)(long number, const char *name); };
static char room[64];
]]

local ITEM <const> = [[
long state_$;
static const char *const words_$[] = { "first of $", "second of $", "third of $" };
static long act_$(long number, const char *name)
{
    state_$ += (long)strlen(name);
    if (number < 0) {
        snprintf(room, sizeof room, "%s: %ld", words_$[-number % 3], number);
        puts(room);
        fprintf(stderr, "item $: %s\n", getenv(name));
    }
    switch (name[state_$ % 5]) {
    case 'i': state_$ ^= $; break;
    case 't': state_$ += number * $; break;
    case 'e': state_$ = labs(number) / $; break;
    case 'm': state_$ *= (long)strlen(words_$[number % 3]); break;
    default: return number < 0 ? act_$(-number, room) : number;
    }
    return number;
}
]]

local TAIL <const> = [[
long fresh(void)
{
    long number = atol(mark + 6);
    for (size_t i = 0; i < sizeof items / sizeof *items; i++)
        number = items[i].act(number, items[i].name);
    return number;
}
]]

--- The path of the object of which each measurement makes one of its own.
---@return string
function link.template ()
   local out, items = { HEAD }, {}
   for number = 1, 74 do
      out[#out + 1] = ITEM:gsub("%$", number)
      items[number] = ('{ "item %d", act_%d },'):format(number, number)
   end
   out[#out + 1] = ("static const struct item items[] = {\n%s\n};\n"):format(
      table.concat(items, "\n"))
   out[#out + 1] = TAIL
   return assert(cc.object(table.concat(out), "-O2 -fPIC"))
end

--- The object that asks the archive something.
---@return string
function link.asking ()
   return assert(cc.object(campaign.contents "spec/bench/asking.c", "-O2 -fPIC"))
end

--- Builds the measuring programs.
---@param jitlink? string LLVM's linker, a word of a shell or its path
---@return table<string, programs>
function link.build (jitlink)
   local object = sides.build "fresh.c"
   return {
      object = object,
      archive = {
         theirs = "spec/bench/archive_theirs.lua",
         ours = campaign.program({ "spec/bench/archive.c", "src/elf64load.h",
            fixtures.loader() .. "/lib/libelf64load.a" },
            "-Wl,-z,now -Wl,--no-as-needed", "-lm"),
         pairs = object.pairs,
         environment = "JITLINK=" .. campaign.quoted(jitlink or link.jitlink),
      },
   }
end

---@class linked: costs columns `total` and `cpu`, in nanoseconds
---@field what string
---@field ratio table<string, number> by column: how many times faster

--- Measures linking one of the kinds.
---@param made table<string, programs>
---@param kind "object"|"archive"
---@param count integer pairs
---@return linked? result
---@return string? why
function link.measure (made, kind, count)
   local words, what
   local folder = os.tmpname()
   os.remove(folder)
   assert(os.execute("mkdir " .. campaign.quoted(folder)))
   if kind == "object" then
      local template = link.template()
      words = { template, folder }
      what = ("%.1f KB"):format(#campaign.contents(template) / 1000)
   else
      what = "libsqlite3.a"
      words = { link.asking(),
         assert(campaign.output("gcc -print-file-name=" .. what)) }
   end
   local columns, why = sides.run(made[kind], count, words,
      made[kind].environment)
   os.execute("rm -r " .. campaign.quoted(folder))
   if not columns then return nil, why end
   local result = sides.costs(kind, columns, count)
   result.what, result.ratio = what, {}
   for column, cost in pairs(result.cost) do
      result.ratio[column] = 1 / cost
   end
   return result
end

--- What the row measures.
---@param context context
---@return task[]
function link.tasks (context)
   local made, tasks = link.build(context.jitlink), {}
   for number, kind in ipairs(link.kinds) do
      tasks[number] = { what = "link " .. kind,
         run = function (count) return link.measure(made, kind, count) end }
   end
   return tasks
end

local LINE = "%-8s %-14s %-13s" .. (" %9s %9s %9s %6s"):rep(2)
local THEIRS <const> = { object = "cc and dlopen", archive = "llvm-jitlink" }

--- What of a result the chart shows.
---@param result linked
---@return bars
function link.bars (result)
   return { { "total", "link: " .. result.row } }
end

--- The lines of the table for these measurements.
---@param results linked[]
---@return string[]
function link.table (results)
   local lines = { LINE:format("link", "what", "side", "median", "low", "high",
      "ratio", "cpu", "low", "high", "ratio") }
   for _, result in ipairs(results) do
      for _, name in ipairs(sides.names) do
         local head, words = name == "theirs", {}
         for _, column in ipairs { "total", "cpu" } do
            local summary = result[name][column]
            for _, field in ipairs { "median", "low", "high" } do
               words[#words + 1] = ("%.3f"):format(summary[field] / 1e6)
            end
            words[#words + 1] = head and ""
               or ("%.1f"):format(result.ratio[column])
         end
         lines[#lines + 1] = LINE:format(head and result.row or "",
            head and result.what or "", head and THEIRS[result.row] or "ours",
            table.unpack(words))
      end
   end
   return lines
end

return link
