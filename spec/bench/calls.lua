--- What both sides of the row `callback` do: call a Lua function from C, so often
--- that it can be measured, and print what one such call takes.

local calls = {}

-- A slice is short enough for some of them to be left alone by other work.
local SLICES <const>, CALLS <const> = 20, 5000

---@class signature
---@field name string
---@field result string the C type that the function answers, and the caller adds up
---@field arguments string its arguments
---@field call function

--- What is measured.
---@type signature[]
calls.signatures = {
   { name = "none", result = "void", arguments = "void",
      call = function () end },
   { name = "int", result = "long", arguments = "int",
      call = function (n) return n end },
   { name = "double", result = "double", arguments = "double, double",
      call = function (x, y) return x * y end },
   { name = "six", result = "long",
      arguments = "int, unsigned, long, double, short, signed char",
      call = function (_, two, three, _, _, six) return two + three + six end },
   { name = "pointer", result = "long", arguments = "const int *, const int *",
      call = function (x, y) return x == y and 0 or 1 end },
   { name = "text", result = "long", arguments = "const char *, long",
      call = function (_, n) return n end },
}

--- C for the functions that call.
calls.declarations = ""
for _, it in ipairs(calls.signatures) do
   calls.declarations = calls.declarations .. ("%s each_%s(long, %s (*)(%s));\n")
      :format(it.result, it.name, it.result, it.arguments)
end

--- Prints picoseconds of this process' time for a call of each signature, the
--- least of the slices.
---@param functions table<string, function> by what the plugin calls them
---@param make fun(pointer: string, call: function): any a pointer to a function
function calls.run (functions, make)
   local words = {}
   for _, it in ipairs(calls.signatures) do
      local each = functions["each_" .. it.name]
      local call, least = make(("%s (*)(%s)"):format(it.result, it.arguments),
         it.call), math.huge
      each(CALLS, call)
      for _ = 1, SLICES do
         local start = os.clock()
         each(CALLS, call)
         least = math.min(least, os.clock() - start)
      end
      words[#words + 1] = ("%s=%d"):format(it.name, least * 1e12 // CALLS | 0)
   end
   print(table.concat(words, " "))
end

return calls
