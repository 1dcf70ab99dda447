-- Links the mutants of some seeds and starts none:
--
--    elf64load spec/fuzz/linking.lua FIRST LAST FOLDER FILE...
--
-- Says of each in a line what was changed and what became of it. The line is
-- begun before the mutant is linked: who dies over it is known.

local elf = require "elf64load"
local mutate_object = require "spec.fuzz.mutate_object"
local resources = require "spec.support.resources"

io.stdout:setvbuf "no"
local first, last = math.tointeger(arg[1]), math.tointeger(arg[2])
local files = table.move(arg, 4, #arg, 1, {})

local runtime = elf.runtime { resolve = function () return 0x10 end }

-- Every other one is a file, beside its original: a thin archive's members are
-- found from there.
local function source (seed, bytes, path)
   local thin = bytes:sub(1, 7) == "!<thin>"
   if seed % 2 ~= 0 and not thin then
      return elf.source { bytes = bytes, name = path:match "[^/]*$" }
   end
   local file = ("%s/mutant-%d.o"):format(path:match "^(.*)/", seed)
   local out = assert(io.open(file, "wb"))
   assert(out:write(bytes))
   assert(out:close())
   return file
end

local function try (seed, say)
   local bytes, how, path, region = mutate_object.mutant(seed, files)
   say(("%d %s %s %s "):format(seed, how, region, path:match "[^/]*$"))
   local start = os.clock()
   local from = source(seed, bytes, path)
   local p, message, failure, detail = runtime:link({ from }, { start = false })
   if p then
      p:symbols()
      elf.whence(p.base)
      assert(p:relocations())
      p:close()
   else
      assert(type(message) == "string" and #message > 10)
      assert(type(detail) == "table")
   end
   if type(from) == "string" then os.remove(from) end
   say(("%s %.2f\n"):format(p and "open" or failure, os.clock() - start))
end

for _, path in ipairs(files) do
   assert(runtime:link({ path }, { start = false })):close()
end
assert(not runtime:open "no-such-library.so")
for seed = -1, 0 do try(seed, function () end) end
local before = resources.snapshot()
for seed = first, last do try(seed, io.write) end
local left = resources.difference(before, resources.snapshot())
if left then
   io.stderr:write("left behind: ", left, "\n")
   os.exit(1)
end
