--- One library's work, in a process of its own: PATH JOB FOLDER [window].
---
--- Runs the file JOB and then looks at what glibc has mapped: besides the host
--- family and anchors it may hold nothing that it did not hold before, and PATH
--- must be a plugin. Prints "ok", or "failed", and what there is to say.

local elf = require "elf64load"

local path, script, folder, window = ...
-- What this needs itself is there before the work.
local campaign = require "spec.support.campaign"
local resources = require "spec.support.resources"
local working = require "spec.conformance.working"

-- ------------------------------------------------- what belongs to glibc ---

local FAMILY = { "libc", "libm", "libdl", "libpthread", "librt", "libresolv",
   "libanl", "libutil", "libmvec", "libnsl", "libthread_db", "libgcc_s",
   "libstdc++", "ld-linux-x86-64" }

-- Host family: also what libc opens by itself, for names and for iconv. Anchors
-- are ours, opened by glibc for the sake of thread-local storage.
local function belongs (file)
   local base = file:match "[^/]*$"
   for _, member in ipairs(FAMILY) do
      if base:sub(1, #member + 4) == member .. ".so." then return true end
   end
   return base:find "^libnss_" or file:find "/gconv/[^/]*%.so$"
      or file:find "^/proc/self/fd/+%d+$" or file:find "^/memfd:elf64load%-anchor"
end

-- The files of which code is mapped.
local function mapped ()
   local files = {}
   for line in io.lines "/proc/self/maps" do
      local mode, file = line:match "^%S+ (%S+) %S+ %S+ %S+%s+(/.*)"
      if file and mode:find "x" then files[file] = true end
   end
   return files
end

local function listed ()
   local files = {}
   for _, file in ipairs(resources.modules()) do files[file] = true end
   return files
end

local list_before, map_before = listed(), mapped()

-- What is wrong with what is mapped now.
local function faults ()
   local out, plugins = {}, {}
   for file, plugin in pairs(elf.loaded) do
      if plugin.state ~= "host" then
         plugins[campaign.canonical(file)] = plugin
      end
   end
   for file in pairs(listed()) do
      if not list_before[file] and not belongs(file) then
         out[#out + 1] = "glibc has opened " .. file
      end
   end
   for file in pairs(mapped()) do
      if not map_before[file] and not belongs(file) and not plugins[file] then
         out[#out + 1] = "mapped by nobody that we know: " .. file
      end
   end
   if not plugins[path] then
      out[#out + 1] = path .. " is no plugin"
   elseif plugins[path].state ~= "started" then
      out[#out + 1] = ("%s is %s"):format(path, plugins[path].state)
   end
   table.sort(out)
   return out
end

-- ------------------------------------------------------ what jobs get ---

---@class work
---@field elf elf64load
---@field folder string an empty one for its files
---@field window boolean there is a screen to show one
local work = {
   elf = elf,
   folder = folder,
   window = window == "window",
   string = elf.string,
   output = campaign.output,
   read = campaign.contents,
   write = campaign.write,
}

--- Opens a library, or raises why not.
---@param library string
---@param options? table
---@return elf64load.plugin
function work.open (library, options)
   local plugin, why = elf.open(library, options)
   return plugin or error(why, 2)
end

--- Compiles the C++ that stands beside the job, opens it and lets it work.
---@param flags string
---@return string what it says that it did
function work.plugin (flags)
   local plugin = work.open(working.compile(script, flags))
   local C = plugin:cdef [[
      int work(const char *folder, char *said, size_t size);
   ]]
   local said = elf.new("char", 4096)
   local code = C.work(work.folder, said, 4096)
   if code ~= 0 then error(elf.string(said), 2) end
   return elf.string(said)
end

--- Raises unless both are equal.
function work.equal (got, expected, what)
   if got ~= expected then
      error(("%s: expected %s, got %s"):format(what, tostring(expected),
         tostring(got)), 2)
   end
end

--- Asks again and again, for a minute at most, until the answer is true.
---@param ask fun(): boolean
---@return boolean
function work.wait (ask)
   local ending = os.time() + 60
   repeat
      if ask() then return true end
      os.execute "sleep 0.05"
   until os.time() > ending
   return false
end

--- Raises unless a file with such a name has been opened by us.
---@param pattern string
function work.ours (pattern)
   for file, plugin in pairs(elf.loaded) do
      if plugin.state ~= "host" and file:find(pattern) then return end
   end
   error(("nothing like %s is among our plugins"):format(pattern), 2)
end

-- ---------------------------------------------------------------- the job ---

local job = assert(loadfile(script))()
local done, what = xpcall(job, function (message)
   return debug.traceback(tostring(message), 2)
end, work)
local found = faults()
if done and #found == 0 then
   print("ok " .. what)
else
   if not done then table.insert(found, 1, what) end
   print("failed " .. table.concat(found, "\n"))
end
os.exit(done and #found == 0, true)
