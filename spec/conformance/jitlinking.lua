--- Does one case of LLVM's JITLink: what its RUN lines say, with the link editor
--- in the place of llvm-jitlink.

local elf = require "elf64load"
local campaign = require "spec.support.campaign"
local expression = require "spec.conformance.expression"

local quoted = campaign.quoted

local function output (command)
   local text, wrong = campaign.output(command .. " 2>&1")
   return text or error(("%s\n%s"):format(command, wrong), 0)
end

-- What follows a mark, of which a line that ends with a backslash goes on in the
-- next one that has it.
local function marked (text, mark)
   local out, open = {}, ""
   for line in text:gmatch "[^\n]+" do
      local part = line:match(mark .. ":%s*(.-)%s*$")
      if part then
         open = open .. part
         if open:sub(-1) == "\\" then
            open = open:sub(1, -2) .. " "
         else
            out[#out + 1], open = open, ""
         end
      end
   end
   return out
end

---@class jitlinking.options
---@field absolute table<string, integer>
---@field inputs string[]
---@field check boolean
---@field phony boolean

-- Where the image lies is not asked for here, nothing is started, and nothing
-- logged: words without effect, and how many more belong to them.
local IGNORED <const> = { ["-slab-allocate"] = 1, ["-slab-address"] = 1,
   ["-slab-page-size"] = 1, ["-noexec"] = 0 }

---@return jitlinking.options
local function options (list)
   local out = { absolute = {}, inputs = {}, check = false, phony = false }
   local at = 1
   while list[at] do
      local word = list[at]
      if word == "-abs" then
         at = at + 1
         local name, value = list[at]:match "^(.-)=(.*)$"
         out.absolute[name] = math.tointeger(tonumber(value))
      elseif word == "-check" then
         at, out.check = at + 1, true
      elseif word:find "^%-check=" then
         out.check = true
      elseif word == "-phony-externals" then
         out.phony = true
      elseif IGNORED[word] then
         at = at + IGNORED[word]
      elseif word:sub(1, 1) ~= "-" then
         out.inputs[#out.inputs + 1] = word
      elseif not word:find "^%-entry=" and not word:find "^%-debug%-only=" then
         error("llvm-jitlink's option " .. word .. " is not known here", 0)
      end
      at = at + 1
   end
   return out
end

-- Links what the options say.
local function link (given)
   local runtime = elf.runtime {
      -- As good an address as any, for what nothing defines.
      resolve = given.phony and function () return 0x1000 end or nil,
   }
   for name, value in pairs(given.absolute) do
      runtime:define(name, value)
   end
   -- What llvm-jitlink has, as a C++ program.
   assert(runtime:open("libstdc++.so.6", { global = true }))
   return runtime:link(given.inputs, { start = false })
end

local function evaluate (text, plugin, given)
   local wrong = {}
   for _, check in ipairs(marked(text, "jitlink%-check")) do
      local holds, why = expression.holds(check, plugin, given)
      if not holds then
         wrong[#wrong + 1] = ("%s\n   %s"):format(check, why)
      end
   end
   if #wrong > 0 then error(table.concat(wrong, "\n"), 0) end
end

-- Splits a command; nothing in the cases is quoted.
local function split (command)
   local out = {}
   for word in command:gmatch "%S+" do out[#out + 1] = word end
   return out
end

---@param folder string LLVM's
---@param name string "x86-64/ELF_comdat.s"
---@param how string "check" or "link"
return function (folder, name, how)
   local path = folder .. "/" .. name
   local text = assert(campaign.contents(path), "there is no such case")
   local place = os.tmpname()
   os.remove(place)
   assert(os.execute("mkdir " .. place))
   local run <close> = setmetatable({}, { __close = function ()
      os.execute("rm -rf " .. place)
   end })
   run.linked = 0
   for _, command in ipairs(marked(text, "RUN")) do
      command = command:gsub("%s*2>&1", ""):gsub("%s*|.*$", "")
         :gsub("%%([stSp])", { s = path, t = place .. "/t",
         S = path:match "^(.*)/", p = path:match "^(.*)/" })
      local list = split(command)
      local refused = list[1] == "not"
      if refused then table.remove(list, 1) end
      local program = table.remove(list, 1)
      if program == "llvm-jitlink" then
         local given = options(list)
         local plugin, message, kind = link(given)
         run.linked = run.linked + 1
         if refused then
            assert(not plugin, "what must be refused was linked")
            print(("refused as %s: %s"):format(kind, message))
         elseif not plugin then
            error(("%s: %s"):format(kind, message), 0)
         else
            evaluate(how == "check" and given.check and text or "", plugin,
               given)
            plugin:close()
         end
      elseif program:find "^llvm%-mc$" or program == "yaml2obj"
            or program == "llc" then
         for number, word in ipairs(list) do
            -- As release 14 calls it.
            list[number] = quoted((word:gsub("^%-x86%-relax%-relocations=",
               "-relax-relocations=")))
         end
         output(program .. "-14 " .. table.concat(list, " "))
      elseif program == "rm" or program == "mkdir" or program == "cp" then
         output(command)
      else
         error("what runs " .. program .. " is not known here", 0)
      end
   end
   assert(run.linked > 0, "nothing was linked")
end
