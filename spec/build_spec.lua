--- Building by each generator that is here, in a copy of the sources. #build

local lfs = require "lfs"
local child = require "spec.support.child"
local disk = require "spec.support.disk"

local function run (folder, ...)
   local result = child.run({ ... },
      { bare = true, merge = true, folder = folder, seconds = 600 })
   assert(result.code == 0, table.concat({ ... }, " ") .. "\n" .. result.out)
   return result.out
end

local function have (program)
   return child.run({ "sh", "-c", "command -v " .. program }).code == 0
end

local function words (set)
   local list = {}
   for word in pairs(set) do list[#list + 1] = word end
   table.sort(list)
   return table.concat(list, " ")
end

-- What make said that it compiled, and whether it linked anything.
local function work (text)
   local compiled, linked = {}, {}
   for line in text:gmatch "[^\n]+" do
      local source = line:match "^(%S+%.[cS])$"
      local target = line:match "^Linking (%S+)$"
      if source then compiled[source] = true end
      if target then linked[target] = true end
   end
   return words(compiled), words(linked)
end

-- The generators; premake4 is Debian's and always here.
local generators = { "premake4" }
if have "premake5" then generators[2] = "premake5" end

for _, premake in ipairs(generators) do
   describe("A build by " .. premake .. " #build #once", function ()
      local top

      local function write (path, text)
         disk.write(top .. "/" .. path, text)
      end

      local function generate ()
         run(top, premake, "--file=premake5.lua", "gmake")
      end

      local function make ()
         return work(run(top, "make", "-C", "build", "-j2", "config=release"))
      end

      local function archive (name)
         return "build/release/lib/lib" .. name .. ".a"
      end

      setup(function ()
         top = run(nil, "mktemp", "-d"):match "%S+"
         run(nil, "cp", "-r", "premake5.lua", "src", "lua", top)
         generate()
         make()
      end)

      teardown(function ()
         run(nil, "rm", "-rf", top)
      end)

      it("makes the command, the module and both archives", function ()
         for _, path in ipairs {
            "build/release/bin/elf64load", "build/release/lua/elf64load/core.so",
            archive "elf64load", archive "elf64load-lua",
         } do
            assert.equal("file", lfs.attributes(top .. "/" .. path, "mode"), path)
         end
         assert.equal("7\n", run(top, "build/release/bin/elf64load", "-e",
            "print(#require 'elf64load.core' and 7)"))
      end)

      it("compiles and links nothing the second time", function ()
         local compiled, linked = make()
         assert.equal("", compiled)
         assert.equal("", linked)
      end)

      it("compiles nothing after the makefiles were made again", function ()
         generate()
         local compiled, linked = make()
         assert.equal("", compiled)
         assert.equal("", linked)
      end)

      it("compiles what includes a header that changed, and no more", function ()
         local users = {}
         for path in run(top, "sh", "-c", "ls src/*/*.c src/*.c"):gmatch "%S+" do
            local needs = run(top, "gcc", "-MM", "-D_GNU_SOURCE", "-Isrc",
               "-I/usr/include/lua5.4", path) .. " "
            if needs:match "[%s/]elf/view%.h%s" then
               users[path:match "[^/]*$"] = true
            end
         end
         assert.is_not_nil(next(users))
         run(top, "touch", "src/elf/view.h")
         local compiled, linked = make()
         assert.equal(words(users), compiled)
         assert.is_not_nil(linked:match "core")
         assert.is_not_nil(linked:match "command")
      end)

      it("takes a script that changed into what carries it", function ()
         write("lua/elf64load/probe.lua", "return 'a script of the spec'\n")
         generate()
         local compiled = make()
         assert.equal("scripts.c", compiled)
         assert.equal("a script of the spec\n", run(top,
            "build/release/bin/elf64load", "-e",
            "print((require 'elf64load.probe'))"))
      end)

      it("takes assembly, and drops what a source left that is gone", function ()
         local function members ()
            return run(top, "ar", "t", archive "elf64load")
         end
         write("src/elf/probe_x86_64.S", table.concat({
            "#ifdef __x86_64__", "  .globl elf_probe", "elf_probe:", "  ret",
            "#endif", '  .section .note.GNU-stack,"",@progbits', "",
         }, "\n"))
         generate()
         local compiled = make()
         assert.equal("probe_x86_64.S", compiled)
         assert.is_not_nil(members():match "probe_x86_64%.o")
         assert.is_not_nil(run(top, "nm", archive "elf64load"):match
            " T elf_probe\n")

         assert(os.remove(top .. "/src/elf/probe_x86_64.S"))
         generate()
         compiled = make()
         assert.equal("", compiled)
         assert.is_nil(members():match "probe_x86_64%.o")
      end)
   end)
end
