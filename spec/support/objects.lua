--- Runs the readers of object files and archives over a file.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local fixtures = require "spec.support.fixtures"

---@class objects
local objects = {}

local program

--- What the readers make of a file, as spec/support/objects.c prints it. What
--- they leave behind fails.
---@param what string "object", "archive", "collect", "find", "confirm"
---@param path string
---@return string
function objects.read (what, path, ...)
   program = program or campaign.program { "spec/support/objects.c",
      child.build .. "/lib/libelf64load.a" }
   local result = child.run({ program, what, path, ... }, { seconds = 120 })
   assert.equal(0, result.code, child.describe(result) .. "\n" .. result.err)
   for _, sign in ipairs { "left behind", "too much", "other bytes" } do
      assert.is_nil(result.out:find(sign, 1, true), path .. "\n" .. result.out)
   end
   return result.out
end

--- It is refused so, by a message that has these words and the path.
---@param kind string
---@param words string|string[]
function objects.refused (kind, words, what, path, ...)
   local out = objects.read(what, path, ...)
   local got, message = out:match "^failed: (%a+): (.*)\n$"
   assert.equal(kind, got, out)
   assert.is_not_nil(message:find(path, 1, true), message)
   for _, word in ipairs(type(words) == "table" and words or { words }) do
      assert.is_not_nil(message:find(word, 1, true), word .. "\n" .. message)
   end
end

--- What a program of binutils prints of a file.
function objects.shown (...)
   local result = child.run({ ... }, { seconds = 120 })
   assert.equal(0, result.code, result.err)
   return result.out
end

--- A file of these bytes.
---@param bytes string
---@param suffix string
---@return string path
function objects.file (bytes, suffix)
   return fixtures.text(bytes, suffix)
end

return objects
