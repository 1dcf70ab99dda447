--- The campaigns of whole-image mutants: open thousands of changed libraries, or
--- link changed objects and archives, in children with limits, and count what
--- became of them.

local campaign = require "spec.support.campaign"
local mutate = require "spec.fuzz.mutate"

local quoted, grouped = campaign.quoted, campaign.grouped

---@class mutants
local mutants = {}

-- As many in one child. Of the clock it has what is enough on a machine that is
-- busy. The address sanitizer cannot live with RLIMIT_AS and watches the memory
-- that is in use.
local BATCH <const> = 100
local CLOCK <const> = 3600
local MEGABYTES <const> = 3000

--- Where a run leaves its journal and what it finds.
mutants.folder = "build/fuzz/mutants"

--- What is changed.
mutants.libraries = "spec/fuzz/libraries.txt"

--- What opens a batch, and how many seconds of processor time it has.
mutants.host = { "build/asan/bin/elf64load" }
mutants.opener = "spec/fuzz/opener.lua"
mutants.processor = 200

--- What changes them, and the files in which that and the loader's code are.
---@type mutate|mutate_object
mutants.mutate = mutate
mutants.mutator = "spec/fuzz/mutate.lua"
mutants.loader = "build/asan/bin/elf64load"

--- Where lines of the table go.
mutants.say = print

local function child (first, last, libraries)
   local words = {}
   for number, path in ipairs(libraries) do words[number] = quoted(path) end
   local errors = mutants.folder .. "/errors.txt"
   local host = {}
   for number, word in ipairs(mutants.host) do host[number] = quoted(word) end
   host = table.concat(host, " ")
   local command = ("env LSAN_OPTIONS=suppressions=spec/support/leaks.txt:"
      .. "print_suppressions=0 UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:"
      .. "exitcode=86 ASAN_OPTIONS=detect_leaks=1:exitcode=86:"
      .. "hard_rss_limit_mb=%d prlimit --core=0 --nproc=1024 --cpu=%d "
      .. "timeout -k 5 %d %s %s %d %d %s %s 2>%s"):format(MEGABYTES,
      mutants.processor, CLOCK, host, quoted(mutants.opener),
      first, last,
      quoted(mutants.folder), table.concat(words, " "), quoted(errors))
   local pipe = assert(io.popen(command))
   local text = pipe:read "a"
   local ok, how, number = pipe:close()
   return text, ok and 0 or how == "signal" and 128 + number or number,
      campaign.contents(errors)
end

-- What ended a child, for the table.
local function verdict (code, errors)
   if code == 124 or code == 137 or code == 128 + 24 then return "hang" end
   if code == 86 or errors:find "Sanitizer" then
      return errors:find "DEADLYSIGNAL" and "crash" or "report"
   end
   return code > 128 and "crash" or "failure"
end

-- What makes one run another than one before: its seed, the libraries, the
-- loader.
local function identity (seed, libraries)
   local words = { mutants.loader, mutants.opener, mutants.mutator }
   for _, path in ipairs(libraries) do words[#words + 1] = path end
   for number, path in ipairs(words) do words[number] = quoted(path) end
   return ("%d %s"):format(seed, assert(campaign.output("cat "
      .. table.concat(words, " ") .. " | sha256sum")):match "%x+")
end

--- What is changed, when that is no list of libraries.
---@type string[]?
mutants.files = nil

local function list ()
   if mutants.files then return mutants.files end
   local paths = {}
   for number, name in ipairs(campaign.list(mutants.libraries)) do
      paths[number] = assert(campaign.locate(name))
   end
   return paths
end

local function count (into, key, more) into[key] = (into[key] or 0) + (more or 1) end

local function words (counts)
   local out = {}
   for key in pairs(counts) do out[#out + 1] = key end
   table.sort(out, function (a, b)
      if counts[a] ~= counts[b] then return counts[a] > counts[b] end
      return a < b
   end)
   for number, key in ipairs(out) do
      out[number] = ("%s %s"):format(key, grouped(counts[key]))
   end
   return table.concat(out, ", ")
end

-- Adds the lines of a journal up.
local function tally (lines)
   local sum = { total = 0, kinds = {}, regions = {}, libraries = {},
      outcomes = {}, ends = {}, slowest = 0 }
   for _, line in ipairs(lines) do
      local _, kind, region, library, outcome, seconds =
         line:match "^(%d+) (%S+) (%S+) (%S+) (%S+) (%S+)$"
      sum.total = sum.total + 1
      count(sum.kinds, kind)
      count(sum.regions, region)
      count(sum.libraries, library)
      count(mutants.bad[outcome] and sum.ends or sum.outcomes, outcome)
      sum.slowest = math.max(sum.slowest, tonumber(seconds))
   end
   sum.opened = sum.outcomes.open or 0
   sum.tables = 0
   for region in pairs(mutants.mutate.tables) do
      sum.tables = sum.tables + (sum.regions[region] or 0)
   end
   return sum
end

--- Outcomes that are findings.
mutants.bad = { crash = true, hang = true, report = true, failure = true }

local function show (sum)
   local libraries = 0
   for _ in pairs(sum.libraries) do libraries = libraries + 1 end
   mutants.say(("%s mutants of %d %s"):format(grouped(sum.total), libraries,
      mutants.files and "objects and archives" or "libraries"))
   mutants.say("changed as:  " .. words(sum.kinds))
   mutants.say("changed in:  " .. words(sum.regions))
   mutants.say("became:      " .. words(sum.outcomes))
   mutants.say(("in %s: %s (%.1f %%)"):format(mutants.files and "tables"
      or "dynamic, symbol, version and relocation data", grouped(sum.tables),
      100 * sum.tables / sum.total))
   mutants.say(("opened: %s (%.1f %%); the slowest took %.2f s"):format(
      grouped(sum.opened), 100 * sum.opened / sum.total, sum.slowest))
   local bad = {}
   for _, name in ipairs { "crash", "hang", "report", "failure" } do
      bad[#bad + 1] = ("%s %d"):format(name, sum.ends[name] or 0)
   end
   mutants.say("findings:    " .. table.concat(bad, ", "))
end

-- The sanitizers' runtimes, which a plain lua5.4 must have before core.so.
local function runtimes ()
   local paths = {}
   for number, name in ipairs { "libasan.so", "libubsan.so" } do
      paths[number] = campaign.canonical(assert(campaign.output(
         "gcc -print-file-name=" .. name)))
   end
   return table.concat(paths, ":")
end

--- From now on objects and archives are changed, and linked.
---@param config string release or asan
---@param host string elf64load or lua5.4
function mutants.link (config, host)
   local seeds = require "spec.fuzz.seeds"
   local build = "build/" .. config
   mutants.folder = ("%s/objects-%s-%s"):format(mutants.folder, config, host)
   -- A thin archive's members are above it.
   local folder = campaign.output("mkdir -p " .. quoted(mutants.folder
      .. "/seeds/lib") .. " && readlink -f " .. quoted(mutants.folder))
      .. "/seeds"
   seeds.make.object(folder .. "/lib")
   seeds.make.archive(folder .. "/lib", folder)
   mutants.files = {}
   for name in campaign.output("ls " .. quoted(folder .. "/lib"))
         :gmatch "%S+" do
      -- What cannot be linked, and what a killed run has left.
      if name ~= "lto" and name ~= "empty" and not name:find "^mutant" then
         mutants.files[#mutants.files + 1] = folder .. "/lib/" .. name
      end
   end
   mutants.opener = "spec/fuzz/linking.lua"
   mutants.mutate = require "spec.fuzz.mutate_object"
   mutants.mutator = "spec/fuzz/mutate_object.lua"
   if host == "lua5.4" then
      mutants.loader = build .. "/lua/elf64load/core.so"
      mutants.host = { "env", "LUA_PATH=./lua/?.lua;./lua/?/init.lua;./?.lua;;",
         "LUA_CPATH=" .. build .. "/lua/?.so;;",
         "LD_PRELOAD=" .. (config == "asan" and runtimes() or ""), "lua5.4" }
   else
      mutants.loader = build .. "/bin/elf64load"
      mutants.host = { mutants.loader }
   end
end

--- Runs the campaign.
---@param total integer how many mutants
---@param seed integer
---@param resume boolean to go on where an earlier run was interrupted
---@return boolean good nothing was found
---@return table sum
function mutants.run (total, seed, resume)
   assert(os.execute("mkdir -p " .. quoted(mutants.folder)))
   local libraries = list()
   local journal_path = ("%s/journal-%d.txt"):format(mutants.folder, seed)
   local head = identity(seed, libraries)
   local lines = {}
   local before = resume and campaign.contents(journal_path)
   if before and before:sub(1, #head + 1) == head .. "\n" then
      for line in before:sub(#head + 2):gmatch "([^\n]+)\n" do
         lines[#lines + 1] = line
      end
   end
   local journal = assert(io.open(journal_path, "w"))
   journal:write(head, "\n")
   for _, line in ipairs(lines) do journal:write(line, "\n") end

   -- Mutant I of seed S is the same whatever the number of mutants.
   local base = seed << 24
   local function add (line)
      lines[#lines + 1] = line
      journal:write(line, "\n")
      journal:flush()
   end
   while #lines < total do
      local first = base + #lines + 1
      local last = math.min(first + BATCH - 1, base + total)
      campaign.progress(("mutants %d of %d"):format(#lines, total))
      local text, code, errors = child(first, last, libraries)
      local begun
      for line in text:gmatch "[^\n]+" do
         if line:find "^%d+ %S+ %S+ %S+ %S+ [%d.]+$" then add(line)
         else begun = line:match "^%d+ %S+ %S+ %S+" end
      end
      if code ~= 0 then
         local name = verdict(code, errors)
         local seed_of = begun and begun:match "%d+" or tostring(last)
         local path = ("%s/%s-%s.txt"):format(mutants.folder, name, seed_of)
         campaign.write(path, ("code %d\n%s\n%s"):format(code, text:sub(-200),
            errors))
         campaign.progress()
         mutants.say(("%s over mutant %s: %s"):format(name, seed_of, path))
         if begun then
            add(begun .. " " .. name .. " 0.00")
         else
            -- All were done: what shows only at the end is the last one's.
            lines[#lines] = lines[#lines]:gsub("%S+ [%d.]+$", name .. " 0.00")
         end
      end
   end
   journal:close()
   -- As it was corrected above.
   campaign.write(journal_path, head .. "\n" .. table.concat(lines, "\n") .. "\n")
   campaign.progress()
   local sum = tally(lines)
   show(sum)
   return next(sum.ends) == nil, sum
end

--- The bytes of one mutant, to look at.
---@param number integer as the table names it
---@return string path
function mutants.save (number)
   local libraries = list()
   assert(os.execute("mkdir -p " .. quoted(mutants.folder)))
   local path = ("%s/mutant-%d.so"):format(mutants.folder, number)
   campaign.write(path, (mutants.mutate.mutant(number, libraries)))
   return path
end

return mutants
