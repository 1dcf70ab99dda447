--- Searches of ours beside ld.so's: a C program that makes one of ours and then
--- lets glibc make its own, whose LD_DEBUG=libs is read.

local lfs = require "lfs"
local assert = require "luassert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"

---@class searching
local searching = {}

-- What the driver is made of. It is compiled from the sources and not linked
-- with the archive, so that no sanitizer comes along, whose libraries would be
-- part of what ld.so tells.
local SOURCES = {
   "src/run/search.c", "src/run/search_try.c", "src/run/search_report.c",
   "src/run/search_near.c", "src/run/spelling.c", "src/elf/machine.c",
   "src/run/folders.c", "src/run/dst.c", "src/run/startup.c",
   "src/run/ldso_x86_64.c", "src/run/cachefile.c", "src/run/text.c",
   "src/elf/cache.c", "src/elf/file.c", "src/elf/header.c", "src/elf/notes.c",
   "src/elf/notes_x86_64.c", "src/elf/valgrind_x86_64.c", "src/error.c",
   "src/forks.c", "src/limit.c", "src/lock.c", "src/mapping.c",
   "src/memory.c",
}
local HEADERS = {
   "src/run/search.h", "src/run/search_state.h", "src/run/folders.h",
   "src/run/dst.h", "src/run/startup.h", "src/run/ldso.h",
   "src/run/spelling.h", "src/elf/machine.h",
   "src/run/cachefile.h", "src/run/text.h", "src/elf/cache.h",
   "src/elf/file.h", "src/elf/header.h", "src/elf/notes.h", "src/elf/valgrind.h",
   "src/elf/view.h", "src/error.h", "src/forks.h", "src/limit.h", "src/lock.h",
   "src/mapping.h", "src/memory.h", "src/elf64load.h",
}

--- Runs a command of the shell that must work.
---@param format string
function searching.shell (format, ...)
   local words = table.pack(...)
   for at = 1, words.n do words[at] = disk.quoted(tostring(words[at])) end
   local command = format:format(table.unpack(words))
   local result = child.run({ "sh", "-c", command }, { bare = true, merge = true })
   assert(result.code == 0, command .. "\n" .. result.out)
   return result.out
end

local known

-- Stands for the contents of all that is compiled.
local function digest ()
   if not known then
      local texts = {}
      for _, list in ipairs { SOURCES, HEADERS } do
         for _, name in ipairs(list) do
            texts[#texts + 1] = disk.contents(name)
         end
      end
      known = fixtures.digest(table.concat(texts))
   end
   return known
end

--- Compiles C of ours with the sources of the search. The flags of the linker
--- do not make the compiler work again.
---@param path string of a file in spec/support
---@param link? string flags for the linker
---@param all? string flags for both
---@return string
function searching.compile (path, link, all)
   local here = lfs.currentdir()
   local words = {
      "-r -nostdlib -std=gnu11 -D_GNU_SOURCE= -I", disk.quoted(here), " -DSOURCES=",
      digest(), " ", all or "",
   }
   for _, name in ipairs(SOURCES) do
      words[#words + 1] = " " .. disk.quoted(here .. "/" .. name)
   end
   local object = assert(cc.program(disk.contents(path), table.concat(words)))
   return assert(cc.program("", ("%s %s '%s'"):format(all or "", link or "",
      object)))
end

--- The driver, linked with the flags.
---@param flags? string
---@return string
function searching.driver (flags)
   return searching.compile("spec/support/search_driver.c", flags)
end

--- The file of the libc that programs here run with.
---@return string
function searching.libc ()
   for line in io.lines "/proc/self/maps" do
      local path = line:match "%s(/%S*/libc%.so%.6)$"
      if path then return path end
   end
   error "this process has no libc"
end

-- --------------------------------------------------------------- folders ---

---@class tree
---@field path string
local tree = {}
tree.__index = tree

local trees = 0

--- A new folder, to be removed by its method `remove`.
---@return tree
function searching.tree ()
   trees = trees + 1
   local path = ("%s/tree-%s-%d"):format(fixtures.folder,
      lfs.symlinkattributes("/proc/self", "target"), trees)
   searching.shell("rm -rf %s; mkdir -p %s", path, path)
   return setmetatable({ path = path }, tree)
end

function tree:remove ()
   searching.shell("chmod -R u+rwX %s; rm -rf %s", self.path, self.path)
end

--- The path of something in it, whose folder is made.
---@param name string
---@return string
function tree:at (name)
   local path = self.path .. "/" .. name
   searching.shell("mkdir -p %s", path:match "^(.*)/")
   return path
end

--- Copies a file into it.
---@param name string
---@param from string
---@return string
function tree:copy (name, from)
   local path = self:at(name)
   searching.shell("cp -p %s %s", from, path)
   return path
end

--- Writes a file into it.
---@param name string
---@param text string
---@return string
function tree:write (name, text)
   local path = self:at(name)
   disk.write(path, text)
   return path
end

--- A text in which '%' is the folder.
---@param text string
---@return string
function tree:within (text)
   return (text:gsub("%%", self.path))
end

--- The driver in it, linked with the flags: its $ORIGIN is there.
---@param name string
---@param flags? string
---@return string
function tree:program (name, flags)
   return self:copy(name, searching.driver(flags))
end

--- A library that does nothing, in the file that is named.
---@param name string
---@return string
function tree:library (name)
   return self:copy(name, assert(cc.shared("int searched;")))
end

--- The same with other bytes at an offset.
---@param name string
---@param offset integer
---@param bytes string
---@return string
function tree:patched (name, offset, bytes)
   local text = disk.contents(assert(cc.shared("int searched;")))
   return self:write(name, text:sub(1, offset) .. bytes
      .. text:sub(offset + #bytes + 1))
end

--- Makes it a root in which programs run: ld.so, libc, env and ldconfig.
---@return tree self
function tree:root ()
   self:copy("lib64/ld-linux-x86-64.so.2", "/lib64/ld-linux-x86-64.so.2")
   self:copy("lib/x86_64-linux-gnu/libc.so.6", searching.libc())
   self:copy("usr/bin/env", "/usr/bin/env")
   self:copy("sbin/ldconfig", "/sbin/ldconfig")
   searching.shell("mkdir -p %s %s %s", self:at "etc", self:at "usr/lib",
      self:at "var/cache/ldconfig")
   return self
end

--- Runs a program in that root.
function tree:inside (...)
   local command = table.move({ self.path, ... }, 1, select("#", ...) + 1,
      #searching.chroot + 1, { table.unpack(searching.chroot) })
   local result = child.run(command, { bare = true, merge = true })
   assert(result.code == 0, table.concat(command, " ") .. "\n" .. result.out)
end

-- -------------------------------------------------------------- searches ---

---@class search
---@field tried string[] the files, in order
---@field kinds table<string, string> what became of each
---@field found string|nil
---@field failed string|nil the kind
---@field message string|nil
---@field scopes string[]
---@field near string[]
---@field secure boolean
---@field theirs string[] what ld.so tried for the name
---@field earlier string[] what it tried before, for other names
---@field dlerror string|nil
---@field root string|nil what was the root

local function read_ours (text, search)
   for line in text:gmatch "[^\n]+" do
      local word, rest = line:match "^(%w+) ?(.*)$"
      if word == "try" then
         local kind, path = rest:match "^(%w+) (.*)$"
         search.tried[#search.tried + 1] = path
         search.kinds[path] = kind
      elseif word == "scope" then
         search.scopes[#search.scopes + 1] = rest
      elseif word == "near" then
         search.near[#search.near + 1] = rest
      elseif word == "secure" then
         search.secure = rest == "1"
      else
         search[word] = rest
      end
   end
end

--- Reads LD_DEBUG=libs: what was tried for the name, and for others before it.
---@param text string
---@param name string
---@return string[] tried
---@return string[] earlier
function searching.trace (text, name)
   local tried, earlier = {}, {}
   local list = earlier
   for line in text:gmatch "[^\n]+" do
      local wanted = line:match "find library=(.-) %[%d+%]; searching"
      local path = line:match "^%s*%d+:%s+trying file=(.*)$"
      if wanted then
         if list == tried then break end
         list = wanted == name and tried or earlier
      elseif path then
         list[#list + 1] = path
      end
   end
   return tried, earlier
end

---@class conditions
---@field env? table<string, string> for the driver alone
---@field folder? string where to run it
---@field root? string a folder that becomes its root; env must be in it
---@field through? string[] a command that runs it

--- Runs the driver: a search of ours, then glibc's if `dlopen` is among the
--- words.
---@param driver string
---@param words string[] its arguments, the name first
---@param conditions? conditions
---@return search
function searching.run (driver, words, conditions)
   conditions = conditions or {}
   local command = {}
   local function add (...)
      for _, word in ipairs { ... } do command[#command + 1] = word end
   end
   if conditions.root then
      add(table.unpack(searching.chroot))
      add(conditions.root)
   end
   add(table.unpack(conditions.through or {}))
   -- Not in the environment of what comes before the driver, which is searched
   -- for libraries as well.
   add("env", "LD_DEBUG=libs")
   for name, value in pairs(conditions.env or {}) do
      add(name .. "=" .. value)
   end
   add(driver, table.unpack(words))
   local result = child.run(command, { bare = true, folder = conditions.folder })
   assert(result.code == 0, child.describe(result) .. "\n" .. result.out
      -- Without what ld.so tells.
      .. result.err:gsub("%f[^\n\0] *%d+:\t[^\n]*\n", ""))
   local search = { tried = {}, kinds = {}, scopes = {}, near = {},
      root = conditions.root }
   read_ours(result.out, search)
   search.theirs, search.earlier = searching.trace(result.err, words[1])
   return search
end

---@type string[] What changes the root, as root or as somebody else.
searching.chroot = { "chroot" }
if searching.shell "id -u" ~= "0\n" then
   searching.chroot = { "unshare", "--map-root-user", "chroot" }
end

-- ld.so tries a folder twice when the kernel's name for the platform is a
-- hwcap's name too; what is told twice in a row is told once here.
local function without_repeats (list)
   local out = {}
   for _, path in ipairs(list) do
      if path ~= out[#out] then out[#out + 1] = path end
   end
   return out
end

local function folder (path)
   return path:match "^(.*)/" or ""
end

--- What both tried. Ours is without the folders of which ld.so knew from its
--- searches before this one that they do not exist: ours forgets that, by
--- design.
---@param search search
---@return string[] ours, string[] theirs
function searching.lists (search)
   local missing = {}
   for _, path in ipairs(search.earlier) do
      local name = folder(path)
      if name:sub(1, 1) == "/"
            and lfs.attributes((search.root or "") .. name, "mode")
               ~= "directory" then
         missing[name] = true
      end
   end
   local ours = {}
   for _, path in ipairs(search.tried) do
      if not missing[folder(path)] then ours[#ours + 1] = path end
   end
   return without_repeats(ours), without_repeats(search.theirs)
end

--- Both searches must try the same files in the same order and come to the same
--- end.
---@param driver string
---@param words string[]
---@param conditions? conditions
---@return search
function searching.same (driver, words, conditions)
   local search = searching.run(driver, words, conditions)
   local ours, theirs = searching.lists(search)
   assert.is_true(#theirs > 0, "ld.so tried nothing")
   assert.same(theirs, ours)
   assert.equal(search.failed and "failed" or "found",
      search.dlerror and "failed" or "found", search.dlerror)
   if search.found then assert.equal(theirs[#theirs], search.found) end
   return search
end

return searching
