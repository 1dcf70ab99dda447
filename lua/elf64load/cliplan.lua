--- The command's `plan`: all that opening a library would do, as a tree, as JSON
--- or as a graph for Graphviz.

local json = require "elf64load.json"
local show = require "elf64load.clishow"

local planned = {}

---What a state looks like.
local STYLES <const> = {
   new = "green", open = "cyan", host = "dim", family = "dim", absent = "red",
}

-- How many clashes a person is shown.
local MOST_CLASHES <const> = 10

local function plural (count, one, many)
   return ("%d %s"):format(count, count == 1 and one or many)
end

-- ---------------------------------------------------------------------- tree

-- What is told of a node behind its name.
local function facts (node, sizes)
   local out = { node.state }
   if node.as and node.as ~= "needed" then out[#out + 1] = node.as end
   local memory = sizes[node.path]
   if memory and not node.repeated then out[#out + 1] = show.size(memory) end
   if node.repeated then
      out[#out + 1] = "above"
   elseif node.state == "absent" then
      out[#out + 1] = node.kind
   elseif node.state ~= "host" then
      out[#out + 1] = node.why
   end
   return table.concat(out, ", ")
end

-- Files that were tried and not taken, where that says something: all of what
-- is absent, else what is there and does not do.
local function passed_over (node)
   local list = {}
   for _, probe in ipairs(node.probes or {}) do
      if probe.result ~= "taken"
         and (node.state == "absent" or probe.result ~= "notfound") then
         list[#list + 1] = ("not %s (%s): %s"):format(probe.path or "?",
            probe.place, probe.result)
      end
   end
   return list
end

local show_node

-- What glibc opens for itself is glibc's affair.
local function children (node)
   if node.repeated or node.state == "host" or node.state == "family" then
      return {}
   end
   return node.needs or {}
end

function show_node (context, node, sizes, lead, under)
   local paint, name = context.paint, node.name
   if node.path and node.path ~= name and not node.repeated then
      name = name .. " => " .. node.path
   end
   print(paint("dim", lead) .. paint(STYLES[node.state], name) .. "  "
      .. paint("dim", facts(node, sizes)))
   local below = children(node)
   local bar = under .. (#below > 0 and "│  " or "   ")
   for _, line in ipairs(passed_over(node)) do
      print(paint("dim", bar) .. paint("yellow", line))
   end
   for at, child in ipairs(below) do
      local last = at == #below
      show_node(context, child, sizes, under .. (last and "└─ " or "├─ "),
         under .. (last and "   " or "│  "))
   end
end

-- --------------------------------------------------------------------- lists

local function heading (context, ...)
   print("\n" .. context.paint("bold", table.concat { ... }))
end

-- Who gives how many of the imports what they are bound to.
local function show_bindings (context, plan)
   local counts, providers, nothing = {}, {}, 0
   for _, binding in ipairs(plan.bindings) do
      local from = binding.provider
      if not from then
         nothing = nothing + 1
      elseif not counts[from] then
         providers[#providers + 1] = from
      end
      if from then counts[from] = (counts[from] or 0) + 1 end
   end
   table.sort(providers, function (a, b)
      if counts[a] ~= counts[b] then return counts[a] > counts[b] end
      return a < b
   end)
   heading(context, plural(#plan.bindings, "import", "imports"))
   for _, provider in ipairs(providers) do
      print(("%8d  %s"):format(counts[provider], provider))
   end
   if nothing > 0 then print(("%8d  nothing"):format(nothing)) end
end

local function show_clashes (context, plan)
   local real = {}
   for _, clash in ipairs(plan.clashes) do
      if not clash.vague then real[#real + 1] = clash end
   end
   if #plan.clashes == 0 then return end
   heading(context, plural(#plan.clashes, "name", "names"),
      " that more than one file defines, ", tostring(#plan.clashes - #real),
      " of them as C++ does")
   for at, clash in ipairs(real) do
      if at > MOST_CLASHES then
         print(("   and %d more; --json has them"):format(#real - MOST_CLASHES))
         break
      end
      print(("   %s  from %s, not %s"):format(context.paint("yellow",
         clash.symbol), clash.provider, clash.runner_up))
   end
end

local function show_missing (context, plan)
   if #plan.missing == 0 then return end
   heading(context, "missing")
   for _, gap in ipairs(plan.missing) do
      local what = gap.symbol or gap.library
      if gap.symbol and gap.version then what = what .. "@" .. gap.version end
      if not gap.symbol and gap.version then
         what = gap.version .. " of " .. gap.library
      end
      print(("   %s  wanted by %s"):format(context.paint("red", what),
         table.concat(gap.wanters, ", ")))
   end
end

local function show_needs (context, plan)
   local memory, tls = plan.memory, plan.tls
   heading(context, "needs")
   print(("   memory        %s: %s code, %s data, %s sealed"):format(
      show.size(memory.total), show.size(memory.code), show.size(memory.data),
      show.size(memory.sealed)))
   print(("   each thread   %s at a fixed offset (of %s), %s more"):format(
      show.size(tls.fixed), show.size(tls.room), show.size(tls.dynamic)))
   local types = {}
   for name in pairs(plan.relocations) do types[#types + 1] = name end
   table.sort(types)
   for at, name in ipairs(types) do
      print(("   %-13s %8d %s"):format(at == 1 and "relocations" or "",
         plan.relocations[name], name))
   end
end

local function show_plan (context, plan)
   local sizes = {}
   for _, object in ipairs(plan.objects) do
      if object.path and object.memory then
         sizes[object.path] = object.memory.total
      end
   end
   show_node(context, plan.tree, sizes, "", "")
   show_bindings(context, plan)
   show_clashes(context, plan)
   show_missing(context, plan)
   if #plan.order > 0 then heading(context, "start, in this order") end
   for at, path in ipairs(plan.order) do print(("%8d  %s"):format(at, path)) end
   show_needs(context, plan)
end

-- ---------------------------------------------------------------------- JSON

local LISTS <const> = {
   needs = true, probes = true, wanters = true, objects = true, bindings = true,
   clashes = true, missing = true, order = true,
}

-- The same with lists that are lists without a member, too.
local function listed (value)
   if type(value) ~= "table" then return value end
   local out = {}
   for name, member in pairs(value) do
      local empty = LISTS[name] and next(member) == nil
      out[name] = empty and json.array or listed(member)
   end
   return out
end

local FIELDS <const> = {
   "name", "path", "tree", "objects", "bindings", "clashes", "missing", "order",
   "tls", "relocations", "memory",
}

local function print_json (context, plan)
   local out = {}
   for _, name in ipairs(FIELDS) do out[name] = plan[name] end
   out = listed(out)
   if plan.kind then out.error = context:failure(plan.message, plan.kind) end
   print(json.encode(out, true))
end

-- ----------------------------------------------------------------------- dot

local function quoted (text)
   return '"' .. text:gsub('["\\]', "\\%0") .. '"'
end

local SHAPES <const> = {
   new = 'style=filled, fillcolor="#d5f0d5"', open = 'style=filled, '
      .. 'fillcolor="#d5e8f0"', host = 'color="#888888", fontcolor="#888888"',
   family = 'color="#888888", fontcolor="#888888"',
   absent = 'color="#c00000", fontcolor="#c00000"',
}

local function print_dot (plan)
   print "digraph plan {\n   node [shape=box, fontname=\"sans-serif\"];"
   for _, object in ipairs(plan.objects) do
      print(("   %s [%s];"):format(quoted(object.path or object.name),
         SHAPES[object.state]))
   end
   for _, object in ipairs(plan.objects) do
      for _, need in ipairs(object.needs) do
         print(("   %s -> %s%s;"):format(quoted(object.path or object.name),
            quoted(need.path or need.name),
            need.kind == "needed" and "" or " [style=dashed]"))
      end
   end
   print "}"
end

---@param context elf64load.cli.context
---@return integer status
function planned.run (context)
   local runtime <close>, why, what, more = context:runtime()
   if not runtime then return context:fail(why, what, more) end
   local plan <close>, message, kind, detail = runtime:plan(context.words[1])
   if not plan then return context:fail(message, kind, detail) end
   if context.json then
      print_json(context, plan)
   elseif context.dot then
      print_dot(plan)
   else
      show_plan(context, plan)
   end
   if not plan.kind then return 0 end
   return context.json and 1 or context:fail(plan.message, plan.kind)
end

return planned
