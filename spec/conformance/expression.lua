--- The expressions by which LLVM's cases of linking say what must be in memory:
---
---    *{8}(got_addr(a.o, f)) = f
---    decode_operand(main, 4)[31:0] = x - next_pc(main) + (1 << 3)
---
--- There is no precedence: what stands to the left is done first. A value is a
--- list of integers, one of which must do, as some addresses can be found in more
--- than one place.

local campaign = require "spec.support.campaign"

---@class expression
local expression = {}

local memory = assert(io.open("/proc/self/mem", "rb"))
memory:setvbuf "no"

local function read (address, size)
   if not memory:seek("set", address) then return nil end
   local bytes = memory:read(size)
   return bytes and #bytes == size and bytes or nil
end

local function word (address, size)
   local bytes = read(address, size)
      or error(("nothing to read at 0x%x"):format(address), 0)
   return (string.unpack("<I" .. size, bytes))
end

-- ------------------------------------------------------- the plugin's parts ---

-- The mappings of a plugin: from, to, permissions.
local function mappings (plugin)
   local out = {}
   local first = math.tointeger(plugin.base)
   for line in io.lines "/proc/self/maps" do
      local from, to, may = line:match "^(%x+)%-(%x+) (%S+)"
      from, to = tonumber(from, 16), tonumber(to, 16)
      local last = out[#out]
      if from == first or last and last.to == from then
         out[#out + 1] = { from = from, to = to, may = may }
      end
   end
   return out
end

-- Where the objects' own sections are: those that one of their symbols is in.
local function sections (given)
   local out = {}
   for _, path in ipairs(given.inputs) do
      local names, sizes = {}, {}
      for line in assert(campaign.output("readelf -SW "
            .. campaign.quoted(path))):gmatch "[^\n]+" do
         local index, name, size = line:match(
            "^  %[ *(%d+)%] (%S+) +%u.- " .. ("%x"):rep(16) .. " %x+ (%x+)")
         if index then names[index], sizes[index] = name, tonumber(size, 16) end
      end
      for line in assert(campaign.output("readelf -sW "
            .. campaign.quoted(path))):gmatch "[^\n]+" do
         local value, index, name =
            line:match "^ *%d+: (%x+) +%w+ %u+ +%u+ +%u+ +(%d+) (%S+)$"
         if names[index] and name ~= names[index] then
            out[#out + 1] = { file = path:match "[^/]*$", name = names[index],
               size = sizes[index], symbol = name,
               offset = tonumber(value, 16) }
         end
      end
   end
   return out
end

local function address (plugin, given, name)
   if given.absolute[name] then return given.absolute[name] end
   local symbol = plugin:lookup(name)
   if symbol then return math.tointeger(symbol.address) end
   if name == "_GLOBAL_OFFSET_TABLE_" then
      -- DT_PLTGOT, by the program headers.
      local base = math.tointeger(plugin.base)
      for number = 0, word(base + 56, 2) - 1 do
         local header = base + word(base + 32, 8) + 56 * number
         if word(header, 4) == 2 then
            local entry = base + word(header + 16, 8)
            while word(entry, 8) ~= 0 do
               if word(entry, 8) == 3 then
                  local got = word(entry + 8, 8)
                  return got < base and base + got or got
               end
               entry = entry + 16
            end
         end
      end
   end
   error("nothing is known of " .. name, 0)
end

-- All words of the plugin outside of the objects' sections that hold a value.
local function holders (plugin, given, value)
   local out, own = {}, {}
   for _, section in ipairs(sections(given)) do
      local known, at = pcall(address, plugin, given, section.symbol)
      if known then
         own[#own + 1] = { at - section.offset,
            at - section.offset + section.size }
      end
   end
   for _, mapping in ipairs(mappings(plugin)) do
      local bytes = mapping.may:find "^r" and not mapping.may:find "x"
         and read(mapping.from, mapping.to - mapping.from) or ""
      for at = 1, #bytes - 7, 8 do
         local place = mapping.from + at - 1
         local inside = string.unpack("<I8", bytes, at) ~= value
         for _, range in ipairs(own) do
            inside = inside or place >= range[1] and place < range[2]
         end
         if not inside then out[#out + 1] = place end
      end
   end
   return out
end

-- All jumps through a word that holds a value, with or without endbr64.
local function jumps (plugin, given, value)
   local out, slots = {}, {}
   for _, place in ipairs(holders(plugin, given, value)) do
      slots[place] = true
   end
   for _, mapping in ipairs(mappings(plugin)) do
      local bytes = mapping.may:find "x"
         and read(mapping.from, mapping.to - mapping.from) or ""
      local at = bytes:find("\xff\x25", 1, true)
      while at and at + 5 <= #bytes do
         local place = mapping.from + at - 1
         if slots[place + 6 + string.unpack("<i4", bytes, at + 2)] then
            out[#out + 1] = place
            if bytes:sub(at - 4, at - 1) == "\xf3\x0f\x1e\xfa" then
               out[#out + 1] = place - 4
            end
         end
         at = bytes:find("\xff\x25", at + 1, true)
      end
   end
   return out
end

-- The instruction at an address: its operands that are numbers, and its size.
local function decode (place)
   local bytes = read(place, 16)
      or error(("nothing to read at 0x%x"):format(place), 0)
   local text = assert(campaign.output(("echo '%s' | llvm-mc-14 --disassemble "
      .. "-triple=x86_64 --show-inst --show-encoding 2>&1"):format(
      bytes:gsub(".", function (byte)
         return ("0x%02x "):format(byte:byte())
      end))))
   local size, count = 0, 0
   local operands = {}
   for line in text:gmatch "[^\n]+" do
      local encoding = line:match "encoding: %[(.-)%]"
      if encoding then
         if size > 0 then break end
         size = select(2, encoding:gsub("[^,]+", "")) -- bytes
      end
      local kind, value = line:match "<MCOperand (%a+):(%-?%d+)>"
      if kind then
         if kind == "Imm" then operands[count] = math.tointeger(value) end
         count = count + 1
      end
   end
   return operands, size
end

-- ------------------------------------------------------------- evaluating ---

local function each (values, f)
   local out = {}
   for _, value in ipairs(values) do
      local answer = f(value)
      for _, one in ipairs(type(answer) == "table" and answer or { answer }) do
         out[#out + 1] = one
      end
   end
   return out
end

local OPERATORS <const> = {
   ["+"] = function (a, b) return a + b end,
   ["-"] = function (a, b) return a - b end,
   ["&"] = function (a, b) return a & b end,
   ["|"] = function (a, b) return a | b end,
   ["<<"] = function (a, b) return a << b end,
   [">>"] = function (a, b) return a >> b end,
}

---@class expression.reading
---@field text string
---@field at integer
---@field plugin any
---@field given any
local reading = {}
reading.__index = reading

function reading:match (pattern)
   local found, last = self.text:match("^%s*(" .. pattern .. ")()", self.at)
   if found then self.at = last end
   return found
end

function reading:want (pattern)
   return self:match(pattern) or error(("expected %s at '%s'"):format(pattern,
      self.text:sub(self.at)), 0)
end

local functions = {}

function functions.decode_operand (self)
   local place = self:whole()
   self:want ","
   local number = math.tointeger(tonumber(self:want "%d+"))
   return each(place, function (value)
      return decode(value)[number] or error(("operand %d of what is at 0x%x is "
         .. "no number"):format(number, value), 0)
   end)
end

function functions.next_pc (self)
   return each(self:whole(), function (value)
      local _, size = decode(value)
      return value + size
   end)
end

-- The file is named, but there is one GOT.
local function named (self)
   self:want "[^%s,()]+"
   self:want ","
   return self:want "[^%s,()]+"
end

function functions.got_addr (self)
   return holders(self.plugin, self.given, address(self.plugin, self.given,
      named(self)))
end

function functions.stub_addr (self)
   return jumps(self.plugin, self.given, address(self.plugin, self.given,
      named(self)))
end

function functions.section_addr (self)
   local file = self:want "[^%s,()]+"
   self:want ","
   local name = self:want "[^%s,()]+"
   for _, section in ipairs(sections(self.given)) do
      if section.name == name and section.file == file then
         return { address(self.plugin, self.given, section.symbol)
            - section.offset }
      end
   end
   error("no symbol is in section " .. name, 0)
end

function reading:simple ()
   local value
   if self:match "%*" then
      self:want "{"
      local size = math.tointeger(tonumber(self:want "%d+"))
      self:want "}"
      -- All that follows is the place.
      return each(self:whole(), function (place)
         return word(place, size)
      end)
   elseif self:match "%(" then
      value = self:whole()
      self:want "%)"
   else
      local number = self:match "0x%x+" or self:match "%d+"
      local name = not number and self:want "[%a_.$][%w_.$]*"
      if number then
         value = { math.tointeger(tonumber(number)) }
      elseif functions[name] and self:match "%(" then
         value = functions[name](self)
         self:want "%)"
      else
         value = { address(self.plugin, self.given, name) }
      end
   end
   if self:match "%[" then
      local high = math.tointeger(tonumber(self:want "%d+"))
      self:want ":"
      local low = math.tointeger(tonumber(self:want "%d+"))
      self:want "%]"
      value = each(value, function (one)
         return one >> low & ((1 << high - low + 1) - 1)
      end)
   end
   return value
end

function reading:whole ()
   local value = self:simple()
   while true do
      local operator = self:match "<<" or self:match ">>" or self:match "[-+&|]"
      if not operator then return value end
      local other = self:simple()
      value = each(value, function (a)
         return each(other, function (b) return OPERATORS[operator](a, b) end)
      end)
   end
end

local function shown (values)
   local out = {}
   for number, value in ipairs(values) do out[number] = ("0x%x"):format(value) end
   return #out > 0 and table.concat(out, " or ") or "nowhere"
end

--- Is it true of a plugin that is linked, and not started?
---@param text string
---@param plugin any
---@param given jitlinking.options
---@return boolean
---@return string|nil why not
function expression.holds (text, plugin, given)
   local self = setmetatable({ text = text, at = 1, plugin = plugin,
      given = given }, reading)
   local ok, left, right = pcall(function ()
      local first = self:whole()
      self:want "="
      local second = self:whole()
      assert(not self:match "%S", "there is more than an expression")
      return first, second
   end)
   if not ok then return false, tostring(left) end
   for _, one in ipairs(left) do
      for _, other in ipairs(right) do
         if one == other then return true end
      end
   end
   return false, ("%s is not %s"):format(shown(left), shown(right))
end

return expression
