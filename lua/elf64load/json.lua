--- Lua values as JSON (RFC 8259), for the command's `--json`.

local json = {}

---An empty table that is an array, which no other empty table is.
json.array = setmetatable({}, { __name = "elf64load.json.array" })

local SHORT <const> = {
   ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n", ["\t"] = "\\t",
}

-- Names and paths may hold any bytes: what is no UTF-8 is shown byte by byte as
-- the characters of the same numbers.
local function text (value)
   if not utf8.len(value) then
      value = value:gsub("[\128-\255]", function (byte)
         return utf8.char(byte:byte())
      end)
   end
   return '"' .. value:gsub('[%c"\\\127]', function (byte)
      return SHORT[byte] or ("\\u%04x"):format(byte:byte())
   end) .. '"'
end

local function number (value)
   if math.type(value) == "integer" then return ("%d"):format(value) end
   if value ~= value or value == math.huge or value == -math.huge then
      return "null"
   end
   local short = ("%.15g"):format(value)
   return tonumber(short) == value and short or ("%.17g"):format(value)
end

-- The keys in an order of their own, so that equal values give equal texts.
local function sorted (value)
   local keys = {}
   for key in pairs(value) do
      if type(key) == "string" then keys[#keys + 1] = key end
   end
   table.sort(keys)
   return keys
end

local encode

-- With `indent` each element has a line of its own.
local function wrap (open, close, parts, indent)
   if #parts == 0 then return open .. close end
   if not indent then return open .. table.concat(parts, ",") .. close end
   local inner = indent .. "  "
   return open .. "\n" .. inner .. table.concat(parts, ",\n" .. inner)
      .. "\n" .. indent .. close
end

local function compound (value, indent)
   local inner, parts = indent and indent .. "  ", {}
   if value == json.array or #value > 0 then
      for at, element in ipairs(value) do parts[at] = encode(element, inner) end
      return wrap("[", "]", parts, indent)
   end
   for at, key in ipairs(sorted(value)) do
      parts[at] = text(key) .. (indent and ": " or ":")
         .. encode(value[key], inner)
   end
   return wrap("{", "}", parts, indent)
end

function encode (value, indent)
   local kind = type(value)
   if kind == "table" then return compound(value, indent) end
   if kind == "number" then return number(value) end
   if kind == "boolean" then return tostring(value) end
   if kind == "nil" then return "null" end
   return text(kind == "string" and value or tostring(value))
end

---A table with a first element is an array, another an object of its string keys
---in alphabetical order; what JSON has no form for is shown as `tostring` has it.
---@param value any a table must not hold itself
---@param pretty? boolean over several lines
---@return string
function json.encode (value, pretty)
   return encode(value, pretty and "" or nil)
end

return json
