--- What is done with an opened mutant that is not to be started, and what may be
--- left when it is closed.

local elf = require "elf64load"
local elfedit = require "spec.support.elfedit"

---@class trial
local trial = {}

-- A thread's copy of a mutant's variables is as large as the mutant says.
local MOST_TLS <const> = 1 << 24

local function is_modest (bytes)
   local ok, answer = pcall(function ()
      local segment = elfedit.new(bytes):segment "PT_TLS"
      return math.ult(segment.p_memsz, MOST_TLS)
         and math.ult(segment.p_align, MOST_TLS)
   end)
   return not ok or answer
end

--- Asks everything that can be asked of a plugin that has not been started.
---@param p elf64load.plugin
---@param names string[] to look up
---@param bytes string the file
function trial.use (p, names, bytes)
   if is_modest(bytes) then
      for _, name in ipairs(names) do
         local symbol = p:lookup(name)
         p:lookup(name, "OLD")
         if symbol and symbol.address then elf.whence(symbol) end
      end
   end
   for _, symbol in ipairs(p:symbols()) do
      assert(type(symbol.name) == "string")
   end
   elf.whence(p.base)
   elf.whence(p.base + 0x1000)
   assert(p:relocations())
end

--- May it stay when it is closed? An owner of unique symbols does, and one with
--- DF_1_NODELETE.
---@param bytes string the file
---@return boolean
function trial.stays (bytes)
   local image = elfedit.new(bytes)
   local ok, answer = pcall(function ()
      -- Where the loader finds it, which p_offset need not say.
      local segment = image:segment "PT_DYNAMIC"
      segment.p_offset = image:offset(segment.p_vaddr)
      segment.p_filesz = segment.p_memsz
      local flags = image:dynamic "DT_FLAGS_1"
      if flags and flags.d_val & elfedit.DF_1_NODELETE ~= 0 then return true end
      for _, symbol in ipairs(image:symbols()) do
         if symbol.st_info >> 4 == elfedit.STB_GNU_UNIQUE then return true end
      end
      return false
   end)
   return not ok or answer
end

return trial
