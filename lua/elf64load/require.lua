--- Lua's C modules through a runtime: `require "elf64load.require"`.
---
--- From then on `require` and package.loadlib open C modules with this loader.
--- The rules are Lua's own (manual, 6.3): package.cpath says where; "a.b" wants
--- luaopen_a_b of a file for "a.b" or, all in one, of a file for "a"; what stands
--- before the first "-" of a name is wanted first, then what stands behind it.
---
---    local modules = require "elf64load.require"
---    local lpeg, file = require "lpeg"      -- opened by elf64load
---    modules.use(elf.runtime { ... })       -- from here on by this runtime
---    modules.restore()                      -- as it was: by glibc
---
--- A module stays mapped until the process ends, as its functions may be anywhere
--- in a Lua state.

local core = require "elf64load.core"
local elf = require "elf64load"

local modules = {}

-- The script may put another table under this name, as Lua's own does not mind.
local package = package

-- Lua's own, which are put back by restore.
local loadlib = package.loadlib

-- What opens: elf64load itself, whose runtime is the one of those who make none,
-- or a runtime.
local open = elf.open

---The file, opened to stay, or nil, why not and what failed.
local function load (path, global)
   local plugin, message = open(path, { nodelete = true, global = global })
   if not plugin then return nil, message, "open" end
   return plugin
end

---A function of a module's file, or nil, why not and what failed.
local function find (plugin, name)
   local symbol, message = plugin:lookup(name)
   if not symbol then return nil, message, "init" end
   return core.cfunction(symbol)
end

---As package.loadlib: "*" for a name only opens, and lets later ones see all
---that the file defines.
---@param path string
---@param name string of a lua_CFunction
---@return function|boolean|nil
---@return string? message
---@return "open"|"init"? failed
function modules.loadlib (path, name)
   local plugin, message, failed = load(path, name == "*")
   if not plugin then return nil, message, failed end
   if name == "*" then return true end
   return find(plugin, name)
end

-- Of "a-b.c" luaopen_a, then luaopen_b_c.
local function opener (path, name)
   -- package.cpath may find a file that stands here: to open that, not one that
   -- is searched for.
   local plugin, message, failed = load(
      path:find("/", 1, true) and path or "./" .. path)
   if not plugin then return nil, message, failed end
   local word = name:gsub("%.", "_")
   local before, after = word:match "^([^-]*)%-(.*)$"
   if before then
      local found = find(plugin, "luaopen_" .. before)
      if found then return found end
   end
   return find(plugin, "luaopen_" .. (after or word))
end

local function file (name)
   local kind = type(package.cpath)
   if kind ~= "string" and kind ~= "number" then
      error("'package.cpath' must be a string", 0)
   end
   return package.searchpath(name, package.cpath)
end

local function refuse (name, path, message)
   error(("error loading module '%s' from file '%s':\n\t%s"):format(name, path,
      message), 0)
end

local function whole (name)
   local path, why = file(name)
   if not path then return why end
   local found, message = opener(path, name)
   if not found then refuse(name, path, message) end
   return found, path
end

-- The submodule in the file of its root.
local function inside (name)
   local root = name:match "^([^.]*)%."
   if not root then return end
   local path, why = file(root)
   if not path then return why end
   local found, message, failed = opener(path, name)
   if found then return found, path end
   if failed ~= "init" then refuse(name, path, message) end
   return ("no module '%s' in file '%s'"):format(name, path)
end

-- Lua's searchers of C modules look where package.cpath says; others may have put
-- theirs among them.
local function searches (searcher)
   if type(searcher) ~= "function" or pcall(string.dump, searcher) then
      return false
   end
   local path, cpath = package.path, package.cpath
   package.path, package.cpath = "", "./elf64load/?.none"
   local _, answer = pcall(searcher, "no.such")
   package.path, package.cpath = path, cpath
   return type(answer) == "string"
      and answer:find("./elf64load/", 1, true) ~= nil
end

-- What stood at which place, to be put back.
local replaced = {}

local function install ()
   local ours = { whole, inside }
   local list = package.searchers
   for at, searcher in ipairs(list) do
      if #ours > 0 and searches(searcher) then
         local own = table.remove(ours, 1)
         replaced[own], list[at] = searcher, own
      end
   end
   table.move(ours, 1, #ours, #list + 1, list)
   rawset(package, "loadlib", modules.loadlib)
end

local function installed ()
   for _, searcher in ipairs(package.searchers) do
      if searcher == whole or searcher == inside then return true end
   end
   return false
end

---Has C modules opened by a runtime from now on: nil stands for the one whose
---methods are elf64load's functions.
---@param runtime? elf64load.runtime
function modules.use (runtime)
   if runtime ~= nil and (type(runtime) ~= "table" or not runtime.open) then
      error("a runtime expected, as elf.runtime gives it", 2)
   end
   open = runtime and function (...) return runtime:open(...) end or elf.open
   if not installed() then install() end
end

---Leaves C modules to Lua's own searchers again.
function modules.restore ()
   local list = package.searchers
   for at = #list, 1, -1 do
      if list[at] == whole or list[at] == inside then
         if replaced[list[at]] then
            list[at] = replaced[list[at]]
         else
            table.remove(list, at)
         end
      end
   end
   rawset(package, "loadlib", loadlib)
end

modules.use()

return modules
