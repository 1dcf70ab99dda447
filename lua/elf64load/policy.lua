--- The table that decides: every key is optional, and is checked when the table is
--- given, so that a mistake is told of before anything is opened.
---
---    local mods <close> = elf.runtime {
---       path = "./mods/?.so",
---       unload = "refuse",
---    }
---    local same = elf.runtime "mods/policy.lua"     -- a file that returns one
---
--- In a file, $POLICY in `path` and `provide` stands for the file's folder.

local definition = require "elf64load.definition"
local near = require "elf64load.near"
local source = require "elf64load.source"

local policy = {}

-- errno of a file that is not there.
local ENOENT <const> = 2

---@alias elf64load.searches
---| fun(name: string, wanter: elf64load.wanter?): elf64load.found, string?

---@class elf64load.policy
---@field path? string templates to search first
---@field search? elf64load.searches|elf64load.searches[] asked before that
---@field provide? table<string, string|table> what stands for libraries: "host", a
---path, a source, or a table of definitions by prototypes
---@field resolve? fun(import: elf64load.import): any, string? what a name shall mean
---that nothing defines: an address, a symbol, or a Lua function and its prototype or type
---@field intercept? table<string, any> what names get instead, by prototype: the same,
---or a Lua function, which is given the original one before its own arguments
---@field allow? string[] names and globs, and no others, that plugins may import
---@field deny? string[] those that they may not
---@field plugins? table<string, elf64load.policy> other provide, intercept, allow
---and deny for plugins by their paths: of those that match the longest counts
---@field verify? fun(image: elf64load.view, name: string): boolean?, string? may
---these bytes, and no others, be mapped?
---@field accept? fun(plugin: elf64load.plugin): boolean?, string? may this one, which
---is mapped and bound, be started?
---@field order? fun(plugins: elf64load.plugin[]): elf64load.plugin[] the same in the
---order in which they shall start, each after those that it needs
---@field scope? fun(plugin: elf64load.plugin, default: elf64load.definer[]): table?
---where its imports are looked up, in that order
---@field lazy? boolean functions are bound when they are first called
---@field force? boolean the order is taken as it is
---@field on? table<elf64load.eventname, fun(event: elf64load.event)>
---@field unload? "wait"|"refuse"|"leak" what becomes of a plugin that is closed
---while something points into it

---@alias elf64load.eventname
---| "mapped" # took: to map it
---| "bound" # took: to find what it imports, and to write that
---| "started" # took: its constructors
---| "stopped" # took: its destructors
---| "unmapped" # also when the open that has mapped it failed
---| "failed" # took: the open, or the start

---What has happened. Who is told can change nothing.
---@class elf64load.event
---@field name elf64load.eventname
---@field path string of the file; of a failed open what was asked for
---@field plugin elf64load.plugin? not of a failed open
---@field when integer nanoseconds of the monotonic clock
---@field took integer nanoseconds
---@field message string? the last three of what failed
---@field kind elf64load.kind?
---@field detail elf64load.detail?

---Who defines names, in a scope.
---@class elf64load.definer
---@field path string
---@field plugin elf64load.plugin? not of what is the host's
---@field object lightuserdata what tells it from others

---A name that nothing defines.
---@class elf64load.import
---@field name string
---@field version string?
---@field demangled string? as C++ has it, where the process has who knows
---@field wanter elf64load.plugin
---@field kind "call"|"address"|"tls"|"size" how it is used
---@field weak boolean it may be missing

-- --------------------------------------------------------------------- faults

-- What is wrong travels as such a table up to `check`.
local Fault = {}

local function fault (text, ...)
   error(setmetatable({ message = text:format(...) }, Fault), 0)
end

local function kind_of (value)
   local kind = type(value)
   if kind ~= "table" and kind ~= "userdata" then
      return kind == "nil" and "nil" or "a " .. kind
   end
   local meta = getmetatable(value)
   local name = type(meta) == "table" and meta.__name
   return type(name) == "string" and "a " .. name
      or kind == "table" and "a table" or "a userdata"
end

---Says what is wrong with a value of `name`, and what it should be.
local function wrong (name, value, expected)
   local shown = type(value) == "string" and ("'%s'"):format(value)
      or kind_of(value)
   fault("the policy's '%s' is %s; %s expected", name, shown, expected)
end

local function sorted (set)
   local names = {}
   for name in pairs(set) do names[#names + 1] = name end
   table.sort(names)
   return names
end

-- -------------------------------------------------------------------- values

local callable = definition.callable

local function a_string (name, value)
   if type(value) ~= "string" then wrong(name, value, "a string") end
   return value
end

local function a_boolean (name, value)
   if type(value) ~= "boolean" then wrong(name, value, "true or false") end
   return value
end

local function a_function (name, value)
   if not callable(value) then wrong(name, value, "a function") end
   return value
end

-- A list without holes and without names, each of its members by `one`.
local function a_list (name, value, one, what)
   if type(value) ~= "table" or getmetatable(value) then
      wrong(name, value, "a list of " .. what)
   end
   local made = {}
   for index in pairs(value) do
      if math.type(index) ~= "integer" or index < 1 or index > #value then
         fault("the policy's '%s' is a list of %s, and has no place for [%s]",
            name, what, type(index) == "string" and '"' .. index .. '"'
            or tostring(index))
      end
   end
   for index = 1, #value do
      made[index] = one(("%s[%d]"):format(name, index), value[index])
   end
   return made
end

-- One or a list of them.
local function functions (name, value)
   if callable(value) then return { value } end
   if type(value) ~= "table" or getmetatable(value) then
      wrong(name, value, "a function or a list of functions")
   end
   return a_list(name, value, a_function, "functions")
end

---A function of what can be called.
local function a_hook (name, value)
   a_function(name, value)
   if type(value) == "function" then return value end
   return function (...) return value(...) end
end

-- A table with no keys but these, each of its members by `one`.
local function a_set (name, value, known, one)
   if type(value) ~= "table" or getmetatable(value) then
      wrong(name, value, "a table")
   end
   local made = {}
   for key, member in pairs(value) do
      if not known[key] then
         fault("the policy's '%s' has no '%s'%s", name, tostring(key),
            near.hint(tostring(key), sorted(known)))
      end
      made[key] = one(name .. "." .. key, member)
   end
   return made
end

---What a policy is checked with: the folder that $POLICY stands for, and where
---the names of C that its prototypes use are known.
---@class elf64load.policy.state
---@field folder string?
---@field names table

-- Puts the folder of the policy's file for $POLICY.
local function in_folder (name, text, state)
   local function put (token)
      if not state.folder then
         fault("the policy's '%s' says %s, which is the folder of a policy's "
            .. 'file: elf.runtime "FILE" reads one', name, token)
      end
      return state.folder
   end
   return (text:gsub("%${POLICY}", put):gsub("%$POLICY%f[^%w_]", put))
end

-- Names by prototypes.
local function intercepts (name, value, state)
   if type(value) ~= "table" or getmetatable(value) then
      wrong(name, value, "a table of what names shall get by their prototypes")
   end
   local made = {}
   for _, text in ipairs(sorted(value)) do
      local prototype, why = definition.read(text, state.names)
      if not prototype then fault("the policy's '%s': %s", name, why) end
      local one, cell
      if prototype.ctype and prototype.ctype.kind == "function"
         and callable(value[text]) then
         one, cell = definition.interpose(prototype, value[text])
      else
         one, cell = definition.make(prototype, value[text])
      end
      if not one then fault("the policy's '%s': %s", name, cell) end
      made[#made + 1] = { name = prototype.name, address = one.address,
         cell = cell, kept = one.kept, callback = one.callback }
   end
   return made
end

-- A table that stands in for a library: definitions by prototypes.
local function stand_in (name, value, state)
   local made = {}
   for _, text in ipairs(sorted(value)) do
      local row, one = definition.row(text, value[text], state.names)
      if not row then fault("the policy's '%s': %s", name, one) end
      row.callback, row.kept = one.callback, one.kept
      made[#made + 1] = row
   end
   return made
end

local function is_source (value)
   return value.path ~= nil or value.bytes ~= nil or value.read ~= nil
end

local function provide_one (name, key, value, state)
   local where = ('%s["%s"]'):format(name, key)
   if value == "host" then return { name = key, kind = "host" } end
   if type(value) == "string" then
      return { name = key, kind = "path", path = in_folder(where, value, state) }
   elseif type(value) ~= "table" or getmetatable(value) then
      wrong(where, value, '"host", a path, a source, or a table of prototypes')
   elseif is_source(value) then
      local made, why = source.make(value)
      if not made then fault("the policy's '%s': %s", where, why) end
      return { name = key, kind = "source", source = made }
   end
   return { name = key, kind = "table",
      definitions = stand_in(where, value, state) }
end

-- What stands for libraries, by their names.
local function provides (name, value, state)
   if type(value) ~= "table" or getmetatable(value) then
      wrong(name, value, "a table of what stands for libraries by their names")
   end
   for key in pairs(value) do
      if type(key) ~= "string" then
         fault("the policy's '%s' has names of libraries for keys, and %s is none",
            name, kind_of(key))
      end
   end
   local made = { sources = {} }
   for _, key in ipairs(sorted(value)) do
      local one = provide_one(name, key, value[key], state)
      if one.source then
         made.sources[key] = one.source
      else
         made[#made + 1] = one
      end
   end
   return made
end

local function names (name, value)
   return a_list(name, value, a_string, "names")
end

-- What may be said for some plugins alone.
local rules = {
   allow = names, deny = names, intercept = intercepts, provide = provides,
}

local function read_rules (name, value, state)
   local made = a_set(name, value, rules, function (_, member) return member end)
   for key, member in pairs(made) do
      made[key] = rules[key](("%s.%s"):format(name, key), member, state)
   end
   if made.provide and next(made.provide.sources) then
      fault("the policy's '%s.provide' has a source, for '%s': that is for all "
         .. "plugins, and has its place in the policy's own 'provide'", name,
         (next(made.provide.sources)))
   end
   return made
end

-- The longest glob first, as it says most.
local function overrides (name, value, state)
   if type(value) ~= "table" or getmetatable(value) then
      wrong(name, value, "a table of rules by plugins' paths")
   end
   local made = {}
   for glob, member in pairs(value) do
      if type(glob) ~= "string" then
         fault("the policy's '%s' has paths of plugins for keys, and %s is none",
            name, kind_of(glob))
      end
      made[#made + 1] = { glob = glob,
         rules = read_rules(('%s["%s"]'):format(name, glob), member, state) }
   end
   table.sort(made, function (one, other)
      if #one.glob ~= #other.glob then return #one.glob > #other.glob end
      return one.glob < other.glob
   end)
   return made
end

local events = {
   mapped = true, bound = true, started = true, stopped = true,
   unmapped = true, failed = true,
}

-- One function for all events, or none for none.
local function on (name, value)
   local tell = a_set(name, value, events, a_function)
   if next(tell) == nil then return nil end
   return function (event)
      local told = tell[event.name]
      if told then told(event) end
   end
end

local ways = { wait = true, refuse = true, leak = true }

local function a_way (name, value)
   if type(value) ~= "string" or not ways[value] then
      wrong(name, value, "wait, refuse or leak")
   end
   return value
end

-- ---------------------------------------------------------------------- keys

---@type table<string, fun(name: string, value: any, state: elf64load.policy.state): any>
local keys = {
   path = function (name, value, state)
      return in_folder(name, a_string(name, value), state)
   end,
   search = functions,
   provide = provides,
   allow = names,
   deny = names,
   intercept = intercepts,
   plugins = overrides,
   resolve = a_hook,
   verify = a_hook,
   accept = a_hook,
   scope = a_hook,
   lazy = a_boolean,
   order = a_hook,
   force = a_boolean,
   on = on,
   unload = a_way,
}

local function check_key (name)
   if type(name) ~= "string" then
      fault("a policy's keys are names, and %s is none", kind_of(name))
   elseif not keys[name] then
      fault("a policy has no key '%s'%s", name, near.hint(name, sorted(keys)))
   end
end

local function read (given, folder)
   local state = { folder = folder, names = {} }
   local made = {}
   for name in pairs(given) do check_key(name) end
   for _, name in ipairs(sorted(given)) do
      made[name] = keys[name](name, given[name], state)
   end
   made.rules = { allow = made.allow, deny = made.deny,
      intercept = made.intercept, provide = made.provide }
   if made.force and not made.order then
      fault("the policy's 'force' is about its 'order', which it does not have")
   end
   return made
end

---Checks a policy and answers what is made of it: lists where one or several may
---be given, C types where there is C text.
---@param given elf64load.policy
---@param folder? string what $POLICY stands for
---@return table|nil made
---@return string? why
function policy.check (given, folder)
   if type(given) ~= "table" then
      return nil, "elf.runtime needs a policy: a table such as "
         .. '{ path = "./?.so" }, or the name of a file that returns one'
   end
   local done, made = pcall(read, given, folder)
   if done then return made end
   if getmetatable(made) ~= Fault then error(made, 0) end
   return nil, made.message
end

---Runs a policy's file. What is wrong with what it says raises; a file that cannot
---be read is the world's fault.
---@param path string
---@return elf64load.policy|nil policy
---@return string folder or why not
---@return string? kind
---@return table? detail
function policy.file (path)
   local file, message, number = io.open(path, "rb")
   local text = file and file:read "a"
   if file then file:close() end
   if not text then
      return nil, ("the policy %s"):format(message or path .. ": no file"),
         number == ENOENT and "notfound" or "system",
         { path = path, errno = number }
   end
   local chunk, why = load(text, "@" .. path)
   if not chunk then error("the policy " .. why, 0) end
   local given = chunk(path)
   if type(given) ~= "table" then
      error(("the policy %s returns %s; a table expected"):format(path,
         kind_of(given)), 0)
   end
   return given, path:match "^(.*)/" or "."
end

return policy
