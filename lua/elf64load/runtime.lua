--- Runtimes: each has its own plugins and its own policy.

local core = require "elf64load.core"

local runtime = {}

---@class elf64load.runtime
---@field path string templates that are searched first: "./plugins/?.so"
---@field searchers function[] see elf64load.search
---@field host elf64load.plugin the process as a plugin
---@field loaded table<string, elf64load.plugin> what is open, by path and name
local Runtime = {}

-- What is open, found when it is asked for: by a name that it was opened by,
-- by its DT_SONAME or by its path.
local function loaded (self)
   return setmetatable({}, {
      __index = function (_, name)
         for _, plugin in ipairs(self.core:plugins()) do
            if plugin.path == name or plugin.name == name
               or plugin.soname == name then
               return plugin
            end
         end
      end,
      __newindex = function ()
         error("elf.loaded lists what is open; elf.open adds to it", 2)
      end,
      __pairs = function ()
         local plugins, at = self.core:plugins(), 0
         return function ()
            at = at + 1
            local plugin = plugins[at]
            if plugin then return plugin.path, plugin end
         end
      end,
   })
end

local lazy = {
   host = function (self) return assert(self.core:host()) end,
   loaded = loaded,
}

local meta = {
   __name = "elf64load.runtime",
   __index = function (self, name)
      local method = Runtime[name]
      if method == nil and lazy[name] then
         method = lazy[name](self)
         rawset(self, name, method)
      end
      return method
   end,
   __close = function (self)
      if not self.closed then assert(self:close()) end
   end,
}

local options = {
   global = true, lazy = true, deepbind = true, nodelete = true,
   noload = true, private = true, start = true,
}

local function check_options (given)
   if given == nil then return end
   if type(given) ~= "table" then
      error("options must be a table such as { global = true }", 3)
   end
   for name, value in pairs(given) do
      if not options[name] then
         error(("there is no option '%s'"):format(tostring(name)), 3)
      elseif type(value) ~= "boolean" then
         error(("the option '%s' must be a boolean"):format(name), 3)
      end
   end
end

---Opens a plugin with all that it needs, and starts it. A name with a slash is a
---path; another is looked for. The same file gives an equal handle.
---@param name string
---@param given? table global lazy deepbind nodelete noload private start
---@return elf64load.plugin? plugin
---@return string? message
---@return string? kind
---@return table? detail
function Runtime:open (name, given)
   check_options(given)
   return self.core:open(name, given)
end

---The same from bytes or a source, which is a new plugin each time unless it is
---a whole file.
---@param from string | elf64load.source
---@param name? string what messages and debuggers show
---@param given? table
---@return elf64load.plugin? plugin
---@return string? message
---@return string? kind
---@return table? detail
function Runtime:load (from, name, given)
   check_options(given)
   return self.core:load(from, name, given)
end

---Stops and unmaps all that is open in it.
---@return boolean? done
---@return string? message
---@return string? kind
---@return table? detail
function Runtime:close ()
   local done, message, kind, detail = self.core:close()
   if done then rawset(self, "closed", true) end
   return done, message, kind, detail
end

---@param policy table path: templates to search first
---@return elf64load.runtime
function runtime.new (policy)
   if type(policy) ~= "table" then
      error("elf.runtime needs a policy, a table such as { path = \"./?.so\" }", 2)
   end
   for name, value in pairs(policy) do
      if name ~= "path" then
         error(("a policy has no key '%s'"):format(tostring(name)), 2)
      elseif type(value) ~= "string" then
         error(("the policy's '%s' must be a string"):format(name), 2)
      end
   end
   return setmetatable({
      core = assert(core.runtime { path = policy.path }),
   }, meta)
end

return runtime
