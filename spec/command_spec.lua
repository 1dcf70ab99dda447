--- The command elf64load: scripts, pieces of Lua, `open`, and its exit status.

local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"

local build = os.getenv "ELF64LOAD_BUILD" or "build/release"
local command = build .. "/bin/elf64load"

-- Both outputs and the exit status of the command. The command has a sanitizer
-- in itself when this process has one.
local function run (...)
   local result = child.run({ command, ... },
      { bare = true, env = { LUA_PATH = ";;", LUA_CPATH = ";;" } })
   return result.out, result.err, result.code
end

local function lua (...)
   local result = child.run({ "lua5.4", ... },
      { bare = true, env = { LUA_PATH = ";;", LUA_CPATH = ";;" } })
   return result.out, result.err, result.code
end

local function script (text)
   return fixtures.text(text, ".lua")
end

-- What a fixture exports, for `open`.
local function library ()
   return assert(cc.shared([[
      int number = 3;
      const char text[24] = "text";
      int answer(void) { return 42; }
      __thread int each = 1;
   ]]))
end

local function fields (line)
   local list = {}
   for word in line:gmatch "%S+" do list[#list + 1] = word end
   return list
end

describe("elf64load FILE.lua", function ()
   it("gives a script the arguments that lua5.4 gives it", function ()
      local path = script [[
         print(select("#", ...), ...)
         for index = -3, #arg do print(index, arg[index]) end
      ]]
      local ours, _, status = run(path, "a", "", "c d", "--help")
      local theirs = lua(path, "a", "", "c d", "--help")
      assert.equal(0, status)
      assert.equal(theirs:gsub("lua5%.4", ""), (ours:gsub(
         command:gsub("%p", "%%%0"), "")))
      assert.is_not_nil(ours:match "^4\ta\t\tc d\t%-%-help\n")
      assert.is_not_nil(ours:match("\n%-1\t" .. command:gsub("%p", "%%%0")))
   end)

   it("may have been meant as a command", function ()
      local _, err, status = run("opne", "libz.so.1")
      assert.equal(1, status)
      assert.is_not_nil(err:find("^elf64load: cannot open opne[^\n]* %(did you mean "
         .. "'open'%?%)\n$"), err)
      _, err = run "./nothing.lua"
      assert.is_nil(err:find "did you mean")
   end)

   it("has the libraries that lua5.4 has, and LPeg", function ()
      local path = script [[
         local names = {}
         for name in pairs(_G) do names[#names + 1] = name end
         table.sort(names)
         print(_VERSION, collectgarbage "isrunning", table.concat(names, " "))
         print(require "lpeg".match(require "lpeg".P "a"^1, "aab"))
      ]]
      assert.equal(lua(path), (run(path)))
   end)

   it("answers 1 with the script's error and the way to it", function ()
      local path = script [[
         local function fail () error "what is wrong" end
         local function call () fail() end
         call()
      ]]
      local out, err, status = run(path)
      local _, theirs, theirstatus = lua(path)
      assert.equal("", out)
      assert.equal(1, status)
      assert.equal(theirstatus, status)
      -- The same but for the hosts' own frames at the end.
      local function top (text, name)
         local said = text:gsub("^" .. name .. ": ", "")
         return said:match "^(.-in main chunk)"
      end
      assert.is_not_nil(top(err, "elf64load"):match "what is wrong")
      assert.equal(top(theirs, "lua5%.4"), top(err, "elf64load"))
   end)

   it("shows an error that is a value as lua5.4 does", function ()
      for _, text in ipairs {
         "error(setmetatable({}, { __tostring = function () return 'me' end }))",
         "error {}", "error()", "error(12)",
      } do
         local path = script(text)
         local _, err, status = run(path)
         local _, theirs = lua(path)
         assert.equal(1, status)
         assert.equal(theirs:match "^lua5%.4: ([^\n]*)",
            err:match "^elf64load: ([^\n]*)")
      end
   end)

   it("answers 1 for a script that is not there or not Lua", function ()
      local _, err, status = run "no/such/script.lua"
      assert.equal(1, status)
      assert.is_not_nil(err:match "no/such/script%.lua")
      _, err, status = run(script "this is not Lua")
      assert.equal(1, status)
      assert.is_not_nil(err:match "syntax error")
   end)

   it("answers what the script exits with", function ()
      local _, _, status = run(script "os.exit(7)")
      assert.equal(7, status)
      _, _, status = run(script "os.exit(7, true)")
      assert.equal(7, status)
      _, _, status = run(script "return 5")
      assert.equal(0, status)
   end)

   it("takes its own scripts before what package.path finds", function ()
      local folder = fixtures.folder .. "/older"
      os.execute("mkdir -p '" .. folder .. "/elf64load'")
      for _, name in ipairs { "init", "cli" } do
         local file = assert(io.open(folder .. "/elf64load/" .. name .. ".lua",
            "w"))
         file:write "error 'an older copy'"
         file:close()
      end
      local path = script [[
         local elf, from = require "elf64load"
         print(type(elf.open), from)
      ]]
      local result = child.run({ command, path }, { bare = true, env = {
         LUA_PATH = folder .. "/?.lua;" .. folder .. "/?/init.lua;;",
      } })
      assert.equal("", result.err)
      assert.equal("function\telf64load/init.lua\n", result.out)
   end)

   it("runs the specs: this host is what spec/run says it is", function ()
      local host = os.getenv "ELF64LOAD_HOST"
      -- A spec that is run by busted alone has no such promise to keep.
      if not host then return end
      local wanted = host:match "elf64load'$" and "elf64load" or "lua5.4"
      assert.equal(wanted, child.host:match "[^/]*$")
   end)
end)

describe("elf64load -e", function ()
   it("runs a piece of Lua with its arguments", function ()
      local out, _, status = run("-e", "print(..., arg[0], arg[2])", "one", "two")
      assert.equal(0, status)
      assert.equal("one\tprint(..., arg[0], arg[2])\ttwo\n",
         (out:gsub("two\t", "", 1)))
   end)

   it("answers 1 when it fails, and names the command line", function ()
      local _, err, status = run("-e", "error 'no'")
      assert.equal(1, status)
      assert.is_not_nil(err:match "^elf64load: %(command line%):1: no\n")
      _, _, status = run("-e", "= 1")
      assert.equal(1, status)
   end)
end)

describe("elf64load open", function ()
   it("shows kind, size, version, address and name of symbols", function ()
      local out, err, status = run("open", library(), "answer", "text")
      assert.equal("", err)
      assert.equal(0, status)
      local head, answer, text = out:match "^(.-)\n(.-)\n(.-)\n$"
      assert.same({ "kind", "size", "version", "address", "name" }, fields(head))
      answer, text = fields(answer), fields(text)
      assert.equal("function", answer[1])
      assert.equal("answer", answer[5])
      assert.same({ "object", "24", "-" }, { text[1], text[2], text[3] })
      assert.equal("text", text[5])
      for _, row in ipairs { answer, text } do
         assert.is_not_nil(row[4]:match "^0x%x+$")
      end
   end)

   it("shows all that the library exports when no symbol is named", function ()
      local out, _, status = run("open", library())
      assert.equal(0, status)
      local kinds = {}
      for line in out:gmatch "[^\n]+" do
         local row = fields(line)
         kinds[row[5]] = row[1]
      end
      kinds.name = nil
      assert.same({ number = "object", text = "object", answer = "function",
         each = "tls" }, kinds)
   end)

   it("shows the version of a symbol that has one", function ()
      local map = fixtures.text("NODE_1 { global: old; local: *; };", ".map")
      local path = assert(cc.shared("int old(void) { return 1; }",
         "-Wl,--version-script=" .. map))
      local out = run("open", path, "old")
      assert.equal("NODE_1", fields(out:match "\n([^\n]+)\n$")[3])
   end)

   it("looks for a bare name as ld.so does", function ()
      local out, _, status = run("open", "libz.so.1", "zlibVersion")
      assert.equal(0, status)
      assert.is_not_nil(out:match "zlibVersion\n$")
   end)

   it("answers 1 for a symbol that is not there, after the others", function ()
      local out, err, status = run("open", library(), "nothing", "answer")
      assert.equal(1, status)
      assert.is_not_nil(err:match "nothing")
      assert.is_not_nil(out:match "answer\n$")
   end)

   it("answers 1 for a library that is not there", function ()
      local out, err, status = run("open", "./no-such-library.so")
      assert.equal(1, status)
      assert.equal("", out)
      assert.is_not_nil(err:match "^elf64load: .*no%-such%-library%.so")
   end)

   it("answers 1 for a file that is not ELF", function ()
      local _, err, status = run("open", script "return 1")
      assert.equal(1, status)
      assert.is_not_nil(err:match "only ELF64 supported")
   end)
end)

describe("elf64load", function ()
   it("shows its usage for --help, with 0", function ()
      local out, err, status = run "--help"
      assert.equal(0, status)
      assert.equal("", err)
      assert.is_not_nil(out:match "^usage: elf64load FILE%.lua")
   end)

   it("shows the header's version for --version", function ()
      local header = assert(io.open "src/elf64load.h")
      local text = header:read "a"
      header:close()
      local parts = {}
      for _, part in ipairs { "MAJOR", "MINOR", "PATCH" } do
         parts[#parts + 1] = text:match("E64_VERSION_" .. part .. " (%d+)")
      end
      local out, _, status = run "--version"
      assert.equal(0, status)
      assert.equal("elf64load " .. table.concat(parts, ".") .. ", Lua 5.4\n", out)
   end)

   it("answers 2 and its usage for what it does not understand", function ()
      for _, words in ipairs { {}, { "--nonsense" }, { "open" }, { "-e" } } do
         local out, err, status = run(table.unpack(words))
         assert.equal(2, status)
         assert.equal("", out)
         assert.is_not_nil(err:match "usage: elf64load")
      end
   end)
end)
