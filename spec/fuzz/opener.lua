-- Opens the mutants of some seeds and starts none:
--
--    elf64load spec/fuzz/opener.lua FIRST LAST FOLDER LIBRARY...
--
-- Says of each in a line what was changed and what became of it. The line is
-- begun before the mutant is opened: who dies over it is known.

local elf = require "elf64load"
local lfs = require "lfs"
local mutate = require "spec.fuzz.mutate"
local trial = require "spec.fuzz.trial"

io.stdout:setvbuf "no"
local first, last = math.tointeger(arg[1]), math.tointeger(arg[2])
local folder = arg[3]
local libraries = table.move(arg, 4, #arg, 1, {})

-- Some of the names that each library defines, beside what none does.
local names = {}

local function descriptors ()
   local count = 0
   for _ in lfs.dir "/proc/self/fd" do count = count + 1 end
   return count
end

-- The sanitizer's own thread looks into a file now and then.
local function same_descriptors (before)
   for _ = 1, 1000 do
      if descriptors() == before then return true end
   end
   return false
end

local function is_mapped (path)
   for line in io.lines "/proc/self/maps" do
      if line:find(path, 1, true) then return true end
   end
   return false
end

-- What mutants need is found, mapped and kept: each is opened beside its
-- original.
for _, path in ipairs(libraries) do
   local p = assert(elf.open(path, { start = false }))
   local own = { "no such name", "" }
   for number, symbol in ipairs(p:symbols()) do
      if number % 16 == 1 and #own < 24 then own[#own + 1] = symbol.name end
   end
   names[path] = own
end
assert(not elf.open "no-such-library.so")
local before = descriptors()

local function try (seed)
   local bytes, kind, library, region = mutate.mutant(seed, libraries)
   io.write(("%d %s %s %s "):format(seed, kind, region,
      library:match "[^/]*$"))
   -- A file of its own: what stays mapped must not change under it.
   local path = seed % 2 == 0 and ("%s/mutant-%d.so"):format(folder, seed)
   local start = os.clock()
   local p, message, failure, detail
   if path then
      local file = assert(io.open(path, "wb"))
      assert(file:write(bytes))
      assert(file:close())
      p, message, failure, detail = elf.open(path, { start = false })
   else
      p, message, failure, detail = elf.load(bytes, "mutant", { start = false })
   end
   if p then
      trial.use(p, names[library], bytes)
      p:close()
   else
      assert(type(message) == "string" and #message > 10)
      assert(type(detail) == "table")
   end
   if path then
      os.remove(path)
      assert(not is_mapped(path) or trial.stays(bytes), "it stays mapped")
   end
   assert(same_descriptors(before), "a descriptor stays open")
   io.write(("%s %.2f\n"):format(p and "open" or failure, os.clock() - start))
end

for seed = first, last do try(seed) end
