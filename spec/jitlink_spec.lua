--- The runner of JITLink's cases, over a case of our own: it sees what holds and
--- what does not. (LLVM's are not in this project.) #full

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local fixtures = require "spec.support.fixtures"

local folder = fixtures.folder .. "/jitlink"

local CASE <const> = [[
# RUN: llvm-mc -triple=x86_64-unknown-linux -position-independent \
# RUN:   -filetype=obj -o %%t.o %%s
# RUN: llvm-jitlink -noexec -abs far=0x7ffe12345678 -abs small=0x12 \
# RUN:   -check=%%s %%t.o
# RUN: not llvm-jitlink -noexec -abs far=1 -abs small=0x1234 %%t.o
# jitlink-check: *{8}words = far
# jitlink-check: *{8}words + 8 = data + 4
# jitlink-check: *{1}words + 16 = small
# jitlink-check: decode_operand(main, 0) = stub_addr(t.o, far) - next_pc(main)
# jitlink-check: decode_operand(load, 4) = got_addr(t.o, far) - next_pc(load)
# jitlink-check: (*{4}section_addr(t.o, .data))[15:8] = %s
   .globl main, load, words, data
main: callq far@PLT
load: leaq far@GOTPCREL(%%rip), %%rax
   .data
data: .long 0x1234
   .long 7
words: .quad far, data + 4
   .byte small
]]

local function run (list, ...)
   return child.run({ "spec/conformance/jitlink", "--list",
      folder .. "/" .. list .. ".txt", folder, ... },
      { seconds = 300, merge = true })
end

describe("The runner of JITLink's cases #build #full", function ()
   setup(function ()
      assert(os.execute("mkdir -p '" .. folder .. "/x86-64'"))
      campaign.write(folder .. "/x86-64/good.s", CASE:format "0x12")
      campaign.write(folder .. "/x86-64/bad.s", CASE:format "0x34")
      campaign.write(folder .. "/known.txt", "x86-64/bad.s check fails as "
         .. "0x12 is not 0x34\nx86-64/good.s check\n")
      campaign.write(folder .. "/stale.txt",
         "x86-64/good.s check fails as nothing is right\n")
      campaign.write(folder .. "/list.txt",
         "x86-64/good.s check\nx86-64/bad.s check\nx86-64/no.s exclude is none\n")
   end)

   it("passes a case whose expressions hold", function ()
      local result = run("list", "x86-64/good.s")
      assert.equal(0, result.code, result.out)
      assert.is_not_nil(result.out:find("1 passed, 0 failed, 0 explained, 0 excluded", 1, true))
      assert.is_not_nil(result.out:find "refused as unsupported")
   end)

   it("fails a case of which one does not", function ()
      local result = run "list"
      assert.equal(1, result.code)
      assert.is_not_nil(result.out:find("0x12 is not 0x34", 1, true), result.out)
      assert.is_not_nil(result.out:find(
         "1 passed, 1 failed, 0 explained, 1 excluded", 1, true))
   end)

   it("counts a failure that the list explains, as long as it is one", function ()
      local result = run "known"
      assert.equal(0, result.code, result.out)
      assert.is_not_nil(result.out:find(
         "1 passed, 0 failed, 1 explained, 0 excluded", 1, true), result.out)
      result = run "stale"
      assert.equal(1, result.code, result.out)
      assert.is_not_nil(result.out:find(
         "0 passed, 1 failed, 0 explained, 0 excluded", 1, true), result.out)
   end)

   it("knows a mistake in the command", function ()
      assert.equal(2, child.run({ "spec/conformance/jitlink" }).code)
      assert.equal(0, child.run({ "spec/conformance/jitlink", "--help" }).code)
      assert.equal(2, child.run({ "spec/conformance/jitlink", "/" }).code)
   end)

   it("has each case of the list once, with a reason for what is excluded",
      function ()
         local seen = {}
         for _, line in ipairs(campaign.list "spec/conformance/jitlink.txt") do
            local name, how, reason = line:match "^(%S+)%s+(%l+)%s*(.*)$"
            assert.is_nil(seen[name])
            seen[name] = true
            assert.is_true(how ~= "exclude" and reason == ""
               or how == "check" and #(reason:match "^fails as (.*)" or "") > 5
               or how == "exclude" and #reason > 5, line)
            assert.is_true(how == "check" or how == "link" or how == "exclude")
         end
         assert.is_true(seen["x86-64/ELF_comdat.s"])
      end)
end)
