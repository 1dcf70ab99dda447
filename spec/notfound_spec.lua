--- What a search says that has found nothing: what may have been meant, where the
--- file is though it does not count there, what it was that was passed over.

local lfs = require "lfs"
local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local elf = require "elf64load"

-- A folder with copies of fixtures.
local scratch

local contents = disk.contents

local function write (name, bytes)
   local path = scratch .. "/" .. name
   child.run { "mkdir", "-p", path:match "^(.*)/" }
   return disk.write(path, bytes)
end

local function place (name, path) return write(name, contents(path)) end

before_each(function ()
   scratch = child.run({ "mktemp", "-d" }).out:match "[^\n]+"
end)

after_each(function ()
   child.run { "rm", "-rf", scratch }
end)

-- One that does nothing, and one that needs others by their names.
local function plain (flags)
   return assert(cc.shared("long one(void) { return 1; }", flags))
end

local function needing (names, flags)
   local words = { "-Wl,--no-as-needed -Wl,--disable-new-dtags " .. (flags or "") }
   for _, name in ipairs(names) do
      words[#words + 1] = plain("-Wl,-soname," .. name)
   end
   return assert(cc.shared("long two(void) { return 2; }", table.concat(words, " ")))
end

local function runpath (folders)
   return "-Wl,--enable-new-dtags -Wl,-rpath,'" .. folders .. "'"
end

-- Kind, the message after the last semicolon, detail and the whole message.
local function advice (path, runtime)
   local plugin, message, kind, detail = (runtime or elf):open(path)
   assert.is_nil(plugin)
   return kind, message:match "[^;]*$":sub(2), detail, message
end
local default = elf.runtime {}

describe("A file that is missing", function ()
   it("may be another one in its folder", function ()
      place("libaudio.so.2", plain())
      place("notes.txt", plain())
      local path = scratch .. "/libaudoi.so.2"
      local kind, said, detail = advice(path, default)
      assert.equal("notfound", kind)
      assert.equal(("did you mean %s/libaudio.so.2?"):format(scratch), said)
      assert.same({ scratch .. "/libaudio.so.2" }, detail.near)
      assert.equal(said, detail.advice)
      assert.equal(path, detail.path)
   end)

   it("may be in a folder that is missing", function ()
      local _, said = advice(scratch .. "/a/b/libx.so", default)
      assert.equal("there is no folder " .. scratch .. "/a", said)
   end)

   it("may be in a file, or where a link leads", function ()
      local file = place("libx.so", plain())
      assert.equal(file .. " is not a folder", select(2, advice(file .. "/y", default)))
      local link = scratch .. "/liby.so"
      assert(lfs.link("liby.so.1", link, true))
      local kind, said = advice(link, default)
      assert.equal("notfound", kind)
      assert.equal("it is a link to liby.so.1, which is not there", said)
   end)

   it("may be given where its bytes are expected", function ()
      for _, path in ipairs { "libz.so.1", scratch .. "/plugin", "./" .. ("x"):rep(80) } do
         local _, message, kind = default:load(path)
         assert.equal("badformat", kind)
         assert.equal(("(bytes): invalid filetype, only ELF64 supported (the bytes "
            .. "are a path, '%s', which `open` takes)"):format(path), message)
      end
      for _, text in ipairs { "plugin", "a / b.so", ("/"):rep(5000) } do
         assert.is_nil(select(2, default:load(text)):find("a path", 1, true))
      end
   end)

   it("may have another version", function ()
      place("mods/libaudio.so.2", plain())
      place("mods/libaudio.so", plain())
      place("mods/libvideo.so.3", plain())
      local runtime <close> = elf.runtime { path = scratch .. "/mods/?" }
      local _, said, detail = advice("libaudio.so.3", runtime)
      assert.equal(("did you mean %s/mods/libaudio.so.2?"):format(scratch), said)
      assert.equal(scratch .. "/mods/libaudio.so.2", detail.near[1])
      assert.equal(scratch .. "/mods/libaudio.so", detail.near[2])
   end)

   it("may lie in the current folder, which is not looked through", function ()
      place("libhere.so", plain())
      for name, path in pairs { ["libhere.so"] = "libhere.so",
         here = "libhere.so" } do
         local result = child.lua([[
            print((select(2, require "elf64load".open(...)))) ]], { name },
            { folder = scratch })
         assert.is_not_nil(result.out:find("; the current folder is not looked "
            .. "through: to take the file in it, open ./" .. path .. "\n", 1,
            true), result.out)
      end
   end)

   it("is told of with all that needed one another", function ()
      place("lib/libmid.so", needing({ "libdeep.so" }))
      local top = place("top.so", needing({ "libmid.so" }, runpath "$ORIGIN/lib"))
      local kind, _, detail, message = advice(top, default)
      assert.equal("notfound", kind)
      assert.is_not_nil(message:find(("libdeep.so: not found, needed by "
         .. "%s/lib/libmid.so, which %s needs; "):format(scratch, top), 1, true),
         message)
      assert.equal(scratch .. "/lib/libmid.so", detail.wanter)
      -- The last place of the search.
      assert.equal("/usr/lib/libdeep.so", detail.path)
   end)

   it("may be where a DT_RUNPATH that does not count for it has it", function ()
      place("lib/libmid.so", needing({ "libdeep.so" }))
      local deep = place("lib/libdeep.so", plain())
      local top = place("top.so", needing({ "libmid.so" }, runpath "$ORIGIN/lib"))
      local _, said = advice(top, default)
      assert.equal(("%s is there by DT_RUNPATH of %s, which does not count for "
         .. "what libmid.so needs: link libmid.so with a -rpath of its own")
         :format(deep, top), said)
      -- With a DT_RPATH it is found.
      os.remove(top)
      assert(default:open(place("top.so", needing({ "libmid.so" },
         "-Wl,-rpath,'$ORIGIN/lib'")))):close()
   end)

   it("may lie beside what needs it, which counts when either is told", function ()
      local deep = place("libdeep.so", plain())
      local top = place("top.so", needing({ "libdeep.so" }))
      local open <close> = assert(default:open(deep))
      local _, said = advice(top, default)
      assert.equal(("%s is there, beside top.so: link top.so with "
         .. "-Wl,-rpath,'$ORIGIN', or name %s/? in the runtime's path")
         :format(deep, scratch), said)
      local runtime <close> = elf.runtime { path = scratch .. "/?" }
      assert(runtime:open(top)):close()
      os.remove(top)
      assert(default:open(place("top.so", needing({ "libdeep.so" },
         "-Wl,-rpath,'$ORIGIN'")))):close()
   end)

   it("may be where a DT_RPATH that does not count for it has it", function ()
      place("lib/libmid.so", needing({ "libdeep.so" }, runpath "/nowhere"))
      local deep = place("lib/libdeep.so", plain())
      local top = place("top.so", needing({ "libmid.so" },
         "-Wl,-rpath,'$ORIGIN/lib'"))
      local _, said = advice(top, default)
      assert.equal(("%s is there by DT_RPATH of %s, which does not count for "
         .. "what libmid.so needs: link libmid.so with a -rpath of its own")
         :format(deep, top), said)
   end)
end)

describe("A template that is none", function ()
   local function says (path, name)
      local runtime <close> = elf.runtime { path = path }
      local _, said, _, message = advice(name, runtime)
      return said, message
   end

   it("is a folder's name", function ()
      place("mods/other.so", plain())
      local folder = scratch .. "/mods"
      local said, message = says("/nowhere/?;" .. folder, "mod")
      assert.equal(("'%s' has no '?': did you mean %s/?.so"):format(folder,
         folder), said)
      local _, times = message:gsub("was passed over", "")
      assert.equal(1, times)
      assert.equal(("'%s/' has no '?': did you mean %s/?"):format(folder, folder),
         (says(folder .. "/", "mod.so")))
   end)

   it("is a list with colons", function ()
      for _, path in ipairs { "./a/?.so:./b/?.so", "./a:./b" } do
         assert.equal(("'%s' is one template: divide several by semicolons"):format(path),
            (says("/nowhere/?;" .. path, "mod")))
      end
      place("a:b/other", plain())
      assert.is_nil(says(scratch .. "/a:b/?.so", "mod"):find("divide", 1, true))
   end)
end)

describe("What was passed over", function ()
   it("is named with what it is for", function ()
      local bytes = contents(plain())
      for machine, name in pairs { [183] = "AArch64", [243] = "RISC-V",
         [4711] = "machine 4711" } do
         local path = write("libother.so",
            bytes:sub(1, 18) .. ("<I2"):pack(machine) .. bytes:sub(21))
         local runtime <close> = elf.runtime { path = scratch .. "/?" }
         local kind, said, detail, message = advice("libother.so", runtime)
         assert.equal("badarch", kind)
         assert.is_not_nil(message:find(("; %s was passed over: invalid "
            .. "architecture, only AMD64 supported (it is for %s); "):format(path,
            name), 1, true), message)
         assert.equal("install the one for x86-64, 64 bits, or name its folder "
            .. "before this one's", said)
         assert.equal(path, detail.path)
      end
      local path = write("libother.so",
         bytes:sub(1, 4) .. "\1" .. bytes:sub(6, 18) .. "\3\0" .. bytes:sub(21))
      local runtime <close> = elf.runtime { path = scratch .. "/?" }
      local kind, _, _, message = advice("libother.so", runtime)
      assert.equal("badformat", kind)
      assert.is_not_nil(message:find(path .. " was passed over: invalid "
         .. "filetype, only ELF64 supported (a 32-bit file for i386)", 1, true),
         message)
   end)
end)
