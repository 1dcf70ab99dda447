--- Compiles C and C++ with the user's own compiler, each text once.
---
---    local cc = require "elf64load.cc"
---    local path = assert(cc.object [[ int f(void) { return 1; } ]])
---    local clock = assert(cc.shared { file = "clock.c", flags = "-O2 -Iinclude" })
---
--- What was made is kept in a folder, named after a digest of all that went into
--- it: the text, the flags, the compiler's version, and the files that the compiler
--- and the linker read besides. Whatever of that is another makes another file, so
--- nothing stale is ever given, and several processes may compile the same at once.
--- The folder may be removed at any time.

local near = require "elf64load.near"
local shell = require "elf64load.shell"

local quoted = shell.quoted

---@class elf64load.cc
---@field folder? string where to keep what is made; default elf64load/cc in the user's cache
---@field flags? string|string[] for every compilation, before its own
local cc = {}

---@class elf64load.cc.options
---@field source? string the text
---@field file? string a file with the text, in its place
---@field language? "c"|"c++"|"assembly" default: by the file's name, else "c"
---@field flags? string|string[] words as a shell reads them, or exactly these
---@field compiler? string command; default $CC, else cc; for C++ $CXX, else c++
---@field folder? string in place of cc.folder

---@class elf64load.cc.job
---@field kind string
---@field input string path of the text
---@field source? string the text, when it is not in a file of its own
---@field compiler string
---@field flags string words of a shell
---@field folder string
---@field stem string path of what is kept of it, without suffix
---@field listing boolean the linker tells what it has read

-- Not before it is needed: a test runner may set this module up for all files,
-- and give each file an elf64load of its own.
local function core () return require "elf64load.core" end

local KINDS <const> = {
   object = { suffix = ".o", flags = "-fPIC -c" },
   shared = { suffix = ".so", flags = "-fPIC -shared", links = true },
   program = { suffix = "", flags = "", links = true },
}

local LANGUAGES <const> = {
   c = { suffix = ".c", variable = "CC", usual = "cc" },
   ["c++"] = { suffix = ".cc", variable = "CXX", usual = "c++" },
   assembly = { suffix = ".S", variable = "CC", usual = "cc" },
}

local SUFFIXES <const> = {
   c = "c", cc = "c++", cpp = "c++", cxx = "c++", C = "c++", s = "assembly",
   S = "assembly",
}

local OPTIONS <const> = {
   source = "string", file = "string", language = "string", flags = "words",
   compiler = "string", folder = "string",
}

-- Where compilers look for files, and what they write into what they make.
local VARIABLES <const> = {
   "CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "LIBRARY_PATH",
   "COMPILER_PATH", "GCC_EXEC_PREFIX", "SOURCE_DATE_EPOCH",
}

-- How often a file may change while the compiler reads it.
local TRIES <const> = 3

-- ------------------------------------------------------------------- files

local function contents (path)
   local file = io.open(path, "rb")
   if not file then return nil end
   local text = file:read "a"
   file:close()
   return text
end

local counter = 0

-- A name beside the path that no other process and no other call uses.
local function scratch (path)
   local place = os.tmpname()
   os.remove(place)
   counter = counter + 1
   return ("%s.%s%d"):format(path, place:match "[^/]*$", counter)
end

-- Writes a file as a whole, in a folder that is made when it is not there.
local function write (path, text)
   local temporary = scratch(path)
   local file = io.open(temporary, "wb")
   if not file then
      local why
      shell.run("mkdir -p " .. quoted(path:match "^(.*)/"))
      file, why = io.open(temporary, "wb")
      if not file then return nil, why end
   end
   local done, why = file:write(text)
   file:close()
   if done then done, why = os.rename(temporary, path) end
   if not done then os.remove(temporary) end
   return done, why
end

---@type table<string, { state: string, digest: string }> by path
local known = {}

-- A digest of what is in a file, and a text that changes with the file; "-" for
-- one that was changed a moment ago, because the clock of a file system stands
-- still for some milliseconds, and two changes within them look alike.
local function sum (path)
   local which, state, changed = core().stamp(path)
   if not which then return nil end
   state = which .. "/" .. state
   local entry = known[path]
   if entry and entry.state == state then return entry.digest, state end
   local text = contents(path)
   if not text then return nil end
   local digest = core().digest(text)
   if changed // 1000000000 + 2 > os.time() then return digest, "-" end
   known[path] = { state = state, digest = digest }
   return digest, state
end

-- ----------------------------------------------------------- what was read

---@class elf64load.cc.read
---@field path string
---@field digest string
---@field state string

-- The files that a rule of make names: what a compiler or a linker has read.
local function prerequisites (text)
   local paths = {}
   local rule = (text or ""):gsub("\\\r?\n", " "):match "^[^\n]-:%s([^\n]*)"
   for word in (rule or ""):gsub("\\([ #])", function (letter)
         return letter == " " and "\0" or letter
      end):gmatch "[^ \t]+" do
      paths[#paths + 1] = word:gsub("%z", " "):gsub("%$%$", "$")
   end
   return paths
end

-- Each of them once, with what is in it; not those that are gone, as what a
-- compiler hands to a linker is. Nothing when one has changed since `start`.
---@return elf64load.cc.read[]?
local function reads (job, texts, start)
   local list, seen = {}, { [job.source and job.input or ""] = true }
   for _, text in ipairs(texts) do
      for _, path in ipairs(prerequisites(text)) do
         local _, _, changed = core().stamp(path)
         if changed and not seen[path] then
            local digest, state = sum(path)
            if changed >= start or not digest then return nil end
            seen[path] = true
            list[#list + 1] = { path = path, digest = digest, state = state }
         end
      end
   end
   return list
end

-- Where what was made of a job lies when it has read this.
local function output (job, list)
   local words = { job.stem }
   for _, read in ipairs(list) do
      words[#words + 1] = read.digest .. " " .. read.path
   end
   return ("%s/%s%s"):format(job.folder,
      core().digest(table.concat(words, "\n")):sub(1, 32),
      KINDS[job.kind].suffix)
end

local function remember (job, list)
   local lines = {}
   for at, read in ipairs(list) do
      lines[at] = ("%s %s %s\n"):format(read.digest, read.state, read.path)
   end
   return write(job.stem .. ".read", table.concat(lines))
end

-- What was made of a job before, if all that it has read is still the same.
local function find (job)
   local text = contents(job.stem .. ".read")
   if not text then return nil end
   local list, touched = {}, false
   for digest, state, path in text:gmatch "(%S+) (%S+) ([^\n]+)\n" do
      local which, current = core().stamp(path)
      if not which then return nil end
      if which .. "/" .. current ~= state then
         local is, now = sum(path)
         if is ~= digest then return nil end
         touched, state = touched or now ~= state, now
      end
      list[#list + 1] = { path = path, digest = digest, state = state }
   end
   local path = output(job, list)
   if not shell.exists(path) then return nil end
   -- It is only for the next time to find them sooner.
   if touched then remember(job, list) end
   return path
end

-- --------------------------------------------------------------- compilers

---@type table<string, { version: string, listing: boolean }>
local compilers = {}

-- The status of a shell that has not found a command.
local ABSENT <const> = 127

local function no_compiler (command, said, status)
   local why = ("there is no compiler '%s': %s"):format(command, said)
   if status and status ~= ABSENT then
      why = ("'%s' is no compiler to be used: '%s --version' ended with status %d "
         .. "and said '%s'"):format(command, command, status, said:match "^[^\n]*")
   end
   return nil, why .. "; install one (on Debian the package gcc or g++), or name "
      .. "it by CC, CXX or the option compiler", "notfound",
      { missing = { command } }
end

-- What a command says of itself and of its linker.
local function identify (command)
   local key = (os.getenv "PATH" or "") .. "\0" .. command
   local entry = compilers[key]
   if entry then return entry end
   local version, done, status = shell.run(command .. " --version")
   if not done then return no_compiler(command, version, status) end
   -- Beside it some print names of temporary files.
   local linker = shell.run(command .. " -Wl,--version 2>/dev/null")
   local _, listing = shell.run(command
      .. " -Wl,--help | grep -q -e --dependency-file")
   entry = { version = version .. linker, listing = listing }
   compilers[key] = entry
   return entry
end

-- ------------------------------------------------------------------ asking

local function are_words (value)
   if type(value) ~= "table" then return type(value) == "string" end
   for _, word in ipairs(value) do
      if type(word) ~= "string" then return false end
   end
   return true
end

local function check (options)
   local names = {}
   for name in pairs(OPTIONS) do names[#names + 1] = name end
   for name, value in pairs(options) do
      local wanted, is = OPTIONS[name], type(value)
      if not wanted then
         error(("there is no option '%s'%s"):format(tostring(name),
            near.hint(tostring(name), names)), 3)
      elseif wanted == "words" and not are_words(value)
            or wanted ~= "words" and is ~= wanted then
         error(("the option '%s' must be a string%s"):format(name,
            wanted == "words" and " or a list of strings" or ""), 3)
      end
   end
   if cc.flags ~= nil and not are_words(cc.flags) then
      error("'flags' of elf64load.cc must be a string or a list of strings", 3)
   end
   if (options.source == nil) == (options.file == nil) then
      error("the text is given as a string, or as the option source or file", 3)
   end
   local language = options.language
   if not language then
      local suffix = options.file and options.file:match "%.([^./]+)$"
      language = options.source and "c" or SUFFIXES[suffix]
      if not language then
         error(("the name '%s' does not tell the language, nor is there an "
            .. "option language"):format(options.file), 3)
      end
   elseif not LANGUAGES[language] then
      error(("the language must be c, c++ or assembly, not '%s'")
         :format(language), 3)
   end
   return language
end

-- Words of a shell.
local function words (flags)
   if type(flags) ~= "table" then return flags or "" end
   local list = {}
   for at, word in ipairs(flags) do list[at] = quoted(word) end
   return table.concat(list, " ")
end

---@return elf64load.cc.job?
---@return string? message
---@return string? kind
---@return table? detail
local function prepare (kind, options, language)
   local traits = LANGUAGES[language]
   local folder = options.folder or cc.folder
   if not folder then
      folder = shell.cache()
      if not folder then
         return nil, "neither XDG_CACHE_HOME nor HOME says where to keep what "
            .. "is compiled, nor does the option folder", "unsupported", {}
      end
      folder = folder .. "/cc"
   end
   local compiler = options.compiler or os.getenv(traits.variable)
   if not compiler or compiler == "" then compiler = traits.usual end
   local known_as, message, why, detail = identify(compiler)
   if not known_as then return nil, message, why, detail end
   local flags = { words(cc.flags), words(options.flags) }
   local key = { kind, language, compiler, known_as.version, flags[1], flags[2],
      options.source or options.file,
      -- A name that begins here means another file elsewhere.
      options.file and options.file:sub(1, 1) ~= "/" and core().stamp "." or "",
   }
   for _, name in ipairs(VARIABLES) do
      key[#key + 1] = os.getenv(name) or ""
   end
   local stem = folder .. "/"
      .. core().digest(table.concat(key, "\0")):sub(1, 32)
   return {
      kind = kind, source = options.source, compiler = compiler, flags = flags,
      folder = folder, stem = stem, listing = known_as.listing,
      input = options.file or stem .. traits.suffix,
   }
end

-- --------------------------------------------------------------- compiling

-- The text with all of `from` replaced, which is no pattern.
local function replace (text, from, to)
   return (text:gsub(from:gsub("%p", "%%%0"), (to:gsub("%%", "%%%%"))))
end

-- Did the compiler do its part, and the linker not? gcc and clang say so.
local function not_linked (said)
   return said:find("ld returned", 1, true)
      or said:find("linker command failed", 1, true)
end

-- The message of a compiler, in which a text of the caller's has a short name.
-- Linkers leave the folder out.
local function complaint (job, said)
   local name = job.input
   if job.source then
      name = "inline" .. name:match "%.%a+$"
      said = replace(replace(said, job.input, name),
         job.input:match "[^/]*$", name)
   end
   local command = table.concat({ job.compiler, KINDS[job.kind].flags,
      job.flags[1], job.flags[2] }, " "):gsub("%s+", " "):gsub(" $", "")
   return nil, ("%s does not %s (%s):\n%s"):format(name,
      not_linked(said) and "link" or "compile", command, said),
      "badformat", { path = job.input, error = said }
end

-- Answers the path, or nil, a message, a kind and details; and false when a file
-- that was read has changed meanwhile.
local function attempt (job)
   local kind = KINDS[job.kind]
   local made = scratch(job.stem)
   local listed, linked = made .. ".d", made .. ".l"
   local fine, why = write(listed, "")
   if fine and job.source and contents(job.input) ~= job.source then
      fine, why = write(job.input, job.source)
   end
   if not fine then
      os.remove(listed)
      return nil, why, "system", { path = job.folder }
   end
   local _, _, start = core().stamp(listed)
   local said, done = shell.run(table.concat({
      job.compiler, kind.flags, job.flags[1], "-MD -MF", quoted(listed),
      kind.links and job.listing
         and "-Xlinker --dependency-file=" .. quoted(linked) or "",
      "-o", quoted(made), quoted(job.input), job.flags[2] }, " "))
   local texts = { contents(listed) or "", contents(linked) }
   os.remove(listed)
   os.remove(linked)
   if not done or not shell.exists(made) then
      os.remove(made)
      return complaint(job, done and "nothing was made\n" .. said or said)
   end
   local list = reads(job, texts, start)
   local path = output(job, list or {})
   fine, why = os.rename(made, path)
   if fine and list then fine, why = remember(job, list) end
   if not fine then
      os.remove(made)
      return nil, why, "system", { path = path }
   end
   return path, not list
end

local function make (kind, source, options)
   if type(source) == "table" and options == nil then
      options = source
   else
      if type(options) == "string" then options = { flags = options } end
      if options ~= nil and type(options) ~= "table" then
         error("what follows the text must be flags or a table of options, not a "
            .. type(options), 2)
      end
      local copy = { source = source }
      for name, value in pairs(options or {}) do copy[name] = value end
      options = copy
   end
   local language = check(options)
   if core().secure then
      return nil, "a program that runs with another's rights does not run the "
         .. "compiler of its caller", "denied", {}
   end
   if options.file and not shell.exists(options.file) then
      return nil, options.file .. ": no such file", "notfound",
         { path = options.file }
   end
   local job, message, why, detail = prepare(kind, options, language)
   if not job then return nil, message, why, detail end
   local path = find(job)
   if path then return path end
   for _ = 1, TRIES do
      local changed
      path, changed, why, detail = attempt(job)
      if not path then return nil, changed, why, detail end
      if not changed then break end
   end
   return path
end

---Compiles an object file.
---@param source string|elf64load.cc.options a text, or all options
---@param options? string|elf64load.cc.options flags, or options for the text
---@return string? path
---@return string? message with the compiler's own
---@return elf64load.kind? kind
---@return table? detail
function cc.object (source, options)
   return make("object", source, options)
end

---Compiles a shared object.
---@param source string|elf64load.cc.options a text, or all options
---@param options? string|elf64load.cc.options flags, or options for the text
---@return string? path
---@return string? message with the compiler's own and the linker's
---@return elf64load.kind? kind
---@return table? detail
function cc.shared (source, options)
   return make("shared", source, options)
end

---Compiles a program.
---@param source string|elf64load.cc.options a text, or all options
---@param options? string|elf64load.cc.options flags, or options for the text
---@return string? path
---@return string? message with the compiler's own and the linker's
---@return elf64load.kind? kind
---@return table? detail
function cc.program (source, options)
   return make("program", source, options)
end

return cc
