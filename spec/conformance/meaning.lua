--- What a relocated word of an image means: which place of which object, which
--- import. Addresses differ from linker to linker, and so do the ways by which code
--- gets there (GOT, PLT, relaxed instructions); what is meant must not.
---
--- A reading is a text: "at 2:5+18" is offset 0x18 of section 5 of object 2,
--- "import puts", "text ..." what lies in a section of which linkers merge what is
--- equal, "fixed 12", "got", "module", "size 8"; "block", the start of thread-local
--- storage; "nothing", where a frame is of a function that has been dropped. An
--- address may have several, as sections touch.

local elfread = require "spec.conformance.elfread"

---@class meaning
local meaning = {}

---@class meaning.piece
---@field from integer
---@field to integer
---@field object integer
---@field section integer

---@class meaning.view an image, in a file or in memory
---@field base integer
---@field read fun(address: integer, size: integer): string?
---@field dynamic table<integer, elfread.dynamic> by vaddr; none in memory
---@field places table<integer, integer>[] vaddr by object and section
---@field pieces meaning.piece[] ascending, without base
---@field storage meaning.piece[] those of thread-local storage
---@field names fun(address: integer): string[] of imports that are there
---@field got? integer vaddr
---@field fars? table<integer, integer> stubs of words that may be too narrow
---@field tls? elfread.segment

local SHF <const> = elfread.SHF

-- psABI, table 4.9, and what linked files have besides.
local R <const> = {
   NONE = 0, [0] = "NONE", ["64"] = 1, PC32 = 2, GOT32 = 3, PLT32 = 4, COPY = 5,
   GLOB_DAT = 6, JUMP_SLOT = 7, RELATIVE = 8, GOTPCREL = 9, ["32"] = 10,
   ["32S"] = 11, ["16"] = 12, PC16 = 13, ["8"] = 14, PC8 = 15, DTPMOD64 = 16,
   DTPOFF64 = 17, TPOFF64 = 18, TLSGD = 19, TLSLD = 20, DTPOFF32 = 21,
   GOTTPOFF = 22, TPOFF32 = 23, PC64 = 24, GOTOFF64 = 25, GOTPC32 = 26,
   GOT64 = 27, GOTPCREL64 = 28, GOTPC64 = 29, GOTPLT64 = 30, PLTOFF64 = 31,
   SIZE32 = 32, SIZE64 = 33, GOTPC32_TLSDESC = 34, TLSDESC_CALL = 35,
   TLSDESC = 36, IRELATIVE = 37, GOTPCRELX = 41, REX_GOTPCRELX = 42,
}
local NAMES <const> = {}
for name, number in pairs(R) do
   if math.type(number) == "integer" then NAMES[number] = name end
end

---@param number integer
---@return string
function meaning.type (number)
   return NAMES[number] and "R_X86_64_" .. NAMES[number] or "type " .. number
end

--- Does it stand for a word?
function meaning.has_word (number)
   return number ~= R.NONE and number ~= R.TLSDESC_CALL
end

local WIDTHS <const> = { ["64"] = 8, PC64 = 8, GOTOFF64 = 8, GOT64 = 8,
   GOTPCREL64 = 8, GOTPC64 = 8, GOTPLT64 = 8, PLTOFF64 = 8, SIZE64 = 8,
   DTPOFF64 = 8, TPOFF64 = 8, ["16"] = 2, PC16 = 2, ["8"] = 1, PC8 = 1 }

---@return integer bytes
function meaning.width (number)
   return WIDTHS[NAMES[number]] or 4
end

-- ------------------------------------------------------------ what is meant ---

---@class meaning.target what a symbol of an object is, by the objects alone
---@field import? string
---@field fixed? integer
---@field object? integer
---@field section? elfread.section
---@field offset? integer in the section
---@field size? integer
---@field whole? boolean the symbol stands for a section

local UNDEFINED <const>, ABSOLUTE <const>, COMMON <const> = 0, 0xfff1, 0xfff2
local WEAK <const>, SECTION <const> = 2, 3

--- Who defines each name, by the rules of static linkers: a group counts where it
--- is first, a strong definition before weak ones.
---@param files elfread.file[]
---@return table<string, meaning.target>
function meaning.definers (files)
   local taken, out, weak = {}, {}, {}
   for number, file in ipairs(files) do
      for index = 0, file.section_count - 1 do
         local group = file.sections[index].group
         if group and group.dropped == nil then
            group.dropped = taken[group.signature] or false
            taken[group.signature] = true
         end
      end
      for index = 1, #file.symbols do
         local symbol = file.symbols[index]
         local section = file.sections[symbol.section]
         local there = symbol.section ~= UNDEFINED
            and not (section and meaning.is_dropped(section))
         assert(symbol.section ~= COMMON, "common symbols are not read here")
         if symbol.binding ~= 0 and there
            and (not out[symbol.name]
               or weak[symbol.name] and symbol.binding ~= WEAK) then
            weak[symbol.name] = symbol.binding == WEAK
            out[symbol.name] = symbol.section == ABSOLUTE
               and { fixed = symbol.value }
               or { object = number, section = section, offset = symbol.value,
                  size = symbol.size }
         end
      end
   end
   return out
end

--- What a relocation is for.
---@param files elfread.file[]
---@param definers table<string, meaning.target>
---@param number integer of the object
---@param relocation elfread.relocation
---@return meaning.target
function meaning.target (files, definers, number, relocation)
   local file = files[number]
   local symbol = file.symbols[relocation.symbol]
   if relocation.symbol == 0 then return { fixed = 0 } end
   if symbol.binding ~= 0 then
      return definers[symbol.name] or { import = symbol.name }
   end
   if symbol.section == ABSOLUTE then return { fixed = symbol.value } end
   return { object = number, section = file.sections[symbol.section],
      offset = symbol.value, size = symbol.size, whole = symbol.type == SECTION }
end

--- Is it part of a group that an earlier object has, and in no image?
---@param section elfread.section
---@return boolean
function meaning.is_dropped (section)
   return section.group ~= nil and section.group.dropped or false
end

-- What can be found only by what it is: linkers merge it.
local function is_merged (target)
   return target.section and elfread.is_merged(target.section)
end

-- What lies at an address, as far as one entry of a merged section goes.
local function content (read, address, section, offset)
   local size = math.max(section.entsize, 1)
   if section.flags & SHF.STRINGS == 0 then
      return read(address, size - offset % size)
   end
   local out, zero = {}, ("\0"):rep(size)
   repeat
      local unit = read(address, size)
      if not unit then return nil end
      out[#out + 1] = unit
      address = address + size
   until unit == zero
   return table.concat(out)
end

-- How far the word's addend is part of what is meant: of a merged section it says
-- which entry.
local function entry (target, addend)
   return target.whole and target.offset + addend or target.offset
end

local function shown (bytes)
   return "text " .. bytes:gsub("[^%g ]", function (byte)
      return ("\\x%02x"):format(byte:byte())
   end)
end

local function at (object, section, offset)
   return ("at %d:%d+%x"):format(object, section, offset)
end

--- What a word that is relocated so must mean.
---@param target meaning.target
---@param relocation elfread.relocation
---@return string reading
function meaning.expected (target, relocation)
   local kind = NAMES[relocation.type]
   if kind == "GOTPC32" or kind == "GOTPC64" then return "got" end
   if kind == "TLSLD" then return "module" end
   if kind == "SIZE32" or kind == "SIZE64" then
      return "size " .. (target.size or 0)
   end
   if target.import == "_TLS_MODULE_BASE_" then return "block" end
   if target.import then return "import " .. target.import end
   if target.section and meaning.is_dropped(target.section) then
      return "nothing"
   end
   if target.fixed then return ("fixed %x"):format(target.fixed) end
   if is_merged(target) then
      local offset = entry(target, relocation.addend)
      return shown(content(function (from, size)
         return target.section.bytes:sub(from + 1, from + size)
      end, offset, target.section, offset))
   end
   return at(target.object, target.section.index, target.offset)
end

-- ------------------------------------------------------------ what is read ---

local read = {}
read.__index = read

-- The pieces that an address is in, or at the end of.
function read:pieces_of (pieces, address)
   local low, high = 1, #pieces + 1
   while low < high do
      local middle = (low + high) // 2
      if pieces[middle].from <= address then
         low = middle + 1
      else
         high = middle
      end
   end
   for index = low - 1, 1, -1 do
      local piece = pieces[index]
      if piece.to < address and piece.to > piece.from then break end
      if piece.to >= address then
         self.out[at(piece.object, piece.section, address - piece.from)] = true
      end
   end
end

function read:add (name, rest)
   self.out[rest == 0 and "import " .. name
      or ("import %s%+d"):format(name, rest)] = true
end

-- A word of memory, sign-extended.
function read:word (address, size)
   local bytes = self.view.read(address, size)
   return bytes and (("<i" .. size):unpack(bytes))
end

-- A jump through a word: an entry of a PLT, or a stub.
function read:jump (address)
   local bytes = self.view.read(address, 16)
   if not bytes then return end
   local skip = bytes:sub(1, 4) == "\xf3\x0f\x1e\xfa" and 4 or 0
   if bytes:sub(skip + 1, skip + 1) == "\xf2" then skip = skip + 1 end
   if bytes:sub(skip + 1, skip + 2) ~= "\xff\x25" then return end
   local slot = address + skip + 6 + ("<i4"):unpack(bytes, skip + 3)
   self:slot(slot, true)
end

-- An address, of which `rest` is the addend. A call may go by a jump.
function read:address (address, rest, jumped)
   local view, target = self.view, self.target
   local symbol = address - rest
   if is_merged(target) then
      local from = target.whole and address or symbol
      local offset = entry(target, self.relocation.addend)
      local bytes = content(view.read, from, target.section, offset)
      if bytes then self.out[shown(bytes)] = true end
      return
   end
   self:pieces_of(view.pieces, symbol - view.base)
   for _, name in ipairs(view.names(symbol)) do self:add(name, 0) end
   if (target.import or not next(self.out)) and not jumped then
      self:jump(symbol)
   end
   if target.fixed then self.out[("fixed %x"):format(symbol)] = true end
end

-- What ld.so puts at a place. False when it is nothing.
function read:left (place, rest)
   local dynamic = self.view.dynamic[place - self.view.base]
   if not dynamic then return false end
   local kind, symbol = NAMES[dynamic.type], dynamic.symbol
   if kind == "GLOB_DAT" or kind == "JUMP_SLOT" or kind == "64" or kind == "32"
      or kind == "32S" or kind == "16" or kind == "8" or kind == "PC32"
      or kind == "PC64" or kind == "PC16" or kind == "PC8"
      or kind == "RELATIVE" then
      if not symbol then
         self:address(dynamic.addend, rest)
      elseif symbol.section == 0 then
         self:add(symbol.name, dynamic.addend - rest)
      else
         self:address(symbol.value + dynamic.addend, rest)
      end
   end
   return true
end

-- In memory, a word that is too narrow for where it must reach may be gone: a jump
-- to a stub is in the instruction's place, which loads the address as a whole. That
-- of an operand that is relative is counted from the instruction's end, which is
-- that of the word, or there is a constant of some bytes between.
function read:stub (place, rest, relative)
   local view = self.view
   local stub = view.fars and view.base ~= 0 and view.fars[place - view.base]
   if not stub then return false end
   for before = 1, 12 do
      local code = view.read(place - before, 5)
      local jump = code and (code:byte(1) == 0xe9 or code:byte(1) == 0xe8)
      if jump and place - before + 5 + ("<i4"):unpack(code, 2)
            == view.base + stub then
         local text = view.read(view.base + stub, 64)
         local load = text:find "[\x48\x49][\xb8-\xbf]"
         local address = load and ("<i8"):unpack(text, load + 2)
         for _, size in ipairs(address and (relative and { 0, 1, 2, 4 } or { -4 })
               or {}) do
            for _, name in ipairs(view.names(address - rest - 4 - size)) do
               self:add(name, 0)
            end
         end
         return true
      end
   end
   return false
end

-- A word that holds an address.
function read:slot (slot, jumped)
   if self:left(slot, 0) then return end
   local address = self:word(slot, 8)
   if address then self:address(address, 0, jumped) end
end

-- psABI B.2: what asks the GOT may have been made to do without. The bytes before
-- the word say so.
function read:by_got (place, word)
   local relocation = self.relocation
   local old = relocation.section.bytes:sub(relocation.offset - 1,
      relocation.offset)
   local new = self.view.read(place - 2, 2)
   local code = new:byte(1)
   if new == old then
      self:slot(place + word - relocation.addend)
   elseif code == 0x8d or new == "\x67\xe8" then
      self:address(place + word + 4, 0)
   elseif code == 0xe9 then
      self:address(place + 3 + self:word(place - 1, 4), 0)
   elseif code == 0xc7 or code == 0xf7 or code == 0x81 then
      self:address(word, 0)
   end
end

-- An offset in the image's block of thread-local storage.
function read:in_block (offset)
   local tls = self.view.tls
   if offset == 0 then self.out.block = true end
   if tls then self:pieces_of(self.view.storage, tls.address + offset) end
end

-- An offset that is known at link time, or left to ld.so by these types.
function read:offset (place, size, rest, ...)
   local dynamic = self.view.dynamic[place - self.view.base]
   for _, kind in ipairs { ... } do
      if dynamic and NAMES[dynamic.type] == kind then
         if dynamic.symbol and dynamic.symbol.section == 0 then
            self:add(dynamic.symbol.name, dynamic.addend - rest)
         else
            self:in_block((dynamic.symbol and dynamic.symbol.value or 0)
               + dynamic.addend - rest)
         end
         return
      end
   end
   if not dynamic and self.view.base == 0 then
      self:in_block(self:word(place, size) - rest)
   end
end

function read:is_module (slot)
   local dynamic = self.view.dynamic[slot - self.view.base]
   return dynamic and dynamic.type == R.DTPMOD64
end

-- ld makes other instructions of those that ask for thread-local storage where it
-- knows more.
function read:is_rewritten (place)
   local offset = self.relocation.offset
   return self.view.read(place - 3, 3)
      ~= self.relocation.section.bytes:sub(offset - 2, offset)
end

local types = {}

local function absolute (self, place, word, A)
   if not self:left(place, A) and not self:stub(place, A, false) then
      self:address(word, A)
   end
end
for _, kind in ipairs { "64", "32", "32S", "16", "8" } do types[kind] = absolute end

local function relative (self, place, word, A)
   if not self:left(place, A) and not self:stub(place, A, true) then
      self:address(place + word, A)
   end
end
for _, kind in ipairs { "PC64", "PC32", "PC16", "PC8", "PLT32" } do
   types[kind] = relative
end

for _, kind in ipairs { "GOTPCREL", "GOTPCRELX", "REX_GOTPCRELX" } do
   types[kind] = read.by_got
end

function types:GOTPCREL64 (place, word, A) self:slot(place + word - A) end

function types:GOT64 (_, word, A)
   self:slot(self.view.base + self.view.got + word - A)
end
types.GOT32, types.GOTPLT64 = types.GOT64, types.GOT64

function types:GOTPC64 (place, word, A)
   if place + word - A == self.view.base + self.view.got then
      self.out.got = true
   end
end
types.GOTPC32 = types.GOTPC64

function types:GOTOFF64 (place, word, A)
   local got = self.view.base + self.view.got
   if not self:left(place, A + place - got) then self:address(got + word, A) end
end
types.PLTOFF64 = types.GOTOFF64

function types:SIZE64 (_, word, A) self.out["size " .. word - A] = true end
types.SIZE32 = types.SIZE64

function types:DTPOFF64 (place, _, A) self:offset(place, 8, A, "DTPOFF64") end
function types:DTPOFF32 (place, _, A) self:offset(place, 4, A) end

local function from_thread (self, place, word, A)
   local tls = self.view.tls
   if self.view.dynamic[place - self.view.base] then
      self:offset(place, 8, A, "TPOFF64", "TPOFF32")
   elseif tls and self.view.base == 0 then
      -- The block of a program ends where the thread pointer points.
      self:in_block(word - A + (tls.size + tls.align - 1) // tls.align
         * tls.align)
   end
end
types.TPOFF32, types.TPOFF64 = from_thread, from_thread

function types:GOTTPOFF (place, word, A)
   if self:is_rewritten(place) then return "rewritten" end
   self:offset(place + word - A, 8, 0, "TPOFF64")
end

function types:GOTPC32_TLSDESC (place, word, A)
   if self:is_rewritten(place) then return "rewritten" end
   self:offset(place + word - A, 8, 0, "TLSDESC")
end

function types:TLSGD (place, word, A)
   if self:is_rewritten(place) then return "rewritten" end
   local slot = place + word - A
   if self:is_module(slot) then self:offset(slot + 8, 8, 0, "DTPOFF64") end
end

function types:TLSLD (place, word, A)
   if self:is_rewritten(place) then return "rewritten" end
   self.out.module = self:is_module(place + word - A)
      and self:word(place + word - A + 8, 8) == 0 or nil
end

--- All readings of a word in an image; or why there are none, by the words of
--- the rule in words.txt.
---@param view meaning.view
---@param number integer of the object
---@param relocation elfread.relocation
---@param target meaning.target
---@return table<string, true> readings
---@return string? reason
function meaning.of (view, number, relocation, target)
   local vaddr = view.places[number][relocation.section.index]
   local self = setmetatable({ view = view, relocation = relocation,
      target = target, out = {} }, read)
   local kind = types[NAMES[relocation.type]]
   if not vaddr or not kind then return {} end
   local place = view.base + vaddr + relocation.offset
   local word = self:word(place, meaning.width(relocation.type))
   if word == 0 and target.section and meaning.is_dropped(target.section) then
      return { nothing = true }
   end
   local reason = word and kind(self, place, word, relocation.addend)
   return self.out, reason
end

return meaning
