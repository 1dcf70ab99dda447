--- Go plugins: files of `go build -buildmode=plugin`.
---
--- Such a file holds no Go runtime that it could start: it belongs into a Go
--- program that opens it by the package plugin. In a program that is not Go a
--- small Go library (elf64load.gosource) stands for that. The user's own
--- toolchain makes it, since both must come from the same one, and it is kept
--- for the next time. What a handle of such a plugin looks up are the names of
--- its Go package: variables by their address, functions as C functions.

local core = require "elf64load.core"
local cdef = require "elf64load.cdef"
local near = require "elf64load.near"
local shell = require "elf64load.shell"
local sources = require "elf64load.gosource"

local typed = core.typed
local quoted, run = shell.quoted, shell.run
local go = {}

-- By it the core says why it does not open such a file.
local RUNTIME = "runtime.firstmoduledata"

-- Go checks a hash of each package that a plugin and its program share; that of
-- the runtime stands for toolchain and flags. It is called so since Go 1.20, and
-- before.
local HASHES = {
   "go:link.pkghashbytes.runtime", "go.link.pkghashbytes.runtime",
}

-- Flags of `go build` that change what plugins can be bound to, and so must be
-- those that the plugin was built with. Others come from GOFLAGS.
local FLAGS = { "", "-trimpath" }

local declarations = [[
   char *elf64load_go_open(const char *path, int64_t *number);
   char *elf64load_go_find(int64_t number, const char *name, int64_t *found);
   char *elf64load_go_names(int64_t number);
   void elf64load_go_free(char *text);
]]

---@class elf64load.go.library
---@field hash string
---@field functions elf64load.namespace

---What is open, by the runtime that it was opened in.
---@type table<table, elf64load.go.library>
local libraries = setmetatable({}, { __mode = "k" })

---@class elf64load.go.opened
---@field number integer by which the library knows it
---@field library elf64load.go.library

---@type table<integer, elf64load.go.opened> by the plugin's generation
local opened = {}

-- -------------------------------------------------------------- the library

---The hash of the runtime that a file is to be bound to, as hexadecimal digits.
---@param path string
---@return string|nil
local function hash (path)
   for _, name in ipairs(HASHES) do
      local bytes = core.peek(path, name)
      if bytes and #bytes > 0 and #bytes <= 32 then
         return (bytes:gsub(".", function (byte)
            return ("%02x"):format(byte:byte())
         end))
      end
   end
end

-- FNV-1a, 64 bits: against a library of other sources, not against malice.
local function digest ()
   local sum = 0xcbf29ce484222325
   for _, name in ipairs { "library.go", "entries.go" } do
      for at = 1, #sources[name] do
         sum = (sum ~ sources[name]:byte(at)) * 0x100000001b3
      end
   end
   return ("%016x"):format(sum)
end

---Builds the library in a folder of its own. Answers its path, or nil and what
---the toolchain said.
local function compile (folder, flags)
   for name, text in pairs(sources) do
      local file, why = io.open(folder .. "/" .. name, "wb")
      if not file then return nil, why end
      file:write(text)
      file:close()
   end
   local said, done = run(("cd %s && GO111MODULE=on GOWORK=off CGO_ENABLED=1 "
      .. "go build -buildmode=c-shared -ldflags='-s -w' %s -o library.so "
      .. "library.go entries.go"):format(quoted(folder), flags))
   if not done then return nil, said end
   return folder .. "/library.so"
end

-- Builds with each of FLAGS, until one gives the wanted hash. What was built is
-- kept in any case, under the hash that it has.
local function build (wanted, named)
   local folder, done = run("mktemp -d")
   if not done then return nil, folder end
   local why
   for _, flags in ipairs(FLAGS) do
      local library, said = compile(folder, flags)
      local is = library and hash(library)
      if not is then
         why = "the Go toolchain could not build it: " .. (said or "no hash")
         break
      end
      local target = named(is)
      -- Another file system may hold the cache: a whole file takes the place.
      said, done = run(("cp %s %s.$$ && mv %s.$$ %s"):format(quoted(library),
         quoted(target), quoted(target), quoted(target)))
      if not done then why = said break end
      if is == wanted then why = nil break end
      why = ("it was not built by this toolchain (%s), or not with these flags")
         :format((run "go version"))
   end
   run("rm -rf " .. quoted(folder))
   if why then return nil, why end
   return named(wanted)
end

---The path of the library for plugins of a hash.
---@param wanted string
---@return string|nil path
---@return string? why
---@return string? kind
local function provide (wanted)
   if core.secure then
      return nil, "a program that runs with another's rights does not run the "
         .. "Go toolchain of its caller", "denied"
   end
   local folder = shell.cache()
   if not folder then
      return nil, "neither XDG_CACHE_HOME nor HOME says where to keep it",
         "unsupported"
   end
   local function named (is)
      return ("%s/go-%s-%s.so"):format(folder, digest(), is)
   end
   if shell.exists(named(wanted)) then return named(wanted) end
   local _, there = run "command -v go"
   if not there then
      return nil, "there is no command 'go'; install the Go toolchain that the "
         .. "plugin was built with (on Debian the package golang-go)",
         "unsupported"
   end
   local said, made = run("mkdir -p " .. quoted(folder))
   if not made then return nil, said, "system" end
   local path, why = build(wanted, named)
   return path, why, "unsupported"
end

-- A plugin's Go code is bound to the first Go runtime that its scope has, so
-- there is one for all Go plugins of an elf64load.runtime.
local function library_for (runtime, wanted)
   local library = libraries[runtime]
   if library and library.hash == wanted then return library end
   if library then
      return nil, "plugins of another Go toolchain, or of other flags, are open "
         .. "already; open it in a runtime of its own (elf.runtime)",
         "unsupported"
   end
   local path, why, kind = provide(wanted)
   if not path then return nil, why, kind end
   local handle, detail
   handle, why, kind, detail = runtime.core:open(path, { global = true })
   if not handle then return nil, why, kind, detail end
   library = { hash = wanted, functions = cdef.bind(handle, declarations) }
   libraries[runtime] = library
   return library
end

-- ------------------------------------------------------------------ symbols

-- The text of a char * that the library allocated, or nil.
local function take (library, text)
   if text == nil then return end
   local copy = typed.string(text)
   library.functions.elf64load_go_free(text)
   return copy
end

local function missing (known, handle, name)
   local functions = known.library.functions
   local names = {}
   for line in take(known.library, functions.elf64load_go_names(known.number))
         :gmatch "[^\n]+" do
      names[#names + 1] = line
   end
   return nil, ("%s does not define '%s'%s"):format(handle.path, name,
      near.hint(name, names)), "undefined",
      { path = handle.path, symbol = name, near = near.names(name, names) }
end

-- What a handle of a Go plugin has by a name that is not exported to C.
local function find (handle, name)
   local known = opened[handle.generation]
   if not known then return end
   local found = typed.new("int64_t", 3)
   local why = take(known.library, known.library.functions.elf64load_go_find(
      known.number, name, found))
   if not why then
      return core.symbol(handle, name, found[2] == 1 and "function" or "object",
         found[0], found[1])
   elseif why:find("not found in plugin", 1, true) then
      return missing(known, handle, name)
   end
   return nil, ("%s: '%s' is %s"):format(handle.path, name, why), "unsupported",
      { path = handle.path, symbol = name }
end

-- ------------------------------------------------------------------ opening

---Is a failure to open a file that of a Go plugin?
---@param kind string
---@param detail table
---@return boolean
function go.refused (kind, detail)
   return kind == "unsupported" and detail.symbol == RUNTIME
end

local function check_options (path, given)
   for _, name in ipairs { "deepbind", "private" } do
      if given[name] then
         return nil, ("%s: a Go plugin cannot be opened with %s"):format(path,
            name), "unsupported", { path = path }
      end
   end
   if given.start == false then
      return nil, path .. ": a Go plugin is started by the Go runtime as soon as "
         .. "it is open, so start = false cannot be had", "unsupported",
         { path = path }
   end
   return true
end

local function fail (path, why, kind, detail)
   detail = detail or {}
   detail.path = path
   return nil, ("%s: is a Go plugin (-buildmode=plugin), which needs a library "
      .. "that runs the Go runtime: %s"):format(path, why), kind, detail
end

---Opens a Go plugin by its file.
---@param runtime table of elf64load.runtime
---@param path string
---@param given? table options
---@return elf64load.plugin? plugin
---@return string? message
---@return string? kind
---@return table? detail
function go.open (runtime, path, given)
   local fine, message, kind, detail = check_options(path, given or {})
   if not fine then return nil, message, kind, detail end
   local wanted = hash(path)
   if not wanted then
      return fail(path, "the file does not say which one", "unsupported")
   end
   local library
   library, message, kind, detail = library_for(runtime, wanted)
   if not library then return fail(path, message, kind, detail) end
   local number = typed.new "int64_t"
   local why = take(library, library.functions.elf64load_go_open(path, number))
   if why then
      return nil, ("%s: Go could not open it: %s"):format(path, why),
         "unsupported", { path = path }
   end
   local plugin
   plugin, message, kind, detail = runtime.core:open(path, given)
   if not plugin then return nil, message, kind, detail end
   opened[plugin.generation] = { number = number[0], library = library }
   core.missing(find)
   return plugin
end

return go
