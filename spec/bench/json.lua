--- Writes JSON: the same tables give the same text.

local json = {}

local escapes = { ['"'] = '\\"', ["\\"] = "\\\\", ["\n"] = "\\n",
   ["\t"] = "\\t", ["\r"] = "\\r" }

local function text (value)
   return '"' .. value:gsub('[%c"\\]', function (char)
      return escapes[char] or ("\\u%04x"):format(char:byte())
   end) .. '"'
end

local function scalar (value)
   if type(value) == "string" then return text(value) end
   if math.type(value) == "float" then
      if value ~= value or value == math.huge or value == -math.huge then
         return "null"
      end
      return ("%.6g"):format(value)
   end
   return tostring(value)
end

local encode

-- On one line where that is short.
local function enclose (open, close, parts, indent)
   local line = table.concat(parts, ", ")
   if #line + #indent < 90 and not line:find "\n" then
      return open .. line .. close
   end
   local inner = indent .. "  "
   return open .. "\n" .. inner .. table.concat(parts, ",\n" .. inner) .. "\n"
      .. indent .. close
end

encode = function (value, indent)
   if type(value) ~= "table" then return scalar(value) end
   local parts = {}
   if #value > 0 or next(value) == nil then
      for number, item in ipairs(value) do
         parts[number] = encode(item, indent .. "  ")
      end
      return enclose("[", "]", parts, indent)
   end
   local keys = {}
   for key in pairs(value) do keys[#keys + 1] = key end
   table.sort(keys)
   for number, key in ipairs(keys) do
      parts[number] = text(key) .. ": " .. encode(value[key], indent .. "  ")
   end
   return enclose("{", "}", parts, indent)
end

--- A table as JSON: an array if it has elements or is empty, else an object with
--- its keys sorted.
---@param value any
---@return string
function json.encode (value)
   return encode(value, "") .. "\n"
end

return json
