-- The policy of a folder of mods: everything comes from here, what would play
-- sounds and is not there is silent, and the renderer starts last.

return {
   -- For "game" game.so, and for what mods need the file of that name.
   path = "$POLICY/?.so;$POLICY/?",

   resolve = function (import)
      if not import.name:find "^audio_" then return nil end
      print(("%s wants %s, and gets silence"):format(
         import.wanter.path:match "[^/]*$", import.name))
      return function () return 1 end, "int silence(void)"
   end,

   -- The game needs the renderer, which would therefore start before the game.
   order = function (plugins)
      for at, plugin in ipairs(plugins) do
         if plugin.soname == "renderer.so" then
            table.insert(plugins, table.remove(plugins, at))
            break
         end
      end
      return plugins
   end,
   force = true,

   on = {
      started = function (event)
         print("started " .. event.path:match "[^/]*$")
      end,
   },
}
