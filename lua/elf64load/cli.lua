--- What the command `elf64load` does with its arguments.

local cli = {}

local help = [[
usage: elf64load FILE.lua [ARGUMENT...]     run a Lua 5.4 script
       elf64load -e CODE [ARGUMENT...]      run a piece of Lua
       elf64load open LIB [SYMBOL...]       open a library, show its symbols
       elf64load --help | --version

A script has all of Lua 5.4, LPeg, and require "elf64load". It runs as it does
under lua5.4: its arguments are in the table `arg` and in `...`.

`open` shows kind, size, version, address and name of each SYMBOL, looked up as
dlsym does, or of all that LIB itself exports. LIB is a path if it holds a
slash; otherwise it is looked for as ld.so does.

Exit status: 0; 1 when something could not be loaded or a script failed; 2 when
the command was not understood.
]]

local function complain (...)
   io.stderr:write("elf64load: ", ..., "\n")
end

---What a failed script leaves, with the way to it: as lua5.4 shows it.
---@param message any
---@return string
local function explain (message)
   if type(message) == "number" then
      message = tostring(message)
   elseif type(message) ~= "string" then
      local meta = getmetatable(message)
      if type(meta) == "table" and meta.__tostring then
         return tostring(message)
      end
      message = ("(error object is a %s value)"):format(type(message))
   end
   return debug.traceback(message, 2)
end

---@param chunk function? what load or loadfile gave
---@param message string? why it gave nothing
---@param arguments table the script's `arg`
---@return integer status
local function run (chunk, message, arguments)
   if not chunk then
      complain(message)
      return 1
   end
   _G.arg = arguments
   local done, why = xpcall(chunk, explain, table.unpack(arguments))
   if not done then
      complain(why)
      return 1
   end
   return 0
end

---The table `arg`: the script is number 0, what stands before it is negative.
---@param words table the command's words, its own name being number 0
---@param script integer which of them is the script
local function shifted (words, script)
   local arguments = {}
   for index = 0, #words do
      arguments[index - script] = words[index]
   end
   return arguments
end

---@param symbol table
---@return string[]
local function row (symbol)
   local address = symbol.address
   if math.type(address) == "integer" then
      address = address ~= 0 and ("0x%x"):format(address) or nil
   end
   return {
      symbol.kind or "-", tostring(symbol.size or 0), symbol.version or "-",
      address and tostring(address) or "-", symbol.name,
   }
end

---@param rows string[][]
local function show (rows)
   local widths = {}
   for _, cells in ipairs(rows) do
      for column, cell in ipairs(cells) do
         widths[column] = math.max(widths[column] or 0, #cell)
      end
   end
   for _, cells in ipairs(rows) do
      local line = {}
      for column, cell in ipairs(cells) do
         -- Sizes are numbers and end under one another.
         local padding = (" "):rep(widths[column] - #cell)
         line[column] = column == 2 and padding .. cell or cell .. padding
      end
      print((table.concat(line, "  "):gsub("%s+$", "")))
   end
end

---@param library string
---@param names string[]
---@return integer status
local function open (library, names)
   local elf = require "elf64load"
   local plugin <close>, message = elf.open(library)
   if not plugin then
      complain(message)
      return 1
   end
   local rows, status = { { "kind", "size", "version", "address", "name" } }, 0
   if #names == 0 then
      for _, symbol in ipairs(plugin:symbols()) do
         rows[#rows + 1] = row(symbol)
      end
   end
   for _, name in ipairs(names) do
      local symbol, why = plugin:lookup(name)
      if symbol then
         rows[#rows + 1] = row(symbol)
      else
         complain(why)
         status = 1
      end
   end
   if #rows > 1 then show(rows) end
   return status
end

---@param words table the command's words, its own name being number 0
---@param version string
---@return integer status the command's exit status
function cli.main (words, version)
   local first = words[1]
   if first == "--help" or first == "-h" then
      io.write(help)
      return 0
   elseif first == "--version" then
      print("elf64load " .. version .. ", " .. _VERSION)
      return 0
   elseif first == "open" and words[2] then
      local status = open(words[2], table.move(words, 3, #words, 1, {}))
      io.stdout:flush()
      return status
   elseif first == "-e" and words[2] then
      local chunk, message = load(words[2], "=(command line)")
      return run(chunk, message, shifted(words, 2))
   elseif first and first ~= "open" and first:sub(1, 1) ~= "-" then
      local chunk, message = loadfile(first)
      return run(chunk, message, shifted(words, 1))
   end
   if first == "open" then
      complain("open needs the name of a library")
   elseif first == "-e" then
      complain("-e needs a piece of Lua")
   elseif first then
      complain("unknown option '" .. first .. "'")
   end
   io.stderr:write(help)
   return 2
end

return cli
