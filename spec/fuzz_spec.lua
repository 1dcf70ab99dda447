--- What the fuzzers have found worth keeping is tried again by every run, without
--- a fuzzer, and the fuzzers themselves are.

local lfs = require "lfs"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local guided = require "spec.fuzz.guided"

guided.folder = fixtures.folder .. "/fuzz"

-- A target with a main function of its own, over the loader as it was built.
local function replayer (name)
   return campaign.program({ ("spec/fuzz/%s.c"):format(name),
      "spec/fuzz/target.h", "spec/fuzz/replay.c",
      child.build .. "/lib/libelf64load.a" }, name == "ldscript"
      and "-I /usr/include/lua5.4 -l:liblua5.4.a -l:liblua5.4-lpeg.a -lm -ldl"
      or nil)
end

local function files (folder)
   local out = {}
   for name in lfs.dir(folder) do
      if lfs.attributes(folder .. "/" .. name, "mode") == "file" then
         out[#out + 1] = folder .. "/" .. name
      end
   end
   table.sort(out)
   return out
end

describe("A corpus of inputs that fuzzers have found #once", function ()
   for _, target in ipairs(guided.targets) do
      it("is read without harm by the target " .. target.name, function ()
         local inputs = files(guided.unpack(target.name))
         assert.is_true(#inputs > 50)
         local result = child.run({ replayer(target.name),
            table.unpack(inputs) }, { seconds = 200 })
         assert.equal(0, result.code, child.describe(result) .. "\n"
            .. result.err)
         assert.equal(#inputs, tonumber(result.out))
      end)

      it("is changed without harm to the target " .. target.name, function ()
         local inputs = files(guided.unpack(target.name))
         local some = {}
         for number = 1, #inputs, #inputs // 8 do
            some[#some + 1] = inputs[number]
         end
         local result = child.run({ replayer(target.name), "--mutants", "100",
            "1", table.unpack(some) }, { seconds = 200 })
         assert.equal(0, result.code, child.describe(result) .. "\n"
            .. result.err)
         assert.is_true(tonumber(result.out) > 900)
      end)
   end

   it("names no machine and is small", function ()
      local total = 0
      for _, target in ipairs(guided.targets) do
         total = total + lfs.attributes(("spec/fuzz/corpus/%s.tar.xz")
            :format(target.name), "size")
         for _, path in ipairs(files(guided.unpack(target.name))) do
            assert.is_false(guided.is_private(campaign.contents(path)), path)
         end
      end
      assert.is_true(total < 300000, tostring(total))
   end)
end)

describe("The campaign of mutants #once", function ()
   it("notices what goes wrong, and goes on", function ()
      -- In place of the opener, one that ends in each way.
      local mutants = require "spec.fuzz.mutants"
      mutants.host, mutants.loader = { child.host }, child.host
      mutants.processor, mutants.say = 1, function () end
      mutants.folder = fixtures.folder .. "/mutants"
      mutants.libraries = fixtures.text(assert(cc.shared "int f;") .. "\n", ".txt")
      mutants.opener = fixtures.text([[
         io.stdout:setvbuf "no"
         for seed = math.tointeger(arg[1]), math.tointeger(arg[2]) do
            io.write(seed, " dynamic header libf.so ")
            local number = seed & 0xffffff
            if number == 2 then os.execute "kill -SEGV $PPID" end
            while number == 5 do end
            if number == 7 then
               io.stderr:write "ERROR: AddressSanitizer: heap-buffer-overflow"
               os.exit(86)
            end
            assert(number ~= 9)
            io.write(number % 2 == 0 and "open" or "badformat", " 0.01\n")
            if number == 12 then
               io.stderr:write "ERROR: LeakSanitizer: detected memory leaks"
               os.exit(86)
            end
         end
      ]], ".lua")
      local good, sum = mutants.run(12, 3, false)
      assert.is_false(good)
      assert.same({ crash = 1, hang = 1, report = 2, failure = 1 }, sum.ends)
      assert.same({ open = 4, badformat = 3 }, sum.outcomes)
      assert.same({ header = 12 }, sum.regions)
      assert.equal(12, sum.total)
      -- All twelve are in the journal.
      local again, same = mutants.run(12, 3, true)
      assert.is_false(again)
      assert.same(sum, same)
   end)
end)

-- Runs the command as a user does, with a folder of its own.
local function command (...)
   return child.run({ child.build .. "/bin/elf64load", "spec/fuzz/run",
      "--folder", fixtures.folder .. "/fuzzed", ... }, { seconds = 1500 })
end

describe("The fuzzers' command #once", function ()
   it("refuses what it does not know", function ()
      for words, why in pairs {
         ["--wrong"] = "there is no option --wrong",
         ["--target none"] = "there is no target none",
         ["--runs"] = "--runs needs a number",
         ["--mutants -1"] = "--mutants needs a number",
         ["--seconds 1 --runs 1"] = "either --seconds or --runs",
         ["--objects --config debug"] = "--config needs release or asan",
         ["--objects --host lua5.3"] = "--host needs elf64load or lua5.4",
      } do
         local list = {}
         for word in words:gmatch "%S+" do list[#list + 1] = word end
         local result = command(table.unpack(list))
         assert.equal(2, result.code)
         assert.is_not_nil(result.err:find(why, 1, true), result.err)
      end
      assert.equal(0, command("--help").code)
   end)

   it("runs each target, adds up, and goes on #build #full", function ()
      local result = command("--runs", "2000", "--seed", "1")
      assert.equal(0, result.code, result.out .. result.err)
      local before = {}
      for name, runs in result.out:gmatch "(%a+) +([%d,]+) +[%d,]+ +%d+ of" do
         before[name] = tonumber((runs:gsub(",", "")))
         assert.is_true(before[name] >= 2000, name)
      end
      result = command("--runs", "2000", "--seed", "2", "--resume",
         "--target", "cache")
      assert.equal(0, result.code, result.out .. result.err)
      local after = result.out:match "cache +([%d,]+)":gsub(",", "")
      assert.is_true(tonumber(after) >= before.cache + 2000)
      assert.is_not_nil(result.out:find "reader")
   end)

   it("opens mutants of real libraries #build #full", function ()
      local result = command("--mutants", "200")
      assert.equal(0, result.code, result.out .. result.err)
      assert.is_not_nil(result.out:find "^200 mutants of 10 libraries\n")
      assert.is_not_nil(result.out:find(
         "findings:    crash 0, hang 0, report 0, failure 0", 1, true))
      local again = command("--mutants", "200", "--resume")
      assert.equal(result.out, again.out)
   end)

   it("links mutants of objects and archives #build #full", function ()
      for _, host in ipairs { "elf64load", "lua5.4" } do
         local words = { "--mutants", "200", "--objects", "--config", "release",
            "--host", host }
         local result = command(table.unpack(words))
         assert.equal(0, result.code, result.out .. result.err)
         assert.is_not_nil(result.out:find(
            "^200 mutants of %d+ objects and archives\n"), result.out)
         assert.is_not_nil(result.out:find(
            "findings:    crash 0, hang 0, report 0, failure 0", 1, true))
         local again = command("--resume", table.unpack(words))
         assert.equal(result.out, again.out)
      end
   end)
end)
