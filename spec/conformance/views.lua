--- One set of objects, linked by ld, by the link editor into a file, and by the
--- loader into memory: what spec.conformance.meaning reads words in.

local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local elfread = require "spec.conformance.elfread"
local meaning = require "spec.conformance.meaning"
local design = require "spec.conformance.design"

local quoted = campaign.quoted

---@class views
local views = {}

local LINKS <const> = {
   shared = "-shared -Bsymbolic",
   pie = "-pie -e 0 --dynamic-linker /lib64/ld-linux-x86-64.so.2",
   exec = "-no-pie -e 0 --dynamic-linker /lib64/ld-linux-x86-64.so.2",
}

local LOAD <const>, TLS <const>, COPY <const> = 1, 7, 5

local function words (list)
   local out = {}
   for number, text in ipairs(list) do out[number] = quoted(text) end
   return table.concat(out, " ")
end

-- What reads the bytes of a linked file by vaddr.
local function reader (file)
   local loads = {}
   for _, segment in ipairs(elfread.segments(file)) do
      if segment.type == LOAD then loads[#loads + 1] = segment end
   end
   return function (address, size)
      for _, load in ipairs(loads) do
         local at = address - load.address
         if at >= 0 and at + size <= load.filled then
            return file.bytes:sub(load.offset + at + 1, load.offset + at + size)
         end
      end
   end
end

-- By whom an address of a linked file is another's: copies of imported data.
local function copies (dynamics, symbols)
   local out = {}
   for vaddr, dynamic in pairs(dynamics) do
      if dynamic.type == COPY then
         out[vaddr] = {}
         for _, symbol in ipairs(symbols) do
            if symbol.value == vaddr and symbol.section ~= 0 then
               table.insert(out[vaddr], symbol.name)
            end
         end
      end
   end
   return out
end

-- Where sections are, in the form that addresses are looked for in. Of merged ones
-- it is not known what is left of them.
local function pieces (files, places, storage)
   local out = {}
   for number, file in ipairs(files) do
      for index, vaddr in pairs(places[number]) do
         local section = file.sections[index]
         if not elfread.is_merged(section)
            and (section.flags & elfread.SHF.TLS ~= 0) == storage then
            out[#out + 1] = { from = vaddr, to = vaddr + section.size,
               object = number, section = index }
         end
      end
   end
   table.sort(out, function (a, b)
      if a.from ~= b.from then return a.from < b.from end
      return a.to < b.to
   end)
   return out
end

---@return meaning.view
local function view (path, files, places)
   local file = elfread.file(path)
   local dynamics, symbols = elfread.dynamics(file)
   local copied = copies(dynamics, symbols)
   local out = { base = 0, read = reader(file), dynamic = dynamics,
      places = places, pieces = pieces(files, places, false),
      storage = pieces(files, places, true), file = file,
      names = function (address) return copied[address] or {} end }
   for _, segment in ipairs(elfread.segments(file)) do
      if segment.type == TLS then out.tls = segment end
   end
   return out
end

-- psABI 3.5.7: where _GLOBAL_OFFSET_TABLE_ is.
local function got_of (file)
   for _, symbol in ipairs(file.symbols) do
      if symbol.name == "_GLOBAL_OFFSET_TABLE_" then return symbol.value end
   end
   for index = 0, file.section_count - 1 do
      if file.sections[index].name == ".got.plt" then
         return file.sections[index].address
      end
   end
end

-- ------------------------------------------------------------------- ld's ---

-- Where ld's map says that sections of objects are. Of one name an object may have
-- several, which stand in their order.
local function mapped (text, files, paths)
   local number_of, places, next_of = {}, {}, {}
   for number, path in ipairs(paths) do
      number_of[path], places[number] = number, {}
   end
   text = text:match "Linker script and memory map(.*)$"
   for name, vaddr, path in text:gsub("\n ([%.%w_][^%s]*)\n +0x", "\n %1 0x")
         :gmatch "\n ([%.%w_][^%s]*) +0x(%x+) +0x%x+ ([^\n]+)" do
      local number = number_of[path]
      if number then
         local file = files[number]
         local index = next_of[path .. "\n" .. name] or 1
         while index < file.section_count
               and (file.sections[index].name ~= name
                  or file.sections[index].flags & elfread.SHF.ALLOC == 0
                  or meaning.is_dropped(file.sections[index])) do
            index = index + 1
         end
         if index < file.section_count then
            places[number][index] = tonumber(vaddr, 16)
            next_of[path .. "\n" .. name] = index + 1
         end
      end
   end
   return places
end

-- A library as the compiler finds it.
local function library (name)
   return (assert(campaign.output("gcc -print-file-name=" .. name)))
end

--- ld's own link of the objects: a shared object, or a program that imports from
--- libc. Frames stay as they are, so that their words can be found again.
---@param paths string[]
---@param files elfread.file[]
---@param link string "shared", "pie" or "exec"
---@param out string path for what is linked
---@return meaning.view?
---@return string? why not
function views.theirs (paths, files, link, out)
   local inputs = table.move(paths, 1, #paths, 1, {})
   if link ~= "shared" then
      for _, name in ipairs { "libc.so.6", "libm.so.6", "libstdc++.so.6",
            "libgcc_s.so.1" } do
         inputs[#inputs + 1] = library(name)
      end
   end
   local said, wrong = campaign.output(("LC_ALL=C ld %s --traditional-format "
      .. "-Map %s.map -o %s %s 2>&1"):format(LINKS[link], quoted(out),
      quoted(out), words(inputs)))
   if not said then return nil, wrong end
   local places = mapped(assert(campaign.contents(out .. ".map")), files, paths)
   local made = view(out, files, places)
   made.got = got_of(made.file)
   return made
end

-- ------------------------------------------------------------------- ours ---

local program

--- The link editor's image. It says itself where it has put sections; whether that
--- is true, their bytes show.
---@param paths string[]
---@param files elfread.file[]
---@param out string path for the image
---@return meaning.view
function views.ours (paths, files, out)
   program = program or campaign.program { "spec/conformance/placed.c",
      child.build .. "/lib/libelf64load.a" }
   local command = { program, out, table.unpack(paths) }
   local said, wrong = campaign.output(words(command) .. " 2>&1")
   assert(said, wrong)
   local places, fars = {}, {}
   for number in ipairs(paths) do places[number] = {} end
   for number, index, vaddr in said:gmatch "place (%d+) (%d+) (%x+)" do
      places[number + 1][math.tointeger(tonumber(index))] = tonumber(vaddr, 16)
   end
   for vaddr, stub in said:gmatch "far (%x+) (%x+)" do
      fars[tonumber(vaddr, 16)] = tonumber(stub, 16)
   end
   local made = view(out, files, places)
   made.got, made.fars = got_of(made.file), fars
   return made
end

-- Links objects and starts nothing; tells the base, where the loader's own code is
-- and where the host has names, and writes the image's memory to a file.
local HOLDER <const> = [[
local elf = require "elf64load"
local out, size, names = arg[1], math.tointeger(tonumber(arg[2])), arg[3]
local C = elf.host:cdef [=[void *dlopen(const char *, int);
   void *dlsym(void *, const char *);]=]
-- As a C++ program has it: RTLD_NOW, RTLD_GLOBAL.
assert(C.dlopen("libstdc++.so.6", 0x102))
local plugin = assert(elf.link(table.move(arg, 4, #arg, 1, {}),
   { start = false }))
print(("base %x"):format(plugin.base))
for name in io.lines(names) do
   local address = C.dlsym(nil, name)
   if address then
      print(("name %x %s"):format(elf.address(address), name))
   end
end
for line in io.lines "/proc/self/maps" do
   local from, to, path = line:match "^(%x+)%-(%x+) %S+ %S+ %S+ %S+ +(/.*)$"
   if path and (path:find "/elf64load/core%.so$" or path:find "/bin/elf64load$") then
      print(("loader %s %s"):format(from, to))
   end
end
local memory = assert(io.open("/proc/self/mem", "rb"))
memory:setvbuf "no"
local file = assert(io.open(out, "wb"))
for at = 0, size - 1, 4096 do
   memory:seek("set", plugin.base + at)
   file:write(memory:read(4096) or ("\0"):rep(4096))
end
file:close()
]]

-- How much memory an image takes, in whole pages.
local function extent (file)
   local most = 0
   for _, segment in ipairs(elfread.segments(file)) do
      if segment.type == LOAD then
         most = math.max(most, segment.address + segment.size)
      end
   end
   return (most + 4095) // 4096 * 4096
end

--- The same objects as the loader holds them in memory, bound and not started.
---@param paths string[]
---@param image meaning.view that of the link editor
---@param imports string[] names
---@param out string path for the memory
---@return meaning.view
function views.memory (paths, image, imports, out)
   campaign.write(out .. ".names", table.concat(imports, "\n") .. "\n")
   local size = extent(image.file)
   local result = child.lua(HOLDER, { out, tostring(size), out .. ".names",
      table.unpack(paths) }, { seconds = 300 })
   assert(result.code == 0, child.describe(result) .. "\n" .. result.err)
   local bytes = assert(campaign.contents(out))
   local base = tonumber(result.out:match "base (%x+)", 16)
   local names, designed, loader = {}, {}, {}
   for address, name in result.out:gmatch "name (%x+) (%S+)" do
      address = tonumber(address, 16)
      names[address] = names[address] or {}
      table.insert(names[address], name)
   end
   for _, name in ipairs(imports) do
      if design[name] then designed[#designed + 1] = name end
   end
   for from, to in result.out:gmatch "loader (%x+) (%x+)" do
      loader[#loader + 1] = { tonumber(from, 16), tonumber(to, 16) }
   end
   local made = setmetatable({ base = base, dynamic = {} }, { __index = image })
   function made.read (address, count)
      local at = address - base
      if at >= 0 and at + count <= size then
         return bytes:sub(at + 1, at + count)
      end
   end
   function made.names (address)
      if names[address] then return names[address] end
      for _, range in ipairs(loader) do
         if address >= range[1] and address < range[2] then
            made.designed = true
            return designed
         end
      end
      return {}
   end
   return made
end

return views
