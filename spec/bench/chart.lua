--- Draws the ratios of a run as an SVG: a bar for each library and row of opens, a
--- line where both sides are equally fast; and below them a bar for each other
--- thing, from that line to the right where it is faster and to the left where it
--- is slower, on a logarithmic axis.

local chart = {}

local COLOURS <const> = { "#4477aa", "#ddaa33", "#228833", "#aa3377" }
local LEFT <const>, WIDTH <const>, RIGHT <const> = 250, 560, 70
local BAR <const>, GAP <const>, TOP <const> = 15, 10, 76

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

---@class faster how many times faster than the other side something is
---@field what string
---@field ratio number
---@field low? number quartiles of the pairs' ratios
---@field high? number

---@class bar: faster of a library
---@field row string
---@field instructions number? their ratio, drawn as a dot

local function dot (add, x, y)
   add('<circle cx="%.1f" cy="%.1f" r="3" fill="white" stroke="black"/>', x, y)
end

-- The part with the opens. Answers where it ends.
local function draw_opens (add, rows, bars)
   local groups, order, greatest, counted = {}, {}, 1, false
   for _, bar in ipairs(bars) do
      local group = groups[bar.what]
      if not group then
         group = {}
         groups[bar.what] = group
         order[#order + 1] = bar.what
      end
      group[bar.row] = bar
      counted = counted or bar.instructions ~= nil
      greatest = math.max(greatest, bar.ratio, bar.high or 0,
         bar.instructions or 0)
   end
   local tick = step(greatest)
   local most = math.ceil(greatest / tick) * tick
   local function x (ratio) return LEFT + ratio / most * WIDTH end
   local group_height = #rows * BAR + GAP
   local bottom = TOP + #order * group_height

   for number, row in ipairs(rows) do
      local at = LEFT + (number - 1) * 110
      add('<rect x="%d" y="52" width="12" height="12" fill="%s"/>', at,
         COLOURS[(number - 1) % #COLOURS + 1])
      add('<text x="%d" y="62">%s</text>', at + 17, escape(row))
   end
   if counted then
      local at = LEFT + #rows * 110
      dot(add, at + 6, 58)
      add('<text x="%d" y="62">by instructions</text>', at + 17)
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
            if bar.instructions then
               dot(add, x(bar.instructions), top + BAR / 2)
            end
            add('<text x="%.1f" y="%.1f">%.2f</text>', x(math.max(bar.ratio,
               bar.high or 0, bar.instructions or 0)) + 6, top + BAR - 4, bar.ratio)
         end
      end
   end
   add('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="black"/>', x(1),
      TOP - 4, x(1), bottom)
   add('<text x="%.1f" y="%d" text-anchor="middle">dlopen</text>', x(1),
      bottom + 30)
   return bottom + 34
end

-- The part with all else, from there on. Answers where it ends.
local function draw_others (add, top, others)
   -- The whole powers of ten between which everything lies.
   local least, most = 0, 0
   for _, it in ipairs(others) do
      least = math.min(least, math.floor(math.log(it.low or it.ratio, 10)),
         math.floor(math.log(it.ratio, 10)))
      most = math.max(most, math.ceil(math.log(it.high or it.ratio, 10)),
         math.ceil(math.log(it.ratio, 10)))
   end
   most = math.max(most, least + 1)
   local function x (ratio)
      return LEFT + (math.log(ratio, 10) - least) / (most - least) * WIDTH
   end
   local first = top + 26
   local bottom = first + #others * (BAR + 2)
   add('<text x="%d" y="%d" fill="#555">%s</text>', LEFT, top + 14,
      "All else: how many times faster than the other side")
   for power = least, most do
      local at = x(10 ^ power)
      add('<line x1="%.1f" y1="%d" x2="%.1f" y2="%d" stroke="%s"/>', at,
         first - 4, at, bottom, power == 0 and "black" or "#ddd")
      add('<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%g</text>', at,
         bottom + 16, 10 ^ power)
   end
   for number, it in ipairs(others) do
      local y = first + (number - 1) * (BAR + 2)
      local from, to = x(math.min(1, it.ratio)), x(math.max(1, it.ratio))
      add('<text x="%d" y="%d" text-anchor="end">%s</text>', LEFT - 8,
         y + BAR - 4, escape(it.what))
      add('<rect x="%.1f" y="%d" width="%.1f" height="%d" fill="%s"/>', from,
         y + 1, to - from, BAR - 2, COLOURS[1])
      if it.low and it.high then
         add('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="black"/>',
            x(it.low), y + BAR / 2, x(it.high), y + BAR / 2)
      end
      add('<text x="%.1f" y="%d">%s</text>', math.max(to, x(it.high or 1)) + 5,
         y + BAR - 4, ("%.3g"):format(it.ratio))
   end
   return bottom + 24
end

---@param title string
---@param subtitle string
---@param rows string[] those of opens, in their order
---@param bars bar[] of opens
---@param others faster[]
---@return string svg
function chart.draw (title, subtitle, rows, bars, others)
   local parts = {}
   local function add (...) parts[#parts + 1] = string.format(...) end
   local height = bars[1] and draw_opens(add, rows, bars) or 50
   if others[1] then height = draw_others(add, height, others) end
   local width = LEFT + WIDTH + RIGHT

   local out = { ('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" '
      .. 'width="%d" height="%d" font-family="sans-serif" font-size="12">')
      :format(width, height, width, height),
      ('<rect width="%d" height="%d" fill="white"/>'):format(width, height),
      ('<text x="16" y="24" font-size="16">%s</text>'):format(escape(title)),
      ('<text x="16" y="42" fill="#555">%s</text>'):format(escape(subtitle)) }
   table.move(parts, 1, #parts, #out + 1, out)
   out[#out + 1] = "</svg>\n"
   return table.concat(out, "\n")
end

return chart
