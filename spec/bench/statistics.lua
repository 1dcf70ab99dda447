--- Medians, quartiles and means of measurements.

---@class statistics
local statistics = {}

-- The value below which that part of a sorted list lies.
local function quantile (sorted, part)
   local at = 1 + (#sorted - 1) * part
   local low = math.floor(at)
   local value = sorted[low]
   if sorted[low + 1] then
      value = value + (at - low) * (sorted[low + 1] - value)
   end
   return value
end

---@class summary
---@field median number
---@field low number the first quartile
---@field high number the third quartile

---@param values number[]
---@return summary
function statistics.summary (values)
   local sorted = table.move(values, 1, #values, 1, {})
   table.sort(sorted)
   return {
      median = quantile(sorted, 0.5),
      low = quantile(sorted, 0.25),
      high = quantile(sorted, 0.75),
   }
end

--- The geometric mean, or nil of nothing.
---@param values number[]
---@return number?
function statistics.mean (values)
   if #values == 0 then return nil end
   local sum = 0
   for _, value in ipairs(values) do sum = sum + math.log(value) end
   return math.exp(sum / #values)
end

return statistics
