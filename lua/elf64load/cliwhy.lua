--- The command's `why`: who gives a library's imports of one name what.

local json = require "elf64load.json"
local near = require "elf64load.near"

local why = {}

-- The imports of that name: of one version if it says so ("memcpy@GLIBC_2.14").
local function imports (plan, wanted)
   local name, version = wanted:match "^(.-)@+(.+)$"
   name = name or wanted
   local found, names, seen = {}, {}, {}
   for _, binding in ipairs(plan.bindings) do
      if binding.symbol == name
         and (not version or binding.version == version) then
         found[#found + 1] = binding
      end
      if not seen[binding.symbol] then
         seen[binding.symbol] = true
         names[#names + 1] = binding.symbol
      end
   end
   return found, name, names
end

-- What a lookup in the library itself would find, nothing of it being run.
local function exported (runtime, library, name)
   local plugin <close> = runtime:open(library, { start = false, lazy = true })
   local symbol = plugin and plugin:lookup(name)
   -- An IFUNC has no address before its resolver has run.
   for _, other in ipairs(plugin and not symbol and plugin:symbols() or {}) do
      if other.name == name then symbol = other end
   end
   return symbol and { file = symbol.file, version = symbol.version,
      kind = symbol.kind }
end

local function at_version (name, version)
   return version and ("%s@%s"):format(name, version) or name
end

-- Those who get the same are shown together, in the order of the plan.
local function grouped (bindings)
   local groups, known = {}, {}
   for _, binding in ipairs(bindings) do
      local key = ("%s %s %s %s"):format(binding.version, binding.provider,
         binding.runner_up, binding.weak)
      local group = known[key]
      if not group then
         group = { binding = binding, wanters = {} }
         groups[#groups + 1], known[key] = group, group
      end
      table.insert(group.wanters, binding.wanter)
   end
   return groups
end

local function show_import (context, binding, wanters)
   local paint = context.paint
   print(paint("bold", at_version(binding.symbol, binding.version)) .. ", for")
   for _, wanter in ipairs(wanters) do print("      " .. wanter) end
   if not binding.provider then
      print("   is " .. (binding.weak
         and paint("yellow", "nothing, and NULL, as it is weak")
         or paint("red", "what nothing that can be seen defines")))
   else
      print(("   is %s of %s (%s)%s"):format(at_version(binding.symbol,
         binding.provided), paint("green", binding.provider), binding.kind,
         binding.loader and ", for which elf64load's own function stands in"
         or ""))
   end
   if binding.runner_up then
      print(("   not %s of %s, which comes later in the scope"):format(
         at_version(binding.symbol, binding.runner_up_version),
         paint("yellow", binding.runner_up)))
   end
end

-- Of a name that nobody imports.
local function fail (context, name, names)
   return context:fail(("nothing that opening %s would map imports or defines "
      .. "'%s'%s"):format(context.words[1], name, near.hint(name, names)),
      "undefined", { symbol = name, near = near.names(name, names) })
end

---@param context elf64load.cli.context
---@return integer status
function why.run (context)
   local library = context.words[1]
   local runtime <close>, refusal, what, more = context:runtime()
   if not runtime then return context:fail(refusal, what, more) end
   local plan <close>, message, kind, detail = runtime:plan(library)
   if not plan then return context:fail(message, kind, detail) end
   local found, name, names = imports(plan, context.words[2])
   local own = exported(runtime, library, name)
   if #found == 0 and not own then return fail(context, name, names) end
   if context.json then
      print(json.encode({ symbol = name, exported = own,
         imports = #found > 0 and found or json.array }, true))
   else
      for _, group in ipairs(grouped(found)) do
         show_import(context, group.binding, group.wanters)
      end
      if own then
         print(("%s, looked up in\n      %s\n   is %s of %s (%s)"):format(
            context.paint("bold", name), library,
            at_version(name, own.version), context.paint("green", own.file),
            own.kind))
      end
   end
   for _, binding in ipairs(found) do
      if not binding.provider and not binding.weak then return 1 end
   end
   return 0
end

return why
