--- Integer constant expressions of C (C11 6.6) as elf64load.grammar reads them.
---
--- A value carries its type, since C's arithmetic depends on it: `~0u` is
--- 4294967295, but `~0` is -1.

local constant = {}

---@class elf64load.constant
---@field value integer
---@field wide boolean 64 bits rather than 32
---@field unsigned boolean

---What an expression is evaluated with.
---@class elf64load.surroundings
---@field fault fun(position: integer, message: string) raises
---@field named fun(name: string, position: integer): integer
---@field sizeof fun(typename: table): integer
---@field integer fun(typename: table): elf64load.ctype raises for others

---@param value integer of which the bits that the type has are kept
---@param wide boolean
---@param unsigned boolean
---@return elf64load.constant
local function typed (value, wide, unsigned)
   if not wide then
      value = value & 0xffffffff
      if not unsigned and value > 0x7fffffff then value = value - (1 << 32) end
   end
   return { value = value, wide = wide, unsigned = unsigned }
end

-- ------------------------------------------------------------------- literals

-- The largest number to which one more digit can be added in 64 bits.
local limits = { [8] = (1 << 61) - 1, [10] = 0x1999999999999999,
   [16] = (1 << 60) - 1 }

---@return integer|nil value nil when 64 bits do not hold it
local function read (digits, base)
   local value = 0
   for letter in digits:gmatch "%x" do
      local digit = tonumber(letter, 16)
      if digit >= base or math.ult(limits[base], value)
         or base == 10 and value == limits[10] and digit > 5 then
         return nil
      end
      value = value * base + digit
   end
   return value
end

-- C11 6.4.4.1: a literal has the first of these types that holds it.
local ranks = {
   { wide = false, unsigned = false, most = 0x7fffffff },
   { wide = false, unsigned = true, most = 0xffffffff },
   { wide = true, unsigned = false, most = math.maxinteger },
   { wide = true, unsigned = true, most = -1 },
}

local suffixes = { [""] = true, u = true, l = true, ul = true, lu = true }

local evaluate = {}

---@param with elf64load.surroundings
function evaluate.number (node, with)
   local _, digits, spelling = table.unpack(node)
   local suffix = spelling:lower():gsub("ll", "l")
   local hexadecimal = digits:match "^0[xX](%x+)$"
   local base = hexadecimal and 16 or digits:find "^0." and 8 or 10
   local value = read(hexadecimal or digits, base)
   if not suffixes[suffix] or not value then
      with.fault(node.position,
         ("'%s%s' is no integer of 64 bits"):format(digits, spelling))
   end
   for _, rank in ipairs(ranks) do
      local signed_only = base == 10 and not suffix:find "u"
      local skipped = not rank.wide and suffix:find "l"
         or not rank.unsigned and suffix:find "u"
         or rank.unsigned and signed_only and rank.most ~= -1
      if not skipped and not math.ult(rank.most, value) then
         return typed(value, rank.wide, rank.unsigned)
      end
   end
end

local escapes = { a = 7, b = 8, f = 12, n = 10, r = 13, t = 9, v = 11 }

function evaluate.character (node)
   local text = node[2]
   local value = text:byte()
   local octal, hexadecimal = text:match "^\\(%d+)$", text:match "^\\x(%x+)$"
   if hexadecimal then
      value = tonumber(hexadecimal, 16)
   elseif octal then
      value = tonumber(octal, 8)
   elseif #text > 1 then
      value = escapes[text:sub(2)] or text:byte(2)
   end
   -- A character constant is an int made of a char, which is signed.
   value = value & 0xff
   return typed(value > 127 and value - 256 or value, false, false)
end

function evaluate.name (node, with)
   local value = with.named(node[2], node.position)
   local wide = value > 0x7fffffff or value < -0x80000000
   return typed(value, wide, false)
end

function evaluate.sizeof (node, with)
   return typed(with.sizeof(node[2]), true, true)
end

---@param value fun(node: table, with: elf64load.surroundings): elf64load.constant
function evaluate.cast (node, with, value)
   local ctype = with.integer(node[2])
   local given, bits = value(node[3], with).value, ctype.size * 8
   if bits < 64 then given = given & (1 << bits) - 1 end
   if bits < 64 and not ctype.unsigned and given >> bits - 1 == 1 then
      given = given - (1 << bits)
   end
   -- What is narrower than int becomes one (C11 6.3.1.1p2).
   return typed(given, bits == 64, ctype.unsigned and bits >= 32)
end

-- ------------------------------------------------------------------ operators

local unary = {
   ["+"] = function (a) return a end,
   ["-"] = function (a) return -a end,
   ["~"] = function (a) return ~a end,
}

---C's division cuts towards zero, Lua's goes down.
local function divide (a, b, unsigned)
   if unsigned then
      if b < 0 then return math.ult(a, b) and 0 or 1 end
      if a >= 0 then return a // b end
      local half = ((a >> 1) // b) << 1
      return math.ult(a - half * b, b) and half or half + 1
   end
   local quotient = a // b
   return quotient < 0 and quotient * b ~= a and quotient + 1 or quotient
end

local arithmetic = {
   ["+"] = function (a, b) return a + b end,
   ["-"] = function (a, b) return a - b end,
   ["*"] = function (a, b) return a * b end,
   ["/"] = divide,
   ["%"] = function (a, b, unsigned) return a - divide(a, b, unsigned) * b end,
   ["&"] = function (a, b) return a & b end,
   ["|"] = function (a, b) return a | b end,
   ["^"] = function (a, b) return a ~ b end,
}

local function less (a, b, unsigned)
   if unsigned then return math.ult(a, b) end
   return a < b
end

local comparison = {
   ["=="] = function (a, b) return a == b end,
   ["!="] = function (a, b) return a ~= b end,
   ["<"] = less,
   [">"] = function (a, b, unsigned) return less(b, a, unsigned) end,
   ["<="] = function (a, b, unsigned) return not less(b, a, unsigned) end,
   [">="] = function (a, b, unsigned) return not less(a, b, unsigned) end,
}

local function truth (condition)
   return typed(condition and 1 or 0, false, false)
end

---C11 6.3.1.8: the type in which two operands meet.
local function meet (a, b)
   local wide = a.wide or b.wide
   local unsigned = a.unsigned and a.wide == wide
      or b.unsigned and b.wide == wide
   return wide, unsigned
end

local function shift (op, a, by)
   if by < 0 or by >= (a.wide and 64 or 32) then return nil end
   local value = a.value << by
   if op == ">>" then
      value = a.value >> by
      if a.value < 0 and not a.unsigned then
         value = value | ~(-1 >> by)
      end
   end
   return typed(value, a.wide, a.unsigned)
end

local function operate (node, with, value)
   local op, left = node.op, node[1]
   local a = value(left, with)
   if op == "?" then
      local b, c = value(node[2], with), value(node[3], with)
      return typed(a.value ~= 0 and b.value or c.value, meet(b, c))
   elseif #node == 1 then
      if op == "!" then return truth(a.value == 0) end
      return typed(unary[op](a.value), a.wide, a.unsigned)
   elseif op == "&&" then
      return truth(a.value ~= 0 and value(node[2], with).value ~= 0)
   elseif op == "||" then
      return truth(a.value ~= 0 or value(node[2], with).value ~= 0)
   end
   local b = value(node[2], with)
   local wide, unsigned = meet(a, b)
   local x = typed(a.value, wide, unsigned).value
   local y = typed(b.value, wide, unsigned).value
   if comparison[op] then
      return truth(comparison[op](x, y, unsigned))
   elseif (op == "/" or op == "%") and y == 0 then
      with.fault(node.position, "a division by zero")
   elseif arithmetic[op] then
      return typed(arithmetic[op](x, y, unsigned), wide, unsigned)
   end
   return shift(op, a, b.value)
      or with.fault(node.position, ("a shift by %d bits"):format(b.value))
end

local function value (node, with)
   if node.op then return operate(node, with, value) end
   return evaluate[node[1]](node, with, value)
end

---@param node table
---@param with elf64load.surroundings
---@return integer
function constant.value (node, with)
   return value(node, with).value
end

return constant
