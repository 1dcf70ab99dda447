--- Draws the ratios of a run as an SVG: a bar for each library and row, a line
--- where both sides are equally fast.

local chart = {}

local COLOURS = { "#4477aa", "#ddaa33", "#228833", "#aa3377" }
local LEFT, WIDTH, RIGHT = 190, 560, 70
local BAR, GAP, TOP = 15, 10, 76

local function escape (text)
   return (text:gsub("[&<>]", { ["&"] = "&amp;", ["<"] = "&lt;",
      [">"] = "&gt;" }))
end

-- Steps of the axis: 1, 2 or 5 times a power of ten, at most eight of them.
local function step (greatest)
   local size = 0.1
   for _ = 1, 6 do
      for _, factor in ipairs { 1, 2, 5 } do
         if greatest / (size * factor) <= 8 then return size * factor end
      end
      size = size * 10
   end
   return greatest
end

---@class bar
---@field row string
---@field library string
---@field ratio number
---@field low number? quartiles of the ratio, drawn as a line
---@field high number?

---@param title string
---@param subtitle string
---@param rows string[] their order
---@param bars bar[]
---@return string svg
function chart.draw (title, subtitle, rows, bars)
   local groups, order, greatest = {}, {}, 1
   for _, bar in ipairs(bars) do
      local group = groups[bar.library]
      if not group then
         group = {}
         groups[bar.library] = group
         order[#order + 1] = bar.library
      end
      group[bar.row] = bar
      greatest = math.max(greatest, bar.ratio, bar.high or 0)
   end
   local tick = step(greatest)
   local most = math.ceil(greatest / tick) * tick
   local function x (ratio) return LEFT + ratio / most * WIDTH end
   local group_height = #rows * BAR + GAP
   local bottom = TOP + #order * group_height
   local width, height = LEFT + WIDTH + RIGHT, bottom + 34

   local out = {}
   local function add (...) out[#out + 1] = string.format(...) end
   add('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
      .. 'width="%d" height="%d" font-family="sans-serif" font-size="12">',
      width, height, width, height)
   add('<rect width="%d" height="%d" fill="white"/>', width, height)
   add('<text x="16" y="24" font-size="16">%s</text>', escape(title))
   add('<text x="16" y="42" fill="#555">%s</text>', escape(subtitle))
   for number, row in ipairs(rows) do
      local at = LEFT + (number - 1) * 110
      add('<rect x="%d" y="52" width="12" height="12" fill="%s"/>', at,
         COLOURS[(number - 1) % #COLOURS + 1])
      add('<text x="%d" y="62">%s</text>', at + 17, escape(row))
   end
   for number = 0, math.floor(most / tick + 0.5) do
      local value = number * tick
      add('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="#ddd"/>',
         x(value), TOP - 4, x(value), bottom)
      add('<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%g</text>',
         x(value), bottom + 16, value)
   end
   for place, library in ipairs(order) do
      local y = TOP + (place - 1) * group_height
      add('<text x="%d" y="%.1f" text-anchor="end">%s</text>', LEFT - 8,
         y + #rows * BAR / 2 + 4, escape(library))
      for number, row in ipairs(rows) do
         local bar = groups[library][row]
         local top = y + (number - 1) * BAR
         if bar then
            add('<rect x="%d" y="%.1f" width="%.1f" height="%d" fill="%s"/>',
               LEFT, top + 1, x(bar.ratio) - LEFT, BAR - 2,
               COLOURS[(number - 1) % #COLOURS + 1])
            if bar.low and bar.high then
               add('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" '
                  .. 'stroke="black"/>', x(bar.low), top + BAR / 2,
                  x(bar.high), top + BAR / 2)
            end
            add('<text x="%.1f" y="%.1f">%.2f</text>',
               x(math.max(bar.ratio, bar.high or 0)) + 5, top + BAR - 4,
               bar.ratio)
         end
      end
   end
   add('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="black"/>', x(1),
      TOP - 4, x(1), bottom)
   add('<text x="%.1f" y="%d" text-anchor="middle">dlopen</text>', x(1),
      bottom + 30)
   add '</svg>'
   return table.concat(out, "\n") .. "\n"
end

return chart
