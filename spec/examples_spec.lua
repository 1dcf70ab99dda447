--- The examples print what their READMEs say.
--
-- A README shows commands in ```console blocks. Blanks count once, "..." stands
-- for anything within a line.

local child = require "spec.support.child"
local disk = require "spec.support.disk"
local lfs = require "lfs"

local contents = disk.contents

local function tidy (text)
   local lines = {}
   for line in (text:gsub("\n*$", "\n")):gmatch "([^\n]*)\n" do
      lines[#lines + 1] = (line:gsub("%s+", " "))
   end
   return table.concat(lines, "\n")
end

local function pattern (text)
   return "^" .. tidy(text):gsub("%p", "%%%0")
      :gsub("%%%.%%%.%%%.", "[^\n]-") .. "$"
end

local names = {}
for name in lfs.dir "examples" do
   if not name:find "^%." and lfs.attributes("examples/" .. name .. "/README.md") then
      names[#names + 1] = name
   end
end
table.sort(names)

for _, name in ipairs(names) do
   local blocks = {}
   local text = contents("examples/" .. name .. "/README.md")
   for block in text:gmatch "```console\n(.-)\n```" do
      for command, output in ("\n" .. block .. "\n$ "):gmatch
            "%f[^\n]%$ ([^\n]+)\n(.-)%f[\n]\n%f[$]" do
         blocks[#blocks + 1] = { command = command, output = output }
      end
   end
   for _, block in ipairs(blocks) do
      describe("The example " .. name, function ()
         it(("prints what it says for '%s'"):format(block.command), function ()
            local result = child.run({ "sh", "-c", block.command }, {
               -- One of them builds what it needs.
               merge = true, seconds = 600,
               through = { "env", "-u", "LD_PRELOAD" },
               env = { PATH = child.build .. "/bin:" .. os.getenv "PATH",
                  LUA_PATH = ";;", LUA_CPATH = ";;" },
            })
            assert(tidy(result.out):match(pattern(block.output)),
               ("%s\nsays\n%s\nand README says\n%s"):format(block.command,
               result.out, block.output))
         end)
      end)
   end
end

describe("The examples", function ()
   it("are said to print something", function ()
      local told = 0
      for _, name in ipairs(names) do
         local text = contents("examples/" .. name .. "/README.md")
         if text:find("```console\n", 1, true) then told = told + 1 end
      end
      assert.is_true(told > 0)
   end)
end)
