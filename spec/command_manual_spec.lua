--- What the command says of itself: --help, help, the manual page and what shells
--- complete, which are all made from one text.

local child = require "spec.support.child"
local disk = require "spec.support.disk"
local fixtures = require "spec.support.fixtures"
local core = require "elf64load.core"
local manual = require "elf64load.manual"

local command = (os.getenv "ELF64LOAD_BUILD" or "build/release")
   .. "/bin/elf64load"

local function run (...)
   local result = child.run({ command, ... },
      { env = { LUA_PATH = ";;", LUA_CPATH = ";;" } })
   return result.out, result.err, result.code
end

local contents = disk.contents

-- Every command and option by its name.
local function each_name (visit)
   for _, entry in ipairs(manual.commands) do visit(entry.name) end
   for _, option in ipairs(manual.options) do visit(option.long) end
end

describe("elf64load --help", function ()
   it("names every command and option, within 80 columns", function ()
      local out, err, status = run "--help"
      assert.same({ "", 0 }, { err, status })
      assert.equal(manual.usage(), out)
      each_name(function (name) assert.truthy(out:find(name, 1, true), name) end)
      for line in out:gmatch "[^\n]+" do assert(#line <= 80, line) end
   end)

   it("after a command explains that", function ()
      for _, entry in ipairs(manual.commands) do
         local out = run(entry.name, "--help")
         assert.equal(manual.explain(entry.name), out)
         assert.equal(out, (run("help", entry.name)))
      end
   end)
end)

describe("elf64load help", function ()
   it("shows the usage, and each topic", function ()
      assert.equal(manual.usage(), (run "help"))
      for _, topic in ipairs { "policy", "values", "search", "errors" } do
         local out, err, status = run("help", topic)
         assert.same({ "", 0 }, { err, status })
         assert.equal(1, out:find(topic .. ": ", 1, true))
         for line in out:gmatch "[^\n]+" do assert(#line <= 80, line) end
      end
   end)

   it("names what there is help on for what there is none on", function ()
      local out, err, status = run("help", "nonsense")
      assert.same({ "", 2 }, { out, status })
      assert.truthy(err:find("'nonsense'", 1, true))
      assert.truthy(err:find("policy, values, search, errors", 1, true))
   end)

   it("on errors names every kind that there is", function ()
      local text = manual.explain "errors"
      local header, count = contents "src/elf64load.h", 0
      for name in header:match "enum e64_status {(.-)}":gmatch "E64_(%u+),? " do
         if name ~= "OK" and name ~= "INVALID" then
            count = count + 1
            assert.truthy(text:find("\n    " .. name:lower() .. " ", 1, true),
               name)
         end
      end
      assert(count >= 14, count)
      assert.truthy(core.version)
   end)

   it("on policy names every key that a policy may have, and no other", function ()
      local text, count = manual.explain "policy", 0
      local keys = contents "lua/elf64load/policy.lua":match(
         "\nlocal keys = {\n(.-)\n}\n")
      for name in keys:gmatch "\n?   (%l+) = " do
         count = count + 1
         assert.truthy(text:find("\n    " .. name .. " ", 1, true), name)
      end
      local told = 0
      for _ in text:match "(\n    path.-)\n\n":gmatch "\n    %l" do
         told = told + 1
      end
      assert.equal(told, count)
   end)

   it("shows Lua that is Lua, and does what it says", function ()
      local result = child.lua(manual.explain "values":match
         "\n(    local elf.-)\n\n")
      assert.equal("", result.err)
      assert.truthy(result.out:find "^1%.%d")
      local policy = manual.explain "policy":match "\n(    return {.-\n    })\n"
      assert.truthy(load(policy)().accept)
   end)
end)

describe("The manual page", function ()
   local page = manual.page "1.2.3"

   it("has every command, option, topic and the version", function ()
      local text = page:gsub("\\%-", "-")
      each_name(function (name) assert.truthy(text:find(name, 1, true), name) end)
      for _, topic in ipairs(manual.topics) do
         assert.truthy(text:find("\n.SH " .. topic.name:upper() .. "\n", 1, true))
      end
      assert.truthy(text:find('"elf64load 1.2.3"', 1, true))
   end)

   it("has no line that is taken for a request by accident", function ()
      for line in page:gmatch "[^\n]+" do
         if line:find "^[.']" then
            assert.truthy(line:find "^%.TH " or line:find "^%.SH %u"
               or line:find "^%.[PT]P$" or line:find "^%.[nf][if]$", line)
         end
      end
   end)
end)

describe("What bash completes", function ()
   local script = fixtures.text(manual.bash(), ".bash")

   local function complete (...)
      local words = { ... }
      for at, word in ipairs(words) do words[at] = "'" .. word .. "'" end
      local result = child.run { "bash", "-c", ([[
         source %s
         COMP_WORDS=(elf64load %s) COMP_CWORD=%d
         _elf64load
         echo "${COMPREPLY[@]}" ]]):format(script, table.concat(words, " "),
         #words) }
      assert.equal("", result.err)
      return (result.out:gsub("\n$", ""))
   end

   it("is commands, options, their values and topics", function ()
      assert.equal("symbols", complete "sym")
      assert.equal("--policy", complete("trace", "--pol"))
      assert.equal("auto always", complete("--color", "a"))
      assert.equal("policy", complete("help", "pol"))
      assert.equal("", complete("help", "no-such"))
   end)

   it("is files where a library or a policy stands", function ()
      assert.equal("src/elf64load.h", complete("open", "src/elf64load.h"))
      assert.equal("README.md", complete("--policy", "READ"))
      assert.equal("premake5.lua", complete "prem")
   end)
end)

describe("What zsh completes", function ()
   it("has every command, option and topic", function ()
      local text = manual.zsh()
      assert.equal(1, text:find("#compdef elf64load\n", 1, true))
      each_name(function (name) assert.truthy(text:find(name, 1, true), name) end)
      for _, topic in ipairs(manual.topics) do
         assert.truthy(text:find(topic.name, 1, true))
      end
   end)
end)
