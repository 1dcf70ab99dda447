--- Go in specs: fixtures that the toolchain builds, each once, and programs that
--- use them.

local assert = require "luassert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local fixtures = require "spec.support.fixtures"
local lfs = require "lfs"

---@class golang
local golang = {}

---@type string What Go builds, and what is kept for Go plugins.
golang.folder = lfs.currentdir() .. "/build/go"

---@type table<string, string> Keeps all that out of the user's home.
golang.env = {
   XDG_CACHE_HOME = golang.folder, GOCACHE = golang.folder .. "/build",
}

--- A folder for PATH with the commands that specs themselves need, and no
--- toolchain.
---@return string
function golang.absent ()
   local folder = fixtures.folder .. "/no-go"
   os.execute("mkdir -p " .. disk.quoted(folder))
   for _, name in ipairs { "env", "sh", "timeout", "mkdir", "mktemp", "rm" } do
      os.execute(("ln -sf \"$(command -v %s)\" %s/"):format(name,
         disk.quoted(folder)))
   end
   return folder
end

--- Runs a command of a shell and gives what it prints.
---@param words string
---@return string
function golang.command (words)
   local result = child.run({ "sh", "-c", words },
      { env = golang.env, merge = true, seconds = 600 })
   assert.equal(0, result.code, result.out)
   return result.out
end

local version

--- What the toolchain calls itself.
---@return string
function golang.version ()
   version = version or golang.command "go version":gsub("%s+$", "")
   return version
end

--- Builds Go source.
---@param source string
---@param mode string c-shared, c-archive or plugin
---@param flags? string
---@return string path
function golang.build (source, mode, flags)
   flags = flags or ""
   local text = table.concat({ source, mode, flags, golang.version() }, "\0")
   local stem = golang.folder .. "/spec" .. fixtures.digest(text)
   local path = stem .. (mode == "c-archive" and ".a" or ".so")
   if not lfs.attributes(path) then
      golang.command("mkdir -p " .. disk.quoted(golang.folder))
      golang.write(stem .. ".go", source)
      golang.command(("go build -buildmode=%s %s -o %s.new %s.go && mv %s.new %s")
         :format(mode, flags, disk.quoted(stem), disk.quoted(stem), disk.quoted(stem),
            disk.quoted(path)))
   end
   return path
end

--- Runs a Lua program in a process like this one, which must end well, and gives
--- what it prints.
---@param script string
---@param arguments string[]
---@param limits? limits
---@return string
function golang.run (script, arguments, limits)
   limits = limits or {}
   limits.seconds = limits.seconds or 300
   limits.env = limits.env or golang.env
   local result = child.lua(script, arguments, limits)
   assert.equal(0, result.code, child.describe(result) .. "\n" .. result.out
      .. result.err)
   return result.out
end

return golang
