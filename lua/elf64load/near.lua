--- Names that are much like one that is not there.

local near = {}

---How many letters must be changed, put in, left out or swapped; no more than
---`most` + 1.
---@param one string
---@param other string
---@param most integer
---@return integer
function near.distance (one, other, most)
   if math.abs(#one - #other) > most then return most + 1 end
   local before, above, row = {}, {}, {}
   for column = 0, #other do above[column] = column end
   for line = 1, #one do
      row[0] = line
      local best = line
      for column = 1, #other do
         local changed = one:byte(line) == other:byte(column) and 0 or 1
         local cost = math.min(above[column] + 1, row[column - 1] + 1,
            above[column - 1] + changed)
         if line > 1 and column > 1
            and one:byte(line) == other:byte(column - 1)
            and one:byte(line - 1) == other:byte(column) then
            cost = math.min(cost, before[column - 2] + 1)
         end
         row[column] = cost
         best = math.min(best, cost)
      end
      if best > most then return most + 1 end
      before, above, row = above, row, before
   end
   return above[#other]
end

---The names nearest to `name`, three at most, best first.
---@param name string
---@param names string[] what there is
---@return string[]
function near.names (name, names)
   local most = math.max(1, #name // 3)
   local found = {}
   for _, candidate in ipairs(names) do
      local distance = near.distance(name, candidate, most)
      if candidate:lower() == name:lower() then distance = 0 end
      if distance <= most and candidate ~= name then
         found[#found + 1] = { distance = distance, name = candidate }
      end
   end
   table.sort(found, function (one, other)
      if one.distance ~= other.distance then
         return one.distance < other.distance
      end
      return one.name < other.name
   end)
   local result = {}
   for index = 1, math.min(3, #found) do
      result[index] = found[index].name
   end
   return result
end

---" (did you mean 'x' or 'y'?)", or nothing when there is nothing near.
---@param name string
---@param names string[]
---@return string
function near.hint (name, names)
   local found = near.names(name, names)
   if #found == 0 then return "" end
   local last = table.remove(found)
   local rest = #found > 0 and "'" .. table.concat(found, "', '") .. "' or "
      or ""
   return (" (did you mean %s'%s'?)"):format(rest, last)
end

return near
