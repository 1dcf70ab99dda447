-- The table of what was opened: who mapped each file, what had to be relocated,
-- and how long that took beside glibc's dlopen of the same file.

local report = {}

-- Opens a library with glibc's dlopen in a process of its own, since this one
-- has it already, and gives the nanoseconds that it took.
local measure = [[
   local elf = require "elf64load"
   local C = elf.host:cdef "void *dlopen(const char *, int); int clock_gettime(int, long *);"
   local now = elf.new "long[2]"
   local function clock ()
      C.clock_gettime(1, now)
      return now[0] * 1000000000 + now[1]
   end
   local RTLD_NOW = 2
   clock()
   local start = clock()
   local handle = C.dlopen(..., RTLD_NOW)
   local finish = clock()
   print(handle and finish - start or "")
]]

local function quote (word)
   return "'" .. word:gsub("'", "'\\''") .. "'"
end

local function time_dlopen (path)
   local child = assert(io.popen(("%s -e %s %s"):format(quote(arg[-1]),
      quote(measure), quote(path))))
   local time = tonumber((child:read "a"))
   child:close()
   return time
end

local function microseconds (time)
   return time and ("%.0f"):format(time / 1000) or "-"
end

-- "R_X86_64_RELATIVE" is RELATIVE to those who read this.
local function kinds (plugin)
   local list = {}
   for name, count in pairs(plugin:relocations()) do
      list[#list + 1] = ("%s %d"):format(name:gsub("^R_X86_64_", ""), count)
   end
   table.sort(list)
   return table.concat(list, ", ")
end

local columns = { "file", "mapped by", "segments", "imports", "map",
   "resolve", "apply", "start", "all", "dlopen" }

local function row (plugin)
   local times = plugin.times
   local start = times.ifunc + times.start
   local all = times.discover + times.map + times.resolve + times.apply + start
   return { plugin.path, "elf64load", tostring(plugin.segments),
      tostring(plugin.imports), microseconds(times.map),
      microseconds(times.resolve), microseconds(times.apply),
      microseconds(start), microseconds(all),
      microseconds(time_dlopen(plugin.path)) }
end

-- What the plugins need and glibc has.
local function host_rows (plugins, rows)
   local seen = {}
   for _, plugin in ipairs(plugins) do
      for _, need in ipairs(plugin.needs) do
         if need.host and not seen[need.path] then
            seen[need.path] = true
            rows[#rows + 1] = { need.path, "glibc", "-", "-", "-", "-", "-",
               "-", "-", "-" }
         end
      end
   end
end

local function show_rows (rows)
   local widths = {}
   for _, cells in ipairs(rows) do
      for column, cell in ipairs(cells) do
         widths[column] = math.max(widths[column] or 0, #cell)
      end
   end
   for _, cells in ipairs(rows) do
      local line = {}
      for column, cell in ipairs(cells) do
         local form = column <= 2 and "%-" or "%"
         line[column] = (form .. widths[column] .. "s"):format(cell)
      end
      print((table.concat(line, "  "):gsub(" +$", "")))
   end
end

---@param plugins table[] handles
function report.show (plugins)
   local rows = { columns }
   for _, plugin in ipairs(plugins) do rows[#rows + 1] = row(plugin) end
   host_rows(plugins, rows)
   print "What was opened (times in microseconds, dlopen's in a process of its own):"
   show_rows(rows)
   print "\nRelocations:"
   for _, plugin in ipairs(plugins) do
      print(("%s: %s"):format(plugin.path, kinds(plugin)))
   end
end

return report
