#!/usr/bin/env lua5.4
-- What LLVM's linker says that it takes to link an object and an archive:
--
--     archive_theirs OBJECT ARCHIVE
--
-- The linker is named by JITLINK. Of its own times those of reading and of linking
-- count; its start, and the code that it runs, do not. Prints what archive.c does.

local LINKING <const> = { ["time to load/add object files"] = true,
   ["time to link object files"] = true }

local function stop (...)
   io.stderr:write(string.format(...), "\n")
   os.exit(4)
end

local function quoted (text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

local pipe = assert(io.popen(("exec %s -show-times %s %s 2>&1"):format(
   quoted(os.getenv "JITLINK"), quoted(arg[1]), quoted(arg[2]))))
local said = pipe:read "a"
if not pipe:close() then stop("%s: %s", os.getenv "JITLINK", said) end

-- A line for each phase: seconds, and parts of all, of user, system, both, and
-- the clock. Of times that are too small a column is missing, so that they are
-- counted from the end.
local found, cpu, total = 0, 0.0, 0.0
for line in said:gmatch "[^\n]+" do
   local name = line:match "%)%s+(%D+)$"
   if LINKING[name] then
      local times = {}
      for seconds in line:gmatch "(%d+%.%d+) %(" do
         times[#times + 1] = tonumber(seconds)
      end
      total = total + times[#times]
      cpu = cpu + (times[#times - 1] or 0)
      found = found + 1
   end
end
if found ~= 2 then stop("its times were not found in:\n%s", said) end
print(("total=%d cpu=%d"):format(total * 1e9 // 1, cpu * 1e9 // 1))
