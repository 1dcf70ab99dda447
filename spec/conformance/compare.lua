--- Compares one library as dlopen leaves it with the same library as the loader
--- leaves it: two processes, one line of each for every relocation.

local campaign = require "spec.support.campaign"
local fixtures = require "spec.support.fixtures"
local cc = require "elf64load.cc"
local design = require "spec.conformance.design"

local quoted = campaign.quoted

---@class compare
local compare = {}

---@class difference
---@field file string
---@field offset string
---@field type string
---@field symbol string
---@field theirs string
---@field ours string

---@class counts
---@field path string
---@field total integer
---@field equal integer
---@field design integer ours by design
---@field rewritten integer memory of no file, on both sides: a constructor's
---@field different integer
---@field excluded integer
---@field chosen integer of a plan: where an IFUNC resolver of the planned file says
---@field other integer of a plan: relocations for no import

---@class comparison
---@field mode "host"|"own"
---@field path string
---@field files counts[]
---@field glibc string[] what dlopen brought in and glibc maps on our side too
---@field differences difference[]
---@field faults string[] why the comparison itself is not valid

---@class sides
---@field program string
---@field reader string

local FOLDER = "spec/conformance/"
local SOURCES = { "side.c", "objects.c", "relocations.c", "ours.c", "planned.c",
   "objects.h", "relocations.h", "ours.h", "planned.h" }

--- Builds the two programs of the comparison.
---@return sides
function compare.build ()
   local sources = {}
   for _, name in ipairs(SOURCES) do sources[#sources + 1] = FOLDER .. name end
   sources[#sources + 1] = fixtures.loader() .. "/lib/libelf64load.a"
   return {
      program = campaign.program(sources),
      reader = assert(cc.shared(campaign.contents(FOLDER .. "reader.c"))),
   }
end

-- -------------------------------------------------------------- one side ---

---@class side
---@field objects table<string, string> path to mapper
local side = {}
side.__index = side

local function spawn (words)
   local command = { "exec timeout 600" }
   for _, word in ipairs(words) do command[#command + 1] = quoted(word) end
   local messages = os.tmpname()
   command[#command + 1] = "2>" .. quoted(messages)
   local self = setmetatable({
      name = words[2], messages = messages, objects = {}, faults = {},
      pipe = assert(io.popen(table.concat(command, " "))),
   }, side)
   self.line = self.pipe:lines()
   return self
end

-- The next file that this side reports: its path and how many lines follow.
function side:next ()
   for line in self.line do
      local word, first, second = line:match "^(%l+)\t?([^\t]*)\t?(.*)$"
      if word == "object" then
         self.objects[second] = first
      elseif word == "wrong" then
         self.faults[#self.faults + 1] = first
      elseif word == "file" then
         return first, math.tointeger(tonumber(second))
      elseif word == "end" then
         self.complete = true
         return nil
      else
         self.faults[#self.faults + 1] = "not understood: " .. line
         return nil
      end
   end
end

function side:skip (count)
   for _ = 1, count do self.line() end
end

function side:finish (faults)
   local ok, how, status = self.pipe:close()
   local text = campaign.contents(self.messages) or ""
   os.remove(self.messages)
   for _, fault in ipairs(self.faults) do
      faults[#faults + 1] = ("%s: %s"):format(self.name, fault)
   end
   if not ok or not self.complete then
      local last = text:gsub("%s+$", "")
      faults[#faults + 1] = ("%s: %s %s%s"):format(self.name, how, status,
         last:match "^%l+(:.*)" or ": " .. last)
   end
end

-- ------------------------------------------------------------ comparison ---

local LINE = "^(.)\t(%x+)\t(%S+)\t([^\t]*)\t(.*)$"

-- Whether two lists of meanings, separated by tabs, share one.
local function meet (left, right)
   local known = {}
   for meaning in left:gmatch "[^\t]+" do known[meaning] = true end
   for meaning in right:gmatch "[^\t]+" do
      if known[meaning] then return true end
   end
   return false
end

-- Whether one of the meanings lies in the program, and so in the loader, or is
-- code in no file, which in these processes only the loader makes.
local function within (program, meanings)
   for meaning in meanings:gmatch "[^\t]+" do
      if meaning:sub(1, #program + 1) == program .. "+"
         or meaning == "code" then
         return true
      end
   end
   return false
end

-- What the two lines of one relocation are to each other.
local function judge (theirs, ours, program)
   if theirs == ours then
      local flag = theirs:byte()
      if flag == 46 then return "equal" end
      return flag == 126 and "rewritten" or "excluded"
   end
   local flag, offset, kind, symbol, meaning = theirs:match(LINE)
   local flag2, offset2, kind2, symbol2, meaning2 = ours:match(LINE)
   local other = { offset = offset, type = kind, symbol = symbol,
      theirs = meaning, ours = meaning2 }
   if not flag or not flag2 or offset ~= offset2 or kind ~= kind2
      or symbol ~= symbol2 or flag == "!" or flag2 == "!" then
      return "excluded", other
   end
   if meet(meaning, meaning2) then return "equal" end
   if design[symbol] and within(program, meaning2)
      and not within(program, meaning) then
      return "design"
   end
   return "different", other
end

-- The same with a line of a plan: what the slot was to hold.
local function judge_plan (theirs, ours)
   local flag, offset, kind, symbol, meaning = theirs:match(LINE)
   local flag2, offset2, kind2, symbol2, meaning2 = ours:match(LINE)
   local other = { offset = offset, type = kind, symbol = symbol,
      theirs = meaning, ours = meaning2 }
   if not flag or not flag2 or offset ~= offset2 or kind ~= kind2
      or symbol ~= symbol2 or flag2 == "!" then
      return "excluded", other
   elseif flag2 == "-" then
      return "other"
   elseif flag == "!" then
      return "excluded", other
   elseif flag2 == "*" then
      -- Resolvers of libc's choose the kernel's functions for the time.
      for place in meaning:gmatch "[^\t]+" do
         local file = place:match "^(.*)%+%x+$"
         if file == meaning2 or file == "linux-vdso.so.1"
            and meaning2:match "/libc%.so%.6$" then
            return "chosen"
         end
      end
   elseif flag2 == "=" then
      if design[symbol] and meet(meaning, meaning2) then return "design" end
      return "different", other
   elseif meet(meaning, meaning2) then
      return "equal"
   end
   -- A constructor has put the address of memory of its own into a variable.
   if flag == "~" and kind == "64" then return "rewritten" end
   return "different", other
end

local function compare_file (result, program, path, total, theirs, ours)
   local planned = ours.name == "planned"
   local file = { path = path, total = total, equal = 0, design = 0,
      rewritten = 0, different = 0, excluded = 0, chosen = 0, other = 0 }
   for number = 1, total do
      local left, right = theirs.line(), ours.line()
      if not left or not right then
         file.excluded = file.excluded + total - number + 1
         break
      end
      local verdict, other
      if planned then verdict, other = judge_plan(left, right)
      else verdict, other = judge(left, right, program) end
      file[verdict] = file[verdict] + 1
      if other then
         other.file, other.verdict = path, verdict
         result.differences[#result.differences + 1] = other
      end
   end
   result.files[#result.files + 1] = file
end

---@class compare_options
---@field alter? integer the relocation of the library whose slot our side damages
---@field drop? integer the relocation that our side pretends not to know
---@field ours? "ours"|"theirs"|"lazy"|"planned" what the second side is: dlopen against
---itself, calls bound as they are made, a plan
---@field second? string what the second side opens instead
---@field unstarted? string the library made from first.c: dlopen's slots before any
---constructor has run

--- Compares one library in one mode.
---@param sides sides
---@param path string canonical
---@param mode "host"|"own"
---@param options? compare_options
---@return comparison
function compare.run (sides, path, mode, options)
   options = options or {}
   local result = { mode = mode, path = path, files = {}, glibc = {},
      differences = {}, faults = {} }
   local dependencies = {}
   if mode == "host" then
      local listing, why = campaign.output(
         ("exec timeout 600 %s list %s 2>&1"):format(quoted(sides.program),
            quoted(path)))
      if not listing then
         result.faults[1] = why
         return result
      end
      -- Libraries may print things of their own.
      for name in listing:gmatch "%f[^\n\0]/[^\n]+" do
         dependencies[#dependencies + 1] = name
      end
   end
   local function start (name, library, alter, drop)
      return spawn { sides.program, name, mode, sides.reader,
         tostring(alter or -1), tostring(drop or -1), library,
         table.unpack(dependencies) }
   end
   local theirs = options.unstarted
      and spawn { sides.program, "unstarted", mode, options.unstarted, "-1", "-1",
         path, table.unpack(dependencies) }
      or start("theirs", path)
   local ours = start(options.ours or "ours", options.second or path,
      options.alter, options.drop)
   local program = campaign.canonical(sides.program)
   local faults = result.faults

   local left, left_count = theirs:next()
   local right, right_count = ours:next()
   local first = ours.objects
   while left or right do
      if left and left == right and left_count == right_count then
         compare_file(result, program, left, left_count, theirs, ours)
         left, left_count = theirs:next()
         right, right_count = ours:next()
      elseif left and (not right or left <= right) then
         -- On our side glibc maps the host family only; everything else that
         -- dlopen brought in is ours to bring in.
         if mode == "own" and first[left] == "glibc" and left ~= path then
            result.glibc[#result.glibc + 1] = left
         else
            result.files[#result.files + 1] = { path = left,
               total = left_count, equal = 0, design = 0, rewritten = 0,
               different = 0, excluded = left_count, chosen = 0, other = 0 }
            if left == right then
               faults[#faults + 1] = left .. " has two counts of relocations"
            elseif first[left] then
               faults[#faults + 1] = left .. ": glibc opened it on our side too"
            elseif next(first) then
               -- Else nothing was opened, and the message of that follows.
               faults[#faults + 1] = left .. ": dlopen opened it, we did not"
            end
         end
         theirs:skip(left_count)
         left, left_count = theirs:next()
      else
         faults[#faults + 1] = right .. ": we opened it, dlopen did not"
         ours:skip(right_count)
         right, right_count = ours:next()
      end
   end
   theirs:finish(faults)
   ours:finish(faults)
   if #result.files == 0 and #faults == 0 then
      faults[1] = "nothing was compared"
   end
   return result
end

--- Compares a plan with what dlopen leaves. A slot that holds something else is
--- looked at again as it is before any constructor has run: one that a
--- constructor has changed is "rewritten".
---@param sides sides
---@param path string canonical
---@param mode "host"|"own"
---@param options? compare_options
---@return comparison
function compare.plan (sides, path, mode, options)
   options = options or {}
   options.ours = "planned"
   local result = compare.run(sides, path, mode, options)
   if compare.sum(result).different == 0 then return result end
   options.unstarted = assert(cc.shared(campaign.contents(FOLDER .. "first.c"),
      "-Wl,-z,initfirst -Wl,--no-as-needed " .. quoted(path)))
   local before = compare.run(sides, path, mode, options)
   if #before.faults > 0 then
      for _, fault in ipairs(before.faults) do
         result.faults[#result.faults + 1] = fault
      end
      return result
   end
   local stands = {}
   for _, other in ipairs(before.differences) do
      stands[other.file .. "+" .. other.offset] = true
   end
   local files, left = {}, {}
   for _, file in ipairs(result.files) do files[file.path] = file end
   for _, other in ipairs(result.differences) do
      local file = files[other.file]
      if other.verdict == "different" and other.type == "64"
         and not stands[other.file .. "+" .. other.offset] then
         file.different, file.rewritten = file.different - 1, file.rewritten + 1
      else
         left[#left + 1] = other
      end
   end
   result.differences = left
   return result
end

--- One relocation of each type that the library has, by its number, whose slot
--- is compared by meaning.
---@param sides sides
---@param path string
---@return { type: string, number: integer }[]
function compare.samples (sides, path)
   local theirs = spawn { sides.program, "theirs", "own", sides.reader, "-1",
      "-1", path }
   local samples, seen = {}, {}
   local name, count = theirs:next()
   while name do
      for number = 0, count - 1 do
         local flag, _, kind, _, meaning = theirs.line():match(LINE)
         if name == path and flag == "." and meaning ~= "nothing"
            and not seen[kind] then
            seen[kind] = true
            samples[#samples + 1] = { type = kind, number = number }
         end
      end
      name, count = theirs:next()
   end
   local faults = {}
   theirs:finish(faults)
   assert(#faults == 0, faults[1])
   return samples
end

--- The sums over a comparison's files.
---@param result comparison
function compare.sum (result)
   local sum = { total = 0, equal = 0, design = 0, rewritten = 0,
      different = 0, excluded = 0, chosen = 0, other = 0 }
   for _, file in ipairs(result.files) do
      for key, count in pairs(sum) do sum[key] = count + file[key] end
   end
   return sum
end

--- Whether every slot was compared and holds what it should.
---@param result comparison
---@return boolean
function compare.good (result)
   local sum = compare.sum(result)
   return #result.faults == 0 and sum.different == 0 and sum.excluded == 0
      and sum.total == sum.equal + sum.design + sum.rewritten + sum.chosen
         + sum.other
end

return compare
