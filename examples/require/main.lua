--- Lua's C modules through elf64load: see README.md here.

local elf = require "elf64load"
local modules = require "elf64load.require"

-- The modules have a runtime of their own. What they need is theirs, too: no
-- other plugin of the process sees its names.
local runtime = elf.runtime {}
modules.use(runtime)

-- The command has LPeg within; here it is to come from its file.
package.loaded.lpeg, package.preload.lpeg = nil, nil

local lpeg, file = require "lpeg"
local word <const> = lpeg.C(lpeg.R "az"^1) * lpeg.P " "^0
print(("lpeg %s from %s"):format(type(lpeg.version) == "function"
   and lpeg.version() or lpeg.version, file))
print(table.concat(lpeg.Ct(word^0):match "words of a sentence", "|"))

local cjson = require "cjson"
print(("cjson reads %d planets"):format(
   #cjson.decode '[ "Mercury", "Venus", "Earth" ]'))

local zlib = require "zlib"
local text = ("the quick brown fox jumps over the lazy dog\n"):rep(100)
local packed = zlib.deflate()(text, "finish")
assert(zlib.inflate()(packed) == text)
print(("zlib packs %d bytes into %d"):format(#text, #packed))

local done, message = pcall(require, "zlib.absent")
assert(not done)
print(message:match "no module 'zlib.absent' in file [^\n]*")

print()
local paths = {}
for path, plugin in pairs(runtime.loaded) do
   if plugin.state ~= "host" then paths[#paths + 1] = path end
end
print("Opened by the runtime:")
for _, path in ipairs(paths) do print("   " .. path) end
