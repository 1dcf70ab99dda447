--- Mutants of object files and archives: of a seed, for ever the same.

---@class mutate_object
local mutate_object = {}

--- What is in tables that a link editor goes by.
---@type table<string, boolean>
mutate_object.tables = { section = true, symbol = true, relocation = true,
   group = true, member = true, index = true }

-- splitmix64
local function generator (seed)
   local state = seed * 0x9e3779b97f4a7c15
   return function (limit)
      state = state + 0x9e3779b97f4a7c15
      local z = state
      z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
      z = (z ~ (z >> 27)) * 0x94d049bb133111eb
      return ((z ~ (z >> 31)) >> 1) % limit
   end
end

local EDGES <const> = { 0, 1, 2, 3, 4, 7, 8, 10, 23, 24, 42, 63, 64, 0xff, 0x1000,
   0xfff1, 0xfff2, 0xffff, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff,
   1 << 32, 1 << 40, 1 << 47, 1 << 62, math.maxinteger, -1, -4, -4096 }
local PACK <const> = { "B", "<I2", [4] = "<I4", [8] = "<I8" }

-- Fields of the records of each type of section: offset and width.
local SYMBOL <const> = { 24, { 0, 4 }, { 4, 1 }, { 5, 1 }, { 6, 2 }, { 8, 8 },
   { 16, 8 } }
local RELOCATION <const> = { 24, { 0, 8 }, { 8, 4 }, { 12, 4 }, { 16, 8 } }
local WORD <const> = { 4, { 0, 4 } }
local RECORDS <const> = { [2] = SYMBOL, [4] = RELOCATION, [17] = WORD,
   [18] = WORD, [3] = { 1, { 0, 1 } }, [0x70000001] = WORD, [7] = WORD,
   [14] = { 8, { 0, 8 } } }
local HEADER <const> = { 64, { 0, 4 }, { 4, 4 }, { 8, 8 }, { 24, 8 }, { 32, 8 },
   { 40, 4 }, { 44, 4 }, { 48, 8 }, { 56, 8 } }

-- The tables of an object that begins at an offset: { kind, from, size, fields }.
local function tables_of (bytes, base, into)
   local headers, count = base + string.unpack("<I8", bytes, base + 41),
      string.unpack("<I2", bytes, base + 61)
   into[#into + 1] = { "header", base + 16, 48, { 2, { 0, 2 } } }
   for _ = 1, 3 do
      into[#into + 1] = { "section", headers, 64 * count, HEADER }
   end
   for number = 0, count - 1 do
      local at = headers + 64 * number
      local kind = string.unpack("<I4", bytes, at + 5)
      local offset, size = string.unpack("<I8I8", bytes, at + 25)
      local fields = RECORDS[kind]
      if fields and size >= fields[1] then
         into[#into + 1] = { ({ [2] = "symbol", [4] = "relocation",
            [17] = "group", [3] = "string" })[kind] or "content", base + offset,
            size, fields }
      end
   end
end

-- A file and its tables.
local function read (path)
   local file = assert(io.open(path, "rb"))
   local bytes = file:read "a"
   file:close()
   local tables = {}
   local at = bytes:find "\127ELF"
   while at do
      tables_of(bytes, at - 1, tables)
      at = bytes:find("\127ELF", at + 64)
   end
   if bytes:find "^!<" then
      -- Its text: headers, index, names.
      for place in bytes:gmatch "()[^\n]+`\n" do
         for _ = 1, 6 do
            tables[#tables + 1] = { "member", place - 1, 60, { 1, { 0, 1 } } }
         end
      end
      for _ = 1, 12 do
         tables[#tables + 1] = { "index", 68, 200, WORD }
      end
   end
   return { bytes = bytes, tables = tables, path = path }
end

local known = {}

--- The mutant of a seed.
---@param seed integer
---@param files string[] paths
---@return string bytes
---@return string how
---@return string path of what was changed
---@return string region
function mutate_object.mutant (seed, files)
   local random = generator(seed)
   local path = files[1 + random(#files)]
   known[path] = known[path] or read(path)
   local original = known[path]
   local bytes = original.bytes
   if random(16) == 0 then
      return bytes:sub(1, 1 + random(#bytes - 1)), "cut", path, "end"
   end
   local kind, fields_changed = nil, 0
   for _ = 1, 1 + random(3) do
      local part = original.tables[1 + random(#original.tables)]
      local fields = part[4]
      local field = fields[2 + random(#fields - 1)]
      local at = part[2] + fields[1] * random(part[3] // fields[1]) + field[1]
      local width = field[2]
      if at + width <= #bytes then
         local old = string.unpack(PACK[width], bytes, at + 1)
         local how = random(4)
         local new = old + EDGES[1 + random(#EDGES)]
         if how == 0 then new = old + random(33) - 16
         elseif how == 1 then new = old ~ (1 << random(8 * width))
         elseif how == 2 then new = EDGES[1 + random(#EDGES)] end
         if width < 8 then new = new & ((1 << 8 * width) - 1) end
         bytes = bytes:sub(1, at) .. string.pack(PACK[width], new)
            .. bytes:sub(at + width + 1)
         kind, fields_changed = kind or part[1], fields_changed + 1
      end
   end
   return bytes, fields_changed > 1 and "fields" or kind and "field" or "none",
      path, kind or "none"
end

return mutate_object
