--- Mods that may do little, from a list: see README.md here.

local elf = require "elf64load"

local here = arg[0]:match "^(.*)/" or "."
local folder = "build/examples/allowlist"

local function run (command, ...)
   assert(os.execute(command:format(...)), "this failed: " .. command)
end

-- Compiles the mods, writes the list, and puts the policy beside them.
local function build ()
   run("rm -rf %s && mkdir -p %s && cp %s/policy.lua %s", folder, folder, here,
      folder)
   for _, name in ipairs { "counter", "greedy", "curious", "changed" } do
      run("cc -O2 -fPIC -shared -o %s/%s.so %s/mods/%s.c", folder, name, here,
         name == "changed" and "counter" or name)
   end
   run("cd %s && sha256sum *.so >SHA256SUMS", folder)
   -- What happens later: one byte more, and a mod that nobody has looked at.
   run("printf x >>%s/changed.so && cp %s/counter.so %s/stranger.so", folder,
      folder, folder)
end

build()

local mods <close> = assert(elf.runtime(folder .. "/policy.lua"))

for _, name in ipairs { "counter", "greedy", "curious", "changed", "stranger" } do
   local mod, message, kind = mods:open(name)
   if mod then
      local C = mod:cdef "int count_words(const char *text);"
      print(("%s: opened, and counts %d words"):format(name,
         C.count_words "three short words"))
   else
      print(("%s: %s"):format(name, kind))
      print("   " .. message)
   end
end
