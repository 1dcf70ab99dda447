--- What the long-running commands of the specs share: finding libraries,
--- building their programs, showing how far they are.

local lfs = require "lfs"
local disk = require "spec.support.disk"
local fixtures = require "spec.support.fixtures"
local cc = require "elf64load.cc"

---@class campaign
local campaign = {}

campaign.quoted, campaign.write = disk.quoted, disk.replace

local quoted = disk.quoted

--- The output of a command, without its last newline; nil and the output when
--- it fails.
---@param command string
---@return string?
---@return string?
function campaign.output (command)
   local pipe = assert(io.popen(command))
   local text = pipe:read "a"
   local ok = pipe:close()
   text = text:gsub("\n$", "")
   if not ok then return nil, text end
   return text
end

--- What is in a file, or nil when it cannot be read.
---@param path string
---@return string?
function campaign.contents (path)
   local there, text = pcall(disk.contents, path)
   return there and text or nil
end

---@param path string
---@return string
function campaign.canonical (path)
   return campaign.output("readlink -f " .. quoted(path)) or path
end

--- Names without comments and empty lines from a list file.
---@param path string
---@return string[]
function campaign.list (path)
   local names = {}
   for line in io.lines(path) do
      local name = line:gsub("#.*", ""):match "^%s*(.-)%s*$"
      if name ~= "" then names[#names + 1] = name end
   end
   return names
end

local cache

-- ld.so's cache, sonames in its order.
local function sonames ()
   if not cache then
      cache = {}
      local text = campaign.output
         "PATH=$PATH:/usr/sbin:/sbin ldconfig -p" or ""
      for name, flags, path in text:gmatch "\t(%S+) %(([^)]*)%) => ([^\n]+)" do
         if flags:find("x86-64", 1, true) then
            cache[#cache + 1] = { name = name, path = path }
         end
      end
   end
   return cache
end

--- The file of a library: a path, a name as ld.so's cache has it (libz.so.1),
--- or one without its version (libz).
---@param name string
---@return string? path
---@return string? why
function campaign.locate (name)
   if name:find("/", 1, true) then
      if lfs.attributes(name, "mode") ~= "file" then
         return nil, ("there is no file %s"):format(name)
      end
      return campaign.canonical(name)
   end
   for _, prefix in ipairs { name, name .. ".so.", name .. ".so" } do
      for _, entry in ipairs(sonames()) do
         if entry.name == prefix or prefix:sub(-1) == "."
            and entry.name:sub(1, #prefix) == prefix then
            return campaign.canonical(entry.path)
         end
      end
   end
   return nil, ("ld.so's cache has no %s"):format(name)
end

--- Builds a program from C files. It is built again only when a file or an
--- archive has other contents.
---@param sources string[] C files, headers and archives; the first is the main one
---@param flags? string
---@param libraries? string what comes last on the command line
---@return string path
function campaign.program (sources, flags, libraries)
   local words, folders = {}, {}
   for number, path in ipairs(sources) do
      words[number] = quoted(path)
   end
   local inputs = assert(campaign.output(
      "sha256sum " .. table.concat(words, " ")))
   words = { "-std=gnu11 -D_GNU_SOURCE -O2 -I src", flags }
   for number, path in ipairs(sources) do
      local folder = path:match "^(.*)/[^/]*%.[ch]$"
      if folder and not folders[folder] then
         folders[folder] = true
         words[#words + 1] = "-I " .. quoted(folder)
      end
      if number > 1 and not path:match "%.h$" then
         words[#words + 1] = quoted(path)
      end
   end
   if os.getenv "ELF64LOAD_CONFIG" == "asan" then
      words[#words + 1] = "-fsanitize=address,undefined"
   end
   words[#words + 1] = "-D INPUTS=0x" .. fixtures.digest(inputs):sub(1, 16)
   words[#words + 1] = libraries
   return assert(cc.program(campaign.contents(sources[1]),
      table.concat(words, " ")))
end

local terminal

--- Says on a terminal what is going on, in one line that the next call
--- overwrites; nil clears it.
---@param text? string
function campaign.progress (text)
   if terminal == nil then terminal = os.execute "test -t 2" or false end
   if terminal then
      io.stderr:write("\r\27[K", text and text:sub(1, 78) or "")
      io.stderr:flush()
   end
end

--- 1234567 as 1,234,567.
---@param number integer
---@return string
function campaign.grouped (number)
   local text = tostring(number)
   local count
   repeat
      text, count = text:gsub("^(%d+)(%d%d%d)", "%1,%2")
   until count == 0
   return text
end

return campaign
