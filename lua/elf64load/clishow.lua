--- How the command shows things on a terminal: columns, colours, globs.

local show = {}

-- ECMA-48, "Select Graphic Rendition".
local STYLES <const> = {
   bold = "1", dim = "2", red = "31", green = "32", yellow = "33", cyan = "36",
}

---A function that puts a style around a text, or leaves it as it is.
---@param when "auto"|"always"|"never"
---@param terminal boolean
---@return fun(style: string, text: string): string
function show.painter (when, terminal)
   local refused = os.getenv "NO_COLOR"
   local colour = when == "always" or (when == "auto" and terminal
      and (not refused or refused == "") and os.getenv "TERM" ~= "dumb")
   if not colour then return function (_, text) return text end end
   return function (style, text)
      return ("\27[%sm%s\27[0m"):format(STYLES[style], text)
   end
end

---Prints rows with their cells under one another.
---@param rows string[][]
---@param right table<integer, boolean> columns of numbers, which end alike
---@param paint? fun(line: string, row: integer): string
function show.columns (rows, right, paint)
   local widths = {}
   for _, cells in ipairs(rows) do
      for column, cell in ipairs(cells) do
         widths[column] = math.max(widths[column] or 0, utf8.len(cell) or #cell)
      end
   end
   for row, cells in ipairs(rows) do
      local line = {}
      for column, cell in ipairs(cells) do
         local padding = (" "):rep(widths[column] - (utf8.len(cell) or #cell))
         line[column] = right[column] and padding .. cell or cell .. padding
      end
      local text = table.concat(line, "  "):gsub("%s+$", "")
      print(paint and paint(text, row) or text)
   end
end

---Does a name fit one of the globs? `*` is any text, `?` any byte.
---@param name string
---@param globs string[]
---@return boolean
function show.fits (name, globs)
   for _, glob in ipairs(globs) do
      local pattern = glob:gsub("%p", "%%%0"):gsub("%%%*", ".*")
         :gsub("%%%?", ".")
      if name:find("^" .. pattern .. "$") then return true end
   end
   return #globs == 0
end

---A size in bytes as a person reads it.
---@param bytes integer
---@return string
function show.size (bytes)
   if bytes < 10240 then return ("%d bytes"):format(bytes) end
   if bytes < 10 << 20 then return ("%.0f KB"):format(bytes / 1024) end
   return ("%.1f MB"):format(bytes / (1 << 20))
end

return show
