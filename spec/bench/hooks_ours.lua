#!/usr/bin/env lua5.4
-- The row `hooks` with Lua functions that are asked where the library is, and in
-- which order plugins start.

local mods = { ["libmine.so"] = "/no/such/file" }

require "spec.bench.hooks".run(arg[1], {
   search = function (name)
      if mods[name] then return mods[name] end
      return nil, "no such mod"
   end,
   order = function (plugins) return plugins end,
})
