--- The files that specs need.
--
-- C stands in the spec that uses it, and elf64load.cc compiles it. What comes out
-- lies under build/fixtures, so that nothing is ever compiled twice. .busted has
-- this module before all specs; commands that need fixtures ask for it.

local lfs = require "lfs"
local disk = require "spec.support.disk"

---@class fixtures
local fixtures = {}

--- The folder with bin, lib and lua. Inside spec/run that is the build under
--- test; else the release build, which is brought up to date first.
---@return string
function fixtures.loader ()
   local folder = os.getenv "ELF64LOAD_BUILD"
   if folder then return folder end
   local pipe = assert(io.popen("sh -c '. spec/support/setup.sh; "
      .. 'need "$build_packages$spec_packages"; build release\' 2>&1'))
   local text = pipe:read "a"
   if not pipe:close() then error(text, 0) end
   return "build/release"
end

-- Whether `require` would find a module, which is not loaded here.
local function found (name)
   for _, searcher in ipairs(package.searchers) do
      if type((searcher(name))) == "function" then return true end
   end
   return false
end

-- The commands of the specs run in a lua5.4 that knows of no elf64load.
if not found "elf64load.core" then
   local here = lfs.currentdir()
   local build = fixtures.loader()
   if build:sub(1, 1) ~= "/" then build = here .. "/" .. build end
   package.path = ("%s/lua/?.lua;%s/lua/?/init.lua;%s"):format(here, here,
      package.path)
   package.cpath = ("%s/lua/?.so;%s"):format(build, package.cpath)
end

local cc = require "elf64load.cc"
local quoted = disk.quoted

---@type string Absolute, because plugins name one another by their full path.
fixtures.folder = lfs.currentdir() .. "/build/fixtures"

cc.folder = fixtures.folder
cc.flags = "-O1 -g0 -fno-stack-protector -w"

-- Two hosts may make the same folder at the same time.
local function scratch (path)
   return ("%s.%s"):format(path, lfs.symlinkattributes("/proc/self", "target"))
end

--- Sixteen bytes that stand for a text, as 32 hexadecimal digits.
---@param text string
---@return string
function fixtures.digest (text)
   return require "elf64load.core".digest(text):sub(1, 32)
end

local made = false

local function prepare ()
   if made then return end
   assert(os.execute("mkdir -p " .. quoted(fixtures.folder)))
   made = true
end

--- A text file, for version scripts, linker scripts and Lua programs.
---@param text string
---@param suffix string
---@return string path
function fixtures.text (text, suffix)
   prepare()
   local path = ("%s/%s%s"):format(fixtures.folder,
      fixtures.digest(text .. suffix), suffix)
   if lfs.attributes(path, "mode") ~= "file" then
      disk.replace(path, text)
   end
   return path
end

--- A shared object that needs others, whatever it uses of them.
---@param libraries string paths
---@param source string
---@param language? string
---@return string path
function fixtures.needing (libraries, source, language)
   return assert(cc.shared(source, { language = language,
      flags = "-Wl,--no-as-needed " .. libraries }))
end

--- A shared object whose symbols have versions.
---@param source string
---@param script string for the linker
---@param flags? string
---@return string path
function fixtures.versioned (source, script, flags)
   return assert(cc.shared(source, ("-Wl,--version-script=%s %s"):format(
      fixtures.text(script, ".map"), flags or "")))
end

---@class member
---@field source string
---@field flags? string
---@field needs? string[] names of other members, in the order of DT_NEEDED

--- Shared objects that may need one another in circles. Each is linked against
--- empty stand-ins whose DT_SONAME is the full path of the real one.
---@param members table<string, member>
---@return table<string, string> paths
function fixtures.group (members)
   local names, key = {}, { "group" }
   for name in pairs(members) do names[#names + 1] = name end
   table.sort(names)
   for _, name in ipairs(names) do
      local member = members[name]
      -- What is compiled stands for its text and for all that it includes; a
      -- compiler that does not link has no use for the flags of the linker.
      key[#key + 1] = table.concat({ name, member.flags or "",
         assert(cc.object(member.source, member.flags)),
         table.concat(member.needs or {}, " ") }, "\0")
   end
   local folder = fixtures.folder .. "/"
      .. fixtures.digest(table.concat(key, "\1"))
   local paths, stubs = {}, {}
   for _, name in ipairs(names) do
      paths[name] = ("%s/%s.so"):format(folder, name)
   end
   if lfs.attributes(folder .. "/made", "mode") == "file" then return paths end

   for _, name in ipairs(names) do
      stubs[name] = assert(cc.shared("", { flags = { "-nostdlib",
         "-Wl,-soname," .. paths[name] } }))
   end
   local temporary = scratch(folder)
   assert(os.execute("mkdir -p " .. quoted(temporary)))
   for _, name in ipairs(names) do
      local member = members[name]
      local flags = { "-Wl,--no-as-needed" }
      for _, other in ipairs(member.needs or {}) do
         flags[#flags + 1] = quoted(stubs[other])
      end
      flags[#flags + 1] = member.flags
      local path = assert(cc.shared(member.source, table.concat(flags, " ")))
      assert(os.execute(("cp %s %s"):format(quoted(path),
         quoted(("%s/%s.so"):format(temporary, name)))))
   end
   disk.write(temporary .. "/made", "")
   -- When somebody else was faster, theirs is as good.
   if not os.rename(temporary, folder) then
      assert(os.execute("rm -rf " .. quoted(temporary)))
   end
   return paths
end

return fixtures
