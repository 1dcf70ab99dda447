--- GNU ld scripts such as libc.so, that stand where the linker looks for a
--- library and name the files that it is to take instead:
---
---    OUTPUT_FORMAT(elf64-x86-64)
---    GROUP ( /lib/x86_64-linux-gnu/libm.so.6 AS_NEEDED ( libmvec.so.1 ) -lfoo )
---
--- Only what names files is understood ("GNU ld", Implicit Linker Scripts).

local lpeg = require "lpeg"

local C, Cc, Cg, Cp, Ct, P, R, S =
   lpeg.C, lpeg.Cc, lpeg.Cg, lpeg.Cp, lpeg.Ct, lpeg.P, lpeg.R, lpeg.S

local ldscript = {}

---@class elf64load.input
---@field path string? a file: a path, or a name to look for
---@field library string? "foo" of -lfoo; -l:name is a path "name"
---@field as_needed boolean

-- Scripts have a few hundred bytes; something much longer is something else.
local LONGEST = 65536

---How many bytes of a file are enough to tell whether it is a script.
ldscript.longest = LONGEST + 1

local FORMAT = "elf64-x86-64"

local comment = P "/*" * (1 - P "*/")^0 * "*/"
local space = (S " \t\r\n\v\f" + comment)^0
local letter = R("az", "AZ", "09") + "_"

local function token (pattern) return pattern * space end
local function word (text) return token(P(text) * -letter) end

local open, close = token(P "("), token(P ")")
local comma = token(P ",")

-- What ld takes for part of a file's name in a list of inputs.
local plain = C((letter + S "/.\\$~-+=:[]@%^")^1)
local quoted = P '"' * C((1 - S '"\n')^1) * '"'
local name = token(quoted + plain)

-- "=" and "$SYSROOT" stand for the folder of a cross compiler's system, which
-- here is the root.
local function input (text, as_needed)
   local library = text:match "^%-l([^:].*)$"
   if library then return { library = library, as_needed = as_needed } end
   local path = text:gsub("^%-l:", ""):gsub("^=", ""):gsub("^%$SYSROOT", "")
   return { path = path, as_needed = as_needed }
end

local separator = comma^-1
local needed = word "AS_NEEDED" * open
   * ((name * Cc(true)) / input * separator)^0 * close
local inputs = open * ((needed + (name * Cc(false)) / input) * separator)^0
   * close

local format = word "OUTPUT_FORMAT" * open * Cg(name / 1, "format")
   * (comma * name / 0)^0 * close
local other = (word "OUTPUT_ARCH" + word "SEARCH_DIR" + word "TARGET"
   + word "ENTRY" + word "EXTERN" + word "OUTPUT") * open
   * (name / 0 * separator)^0 * close
local command = (word "GROUP" + word "INPUT") * inputs + word "STARTUP" * inputs
   + format + other + token(P ";")

local script = space * Ct(command^0) * Cp()

-- How a text begins that is meant to be a script.
local start = space * letter^1 * space * open

local function line_of (text, position)
   local _, count = text:sub(1, position - 1):gsub("\n", "")
   return count + 1
end

---Is the text meant to be a script, whether it can be understood or not?
---@param text string
---@return boolean
function ldscript.resembles (text)
   return #text <= LONGEST and not text:find("\0", 1, true)
      and start:match(text) ~= nil
end

---The files that a script names, in its order.
---@param text string
---@return elf64load.input[]? inputs
---@return string? why_not
function ldscript.parse (text)
   if #text > LONGEST or text:find("\0", 1, true) then
      return nil, "neither ELF nor a GNU ld script"
   end
   local found, position = script:match(text)
   if position <= #text then
      local rest = text:match("^[^\n]*", position):sub(1, 40)
      if not start:match(text) then
         return nil, "neither ELF nor a GNU ld script"
      end
      return nil, ("line %d of the ld script is not understood: %s"):format(
         line_of(text, position), rest)
   end
   if found.format and found.format ~= FORMAT then
      return nil, ("the ld script is for %s, not for %s"):format(found.format,
         FORMAT)
   end
   if #found == 0 then return nil, "the ld script names no file" end
   found.format = nil
   return found
end

return ldscript
