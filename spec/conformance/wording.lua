--- Compares relocated words of objects: as the link editor and the loader have them
--- with what ld makes of the same objects (spec/conformance/words).

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local elfread = require "spec.conformance.elfread"
local meaning = require "spec.conformance.meaning"
local views = require "spec.conformance.views"

---@class wording
local wording = {}

---@class wording.variant
---@field link string
---@field compiler string
---@field flags string

---@class wording.image
---@field name string
---@field language string
---@field files string[]
---@field with? string the image whose objects are linked too
---@field flags string of its package
---@field package string

---@class wording.list
---@field variants wording.variant[]
---@field packages string[]
---@field images wording.image[]

--- Reads words.txt. What a line has no room for stands in the next ones, indented.
---@param path string
---@return wording.list
function wording.list (path)
   local list, flags, package = { variants = {}, packages = {}, images = {} }
   local text = assert(campaign.contents(path)):gsub("#[^\n]*", "")
      :gsub("\n +", " ")
   for kind, rest in text:gmatch "(%l+) ([^\n]+)" do
      if kind == "variant" then
         local link, compiler, own = rest:match "^(%S+) +(%S+) +(.*)$"
         list.variants[#list.variants + 1] = { link = link, compiler = compiler,
            flags = own }
      elseif kind == "package" then
         package, flags = rest:match "^(%S+) *(.*)$"
         list.packages[#list.packages + 1] = package
      else
         assert(kind == "image", rest)
         local image = { name = rest:match "^%S+", files = {}, flags = flags,
            package = package, language = rest:match " as (%S+)" or "c" }
         for word in rest:gsub("^%S+", ""):gsub(" as %S+", ""):gmatch "%S+" do
            if word:sub(1, 1) == "+" then
               image.with = word:sub(2)
            else
               image.files[#image.files + 1] = word
            end
         end
         list.images[#list.images + 1] = image
      end
   end
   return list
end

local COMPILERS <const> = {
   gcc = { c = "gcc", ["c++"] = "g++" },
   clang = { c = "clang", ["c++"] = "clang++" },
}

--- The objects of an image.
---@param folder string of the package's sources
---@param image wording.image
---@param variant wording.variant
---@return string[] paths
function wording.objects (folder, image, variant)
   local out = {}
   local flags = (variant.flags .. " " .. image.flags):gsub("%-I(%S+)",
      function (path) return "-I" .. campaign.quoted(folder .. "/" .. path) end)
   for number, file in ipairs(image.files) do
      out[number] = assert(cc.object { file = folder .. "/" .. file,
         flags = flags, language = image.language,
         compiler = COMPILERS[variant.compiler][image.language] })
   end
   return out
end

---@class wording.result
---@field total integer
---@field equal integer
---@field design integer by the loader's own functions
---@field different integer
---@field excluded table<string, integer> by reason
---@field types table<string, integer> compared, by type
---@field faults string[]

local function result ()
   return { total = 0, equal = 0, design = 0, different = 0, excluded = {},
      types = {}, faults = {} }
end

--- Adds a result to another.
---@param sum? wording.result
---@param more wording.result
---@return wording.result
function wording.add (sum, more)
   sum = sum or result()
   for _, key in ipairs { "total", "equal", "design", "different" } do
      sum[key] = sum[key] + more[key]
   end
   for _, key in ipairs { "excluded", "types" } do
      for name, count in pairs(more[key]) do
         sum[key][name] = (sum[key][name] or 0) + count
      end
   end
   return sum
end

---@param sum wording.result
---@return integer
function wording.excluded (sum)
   local count = 0
   for _, number in pairs(sum.excluded) do count = count + number end
   return count
end

local function shown (readings)
   local out = {}
   for reading in pairs(readings) do out[#out + 1] = reading end
   table.sort(out)
   return out[1] and table.concat(out, " or ") or "nothing"
end

-- Why a relocation is not compared, as far as its object alone says.
local function reason_of (relocation)
   local section = relocation.section
   if section.flags & elfread.SHF.ALLOC == 0 then return "not loaded" end
   if meaning.is_dropped(section) then return "dropped" end
   if not meaning.has_word(relocation.type) then return "no word" end
end

-- Which bytes of a section are not as in the object: where its words are, and the
-- instructions that linkers make of others.
local function unmasked (bytes, relocations, section)
   local spans = {}
   for _, relocation in ipairs(relocations) do
      if relocation.section == section then
         spans[#spans + 1] = relocation.offset
      end
   end
   table.sort(spans)
   local out, from = {}, 0
   for _, offset in ipairs(spans) do
      out[#out + 1] = bytes:sub(from + 1, math.max(offset - 4, from))
      from = math.max(from, offset + 8)
   end
   out[#out + 1] = bytes:sub(from + 1)
   return table.concat(out, "|")
end

-- Is each section where it is said to be?
local function check_bytes (name, view, files, all, faults)
   for number, file in ipairs(files) do
      for index = 1, file.section_count - 1 do
         local section = file.sections[index]
         local vaddr = view.places[number][index]
         if vaddr and section.bytes and not elfread.is_merged(section)
            and section.flags & elfread.SHF.ALLOC ~= 0 and section.size > 0 then
            local bytes = view.read(view.base + vaddr, section.size)
            if not bytes or unmasked(bytes, all[number], section)
               ~= unmasked(section.bytes, all[number], section) then
               faults[#faults + 1] = ("%s: section %s of %s is not where it is "
                  .. "said to be"):format(name, section.name, file.path)
            end
         end
      end
   end
end

-- What one side makes of a word, and what becomes of it.
local function judge (side, theirs, number, relocation, target, name)
   local expected = meaning.expected(target, relocation)
   local other, reason = meaning.of(theirs, number, relocation, target)
   if reason then return reason end
   side.designed = nil
   local own = meaning.of(side, number, relocation, target)
   if other[expected] and own[expected] then
      return side.designed and "design" or "equal"
   end
   return "different", ("%s: %s+0x%x %s for %s\n   ld:   %s\n   ours: %s"):format(
      name, relocation.section.name, relocation.offset,
      meaning.type(relocation.type), expected, shown(other), shown(own))
end

-- Compares what one side has of the objects from `first` on.
local function compare (side, theirs, files, all, definers, first)
   local out = result()
   for number = first, #files do
      for _, relocation in ipairs(all[number]) do
         out.total = out.total + 1
         local verdict, text = reason_of(relocation), nil
         if not verdict then
            verdict, text = judge(side, theirs, number, relocation,
               meaning.target(files, definers, number, relocation),
               files[number].path)
         end
         if verdict == "equal" or verdict == "design"
            or verdict == "different" then
            out[verdict] = out[verdict] + 1
            local kind = meaning.type(relocation.type)
            out.types[kind] = (out.types[kind] or 0) + 1
         else
            out.excluded[verdict] = (out.excluded[verdict] or 0) + 1
         end
         out.faults[#out.faults + 1] = text
      end
   end
   return out
end

local function imports (files, all, definers)
   local out, seen = {}, {}
   for number, file in ipairs(files) do
      for _, relocation in ipairs(all[number]) do
         local symbol = file.symbols[relocation.symbol]
         if symbol.binding ~= 0 and not definers[symbol.name]
            and not seen[symbol.name] then
            seen[symbol.name] = true
            out[#out + 1] = symbol.name
         end
      end
   end
   return out
end

---@class wording.options
---@field first? integer the first object that is counted; default 1
---@field sides? string[] of "image" and "memory"; default both

-- The same image with one byte of it inverted.
local function damaged (view, vaddr)
   local read = view.read
   return setmetatable({ read = function (address, size)
      local bytes = read(address, size)
      local at = view.base + vaddr - address
      if not bytes or at < 0 or at >= size then return bytes end
      return bytes:sub(1, at) .. string.char(bytes:byte(at + 1) ~ 0xff)
         .. bytes:sub(at + 2)
   end }, { __index = view })
end

local function refused (all, first, wrong)
   local out = result()
   for number = first, #all do out.total = out.total + #all[number] end
   out.excluded.refused = out.total
   out.faults[1] = "refused by ld: " .. wrong
   return out
end

---@class wording.self_test how the comparison itself is tried
---@field places integer[] vaddr of each relocated word that is in the image
---@field damage fun(vaddr: integer): wording.result in memory, with that byte inverted

--- Links objects and compares all their relocated words.
---@param paths string[]
---@param link string "shared", "pie" or "exec"
---@param folder string for what is made
---@param options? wording.options
---@return table<string, wording.result> by side
---@return wording.self_test
function wording.compare (paths, link, folder, options)
   local first = options and options.first or 1
   local files, all, sides, out = {}, {}, {}, {}
   for number, path in ipairs(paths) do
      files[number] = elfread.file(path)
      all[number] = elfread.relocations(files[number])
   end
   local definers = meaning.definers(files)
   local theirs, wrong = views.theirs(paths, files, link, folder .. "/theirs")
   sides.image = views.ours(paths, files, folder .. "/ours")
   for _, name in ipairs(options and options.sides or { "image", "memory" }) do
      if not theirs then
         out[name] = refused(all, first, wrong)
      else
         sides[name] = sides[name] or views.memory(paths, sides.image,
            imports(files, all, definers), folder .. "/memory")
         out[name] = compare(sides[name], theirs, files, all, definers, first)
         check_bytes("ld", theirs, files, all, out[name].faults)
         -- A word that is too narrow may have its whole instruction replaced.
         if name == "image" or not next(sides.image.fars) then
            check_bytes(name, sides[name], files, all, out[name].faults)
         end
      end
   end
   local test = { places = {} }
   for number in ipairs(files) do
      for _, relocation in ipairs(all[number]) do
         if not reason_of(relocation) then
            test.places[#test.places + 1] = relocation.offset
               + sides.image.places[number][relocation.section.index]
         end
      end
   end
   function test.damage (vaddr)
      return compare(damaged(sides.memory, vaddr), theirs, files, all, definers, 1)
   end
   return out, test
end

return wording
