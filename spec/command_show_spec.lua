--- The command's ways to show a library: symbols, trace; and its options.

local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"

local command = (os.getenv "ELF64LOAD_BUILD" or "build/release")
   .. "/bin/elf64load"

local function run (words, env)
   env = env or {}
   env.LUA_PATH, env.LUA_CPATH = ";;", ";;"
   local result = child.run({ command, table.unpack(words) }, { env = env })
   return result.out, result.err, result.code
end

-- As `run`, but its standard output is a terminal.
local function on_terminal (words, env)
   local line = { command }
   for _, word in ipairs(words) do
      line[#line + 1] = "'" .. word .. "'"
   end
   env = env or {}
   env.TERM = env.TERM or "xterm"
   local result = child.run({ "script", "-qec", table.concat(line, " "),
      "/dev/null" }, { env = env })
   return (result.out:gsub("\r", "")), result.code
end

-- By a reader that is not ours.
local read = require "cjson".decode

local function words_of (line)
   local list = {}
   for word in line:gmatch "%S+" do list[#list + 1] = word end
   return list
end

-- One that would end the process if anything of it ran.
local silent = assert(cc.shared [[
   #include <stdlib.h>
   #include <unistd.h>
   extern long absent(void);
   long value = 3;
   long answer(void) { return absent(); }
   long answer_twice(void) { return 84; }
   __thread int each = 1;
   static void *choose(void) { _exit(9); }
   long picked(void) __attribute__((ifunc("choose")));
   __attribute__((constructor)) static void begin(void) { _exit(8); }
]])

local loud = assert(cc.shared [[
   #include <unistd.h>
   __attribute__((constructor)) static void begin(void) { usleep(20000); }
   long answer(void) { return 42; }
]])

describe("elf64load symbols", function ()
   it("shows what a library exports, and runs nothing of it", function ()
      local out, err, status = run { "symbols", silent }
      assert.equal("", err)
      assert.equal(0, status)
      local kinds = {}
      for line in out:gmatch "[^\n]+" do
         local row = words_of(line)
         kinds[row[5]] = row[1]
      end
      assert.same({ name = "kind", value = "object", answer = "function",
         answer_twice = "function", each = "tls", picked = "ifunc" }, kinds)
   end)

   it("shows where in the file they are, as nm does", function ()
      local out = run { "symbols", silent, "value", "answer" }
      local nm = child.run { "nm", "-D", "--defined-only", silent }
      local seen = 0
      for line in out:gmatch "[^\n]+" do
         local row = words_of(line)
         local offset = nm.out:match("0*(%x+) %a " .. row[5] .. "\n")
         if offset then
            assert.equal("0x" .. offset, row[4])
            seen = seen + 1
         end
      end
      assert.equal(2, seen)
   end)

   it("shows those that fit a glob, and for none nothing", function ()
      local out = run { "symbols", silent, "answer*" }
      assert.equal(3, select(2, out:gsub("\n", "")))
      out = run { "symbols", silent, "pic?ed", "value" }
      assert.truthy(out:find "picked\n" and out:find "value\n")
      local none, err, status = run { "symbols", silent, "answer.*" }
      assert.same({ "", "", 0 }, { none, err, status })
   end)

   it("shows the same as JSON", function ()
      local list = read((run { "symbols", "--json", silent, "value", "each" }))
      local by = {}
      for _, symbol in ipairs(list) do by[symbol.name] = symbol end
      assert.equal("object", by.value.kind)
      assert.equal(8, by.value.size)
      assert.truthy(by.value.offset:find "^0x%x+$")
      assert.equal("tls", by.each.kind)
      assert.same({}, read((run { "symbols", "--json", silent, "none" })))
   end)
end)

describe("elf64load trace", function ()
   it("shows what happens, in order, and when", function ()
      local out, err, status = run { "trace", loud }
      assert.equal("", err)
      assert.equal(0, status)
      local last, names = 0, {}
      for line in out:gmatch "[^\n]+" do
         local row = words_of(line)
         if row[1] ~= "at" then
            assert(tonumber(row[1]) >= last)
            last = tonumber(row[1])
            names[#names + 1] = row[2]
            assert.equal(loud, row[4])
            if row[2] == "started" then assert(tonumber(row[3]) >= 20) end
         end
      end
      assert.same({ "mapped", "bound", "started", "stopped", "unmapped" }, names)
   end)

   it("shows the same as JSON", function ()
      local made = read((run { "--json", "trace", loud }))
      assert.equal(5, #made.steps)
      assert.equal("started", made.steps[3].event)
      assert(made.steps[3].took >= 20)
      assert.is_nil(made.error)
   end)

   it("shows how far an open came that failed", function ()
      local path = assert(cc.shared "extern int absent; int *p = &absent;")
      local out, err, status = run { "trace", path }
      assert.equal(1, status)
      assert.truthy(out:find "failed")
      assert.truthy(err:find("needs 'absent'", 1, true))
      local made = read((run { "trace", "--json", path }))
      assert.equal("undefined", made.error.kind)
      assert.equal("absent", made.error.detail.missing[1])
      assert.equal("failed", made.steps[#made.steps].event)
   end)

   it("tells a policy's own functions, too", function ()
      local policy = fixtures.text([[return { on = { started = function (event)
         print("started " .. event.path) end } }]], ".lua")
      local out = run { "--policy", policy, "trace", loud }
      assert.truthy(out:find("started " .. loud, 1, true))
      assert.truthy(out:find "unmapped")
   end)
end)

describe("The command's options", function ()
   it("stand before and after a command's words, and end with --", function ()
      local expected = run { "symbols", "--json", silent, "value" }
      for _, words in ipairs {
         { "--json", "symbols", silent, "value" },
         { "symbols", silent, "value", "--json" },
         { "symbols", "--color=never", "--json", "--", silent, "value" },
      } do
         assert.equal(expected, (run(words)))
      end
      local _, err, status = run { "symbols", "--", "--json" }
      assert.equal(1, status)
      assert.truthy(err:find("--json", 1, true))
   end)

   it("open the library under a policy", function ()
      local policy = fixtures.text([[return {
         search = function (name)
            if name == "loud" then return "]] .. loud .. [[" end
         end,
      }]], ".lua")
      local out, _, status = run { "symbols", "loud", "answer", "--policy",
         policy }
      assert.equal(0, status, out)
      assert.truthy(out:find "answer\n")
      policy = fixtures.text(
         "return { accept = function () return nil, 'it is too loud' end }",
         ".lua")
      local _, err, code = run { "open", loud, "--policy=" .. policy }
      assert.equal(1, code)
      assert.truthy(err:find("it is too loud", 1, true))
   end)

   it("say what is wrong with a policy", function ()
      local policy = fixtures.text("return { serach = print }", ".lua")
      local out, err, status = run { "open", loud, "--policy", policy }
      assert.same({ "", 1 }, { out, status })
      assert.truthy(err:find("did you mean 'search'", 1, true))
      out, err, status = run { "open", loud, "--policy", "/no/such/policy.lua" }
      assert.equal("", out)
      assert.equal(1, status)
      assert.truthy(err:find("/no/such/policy.lua", 1, true))
      local made = read((run { "open", loud, "--json", "--policy",
         "/no/such/policy.lua" }))
      assert.equal("notfound", made.error.kind)
   end)

   it("show failures as JSON, with their details", function ()
      local out, err, status = run { "open", "--json", loud, "answre" }
      assert.same({ "", 1 }, { err, status })
      local made = read(out)
      assert.equal("undefined", made.error.kind)
      assert.equal("answre", made.error.detail.symbol)
      assert.equal("answer", made.error.detail.near[1])
      local policy = fixtures.text(
         "return { accept = function () error { 1 } end }", ".lua")
      made = read((run { "open", loud, "--json", "--policy", policy }))
      assert.equal("hook", made.error.kind)
      assert.truthy(made.error.detail.error:find "^table")
   end)

   it("colour what a terminal shows, unless that is not wanted", function ()
      local escape <const> = "\27["
      assert.truthy(on_terminal { "trace", loud }:find(escape, 1, true))
      assert.falsy(run { "trace", loud }:find(escape, 1, true))
      assert.truthy(run { "trace", loud, "--color", "always" }:find(escape, 1,
         true))
      for _, plainly in ipairs {
         { { "trace", loud, "--color=never" } },
         { { "trace", loud }, { NO_COLOR = "1" } },
         { { "trace", loud }, { TERM = "dumb" } },
      } do
         assert.falsy(on_terminal(table.unpack(plainly)):find(escape, 1, true))
      end
   end)

   it("that are not understood are answered with 2 and the usage", function ()
      for words, why in pairs {
         [{ "symbols", "--nonsense", silent }] = "unknown option '--nonsense'",
         [{ "symbols", silent, "--color", "blue" }] = "--color is one of",
         [{ "symbols", silent, "--policy" }] = "--policy needs FILE",
         [{ "symbols", silent, "--json=1" }] = "--json takes no value",
         [{ "symbols" }] = "usage: elf64load symbols LIB",
         [{ "trace", silent, silent }] = "usage: elf64load trace LIB",
         [{ "--json", "script.lua" }] = "a script has no options",
      } do
         local out, err, status = run(words)
         assert.same({ "", 2 }, { out, status })
         assert.truthy(err:find(why, 1, true), err)
         assert.truthy(err:find("usage: elf64load FILE.lua", 1, true))
      end
   end)
end)
