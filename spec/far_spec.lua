--- Instructions that do not reach far enough, and those that stand in for them.
--- #build

local child = require "spec.support.child"

-- A program of spec/support with these files of src/link.
local function program (name, flags, files)
   local path = os.tmpname()
   local words = { "gcc", "-O1", "-g", "-w", "-D_GNU_SOURCE", "-Isrc", "-o", path,
      "spec/support/" .. name .. ".c" }
   for _, file in ipairs(files) do
      words[#words + 1] = "src/link/" .. file .. ".c"
   end
   for _, flag in ipairs(flags) do words[#words + 1] = flag end
   local result = child.run(words, { bare = true, merge = true })
   assert(result.code == 0, result.out)
   return path
end

local function run (path, ...)
   local result = child.run({ path, ... }, { bare = true, merge = true,
      seconds = 120 })
   os.remove(path)
   return result
end

describe("An instruction", function ()
   it("is as long as Zydis says, and has its operands there", function ()
      local path = program("length", { "-lZydis" }, { "length_x86_64" })
      local result = run(path, "/lib/x86_64-linux-gnu/libc.so.6",
         "/lib/x86_64-linux-gnu/libm.so.6",
         "/usr/lib/x86_64-linux-gnu/libsqlite3.so.0")
      assert.equal("1 0\n", result.out)
   end)

   it("does the same when it is rewritten to reach further", function ()
      local path = program("far", { "-no-pie", "-fno-pie" },
         { "far_x86_64", "length_x86_64" })
      local result = run(path)
      local done, all = result.out:match "^(%d+) of (%d+)\n$"
      assert.is_not_nil(done, result.out)
      assert.equal(all, done)
      assert.is_true(tonumber(all) > 70)
   end)
end)
