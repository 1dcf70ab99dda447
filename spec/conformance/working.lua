--- The work of libraries: which there is, and how it is run.

local lfs = require "lfs"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local cc = require "elf64load.cc"

---@class working
local working = {}

---@type integer What one library's work may take, in seconds.
working.seconds = 300

---@class task
---@field name string as libraries.txt has it
---@field does string what it does, in words
---@field job string path of the Lua file that does it
---@field path string? of the library
---@field why string? why there is no path

--- The list: jobs.txt.
---@return task[]
function working.list ()
   local tasks = {}
   for _, line in ipairs(campaign.list "spec/conformance/jobs.txt") do
      local name, does = line:match "^(%S+)%s+(.+)$"
      local path, why = campaign.locate(name)
      tasks[#tasks + 1] = { name = name, does = does, path = path, why = why,
         job = ("spec/conformance/jobs/%s.lua"):format(name) }
   end
   return tasks
end

-- A desktop's settings are not for what is tested here, and a toolkit's own
-- choice is the screen of somebody who works at this machine.
local ENVIRONMENT = {
   LC_ALL = "C.UTF-8",
   QT_QPA_PLATFORM = "offscreen",
   GDK_BACKEND = "x11",
   GTK_THEME = "Adwaita",
   GSETTINGS_BACKEND = "memory",
   NO_AT_BRIDGE = "1",
   -- Software draws as well.
   LIBGL_ALWAYS_SOFTWARE = "1",
   WEBKIT_DISABLE_COMPOSITING_MODE = "1",
   WEBKIT_DISABLE_DMABUF_RENDERER = "1",
}

-- One of its own for each, since several may run.
local SCREEN = { "xvfb-run", "--auto-servernum", "--server-args",
   "-screen 0 800x600x24 -nolisten tcp" }

-- What shows a window when it may; the others have no use for a screen.
local SHOWS = { ["libgtk-3"] = true, ["libwebkit2gtk-4.1"] = true }

--- Compiles the C++ that stands beside a job.
---@param job string path of the job's Lua half
---@param flags string
---@return string path
function working.compile (job, flags)
   return assert(cc.shared { file = (job:gsub("%.lua$", ".cc")), flags = flags })
end

---@class outcome
---@field ok boolean
---@field text string what was done, or what is wrong

--- Runs one task. `start(arguments, limits)` runs job.lua in a process.
---@param task task
---@param start fun(arguments: string[], limits: table): result
---@param window boolean what can show a window does, on a screen of its own
---@return outcome
function working.run (task, start, window)
   window = window and SHOWS[task.name]
   if not task.path then return { ok = false, text = task.why } end
   local home = os.tmpname()
   local folder = home .. "/files"
   assert(os.remove(home) and lfs.mkdir(home) and lfs.mkdir(folder))
   local environment = { HOME = home, XDG_RUNTIME_DIR = home,
      XDG_CACHE_HOME = home }
   -- What other people's libraries leave behind when they end is theirs.
   if child.sanitizer or os.getenv "ELF64LOAD_CONFIG" == "asan" then
      environment.ASAN_OPTIONS = "detect_leaks=0:exitcode=86"
   end
   for name, value in pairs(ENVIRONMENT) do environment[name] = value end
   local result = start({ task.path, task.job, folder, window and "window" or nil },
      { seconds = working.seconds, env = environment,
         through = window and SCREEN or nil })
   os.execute("unset LD_PRELOAD; rm -rf " .. campaign.quoted(home))
   -- Libraries may print things of their own.
   local word, text = ("\n" .. result.out):match ".*\n(%l+) (.-)\n*$"
   if word == "ok" and result.code == 0 then return { ok = true, text = text } end
   local lines = { word == "failed" and text
      or "it " .. child.describe(result) }
   if word ~= "failed" and result.out ~= "" then lines[2] = result.out end
   if result.err ~= "" then lines[#lines + 1] = result.err end
   return { ok = false, text = table.concat(lines, "\n") }
end

return working
