--- How debuggers are started.

local child = require "spec.support.child"

---@class debugging
local debugging = {}

--- The words with which a script is run in this host.
---@param script string
---@return string[]
function debugging.host (script, ...)
   local words = os.getenv "ELF64LOAD_HOST" or child.host
   return { "sh", "-c", "exec " .. words .. ' "$@"', "host", script, ... }
end

--- gdb's words: what it is to do, and what its own come after.
---@param commands string[]
---@param words string[] such as "--args" and a program's
---@return string[]
function debugging.gdb (commands, words)
   local line = { "gdb", "-q", "-nx", "-batch" }
   for _, command in ipairs { "set debuginfod enabled off",
      "set breakpoint pending on", "set confirm off", table.unpack(commands) } do
      line[#line + 1] = "-ex"
      line[#line + 1] = command
   end
   return table.move(words, 1, #words, #line + 1, line)
end

return debugging
