-- The stress in a host of Lua; in lua5.4 glibc opens the loader late.
--
--    hosted.lua LIBRARY THREADS OPENS PLUGIN...

local elf = require "elf64load"
local OPEN <const> = 4

local plugins = { table.unpack(arg, 4) }
local threads = math.tointeger(tonumber(arg[2]))
local opens = math.tointeger(tonumber(arg[3]))
local stress = assert(elf.open(arg[1])):cdef [[
   void stress_begin(long creators);
   long stress_enter(long check);
   void stress_leave(long place);
   void stress_wait(long threads);
   long stress_fork(void);
   void stress_end(void);
   long stress_threads(void);
   long stress_stale(void);
   long stress_failed(void);
]]

local opened = {}

local function replace (path, at)
   local old = opened[at]
   if old then
      stress.stress_leave(old.place)
      assert(old.plugin:close())
   end
   local plugin = assert(elf.open(path))
   local check = math.tointeger(assert(plugin:lookup "check").address)
   opened[at] = { plugin = plugin, place = stress.stress_enter(check) }
end

stress.stress_begin(4)
-- Some threads are there before the first plugin comes.
stress.stress_wait(threads // 20)
for i = 0, opens - 1 do
   replace(plugins[i * 7 % #plugins + 1], i % OPEN + 1)
   if i % 100 == 50 and stress.stress_fork() ~= 0 then
      io.stderr:write "the child of the opener failed\n"
      os.exit(1, false)
   end
   stress.stress_wait(threads * i // opens)
end
stress.stress_wait(threads)
stress.stress_end()
print(("%d threads, %d opens, %d stale, %d not created"):format(
   stress.stress_threads(), opens, stress.stress_stale(),
   stress.stress_failed()))
os.exit(stress.stress_stale() == 0 and stress.stress_failed() == 0)
