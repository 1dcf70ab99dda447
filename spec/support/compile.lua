--- Compiles the fixtures of the specs, each once.
--
-- A fixture is C (or assembler) text that stands in the spec which uses it. What
-- the compiler makes of it lies under build/fixtures, named after a digest of the
-- text, the flags and the compiler's version, so that nothing is ever compiled
-- twice and nothing stale is ever used.

local lfs = require "lfs"

---@class compile
local compile = {}

---@type string Absolute, because plugins name one another by their full path.
compile.folder = lfs.currentdir() .. "/build/fixtures"

local quoted = function (text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

-- Two hosts may compile the same fixture at the same time: whoever is last
-- renames a whole file over a whole file.
local function scratch (path)
   return ("%s.%s"):format(path, lfs.symlinkattributes("/proc/self", "target"))
end

local function write (path, text)
   local temporary = scratch(path)
   local file = assert(io.open(temporary, "wb"))
   file:write(text)
   file:close()
   assert(os.rename(temporary, path))
end

--- Sixteen bytes that stand for a text, as 32 hexadecimal digits. Two FNV-1a
--- sums of 64 bits with different seeds: against accidents, not against malice.
---@param text string
---@return string
function compile.digest (text)
   local a, b = 0xcbf29ce484222325, 0x9e3779b97f4a7c15
   for at = 1, #text do
      local byte = text:byte(at)
      a = (a ~ byte) * 0x100000001b3
      b = (b ~ (byte + at)) * 0x100000001b3
      b = b ~ (b >> 29)
   end
   return ("%016x%016x"):format(a, b)
end

local made = false

local function prepare ()
   if made then return end
   assert(os.execute("mkdir -p " .. quoted(compile.folder)))
   made = true
end

-- A sanitizer that is preloaded into this process has no business in the
-- compiler, whose leaks would fail it.
local function execute (command)
   local pipe = assert(io.popen(("unset LD_PRELOAD; { %s ; } 2>&1"):format(
      command)))
   local text = pipe:read "a"
   if not pipe:close() then
      error(("this fixture does not compile: %s\n%s"):format(command, text), 0)
   end
end

local version

local function compiler ()
   if not version then
      local pipe = assert(io.popen(
         "unset LD_PRELOAD; gcc --version; g++ --version; ld --version"))
      version = pipe:read "a"
      pipe:close()
   end
   return version
end

-- Makes FOLDER/DIGEST.suffix by the command, in which %s stand for the output
-- and the input.
local function make (kind, source, flags, input, suffix, command)
   prepare()
   local key = table.concat({ kind, flags, source, compiler() }, "\0")
   local stem = compile.folder .. "/" .. compile.digest(key)
   local output = stem .. suffix
   if lfs.attributes(output, "mode") ~= "file" then
      write(stem .. input, source)
      local temporary = scratch(output)
      execute(command:format(quoted(temporary), quoted(stem .. input)))
      assert(os.rename(temporary, output))
   end
   return output
end

local BASE = "-O1 -g0 -fPIC -fno-stack-protector -w"

--- A shared object from C. It needs nothing but what the flags say and libc.
---@param source string
---@param flags? string
---@return string path
function compile.shared (source, flags)
   flags = flags or ""
   return make("shared", source, flags, ".c", ".so",
      "gcc " .. BASE .. " -shared -o %s %s " .. flags:gsub("%%", "%%%%"))
end

--- A shared object from C++.
---@param source string
---@param flags? string
---@return string path
function compile.cplusplus (source, flags)
   flags = flags or ""
   return make("cplusplus", source, flags, ".cc", ".so",
      "g++ " .. BASE .. " -shared -o %s %s " .. flags:gsub("%%", "%%%%"))
end

--- A program from C.
---@param source string
---@param flags? string
---@return string path
function compile.program (source, flags)
   flags = flags or ""
   return make("program", source, flags, ".c", "",
      "gcc -O1 -g0 -w -o %s %s " .. flags:gsub("%%", "%%%%"))
end

--- An object file from C.
---@param source string
---@param flags? string
---@return string path
function compile.object (source, flags)
   flags = flags or ""
   return make("object", source, flags, ".c", ".o",
      "gcc " .. BASE .. " -c -o %s %s " .. flags:gsub("%%", "%%%%"))
end

--- A shared object from assembler text, through the preprocessor, with neither
--- start files nor libc: it holds what the text says and nothing else.
---@param source string
---@param flags? string
---@return string path
function compile.assembly (source, flags)
   flags = flags or ""
   return make("assembly", source .. "\n", flags, ".S", ".so",
      "gcc -shared -nostdlib -o %s %s " .. flags:gsub("%%", "%%%%"))
end

--- A text file, for version scripts, linker scripts and Lua programs.
---@param text string
---@param suffix string
---@return string path
function compile.text (text, suffix)
   prepare()
   local path = compile.folder .. "/" .. compile.digest(text .. suffix) .. suffix
   if lfs.attributes(path, "mode") ~= "file" then write(path, text) end
   return path
end

---@class member
---@field source string
---@field flags? string
---@field needs? string[] names of other members, in the order of DT_NEEDED

--- Shared objects that may need one another in circles. Each is linked against
--- empty stand-ins whose DT_SONAME is the full path of the real one.
---@param members table<string, member>
---@return table<string, string> paths
function compile.group (members)
   prepare()
   local names = {}
   for name in pairs(members) do names[#names + 1] = name end
   table.sort(names)
   local key = { "group", compiler() }
   for _, name in ipairs(names) do
      local member = members[name]
      key[#key + 1] = table.concat({ name, member.source, member.flags or "",
         table.concat(member.needs or {}, " ") }, "\0")
   end
   local folder = compile.folder .. "/" .. compile.digest(table.concat(key, "\1"))
   local paths = {}
   for _, name in ipairs(names) do
      paths[name] = ("%s/%s.so"):format(folder, name)
   end
   if lfs.attributes(folder .. "/made", "mode") == "file" then return paths end

   local temporary = scratch(folder)
   local empty = compile.object ""
   assert(os.execute("mkdir -p " .. quoted(temporary)))
   for _, name in ipairs(names) do
      execute(("ld -shared -soname %s -o %s %s"):format(quoted(paths[name]),
         quoted(temporary .. "/" .. name .. ".stub"), quoted(empty)))
   end
   for _, name in ipairs(names) do
      local member = members[name]
      local needs = {}
      for _, other in ipairs(member.needs or {}) do
         needs[#needs + 1] = quoted(temporary .. "/" .. other .. ".stub")
      end
      write(temporary .. "/" .. name .. ".c", member.source)
      execute(("gcc %s -shared -o %s %s -Wl,--no-as-needed %s %s"):format(BASE,
         quoted(temporary .. "/" .. name .. ".so"),
         quoted(temporary .. "/" .. name .. ".c"),
         table.concat(needs, " "), member.flags or ""))
   end
   write(temporary .. "/made", "")
   -- When somebody else was faster, theirs is as good.
   if not os.rename(temporary, folder) then
      assert(os.execute("rm -rf " .. quoted(temporary)))
   end
   return paths
end

return compile
