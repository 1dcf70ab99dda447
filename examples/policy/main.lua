--- A folder of mods under a policy: see README.md here.

local elf = require "elf64load"

local here = arg[0]:match "^(.*)/" or "."
local folder = "build/examples/policy"

local function run (command, ...)
   assert(os.execute(command:format(...)), "this failed: " .. command)
end

-- Compiles the mods and puts the policy beside them. What a mod needs is linked
-- by its name alone: where that is, the policy knows.
local function build ()
   local needs = {
      { "world" }, { "renderer", "world" }, { "forest", "world" },
      { "game", "world", "renderer", "forest" },
   }
   run("mkdir -p %s && cp %s/policy.lua %s", folder, here, folder)
   for _, mod in ipairs(needs) do
      local links = {}
      for at = 2, #mod do links[#links + 1] = "-l:" .. mod[at] .. ".so" end
      run("cc -O2 -fPIC -shared -Wl,-soname,%s.so -o %s/%s.so %s/mods/%s.c -L%s "
         .. "-Wl,--no-as-needed %s", mod[1], folder, mod[1], here, mod[1], folder,
         table.concat(links, " "))
   end
end

build()

local mods <close> = assert(elf.runtime(folder .. "/policy.lua"))
local game = assert(mods:open "game")
local frames = game:cdef "int game_run(void);".game_run()
print(("The game runs at %d frames per second"):format(frames))
