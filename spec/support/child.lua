--- Runs programs in children, with limits, and captures what they print.

local lfs = require "lfs"
local disk = require "spec.support.disk"
local fixtures = require "spec.support.fixtures"

---@class child
local child = {}

---@type string The program that runs this spec: lua5.4 or elf64load.
child.host = lfs.symlinkattributes("/proc/self/exe", "target")

---@type string The folder with bin, lib and lua of what is being tested.
child.build = os.getenv "ELF64LOAD_BUILD"
   or lfs.currentdir() .. "/build/release"

local quoted = disk.quoted

-- Its short name and the path of its library.
local function sanitizer ()
   for line in io.lines "/proc/self/maps" do
      local path, name = line:match "(/%S*/lib([at])san%.so%S*)"
      if path then return name .. "san", path end
   end
end

local short, library = sanitizer()

---@type string|nil "asan" or "tsan" when this process runs under one.
child.sanitizer = short

---@class result
---@field out string what it wrote to its standard output
---@field err string what it wrote to its standard error
---@field code integer|nil the exit status
---@field signal integer|nil the signal that ended it
---@field timeout boolean|nil true when it took longer than it may

---@class limits
---@field seconds? integer longest time, default 200
---@field memory? integer most address space, in MB; not under a sanitizer
---@field files? integer most descriptors
---@field env? table<string, string> variables to set
---@field preload? string for LD_PRELOAD, after a sanitizer's own
---@field folder? string where to run it
---@field input? string path of its standard input
---@field merge? boolean standard error goes to `out`
---@field through? string[] a command that runs the program
---@field host? string for Lua: a program in this one's place, with core.so

-- GNU timeout exits with this code when it had to end the program.
local TIMED_OUT = 124

-- What a shell is given to run `words`, which are quoted already.
local function shell (words, limits, errors)
   -- A sanitizer that this process had preloaded is for hosts alone, which name
   -- it themselves.
   local lines = { "ulimit -c 0; unset LD_PRELOAD" }
   local function add (...) lines[#lines + 1] = string.format(...) end
   if limits.folder then add("cd %s", quoted(limits.folder)) end
   if limits.memory and not child.sanitizer then
      add("ulimit -v %d", limits.memory * 1024)
   end
   if limits.files then add("ulimit -n %d", limits.files) end
   for name, value in pairs(limits.env or {}) do
      add("export %s=%s", name, quoted(value))
   end
   add("exec timeout -k 2 %d %s <%s %s", limits.seconds or 200, words,
      limits.input and quoted(limits.input) or "/dev/null",
      limits.merge and "2>&1" or "2>" .. quoted(errors))
   return table.concat(lines, "; ")
end

local function quote (words)
   local out = {}
   for at, word in ipairs(words) do out[at] = quoted(word) end
   return table.concat(out, " ")
end

local function run (words, limits)
   if limits.through then words = quote(limits.through) .. " " .. words end
   local errors = os.tmpname()
   local pipe = assert(io.popen(shell(words, limits, errors), "r"))
   local result = { out = pipe:read "a" }
   local _, how, number = pipe:close()
   if how == "signal" or number > 128 then
      result.signal = how == "signal" and number or number - 128
   elseif number == TIMED_OUT then
      result.timeout = true
   else
      result.code = number
   end
   local file = assert(io.open(errors, "rb"))
   result.err = file:read "a"
   file:close()
   os.remove(errors)
   return result
end

--- Runs a program and waits for it.
---@param command string[] program and arguments
---@param limits? limits
---@return result
function child.run (command, limits)
   limits = limits or {}
   local words = quote(command)
   if limits.preload then
      -- For the program alone, not for what starts it.
      words = "env LD_PRELOAD=" .. quoted(limits.preload) .. " " .. words
   end
   return run(words, limits)
end

-- The words of a shell that run a Lua script in a host like this one. spec/run
-- gives them; without it, a process that finds the same modules will do.
local function host (preload, program)
   local words = os.getenv "ELF64LOAD_HOST"
   if program then
      -- core.so and the scripts as this process has them, or as it was built.
      local root = lfs.currentdir()
      words = ("env LUA_PATH=%s LUA_CPATH=%s LD_PRELOAD='%s' %s"):format(
         quoted(root .. "/lua/?.lua;" .. root .. "/lua/?/init.lua;;"),
         quoted(child.build .. "/lua/?.so;;"), library or "", quoted(program))
   elseif not words or words == "" then
      words = ("env LUA_PATH=%s LUA_CPATH=%s %s"):format(quoted(package.path),
         quoted(package.cpath), quoted(child.host))
   end
   if not preload then return words end
   local count
   words, count = words:gsub("LD_PRELOAD='([^']*)'", function (first)
      return "LD_PRELOAD=" .. quoted(first .. ":" .. preload)
   end)
   if count > 0 then return words end
   -- A sanitizer that is linked in wants to be the first all the same.
   if library then preload = library .. ":" .. preload end
   return "env LD_PRELOAD=" .. quoted(preload) .. " " .. words
end

--- Runs a Lua program in a process like this one: same host, same modules.
---@param source string its text
---@param arguments? string[]
---@param limits? limits
---@return result
function child.lua (source, arguments, limits)
   limits = limits or {}
   local script = { fixtures.text(source, ".lua"), table.unpack(arguments or {}) }
   return run(host(limits.preload, limits.host) .. " " .. quote(script), limits)
end

--- How a child ended, in words for messages.
---@param result result
---@return string
function child.describe (result)
   if result.timeout then return "did not end in time" end
   if result.signal then return ("was ended by signal %d"):format(result.signal) end
   return ("exited with %d"):format(result.code)
end

return child
