--- The matrix of compilers, languages, code models and optimisations: objects of
--- one program, linked in a process, beside the program that ld links.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local child = require "spec.support.child"

local cells = {}

local FOLDER <const> = "spec/conformance/cell/"

local MODELS <const> = {
   ["no-pic"] = { flags = "-fno-pic", link = "-no-pie" },
   pie = { flags = "-fPIE", link = "-pie" },
   pic = { flags = "-fPIC", link = "-pie" },
   ["no-plt"] = { flags = "-fPIC -fno-plt", link = "-pie" },
   large = { flags = "-fno-pic -mcmodel=large", link = "-no-pie" },
   ["large-pic"] = { flags = "-fPIC -mcmodel=large", link = "-pie" },
}

local OPTIMISATIONS <const> = {
   O0 = "-O0", O2 = "-O2",
   ["O3-sections"] = "-O3 -ffunction-sections -fdata-sections",
}

local COMPILERS <const> = {
   gcc = { c = "gcc", ["c++"] = "g++" },
   clang = { c = "clang", ["c++"] = "clang++" },
}

-- What a cell may be refused for is left out when it is given again.
local PARTS <const> = { host = "-DWITHOUT_HOST", tls = "-DWITHOUT_TLS" }

---@class conformance.cell
---@field name string "gcc c++ pie O2"
---@field compiler string
---@field language string
---@field model string
---@field optimisation string
---@field may string|nil the part that may be refused

---The cells of matrix.txt.
---@return conformance.cell[]
function cells.list ()
   local list = {}
   for _, line in ipairs(campaign.list "spec/conformance/matrix.txt") do
      local compiler, language, model, optimisation, may = line:match
         "^(%S+) +(%S+) +(%S+) +(%S+) *(%S*)$"
      assert(COMPILERS[compiler] and MODELS[model] and OPTIMISATIONS[optimisation]
         and (may == "" or PARTS[may]), line)
      list[#list + 1] = { compiler = compiler, language = language, model = model,
         optimisation = optimisation, may = may ~= "" and may or nil,
         name = ("%s %s %s %s"):format(compiler, language, model, optimisation) }
   end
   return list
end

---Each code model once, by gcc alone: languages and optimisations take turns.
---@return conformance.cell[]
function cells.diagonal ()
   local wanted = {
      ["c no-pic O0"] = true, ["c++ pie O2"] = true, ["c pic O3-sections"] = true,
      ["c++ no-plt O0"] = true, ["c large O2"] = true,
      ["c++ large-pic O3-sections"] = true, ["c++ no-pic O2"] = true,
   }
   local list = {}
   for _, cell in ipairs(cells.list()) do
      if wanted[cell.name:match "^gcc (.*)$"] then list[#list + 1] = cell end
   end
   return list
end

-- Prints what the objects print, and how it went: the status is that of the
-- program, or 3 where the objects were refused.
local SCRIPT <const> = [[
   local elf = require "elf64load"
   -- Objects name no libraries.
   if arg[3] == "c++" then
      assert(elf.open("libstdc++.so.6", { global = true }))
   end
   local p, message, kind = elf.link { arg[1], arg[2] }
   if not p then
      io.write(kind, ": ", message, "\n")
      os.exit(3)
   end
   -- It ends as a program does, with the plugin open.
   os.exit(p:cdef "int cell(void);".cell())
]]

-- The two objects, and the program that ld makes of them.
local function compile (cell, part)
   local model = MODELS[cell.model]
   local compiler = COMPILERS[cell.compiler][cell.language]
   local objects = {}
   for at, name in ipairs { "cell.c", "other.c" } do
      objects[at] = assert(cc.object { file = FOLDER .. name,
         language = cell.language, compiler = compiler,
         flags = table.concat({ model.flags, OPTIMISATIONS[cell.optimisation],
            "-std=" .. (cell.language == "c" and "gnu11" or "gnu++14"),
            part and PARTS[part] }, " ") })
   end
   local program = assert(cc.program("", { language = cell.language,
      compiler = compiler, flags = ("%s '%s' '%s' -lm -pthread"):format(
         model.link, objects[1], objects[2]) }))
   return objects, program
end

-- What two ways of running the objects print, "" when it is the same.
local function compare (cell, part)
   local objects, program = compile(cell, part)
   local limits = { env = { CELL = "here" }, seconds = 300 }
   local theirs = child.run({ program }, limits)
   local ours = child.lua(SCRIPT, { objects[1], objects[2], cell.language }, limits)
   assert(theirs.code == 42, program .. " " .. child.describe(theirs))
   if ours.code == 42 and ours.out == theirs.out then return "" end
   if ours.code == 3 then return ours.out, true end
   return ("%s, and says\n%s%sld's says\n%s"):format(child.describe(ours),
      ours.out, ours.err, theirs.out)
end

---Tries a cell. Answers why it is not as it must be, and the reason for which a
---part of it that may be refused was.
---@param cell conformance.cell
---@return string? fault
---@return string? refused
function cells.try (cell)
   local fault, refused = compare(cell)
   if fault == "" then return nil end
   -- A reason names the option that helps.
   if not (refused and cell.may and fault:find "^unsupported: "
         and fault:find "%-fPIC" ) then
      return fault
   end
   local rest = compare(cell, cell.may)
   if rest ~= "" then
      return ("without its part '%s': %s"):format(cell.may, rest)
   end
   return nil, fault
end

return cells
