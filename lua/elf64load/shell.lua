--- Commands of the shell: for compilers, which are programs of the user's own.

local shell = {}

---A word that a POSIX shell reads as this text.
---@param text string
---@return string
function shell.quoted (text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- What stands between the output and its status: in no compiler's language.
local MARK <const> = "\1status "

---Runs a command. Preloaded libraries are meant for this process. The status is
---read from the output, because a program that ignores SIGCHLD gets none. What the
---shell itself says of a command that it cannot read is in the output, too.
---@param command string
---@return string text what it printed to both outputs, or why it did not run
---@return boolean done whether it succeeded
---@return integer|nil status what it ended with, if it ran
function shell.run (command)
   local pipe, why = io.popen(("unset LD_PRELOAD; { eval %s\n} 2>&1 </dev/null; "
      .. "printf '%s%%d' $?"):format(shell.quoted(command), MARK))
   if not pipe then return why or "no shell", false, nil end
   local text = pipe:read "a" or ""
   pipe:close()
   local said, status = text:match("^(.*)" .. MARK .. "(%d+)$")
   text = (said or text):gsub("%s+$", "")
   return text, status == "0", math.tointeger(tonumber(status))
end

---The folder for what can be made again, or nil when the environment names none.
---@return string?
function shell.cache ()
   local base = os.getenv "XDG_CACHE_HOME"
   if not base or base:sub(1, 1) ~= "/" then
      local home = os.getenv "HOME"
      base = home and home:sub(1, 1) == "/" and home .. "/.cache"
   end
   return base and base .. "/elf64load"
end

---Is it readable?
---@param path string
---@return boolean
function shell.exists (path)
   local file = io.open(path, "rb")
   if file then file:close() end
   return file ~= nil
end

return shell
