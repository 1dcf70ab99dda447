--- Links objects with the link editor, and lets ld.so run what comes out, beside
--- what ld makes of the same objects.

local lfs = require "lfs"
local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local objects = require "spec.support.objects"

---@class linking
local linking = {}

-- Opens a shared object, calls what is named start in it, closes it.
local STARTER <const> = [[
#include <dlfcn.h>
#include <stdio.h>
int main(int argc, char **argv) {
   void *handle = argc > 1 ? dlopen(argv[1], RTLD_NOW) : NULL;
   if (!handle) { printf("dlopen: %s\n", dlerror()); return 1; }
   int (*start)(void) = (int (*)(void))dlsym(handle, "start");
   if (!start) { printf("dlsym: %s\n", dlerror()); return 1; }
   printf("start: %d\n", start());
   dlclose(handle);
   puts("closed");
   return 0;
}]]

local program
local folder = fixtures.folder .. "/linking"
local count = 0

-- A path for an image of this process.
local function fresh ()
   count = count + 1
   assert(os.execute("mkdir -p '" .. folder .. "'"))
   return ("%s/%s-%d.so"):format(folder,
      lfs.symlinkattributes("/proc/self", "target"), count)
end

--- What the link editor says of these inputs, and the image's path.
---@param inputs string[] paths; "whole" before an archive
---@return string said, string path
function linking.run (inputs)
   program = program or campaign.program { "spec/support/linking.c",
      child.build .. "/lib/libelf64load.a" }
   local path = fresh()
   local words = { program, path }
   table.move(inputs, 1, #inputs, 3, words)
   local result = child.run(words, { seconds = 120 })
   assert.equal(0, result.code, child.describe(result) .. "\n" .. result.err)
   assert.is_nil(result.out:find("left behind", 1, true), result.out)
   return result.out, path
end

--- The path of the image.
---@param inputs string[]
---@return string
function linking.image (inputs)
   local said, path = linking.run(inputs)
   assert.is_nil(said:find("failed", 1, true), said)
   return path
end

--- They are refused, by a message with these words.
---@param kind string
---@param words string[]
---@param inputs string[]
function linking.refused (kind, words, inputs)
   local said = linking.run(inputs)
   local got, message = said:match "^failed: (%a+): (.*)\n$"
   assert.equal(kind, got, said)
   for _, word in ipairs(words) do
      assert.is_not_nil(message:find(word, 1, true), word .. "\n" .. message)
   end
end

--- An object from C that may be loaded anywhere, unless the flags say otherwise.
---@param source string
---@param flags? string
---@return string path
function linking.object (source, flags)
   return assert(cc.object(source, "-fPIC " .. (flags or "")))
end

--- An object from assembler text.
---@param source string
---@return string path
function linking.assembly (source)
   return assert(cc.object { source = source .. "\n", language = "assembly" })
end

--- An object from C++.
---@param source string
---@param flags? string
---@return string path
function linking.cplusplus (source, flags)
   return assert(cc.object { source = source, language = "c++",
      flags = "-fPIC " .. (flags or "") })
end

--- What `start` of a shared object prints, run by ld.so.
---@param path string
---@param flags? string for linking the program that opens it
---@return string
function linking.started (path, flags)
   local result = child.run({ assert(cc.program(STARTER,
      "-Wl,--no-as-needed " .. (flags or ""))), path }, { bare = true,
      merge = true, seconds = 120 })
   assert.equal(0, result.code, child.describe(result) .. "\n" .. result.out)
   return result.out
end

--- What the image does is what ld's image of the same inputs does. Answers what
--- that is.
---@param inputs string[]
---@param flags? string for linking the program that opens it
---@return string
function linking.like_ld (inputs, flags)
   local theirs = fresh()
   objects.shown("gcc", "-shared", "-Wl,-Bsymbolic", "-o", theirs,
      table.unpack(inputs))
   local out = linking.started(linking.image(inputs), flags)
   assert.equal(linking.started(theirs, flags), out)
   return out
end

return linking
