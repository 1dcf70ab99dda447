--- README says what is so: its snippets run and print what stands beside them,
--- and its lists are those of the sources.
--
-- `-->` (`// -->` in C) begins a line of output. Blanks count once, "..." stands
-- for anything within a line, alone for any lines, and a version number like
-- 1.2.3 for any. The Lua of a section is one program.

local lfs = require "lfs"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local elf = require "elf64load"

local contents, write = disk.contents, disk.write

local README <const> = contents "README.md"

---@class block
---@field language string
---@field text string
---@field line integer where in README its text begins
---@field section string the heading that it stands under

local function parse ()
   local found, section, block, number = {}, nil, nil, 0
   for line in README:gmatch "([^\n]*)\n" do
      number = number + 1
      local fence = line:match "^```(.*)"
      if fence and block then
         block.text = table.concat(block, "\n") .. "\n"
         found[#found + 1] = block
         block = nil
      elseif fence then
         block = { language = fence, line = number + 1, section = section }
      elseif block then
         block[#block + 1] = line
      else
         section = line:match "^#+ (.*)" or section
      end
   end
   return found
end

local blocks = parse()

---@return block[]
local function of (language)
   local list = {}
   for _, block in ipairs(blocks) do
      if block.language == language then list[#list + 1] = block end
   end
   return list
end

-- --------------------------------------------------------------- output ---

local function tidy (text)
   local lines = {}
   for line in (text:gsub("\n$", "") .. "\n"):gmatch "([^\n]*)\n" do
      lines[#lines + 1] = line:gsub("%s+", " "):match "^ ?(.-) ?$"
   end
   return lines
end

-- The pattern of a line: what stands for something else, and the rest as it is.
local function pattern (line)
   if line == "..." then return ".-" end
   local escaped = line:gsub("%p", "%%%0")
   return (escaped:gsub("%%%.%%%.%%%.", "[^\n]-")
      :gsub("%d+%%%.%d+%%%.%d+", "%%d+%%.[%%d.]+"))
end

local function check (expected, output, where)
   local patterns, said = {}, table.concat(tidy(output), "\n")
   for at, line in ipairs(expected) do patterns[at] = pattern(line) end
   assert(said:match("^" .. table.concat(patterns, "\n") .. "$"),
      ("%s: README says\n%s\nand what was printed is\n%s"):format(where,
      table.concat(expected, "\n"), said))
end

-- The lines that the arrows of a text announce.
local function announced (text)
   local lines = {}
   for line in text:gmatch "[^\n]+" do
      local said = line:match "%-%->(.*)"
      if said then lines[#lines + 1] = tidy(said)[1] end
   end
   return lines
end

-- ---------------------------------------------------------------- places ---

-- A folder with the plugin that the snippets open.
local scratch

local function shell (script, limits)
   limits = limits or {}
   limits.folder = limits.folder or scratch
   limits.merge = true
   -- What a preloaded sanitizer finds in a shell is nobody's business here.
   limits.through = { "env", "-u", "LD_PRELOAD" }
   return child.run({ "sh", "-c", script }, limits)
end

-- The C text that says by its first line how to make plugin_name.so.
local function plugin ()
   for _, block in ipairs(of "c") do
      local command = block.text:match "^// (cc [^\n]*plugin_name%.c)\n"
      if command then return block.text, command end
   end
   error "README has no C snippet for plugin_name.c"
end

setup(function ()
   scratch = child.run({ "mktemp", "-d" }).out:match "[^\n]+"
   local source = plugin()
   write(scratch .. "/plugin_name.c", source)
   assert(lfs.link(assert(cc.shared(source)), scratch .. "/plugin_name.so", true))
end)

teardown(function ()
   child.run { "rm", "-rf", scratch }
end)

-- ------------------------------------------------------------------ Lua ---

-- The Lua of each section, with every line where it stands in README.
local function programs ()
   local list, named = {}, {}
   for _, block in ipairs(of "lua") do
      local lines = named[block.section]
      if not lines then
         lines = { 'local elf = require "elf64load"', section = block.section }
         named[block.section], list[#list + 1] = lines, lines
      end
      while #lines < block.line - 1 do lines[#lines + 1] = "" end
      for line in block.text:gmatch "([^\n]*)\n" do lines[#lines + 1] = line end
   end
   return list
end

-- These sections name libc as the definer of names that a sanitizer in the
-- process defines, too.
local NAMES_LIBC <const> = { Planning = true, Why = true,
   ["The command"] = true }

local function title (text, section)
   return text:format(section) .. (NAMES_LIBC[section] and " #build" or "")
end

describe("README's Lua", function ()
   for _, lines in ipairs(programs()) do
      it(title("under '%s' prints what stands beside it", lines.section),
         function ()
            local text = table.concat(lines, "\n") .. "\n"
            local result = child.lua(text, {}, { folder = scratch,
               env = { XDG_CACHE_HOME = scratch } })
            assert.equal(0, result.code, child.describe(result) .. "\n"
               .. result.out .. result.err)
            check(announced(text), result.out, lines.section)
         end)
   end
end)

-- ------------------------------------------------------------------- C ---

-- Programs are made once for each state of what they are linked from.
local function library ()
   local state = {}
   for at, path in ipairs { "src/elf64load.h",
      child.build .. "/lib/libelf64load.a",
      child.build .. "/lib/libelf64load-lua.a" } do
      local is = assert(lfs.attributes(path))
      state[at] = ("%d_%d"):format(is.modification, is.size)
   end
   return ("-DBUILT=%s -Isrc -I/usr/include/lua5.4 -L%s/lib -lelf64load-lua "
      .. "-lelf64load -l:libffi.a -l:libmd.a -l:liblua5.4-lpeg.a -l:liblua5.4.a -lm "
      .. "-ldl -lpthread"):format(table.concat(state, "_"), child.build)
end

local function c_programs ()
   local list = {}
   for _, block in ipairs(of "c") do
      if block.text:find "int main" then list[#list + 1] = block end
   end
   return list
end

describe("README's C #build", function ()
   for _, block in ipairs(c_programs()) do
      it(("in line %d prints what stands beside it"):format(block.line),
         function ()
            local expected = announced(block.text)
            assert.is_true(#expected > 0)
            local result = child.run({ assert(cc.program(block.text, library())) },
               { folder = scratch, merge = true })
            assert.equal(0, result.code, result.out)
            check(expected, result.out, block.section)
         end)
   end
end)

-- --------------------------------------------------------------- shells ---

describe("README's commands", function ()
   for _, block in ipairs(of "console") do
      it(title("under '%s' print what stands below them", block.section),
         function ()
            local path = child.build .. "/bin:" .. os.getenv "PATH"
            local rest = "\n" .. block.text:gsub("\n$", "")
            for command, output in (rest .. "\n$ "):gmatch
                  "%f[^\n]%$ ([^\n]+)\n(.-)%f[\n]\n%f[$]" do
               local result = shell(command, { env = { PATH = path } })
               check(tidy(output), result.out, command)
            end
         end)
   end
end)

-- The simple commands of shell text, each a list of words.
local function commands (text)
   local list = {}
   for line in (text:gsub("%s#[^\n]*", "")):gmatch "[^\n]+" do
      for command in (line:gsub("&&", "\n")):gmatch "[^\n]+" do
         local words = {}
         for word in command:gmatch "%S+" do
            if #words > 0 or not word:find "^%u+=" then words[#words + 1] = word end
         end
         list[#list + 1] = words
      end
   end
   return list
end

describe("README's shell text #build", function ()
   -- What is installed and compiled under these is done in a copy.
   local done = { Installing = true, Embedding = true }

   it("under 'Installing' and 'Embedding' does what it says", function ()
      local tree = scratch .. "/tree"
      local script = { "set -e" }
      for _, block in ipairs(of "sh") do
         if done[block.section] then script[#script + 1] = block.text end
      end
      local _, command = plugin()
      script[#script + 1] = command
      local made = shell(([[
         set -e
         mkdir -p bin tree/build
         command -v premake4 || ln -s "$(command -v premake5)" bin/premake4
         cd '%s'
         cp -a premake5.lua LICENSE src lua '%s'
         cp -a build/Makefile build/*.make build/*.txt build/scripts.c \
            build/obj build/release '%s/build']]):format(lfs.currentdir(), tree,
         tree))
      assert.equal(0, made.code, made.out)
      for _, block in ipairs(c_programs()) do
         local name = block.text:match "^// (%w+%.c)\n" or "game.c"
         write(tree .. "/" .. name, block.text)
      end
      write(tree .. "/plugin_name.c", (plugin()))
      local result = shell(table.concat(script, "\n"), { folder = tree,
         seconds = 600, env = {
            HOME = scratch .. "/home",
            PATH = scratch .. "/bin:" .. os.getenv "PATH",
            PKG_CONFIG_PATH = scratch .. "/home/.local/lib/pkgconfig",
         } })
      assert.equal(0, result.code, result.out)
      assert.is_not_nil(lfs.attributes(tree .. "/stage/usr/bin/elf64load"))
      for _, block in ipairs(c_programs()) do
         local name = block.text:match "^// (%w+)%.c\n" or "game"
         local ran = shell("./" .. name, { folder = tree })
         check(announced(block.text), ran.out, name)
      end
   end)

   it("elsewhere uses commands and options that there are", function ()
      local text = { README:match "`(luarocks [^`]+)`" }
      for _, block in ipairs(of "sh") do
         assert.equal(0, shell(("sh -n <<'END'\n%sEND"):format(block.text)).code)
         if not done[block.section] then text[#text + 1] = block.text end
      end
      local here = { folder = lfs.currentdir() }
      for _, words in ipairs(commands(table.concat(text, "\n"))) do
         assert.equal(0, shell("command -v " .. words[1], here).code, words[1])
         for at = 2, #words do
            if words[at]:find "^%-%-" then
               local help = shell(words[1] .. " --help", here).out
               assert(help:find(words[at], 1, true), ("%s has no %s"):format(
                  words[1], words[at]))
            end
         end
      end
   end)
end)

-- ---------------------------------------------------------------- lists ---

local function sorted (set)
   local list = {}
   for name in pairs(set) do list[#list + 1] = name end
   table.sort(list)
   return list
end

-- All that a pattern finds in a text, each once, in order.
local function all (text, what)
   local set = {}
   for name in text:gmatch(what) do set[name] = true end
   return sorted(set)
end

local function section (name)
   return README:match("\n## " .. name .. "\n(.-)\n## ")
end

describe("README's list", function ()
   -- With all that it includes of its own.
   local header = contents "src/elf64load.h":gsub('#include "(elf64load_[^"]+)"',
      function (name) return contents("src/" .. name) end)

   it("of kinds has those that there are", function ()
      local wanted = {}
      local enum = header:match "typedef enum e64_status {(.-)}"
      for name in enum:gmatch "E64_(%u+)" do wanted[name:lower()] = true end
      wanted.ok, wanted.invalid = nil, nil
      local column = {}
      for cell in section "Errors":gmatch "\n| (`[^|]*) |" do
         column[#column + 1] = cell
      end
      assert.same(sorted(wanted), all(table.concat(column), "`(%l+)`"))
   end)

   it("of relocations has those that the sources know", function ()
      assert.same(all(contents "src/link/reloc_x86_64.c", "TYPE%((R_X86_64_[%w_]+)"),
         all(README, "`(R_X86_64_[%w_]+)`"))
   end)

   it("of C functions has those of the header", function ()
      local functions = {}
      for name in header:gmatch "E64_API[^;(]-%f[%w_](e64_[%w_]+)%(" do
         functions[name] = true
      end
      assert.same(sorted(functions), all(section "The C API":match "\n|.*",
         "`(e64_[%w_]+)`"))
   end)

   it("of options has those that elf.open takes", function ()
      local bullet = README:match "\n%- Options: (.-)\n%- "
      local names = all(bullet, "`(%l+)[^`]*`")
      assert.is_true(#names > 5)
      for _, name in ipairs(names) do
         local _, _, kind = elf.open("./no/such/file", { [name] = true })
         assert.is_not_nil(kind, name)
      end
   end)

   it("of a handle's methods has what can be called", function ()
      local words = README:match "\n%- A handle tells `[^`]+`%s+and has `([^`]+)`"
      for name in words:gmatch "%S+" do
         assert.equal("function", type(elf.host[name]), name)
      end
   end)

   it("of pins has those of the header", function ()
      local wanted = {}
      local enum = header:match "typedef enum e64_pin_kind {(.-)}"
      for name in enum:gmatch "E64_PIN_([%u_]+)" do wanted[name:lower()] = true end
      local column = {}
      for cell in section "Unloading":gmatch "\n| (`[^|]*) |" do
         column[#column + 1] = cell
      end
      assert.same(sorted(wanted), all(table.concat(column), "`([%l_]+)`"))
   end)

   it("of names that plugins get from the loader has those of the sources",
      function ()
         local names = all(contents "src/run/overrides.c", '{ "([%w_]+)", ')
         assert.is_true(#names > 20)
         assert.same(names, all(section "Unloading":match "To know of these.*",
            "`([%w_]+)`"))
         assert.same(names, sorted(require "spec.conformance.design"))
      end)

   it("of places names what is there", function ()
      for _, path in ipairs(all(README, "%f[%w.](%l+/[%w/_.-]*%w)")) do
         if path:find "^spec/" or path:find "^examples/" then
            assert.is_not_nil(lfs.attributes(path), path)
         end
      end
   end)
end)

describe("The annotations of the C half", function ()
   local text = contents "lua/elf64load/meta/core.lua"
      .. contents "lua/elf64load/meta/typed.lua"

   -- The functions and fields that are annotated for a class.
   local function annotated (name, class)
      local list = all(text:gsub("\n" .. name .. "%.(%w+) = ",
         "\nfunction " .. name .. ".%1"), "\nfunction " .. name .. "%.(%w+)")
      local fields = text:match("%-%-%-@class " .. class .. "\n(.-)local ")
      for field in fields:gmatch "@field (%w+)" do list[#list + 1] = field end
      table.sort(list)
      return list
   end

   it("name all that the core has", function ()
      local core = require "elf64load.core"
      assert.same(sorted(core), annotated("core", "elf64load.core"))
      assert.same(sorted(core.typed), annotated("typed", "elf64load.typed"))
   end)

   it("name all that handles and runtimes can do", function ()
      local core = require "elf64load.core"
      assert.same(sorted(core.methods), all(text, "\nfunction plugin:(%w+)"))
      local methods = getmetatable(core.runtime()).__index
      assert.same(sorted(methods), all(text, "\nfunction runtime:(%w+)"))
   end)

   it("name only fields that handles and symbols have", function ()
      local names = text:match "@class elf64load.plugin\n(.-)\nlocal "
      local z <close> = assert(elf.open "libz.so.1")
      for name in names:gmatch "@field (%w+) [^|\n]*\n" do
         assert.is_not_nil(z[name], name)
      end
      local symbol = assert(z:lookup("inflate"))
      names = text:match "@class elf64load.symbol\n(%-%-%-@field .-)\n\n"
      for name in names:gmatch "@field (%w+) [^|\n]*\n" do
         assert.is_not_nil(symbol[name], name)
      end
   end)
end)
