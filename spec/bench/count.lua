--- How many instructions of the process an open takes, as valgrind's callgrind
--- counts them. What else runs on the machine does not matter to that.

local campaign = require "spec.support.campaign"

local count = {}

-- callgrind has to see that constructors.c changes ld.so's code.
local OPTIONS <const> = "--smc-check=all --collect-atstart=no "
   .. "--compress-strings=no --compress-pos=no"

-- It turns collecting on and off where these functions of a measuring program
-- begin and end: the open on; what constructors.c does, and the constructors that
-- it runs, off.
local TOGGLES <const> = { "opener_measure", "run_constructors", "redirect_new" }

-- What a file of callgrind says was collected. What the program itself calls in
-- the files that it opens are constructors, as glibc's were left out.
local function collected (text, program)
   local total, constructors = math.tointeger(text:match "\ntotals: (%d+)"), 0
   local caller, callee, called
   for line in text:gmatch "[^\n]+" do
      local key, value = line:match "^(%l+)=(.*)"
      if key == "ob" then caller = value
      elseif key == "cob" then callee = value
      elseif key == "calls" then called = true
      elseif called then
         -- The line after a call has what it took, all that it calls included.
         if caller == program and callee and callee ~= program
               and not callee:match "/libc%.so%.6$"
               and not callee:match "/ld%-linux[^/]*$" then
            constructors = constructors + line:match " (%d+)$"
         end
         called, callee = false, nil
      end
   end
   return total and total - constructors
end

--- The instructions that a measuring program's open takes.
---@param program string linked from measure.c
---@param words string[] what it is given
---@return integer? instructions
---@return string? why
function count.instructions (program, words)
   local into = os.tmpname()
   local line = { "exec valgrind --tool=callgrind --quiet", OPTIONS,
      "--callgrind-out-file=" .. campaign.quoted(into) }
   for _, name in ipairs(TOGGLES) do
      line[#line + 1] = "--toggle-collect=" .. name
   end
   line[#line + 1] = campaign.quoted(program)
   for _, word in ipairs(words) do line[#line + 1] = campaign.quoted(word) end
   line[#line + 1] = "2>&1"
   local done, said = campaign.output(table.concat(line, " "))
   local number = done and collected(campaign.contents(into) or "",
      campaign.canonical(program))
   os.remove(into)
   if number then return number end
   return nil, "callgrind did not count: " .. (said or done)
end

return count
