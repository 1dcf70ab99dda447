--- Which names are near to one that is missing, by the distance as it is told.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local elf = require "elf64load"

-- Letters put in, left out, changed, or swapped with the next.
local function distance (a, b)
   local rows = { [0] = {} }
   for k = 0, #b do rows[0][k] = k end
   for i = 1, #a do
      rows[i] = { [0] = i }
      for k = 1, #b do
         local same = a:byte(i) == b:byte(k)
         local best = math.min(rows[i - 1][k] + 1, rows[i][k - 1] + 1,
            rows[i - 1][k - 1] + (same and 0 or 1))
         if i > 1 and k > 1 and a:byte(i) == b:byte(k - 1)
            and a:byte(i - 1) == b:byte(k) then
            best = math.min(best, rows[i - 2][k - 2] + 1)
         end
         rows[i][k] = best
      end
   end
   return rows[#a][#b]
end

local seed = 1
local function random (most)
   seed = (seed * 1103515245 + 12345) % (1 << 31)
   return (seed >> 8) % most
end

-- Few letters, so that many names are near to one another.
local LETTERS <const> = "abcdABC_1"

local function word ()
   local letters = { "x" }
   for i = 2, 3 + random(14) do
      local at = random(#LETTERS) + 1
      letters[i] = LETTERS:sub(at, at)
   end
   return table.concat(letters)
end

local function changed (name)
   for _ = 1, random(4) do
      local at, kind = 1 + random(#name), random(4)
      local letter = LETTERS:sub(at % #LETTERS + 1, at % #LETTERS + 1)
      local before, after = name:sub(1, at - 1), name:sub(at)
      name = kind == 0 and before .. letter .. after
         or kind == 1 and before .. after:sub(2)
         or kind == 2 and before .. letter .. after:sub(2)
         or before .. after:sub(2, 2) .. after:sub(1, 1) .. after:sub(3)
   end
   return name
end

describe("The names near to one that is missing", function ()
   it("are the nearest of those that are near enough", function ()
      local names, known = {}, {}
      while #names < 80 do
         local name = word()
         if not known[name] then
            known[name] = true
            names[#names + 1] = name
         end
      end
      local p <close> = assert(elf.runtime {}:open(assert(cc.shared(
         "int " .. table.concat(names, ", ") .. ";"))))
      local some = 0
      for _ = 1, 150 do
         local wanted = changed(names[1 + random(#names)])
         if not known[wanted] and #wanted > 0 then
            local most = math.max(1, math.min(3, #wanted // 3))
            local all = {}
            for _, name in ipairs(names) do
               local far = distance(wanted, name)
               if far <= most then all[#all + 1] = far end
            end
            table.sort(all)
            local _, _, _, detail = p:lookup(wanted)
            local near = detail.near or {}
            assert.equal(math.min(4, #all), #near)
            for at, name in ipairs(near) do
               assert.equal(all[at], distance(wanted, name))
               some = some + 1
            end
         end
      end
      assert.truthy(some > 50)
   end)
end)
