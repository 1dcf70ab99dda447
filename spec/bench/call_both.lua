#!/usr/bin/env lua5.4
-- Measures calls of one function in the row `call`, by turns through the loader
-- and through a binding. Prints a line for each, as `sides.alone` wants it.

local elf = require "elf64load"

-- A slice is short enough for some of them to be left alone by other work.
local SLICES <const>, CALLS <const> = 60, 5000

local plugin = assert(elf.open(arg[1]))
local functions = {
   assert(package.loadlib(arg[2], "luaopen_binding"))(plugin:lookup "f".address),
   plugin:cdef("int f(int, int);").f,
}

local function slice (f)
   local start = os.clock()
   for _ = 1, CALLS do f(5, 3) end
   return os.clock() - start
end

local least = { math.huge, math.huge }
for number = 0, SLICES do
   for side = 1, 2 do
      assert(functions[side](5, 3) == 2)
      local time = slice(functions[side])
      -- The first one is for the caches.
      if number > 0 then least[side] = math.min(least[side], time) end
   end
end
for side, time in ipairs(least) do
   print(("%d int=%d"):format(side, time * 1e12 // CALLS | 0))
end
