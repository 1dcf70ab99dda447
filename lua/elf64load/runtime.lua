--- Runtimes: each has its own plugins and its own policy.

local core = require "elf64load.core"
local definition = require "elf64load.definition"
local go = require "elf64load.go"
local grants = require "elf64load.grants"
local ldscript = require "elf64load.ldscript"
local near = require "elf64load.near"
local policy = require "elf64load.policy"
local search = require "elf64load.search"
local source = require "elf64load.source"
local reasons = require "elf64load.why"

local runtime = {}

---@class elf64load.runtime
---@field path string templates that are searched first: "./plugins/?.so"
---@field searchers function[] see elf64load.search
---@field preload table<string, any> what names stand for, before all searching
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
      return method or rawget(self, "settings")[name]
   end,
   __newindex = function (self, name, value)
      return runtime.set(self, name, value)
   end,
   __close = function (self)
      if not self.closed then assert(self:close()) end
   end,
}

-- What a script may set, and what it must be.
local settings = {
   path = { kind = "string", is = 'templates such as "./?.so"' },
   searchers = { kind = "table", is = "a list of functions" },
   preload = { kind = "table", is = "a table by names" },
}

local options = {
   global = true, lazy = true, deepbind = true, nodelete = true,
   noload = true, private = true, start = true, perf = true,
}

local function hint (name, known)
   local names = {}
   for one in pairs(known) do names[#names + 1] = one end
   return near.hint(name, names)
end

---Sets a field. What every open would find wrong is told of here.
---@param self elf64load.runtime
---@param name string
---@param value any
function runtime.set (self, name, value)
   local wanted = settings[name]
   if not wanted then
      error(("there is no field '%s' to set%s"):format(tostring(name),
         hint(tostring(name), settings)), 2)
   elseif type(value) ~= wanted.kind and not (name == "path" and value == nil) then
      error(("'%s' cannot be a %s; %s expected"):format(name, type(value),
         wanted.is), 2)
   end
   self.settings[name] = value
end

-- ------------------------------------------------------------------ arguments

-- Arguments are looked at here, as the core would name this file as the place
-- of the mistake. Each of these answers what is wrong, or nothing.

local function wrong_self (self, method)
   if getmetatable(self) ~= meta then
      return ("%s is called on a runtime, with a colon: runtime:%s(...)")
         :format(method, method)
   elseif self.closed then
      return "closed: the runtime has been closed"
   end
end

local function wrong_string (method, value, what)
   if type(value) ~= "string" then
      return ("%s needs %s; a string expected, got %s"):format(method, what,
         type(value))
   elseif value:find("\0", 1, true) then
      return ("%s: there is a zero byte in %s"):format(method, what)
   end
end

local function wrong_name (method, name)
   return wrong_string(method, name, "a library's name or path")
      or name == "" and "the name is empty; elf.host is the process" or nil
end

local function wrong_options (given)
   if given == nil then return end
   if type(given) ~= "table" then
      return "options must be a table such as { global = true }"
   end
   for name, value in pairs(given) do
      if type(name) ~= "string" then
         return ("options have names, as in { global = true }; [%s] has none")
            :format(tostring(name))
      elseif not options[name] then
         return ("there is no option '%s'%s"):format(name, hint(name, options))
      elseif type(value) ~= "boolean" then
         return ("the option '%s' must be a boolean"):format(name)
      end
   end
end

-- Raises what is wrong where the method was called that asks.
local function check (why)
   if why then error(why, 3) end
end

-- Hands to C what a script may have changed: a list of searchers that is as it
-- was made needs no Lua when a file is looked for.
local function prepare (self)
   grants.sweep(self)
   local path = self.path or false
   if path ~= self.given_path then
      self.core:path(path or nil)
      self.given_path = path
   end
   local needed = search.needed(self)
   if needed ~= self.given_search then
      self.core:hook("search", needed and function (name, wanter)
         return search.find(self, name, wanter)
      end or nil)
      self.given_search = needed
   end
end

-- The text of a file that is no ELF file, or nil.
local function read_text (path)
   local file = io.open(path, "rb")
   local text = file and file:read(ldscript.longest)
   if file then file:close() end
   return text and not text:find "^\127ELF" and text or nil
end

-- libNAME.so may be a GNU ld script, which names the shared object to take:
-- what `open` makes of that. Gives nothing when the file is no script at all.
local function follow (path, open)
   local text = read_text(path)
   local inputs, why = ldscript.parse(text or "\0")
   if not inputs then
      if not ldscript.resembles(text or "\0") then return end
      return nil, path .. ": " .. why, "badformat", { path = path }
   end
   for _, input in ipairs(inputs) do
      local name = input.path or "lib" .. input.library .. ".so"
      if name:find "%.so$" or name:find "%.so%." then
         return open(name)
      end
   end
   return nil, path .. ": the ld script names no shared object", "badformat",
      { path = path }
end

---Opens a plugin with all that it needs, and starts it. A name with a slash is a
---path; another is looked for. The name or the file of what is open gives an
---equal handle.
---@param name string
---@param given? table global lazy deepbind nodelete noload private start
---@return elf64load.plugin? plugin
---@return string? message
---@return string? kind
---@return table? detail
function Runtime:open (name, given)
   check(wrong_self(self, "open") or wrong_name("open", name)
      or wrong_options(given))
   prepare(self)
   local plugin, message, kind, detail = self.core:open(name, given)
   if plugin then return plugin end
   if go.refused(kind, detail) then
      return go.open(self, detail.path, given)
   elseif kind ~= "badformat" or not detail.path then
      return nil, message, kind, detail
   end
   local followed = table.pack(follow(detail.path, function (other)
      return self.core:open(other, given)
   end))
   if followed.n > 0 then return table.unpack(followed, 1, followed.n) end
   return nil, message, kind, detail
end

---What `open` would do with the same name and options, with nothing of it done:
---see elf64load.plan.
---@param name string
---@param given? table
---@return elf64load.plan? plan
---@return string? message
---@return string? kind
---@return table? detail
function Runtime:plan (name, given)
   check(wrong_self(self, "plan") or wrong_name("plan", name)
      or wrong_options(given))
   prepare(self)
   local function before () prepare(self) end
   local plan, message, kind, detail = self.core:plan(name, given, before)
   if plan or kind ~= "badformat" or not detail.path then
      return plan, message, kind, detail
   end
   local followed = table.pack(follow(detail.path, function (other)
      return self.core:plan(other, given, before)
   end))
   if followed.n > 0 then return table.unpack(followed, 1, followed.n) end
   return nil, message, kind, detail
end

-- A source, or nil and why not; a string is the path of its file, as it is.
local function source_of (given, method, other)
   if type(given) == "string" then given = { path = given } end
   if type(given) ~= "table" then
      return nil, ("%s needs %s or a source, not a %s"):format(method, other,
         type(given))
   end
   return source.make(given)
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
   check(wrong_self(self, "load")
      or name ~= nil and wrong_string("load", name, "a name for messages")
      or wrong_options(given))
   if type(from) ~= "string" then
      local made, why = source_of(from, "load", "bytes")
      check(why)
      from = made
   end
   prepare(self)
   return self.core:load(from, name, given)
end

local replace_in_core = core.methods.replace

---Links a plugin again that is made of objects and has not been started, with
---another file in the place of one; the handle then stands for the new one, and
---symbols and namespaces of the old one raise `closed`.
---@param self elf64load.plugin
---@param name string of a file that it is made of, or the last part of its path
---@param from string|elf64load.source a path, or a source
---@return elf64load.plugin? self
---@return string? message
---@return string? kind
---@return table? detail
function core.methods.replace (self, name, from)
   check(wrong_string("replace", name, "the name of a file to replace"))
   local made, why = source_of(from, "replace", "a path")
   check(why)
   return replace_in_core(self, name, made)
end

---Makes one plugin of object files and archives, by the static linker's rules,
---and opens it.
---@param files (string|elf64load.source)[] paths, as they stand, or sources
---@param given? table options of `open`, and the plugin's `name`
---@return elf64load.plugin? plugin
---@return string? message
---@return string? kind
---@return table? detail
function Runtime:link (files, given)
   check(wrong_self(self, "link"))
   if type(files) ~= "table" then
      error('link needs a list such as { "a.o", "b.o", "libm.a" }', 2)
   elseif given ~= nil and type(given) ~= "table" then
      error('options must be a table such as { name = "game" }', 2)
   end
   local plain, sources = {}, {}
   for name, value in pairs(given or {}) do plain[name] = value end
   check(plain.name ~= nil and wrong_string("link", plain.name,
      "the option 'name'"))
   plain.name = nil
   check(wrong_options(plain))
   for number, file in ipairs(files) do
      local made, why = source_of(file, "link", "paths")
      check(why)
      sources[number] = made
   end
   if #sources == 0 then error("there is nothing to link", 2) end
   prepare(self)
   return self.core:link(sources, given)
end

---Every binding of that symbol in what is open.
---@param symbol string
---@return elf64load.binding[]
function Runtime:bindings (symbol)
   check(wrong_self(self, "bindings")
      or wrong_string("bindings", symbol, "the name of a symbol"))
   return reasons.bindings(self.core, symbol)
end

---Finds a file by templates, as package.searchpath does; the name is put in as it
---is.
---@param name string
---@param path string
---@return string? file
---@return string? why_not
function Runtime:searchpath (name, path)
   check(wrong_self(self, "searchpath") or wrong_name("searchpath", name)
      or wrong_string("searchpath", path, 'templates such as "./?.so"'))
   return search.searchpath(name, path)
end

---See elf64load.grants.
---@param text string
---@param value any
---@return true|nil done
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function Runtime:define (text, value)
   check(wrong_self(self, "define"))
   return grants.define(self, text, value)
end

---@param text string
---@return true|nil done
---@return string? message
---@return elf64load.kind? kind
---@return elf64load.detail? detail
function Runtime:undefine (text)
   check(wrong_self(self, "undefine"))
   return grants.undefine(self, text)
end

---Stops and unmaps all that is open in it; what has to wait is unmapped later.
---@return boolean? done
---@return string? message
---@return string? kind
---@return table? detail
function Runtime:close ()
   -- Looked at without a call, for which there may be no memory.
   if self.closed then error("closed: the runtime has been closed", 2) end
   local done, left, kind, detail = self.core:close()
   if not done then return nil, left, kind, detail end
   rawset(self, "closed", true)
   if not left then grants.release(self) end
   return true
end

-- The hooks that are as the policy has them, and its keys for them.
local hooks = {
   verify = "verify", accept = "accept", order = "order", scope = "scope",
   event = "on",
}

-- Two functions that are told of events, of which there may be one or none.
local function both (first, second)
   if not first or not second then return first or second end
   return function (event)
      first(event)
      second(event)
   end
end

-- The policy's `resolve`, whose answer may be a Lua function.
local function resolver (self, resolve, names)
   return function (import)
      local value, text = resolve(import)
      if value == nil then return nil end
      local prototype, why = definition.read(text or import.name, names,
         import.name)
      local made
      if prototype then made, why = definition.make(prototype, value) end
      if not made then error("the policy's 'resolve': " .. why, 0) end
      made.wanter = import.wanter
      grants.keep(self, {}, made)
      rawset(self, "resolved", true)
      return made.address, value
   end
end

-- What the rules intercept and define stays as long as the runtime.
local function give_rules (self, rules)
   for _, made in ipairs(rules.intercept or {}) do
      grants.keep(self, made, made)
   end
   for _, library in ipairs(rules.provide or {}) do
      for _, made in ipairs(library.definitions or {}) do
         grants.keep(self, made, made)
      end
   end
end

local function give_all (self, made)
   give_rules(self, made.rules)
   for _, override in ipairs(made.plugins or {}) do
      give_rules(self, override.rules)
   end
   if made.resolve then
      self.core:hook("resolve", resolver(self, made.resolve, {}))
   end
end

---Makes a runtime. A policy may be a table, or the name of a file that returns one.
---@param given elf64load.policy|string
---@param watch? fun(event: elf64load.event) told of events before the policy is
---@return elf64load.runtime|nil runtime
---@return string? message of a file that cannot be read
---@return string? kind
---@return table? detail
function runtime.new (given, watch)
   local folder, file
   if type(given) == "string" then
      local read, why, kind, detail = policy.file(given)
      if not read then return nil, why, kind, detail end
      file, given, folder = given, read, why
   end
   local made, why = policy.check(given, folder)
   if not made then
      error(file and ("the policy %s: %s"):format(file, why) or why, 2)
   end
   local half, message = core.runtime(made)
   if not half then error(message, 2) end
   made.on = both(watch, made.on)
   for hook, key in pairs(hooks) do half:hook(hook, made[key]) end
   local self = setmetatable({
      core = half,
      settings = { path = made.path, searchers = search.list(), preload = {} },
      -- False what there is none of: nil would be asked of the metatable.
      search = made.search or false,
      provided = made.provide and next(made.provide.sources)
         and made.provide.sources or false,
      -- They have their places, as memory may lack when they are set.
      given = false,
      closed = false,
      given_path = false,
      given_search = false,
      resolved = false,
   }, meta)
   local done, raised = pcall(give_all, self, made)
   if not done then
      half:close()
      grants.release(self)
      error(raised, 0)
   end
   return self
end

return runtime
