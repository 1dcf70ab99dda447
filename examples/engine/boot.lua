-- What the engine runs first: opens the mods of the pack, under a policy.

local elf = require "elf64load"
local engine = require "engine"

local mods = elf.runtime {
   -- Files of the pack, also those that mods need. They are mapped from where
   -- they are in it.
   search = function (name)
      for _, file in ipairs { name, name .. ".so" } do
         local path, offset, size = engine.find(file)
         if path then
            return elf.source { path = path, offset = offset, size = size,
               name = "pack:" .. file }
         end
      end
      return nil, "not in the pack"
   end,
   -- The engine's functions, those of other mods, and what is harmless of C.
   allow = { "engine_*", "rank_*", "str*", "mem*" },
   accept = function (plugin)
      if plugin.name:find "%.so$" or plugin:lookup "mod_frame" then
         return true
      end
      return nil, "it has no mod_frame"
   end,
   on = {
      started = function (event) engine.log("started " .. event.path) end,
      stopped = function (event) engine.log("stopped " .. event.path) end,
   },
}

for _, name in ipairs { "weather", "score", "cheat", "relic" } do
   local mod, message, kind = mods:open(name)
   if mod then
      engine.each_frame(mod:lookup "mod_frame".address)
   else
      engine.log(("%s is left out (%s): %s"):format(name, kind,
         message:match "^[^;]*"))
   end
end

return function () assert(mods:close()) end
