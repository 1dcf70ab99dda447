--- An unrelated plugin that is opened and closed before a measurement, so that
--- what a loader keeps from one open to the next is there.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"

local primer = {}

-- How many symbols it imports from libc, from the libraries that the measured one
-- needs, as far as they have so many, and how many it defines; it refers to its
-- own by name as well, as C++ libraries do.
local LIBC <const>, NEEDED <const>, OWN <const> = 2000, 2000, 3000

-- These the linker defines in everything that it makes.
local LINKERS <const> = { _init = true, _fini = true, _end = true,
   _edata = true, __bss_start = true }

local KINDS <const> = { FUNC = true, OBJECT = true, IFUNC = true }

-- The functions and variables that a library exports, none of them of an old or a
-- private version, and none thread-local or unique.
local function exported (path)
   local names = {}
   local text = assert(campaign.output("readelf -W --dyn-syms "
      .. campaign.quoted(path)))
   for kind, bind, section, name, version in text:gmatch
         "\n +%d+: %x+ +%S+ +(%u+) +(%u+) +%u+ +(%w+) ([^%s@]+)([^\n]*)" do
      if KINDS[kind] and bind ~= "UNIQUE" and section ~= "UND" and section ~= "ABS"
            and not LINKERS[name] and (version == "" or version:sub(1, 2) == "@@")
            and version ~= "@@GLIBC_PRIVATE" then
         names[#names + 1] = name
      end
   end
   return names
end

-- Adds so many of the names that are not among them yet, from everywhere in the
-- list, and gives how many.
local function take (names, count, taken, known)
   local left = {}
   for _, name in ipairs(names) do
      if not known[name] then left[#left + 1] = name end
   end
   count = math.min(count, #left)
   for number = 0, count - 1 do
      local name = left[number * #left // count + 1]
      taken[#taken + 1], known[name] = name, true
   end
   return count
end

--- The path of such a plugin.
---@param libraries string[] what the measured one needs, libc not among it
---@return string path
function primer.build (libraries)
   local taken, known, flags = {}, {}, {}
   take(exported(assert(campaign.locate "libc.so.6")), LIBC, taken, known)
   for number, path in ipairs(libraries) do
      local part = NEEDED * number // #libraries - NEEDED * (number - 1) // #libraries
      -- One that gives nothing need not be there.
      if take(exported(path), part, taken, known) > 0 then
         flags[#flags + 1] = campaign.quoted(path)
      end
   end
   local out = { '.section .note.GNU-stack, "", @progbits', ".text" }
   for number = 1, OWN do
      local name = "primer_of_the_bench_" .. number
      out[#out + 1] = (".globl %s\n.type %s, @function\n%s: ret\n.size %s, 1")
         :format(name, name, name, name)
      taken[#taken + 1] = name
   end
   out[#out + 1] = ".data"
   for _, name in ipairs(taken) do
      out[#out + 1] = ('.quad "%s"'):format(name)
   end
   return assert(cc.shared { source = table.concat(out, "\n") .. "\n",
      language = "assembly", flags = "-Wl,--no-as-needed,--allow-shlib-undefined "
         .. table.concat(flags, " ") })
end

return primer
