--- Mutants of small libraries: the same seed gives the same bytes for ever.
--
--    local mutate = require "spec.fuzz.mutate"
--    local bytes, kind, library, region = mutate.mutant(seed, libraries)
--
-- Each mutant is one library with a few changes of one kind. A third of them at
-- least is in dynamic, symbol, version and relocation data.

local elfedit = require "spec.support.elfedit"

---@class mutate
local mutate = {}

-- splitmix64: independent of Lua's own generator and of its version.
---@param seed integer
local function generator (seed)
   local state = seed * 0x9e3779b97f4a7c15
   local function next ()
      state = state + 0x9e3779b97f4a7c15
      local z = state
      z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
      z = (z ~ (z >> 27)) * 0x94d049bb133111eb
      return z ~ (z >> 31)
   end
   -- An integer from 0 to limit - 1.
   return function (limit)
      return (next() >> 1) % limit
   end, next
end

-- Values at which checks go wrong.
local EDGES <const> = { 0, 1, 2, 7, 8, 23, 24, 63, 64, 0x7f, 0x80, 0xff, 0xfff,
   0x1000, 0x1001, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
   0xffffffff, 0x100000000, 1 << 46, 1 << 47, 1 << 62, math.maxinteger,
   math.mininteger, -1, -2, -8, -24, -4096 }

local PACK <const> = { [1] = "B", [2] = "<I2", [4] = "<I4", [8] = "<i8" }

-- Another value for a number of `width` bytes.
local function change (random, next, old, width)
   local mask = width == 8 and -1 or (1 << 8 * width) - 1
   local how = random(10)
   local new
   if how < 4 then
      new = old + random(17) - 8
   elseif how < 5 then
      new = old ~ (1 << random(8 * width))
   elseif how < 8 then
      new = EDGES[1 + random(#EDGES)]
   elseif how < 9 then
      new = old + EDGES[1 + random(#EDGES)]
   else
      new = next()
   end
   return new & mask
end

-- Changes the number at an offset of the file.
local function poke (image, random, next, offset, width)
   if offset < 0 or offset + width > #image.bytes then return end
   local old = string.unpack(PACK[width], image.bytes, offset + 1)
   image:write(offset, string.pack(PACK[width],
      change(random, next, old, width)))
end

-- A field of one of the records of a table.
local function field (fields)
   return function (image, random, next, record)
      local name = fields[1 + random(#fields)]
      local at, width = name[1], name[2]
      poke(image, random, next, record.offset + at, width)
   end
end

local in_symbol = field { { 0, 4 }, { 4, 1 }, { 5, 1 }, { 6, 2 }, { 8, 8 },
   { 16, 8 } }
local in_relocation = field { { 0, 8 }, { 8, 4 }, { 12, 4 }, { 16, 8 } }
local in_header = field { { 0, 4 }, { 4, 4 }, { 8, 8 }, { 16, 8 }, { 32, 8 },
   { 40, 8 }, { 48, 8 } }

local function one_of (list, random)
   return list[1 + random(#list)]
end

-- Where a table of the dynamic section is in the file, or nil.
local function place (image, name)
   local entry = image:dynamic(name)
   return entry and image:offset(entry.d_val)
end

local kinds = {}

-- Each kind changes an image in place.

function kinds.dynamic (image, random, next)
   local entry = one_of(image:entries(), random)
   poke(image, random, next, entry.offset + (random(4) == 0 and 0 or 8), 8)
end

function kinds.symbol (image, random, next)
   in_symbol(image, random, next, one_of(image:symbols(), random))
end

function kinds.relocation (image, random, next)
   local all = image:relocations()
   local relr = place(image, "DT_RELR")
   if relr and random(4) == 0 then
      local size = image:dynamic "DT_RELRSZ".d_val
      poke(image, random, next, relr + 8 * random(size // 8), 8)
   elseif #all > 0 then
      in_relocation(image, random, next, one_of(all, random))
   end
end

function kinds.version (image, random, next)
   local names = {}
   for _, name in ipairs { "DT_VERSYM", "DT_VERNEED", "DT_VERDEF" } do
      if place(image, name) then names[#names + 1] = name end
   end
   if #names == 0 then return kinds.symbol(image, random, next) end
   local name = one_of(names, random)
   if name == "DT_VERSYM" then
      poke(image, random, next, place(image, name)
         + 2 * random(#image:symbols()), 2)
   else
      -- Both tables are made of 32-bit words and pairs of halves.
      poke(image, random, next, place(image, name) + 4 * random(16),
         random(2) == 0 and 2 or 4)
   end
end

function kinds.hash (image, random, next)
   local name = random(2) == 0 and "DT_HASH" or "DT_GNU_HASH"
   local at = place(image, name) or place(image, "DT_GNU_HASH")
      or place(image, "DT_HASH")
   if at then
      poke(image, random, next, at + 4 * random(random(2) == 0 and 4 or 32), 4)
   end
end

function kinds.string (image, random, next)
   local at = place(image, "DT_STRTAB")
   poke(image, random, next, at + random(image:dynamic "DT_STRSZ".d_val), 1)
end

function kinds.header (image, random, next)
   if random(3) == 0 then
      -- Beyond e_ident, whose few values the specs try one by one.
      poke(image, random, next, 16 + 2 * random(24), 2)
   else
      in_header(image, random, next, one_of(image:segments(), random))
   end
end

function kinds.bytes (image, random, next)
   for _ = 1, 1 + random(16) do
      poke(image, random, next, random(#image.bytes), 1)
   end
end

function kinds.truncation (image, random)
   image:truncate(1 + random(#image.bytes - 1))
end

-- Two tables that lie on each other, or two equal halves.
function kinds.copy (image, random)
   local size = 8 * (1 + random(16))
   local from = random(#image.bytes - size)
   local entry = image:segment "PT_DYNAMIC"
   local to = random(2) == 0 and entry.p_offset + 8 * random(entry.p_filesz // 8)
      or random(#image.bytes - size)
   if to + size <= #image.bytes then
      image:write(to, image.bytes:sub(from + 1, from + size))
   end
end

-- How often each comes, of a hundred.
local SHARES <const> = {
   { "dynamic", 12 }, { "symbol", 12 }, { "version", 10 }, { "relocation", 12 },
   { "hash", 10 }, { "string", 6 }, { "header", 14 }, { "bytes", 12 },
   { "truncation", 6 }, { "copy", 6 },
}

--- The kinds whose share the specs ask for.
mutate.tables = { dynamic = true, symbol = true, version = true,
   relocation = true }

-- Where a file's tables are: a list of { name, first, last } by offset.
local PLACES <const> = {
   { "^%.dynamic$", "dynamic" }, { "^%.dynsym$", "symbol" },
   { "^%.gnu%.version", "version" }, { "^%.rel", "relocation" },
   { "^%.gnu%.hash$", "hash" }, { "^%.hash$", "hash" },
   { "^%.dynstr$", "string" }, { "^%.note", "note" },
   { "^%.eh_frame", "unwinding" },
}

local function places (image)
   local header = image.header
   local out = { { "header", 0, 64 }, { "header", header.e_phoff,
      header.e_phoff + 56 * header.e_phnum } }
   local sections = image:sections()
   local names = sections[header.e_shstrndx + 1].sh_offset
   for _, section in ipairs(sections) do
      local name = string.unpack("z", image.bytes, names + section.sh_name + 1)
      for _, part in ipairs(PLACES) do
         if name:find(part[1]) then
            out[#out + 1] = { part[2], section.sh_offset,
               section.sh_offset + section.sh_size }
         end
      end
   end
   return out
end

local known = {}

-- A library's bytes and places.
local function original (path)
   local entry = known[path]
   if not entry then
      local image = elfedit.read(path)
      entry = { bytes = image.bytes, places = places(image) }
      known[path] = entry
   end
   return entry
end

-- What an offset belongs to.
local function region (entry, offset)
   for _, part in ipairs(entry.places) do
      if offset >= part[2] and offset < part[3] then return part[1] end
   end
   return "other"
end

--- The mutant of a seed.
---@param seed integer
---@param libraries string[] paths
---@return string bytes
---@return string kind of the change
---@return string library
---@return string region that the first change is in: header, dynamic, symbol,
--- ...; "end" of a file that is cut short, "none" when nothing is changed
function mutate.mutant (seed, libraries)
   local random, next = generator(seed)
   local library = one_of(libraries, random)
   local entry = original(library)
   local image = elfedit.new(entry.bytes)
   local first
   function image:write (offset, bytes)
      if not first and self.bytes:sub(offset + 1, offset + #bytes) ~= bytes then
         first = offset
      end
      elfedit.write(self, offset, bytes)
   end
   local draw, kind = random(100), nil
   for _, share in ipairs(SHARES) do
      draw = draw - share[2]
      if draw < 0 then
         kind = share[1]
         break
      end
   end
   -- One change mostly, now and then some, which may meet. A later one may not
   -- find its table any more.
   for _ = 1, random(4) == 0 and 2 + random(3) or 1 do
      if not pcall(kinds[kind], image, random, next) then break end
   end
   local where = #image.bytes < #entry.bytes and "end"
      or first and region(entry, first) or "none"
   return image.bytes, kind, library, where
end

return mutate
