--- Writes object files that no compiler would: sections, symbols and relocations
--- as a spec names them, however many and however odd.
---
---    elfwrite.object {
---       sections = { { name = ".text", flags = "ax", bytes = "\xc3" },
---          { name = ".bss", type = "nobits", flags = "aw", size = 1 << 40 } },
---       symbols = { { name = "f", section = 1 } },
---    }                                             --> bytes
---
--- Nothing is checked: that is what the files are for.

---@class elfwrite
local elfwrite = {}

local TYPES <const> = { progbits = 1, symtab = 2, strtab = 3, rela = 4,
   note = 7, nobits = 8, init_array = 14, group = 17 }
local FLAGS <const> = { w = 1, a = 2, x = 4, M = 16, S = 32, G = 512, T = 1024 }
local PLACES <const> = { abs = 0xfff1, common = 0xfff2 }

---@class elfwrite.section
---@field name? string
---@field offset? integer of its name in the table of names, in place of a name
---@field type? string default progbits
---@field flags? string
---@field bytes? string
---@field size? integer of one without bytes
---@field link? integer
---@field info? integer
---@field align? integer default 1
---@field entsize? integer
---@field relocations? integer[][] each { offset, type, symbol, addend }

---@class elfwrite.symbol
---@field name? string
---@field offset? integer of its name in the table of names, in place of a name
---@field section? integer|string its number on the list; "abs" or "common"
---@field value? integer
---@field size? integer
---@field binding? integer default 1, STB_GLOBAL; local ones come first
---@field type? integer

-- A string table, and where a name is in it.
local function strings (first)
   local parts, size, known = { "\0" .. (first or "") }, 1 + #(first or ""), {}
   return parts, function (name)
      if not known[name] then
         known[name], parts[#parts + 1] = size, name .. "\0"
         size = size + #name + 1
      end
      return known[name]
   end
end

---@param what { sections?: elfwrite.section[], symbols?: elfwrite.symbol[], names?: string }
--- `names`: what the table of symbols' names begins with, for `offset`
---@return string
function elfwrite.object (what)
   local names, name_of = strings()
   local texts, text_of = strings(what.names)
   local list = {}
   for at, section in ipairs(what.sections or {}) do list[at] = section end
   local own, symtab = #list, #list + 1
   local symbols, locals = { ("\0"):rep(24) }, 1
   for at, symbol in ipairs(what.symbols or {}) do
      local binding = symbol.binding or 1
      if binding == 0 then locals = at + 1 end
      symbols[#symbols + 1] = string.pack("<I4BBI2I8I8",
         symbol.offset or symbol.name and text_of(symbol.name) or 0,
         binding << 4 | (symbol.type or 0), 0,
         PLACES[symbol.section] or symbol.section or 0, symbol.value or 0,
         symbol.size or 0)
   end
   list[symtab] = { name = ".symtab", type = "symtab", link = symtab + 1,
      info = locals, align = 8, entsize = 24, bytes = table.concat(symbols) }
   list[symtab + 1] = { name = ".strtab", type = "strtab",
      bytes = table.concat(texts) }
   for at = 1, own do
      local words = {}
      for number, one in ipairs(list[at].relocations or {}) do
         words[number] = string.pack("<i8I4I4i8", one[1], one[2], one[3] or 0,
            one[4] or 0)
      end
      if #words > 0 then
         list[#list + 1] = { name = ".rela" .. (list[at].name or ""),
            type = "rela", link = symtab, info = at, align = 8, entsize = 24,
            bytes = table.concat(words) }
      end
   end
   list[#list + 1] = { name = ".shstrtab", type = "strtab" }
   local last = #list
   for _, section in ipairs(list) do name_of(section.name or "") end
   list[last].bytes = table.concat(names)

   local headers, contents, offset = { ("\0"):rep(64) }, {}, 64
   for _, section in ipairs(list) do
      local bytes = section.bytes or ""
      if section.type == "nobits" then bytes = "" end
      local flags = 0
      for letter in (section.flags or ""):gmatch "." do
         flags = flags | FLAGS[letter]
      end
      headers[#headers + 1] = string.pack("<I4I4I8I8I8I8I4I4I8I8",
         section.offset or name_of(section.name or ""),
         TYPES[section.type or "progbits"], flags, 0, offset,
         section.size or #bytes, section.link or 0, section.info or 0,
         section.align or 1, section.entsize or 0)
      contents[#contents + 1] = bytes
      offset = offset + #bytes
   end
   -- The first header has the numbers that are too large for the file's.
   local many = last + 1 >= 0xff00
   if many then
      headers[1] = string.pack("<I4I4I8I8I8I8I4I4I8I8", 0, 0, 0, 0, 0,
         last + 1, last, 0, 0, 0)
   end
   return "\127ELF\2\1\1" .. ("\0"):rep(9) .. string.pack(
      "<I2I2I4I8I8I8I4I2I2I2I2I2I2", 1, 62, 1, 0, 0, offset, 0, 64, 0, 0, 64,
      many and 0 or last + 1, many and 0xffff or last)
      .. table.concat(contents) .. table.concat(headers)
end

--- An archive of members, without an index.
---@param members { name: string, bytes: string }[]
---@param thin? boolean the members' bytes are files of their own
---@return string
function elfwrite.archive (members, thin)
   local names, parts = {}, {}
   local size = 0
   for at, member in ipairs(members) do
      names[at] = member.name .. "/\n"
      parts[at] = ("%-16s%-12d%-6d%-6d%-8s%-10d`\n"):format("/" .. size, 0, 0, 0,
         "644", #member.bytes)
      if not thin then
         parts[at] = parts[at] .. member.bytes
            .. ("\n"):rep(#member.bytes % 2)
      end
      size = size + #names[at]
   end
   local table_of = table.concat(names)
   return (thin and "!<thin>\n" or "!<arch>\n")
      .. ("%-48s%-10d`\n"):format("//", #table_of) .. table_of
      .. ("\n"):rep(#table_of % 2) .. table.concat(parts)
end

return elfwrite
