--- The coverage-guided fuzzers: builds them, runs them, keeps what they found
--- and how long they have run.

local lfs = require "lfs"
local campaign = require "spec.support.campaign"

local quoted = campaign.quoted

---@class guided
local guided = {}

---@class guided.target
---@field name string
---@field longest integer bytes of an input
---@field share integer of the time, in percent
---@field options string?

-- The ELF readers have the most to read.
---@type guided.target[]
guided.targets = {
   { name = "reader", longest = 32768, share = 20 },
   { name = "link", longest = 32768, share = 38 },
   { name = "object", longest = 32768, share = 22 },
   { name = "archive", longest = 16384, share = 8,
      options = "-dict=spec/fuzz/archive.dict" },
   { name = "cache", longest = 8192, share = 6 },
   { name = "ldscript", longest = 4096, share = 6,
      options = "-dict=spec/fuzz/ldscript.dict -detect_leaks=0" },
}

local BUILT <const> = "build/fuzz/clang"
local CORPUS <const> = "spec/fuzz/corpus"

--- Where runs leave what they find.
guided.folder = "build/fuzz"

local function folder (...)
   local path = table.concat({ guided.folder, ... }, "/")
   assert(os.execute("mkdir -p " .. quoted(path)))
   return path
end

--- Unpacks the committed corpus of a target.
---@param name string
---@return string folder
function guided.unpack (name)
   local path = folder("corpus", name)
   assert(os.execute(("rm -rf %s && mkdir %s && tar -xJf %s/%s.tar.xz -C %s")
      :format(quoted(path), quoted(path), CORPUS, name, quoted(path))))
   return path
end

--- Builds the fuzzers.
function guided.build ()
   local log = folder() .. "/build.log"
   if not os.execute("make -f spec/fuzz/Makefile -j2 >" .. log .. " 2>&1") then
      error(campaign.contents(log), 0)
   end
end

-- Seconds of "1m2.34s".
local function seconds (text)
   local minutes, rest = text:match "(%d+)m([%d.]+)s"
   return 60 * tonumber(minutes) + tonumber(rest)
end

-- ------------------------------------------------------------- the state ---

-- What all runs since the first one that did not resume come to.
local function state_path () return folder() .. "/state.txt" end

---@class guided.state
---@field runs integer inputs that were tried
---@field processor number seconds
---@field edges integer
---@field counters integer edges that there are
---@field features integer

---@return table<string, guided.state>
function guided.state ()
   local state = {}
   for line in (campaign.contents(state_path()) or ""):gmatch "[^\n]+" do
      local name, runs, processor, edges, counters, features =
         line:match "^(%S+) (%d+) ([%d.]+) (%d+) (%d+) (%d+)$"
      if name then
         state[name] = { runs = math.tointeger(runs),
            processor = tonumber(processor), edges = math.tointeger(edges),
            counters = math.tointeger(counters),
            features = math.tointeger(features) }
      end
   end
   return state
end

local function store (state)
   local lines = {}
   for _, target in ipairs(guided.targets) do
      local entry = state[target.name]
      if entry then
         lines[#lines + 1] = ("%s %d %.1f %d %d %d\n"):format(target.name,
            entry.runs, entry.processor, entry.edges, entry.counters,
            entry.features)
      end
   end
   campaign.write(state_path(), table.concat(lines))
end

-- Forgets a target's earlier runs.
local function forget (state, name)
   state[name] = nil
   assert(os.execute(("rm -rf %s %s"):format(quoted(folder("work", name)),
      quoted(folder("found", name)))))
end

-- --------------------------------------------------------------- running ---

---@param name string
---@return string[] paths of inputs that were findings
function guided.findings (name)
   local out = {}
   local path = folder("found", name)
   for file in lfs.dir(path) do
      if file:find "^%a+%-" and not file:find "^slow" then
         out[#out + 1] = path .. "/" .. file
      end
   end
   table.sort(out)
   return out
end

-- Runs one fuzzer, with what libFuzzer is to be told, and adds it up.
local function run (target, options, state)
   local name = target.name
   local last, log = folder() .. "/last", folder "logs" .. "/" .. name .. ".txt"
   local times = os.tmpname()
   local found = folder("found", name)
   os.remove(last)
   local command = ("FUZZ_LAST=%s %s/%s %s %s -timeout=20 "
      .. "-report_slow_units=20 -rss_limit_mb=2048 -reload=0 "
      .. "-max_len=%d -print_final_stats=1 -artifact_prefix=%s/ %s %s"):format(
      last, BUILT, name, options, target.options or "", target.longest, found,
      folder("work", name), folder("corpus", name))
   local ok = os.execute(("sh -c %s"):format(quoted(("%s >%s 2>&1; "
      .. "code=$?; times >%s; exit $code"):format(command, log, times))))
   local text = campaign.contents(log)
   local _, user, system = campaign.contents(times):match
      "^(.-)\n(%S+) (%S+)\n"
   os.remove(times)
   local entry = state[name] or { runs = 0, processor = 0, edges = 0,
      features = 0 }
   -- One that has died says how many it has tried in its last line only.
   local runs = text:match "number_of_executed_units: (%d+)"
      or text:match "#(%d+)[^#]*$" or 0
   entry.runs = entry.runs + math.tointeger(runs)
   entry.processor = entry.processor + seconds(user) + seconds(system)
   for edges, features in text:gmatch "cov: (%d+) ft: (%d+)" do
      entry.edges = math.max(entry.edges, math.tointeger(edges))
      entry.features = math.max(entry.features, math.tointeger(features))
   end
   entry.counters = math.tointeger(text:match "%((%d+) inline 8%-bit") or 0
   state[name] = entry
   if not ok and #guided.findings(name) == 0 then
      -- Not even libFuzzer could say anything more.
      local bytes = campaign.contents(last)
      if bytes then
         local size = string.unpack("<I8", bytes)
         campaign.write(found .. "/crash-last", bytes:sub(9, 8 + size))
      end
   end
   return ok, log
end

--- Runs the fuzzers by turns.
---@param names string[]|nil of targets; nil: all
---@param limit { seconds: integer?, runs: integer?, seed: integer? } of each
--- target by itself for `runs`, of all together for `seconds`
---@param resume boolean to go on with what earlier runs have found
---@return boolean good nothing was found
function guided.run (names, limit, resume)
   guided.build()
   local chosen, shares = {}, 0
   for _, target in ipairs(guided.targets) do
      local wanted = not names
      for _, name in ipairs(names or {}) do
         wanted = wanted or name == target.name
      end
      if wanted then
         chosen[#chosen + 1] = target
         shares = shares + target.share
      end
   end
   local state = guided.state()
   local good = true
   for _, target in ipairs(chosen) do
      if not resume then forget(state, target.name) end
      guided.unpack(target.name)
   end
   -- By rounds, so that an interrupted run has had some of each.
   local ROUND <const> = 600
   local left = limit.seconds or ROUND
   while left > 0 do
      local round = math.min(left, ROUND)
      left = left - round
      for _, target in ipairs(chosen) do
         local options = limit.runs and ("-runs=%d"):format(limit.runs)
            or ("-max_total_time=%d"):format(math.max(1,
               round * target.share // shares))
         if limit.seed then options = options .. " -seed=" .. limit.seed end
         campaign.progress(("%s, %d s to go"):format(target.name, left))
         local ok, log = run(target, options, state)
         store(state)
         if not ok then
            good = false
            campaign.progress()
            print(("%s has found something: see %s"):format(target.name, log))
         end
      end
   end
   campaign.progress()
   guided.show()
   return good
end

--- Prints what all runs come to.
function guided.show ()
   local state = guided.state()
   local FORMAT <const> = "%-9s %13s %13s %18s %9s %9s"
   print(FORMAT:format("target", "inputs", "processor, s", "edges", "features",
      "findings"))
   local processor, found = 0, 0
   for _, target in ipairs(guided.targets) do
      local entry = state[target.name]
      if entry then
         local findings = #guided.findings(target.name)
         print(FORMAT:format(target.name, campaign.grouped(entry.runs),
            ("%.0f"):format(entry.processor), ("%d of %d"):format(entry.edges,
            entry.counters), entry.features, findings))
         processor, found = processor + entry.processor, found + findings
      end
   end
   print(("%.2f hours of processor time, %d findings"):format(processor / 3600,
      found))
end

--- Does an input name the place where this project is? libFuzzer puts what it
--- sees compared into inputs, and $ORIGIN is compared.
---@param bytes string
---@return boolean
function guided.is_private (bytes)
   local parent = lfs.currentdir():match "^(.+/)[^/]+$"
   return bytes:find("build/fixtures", 1, true) ~= nil
      or parent ~= nil and bytes:find(parent, 1, true) ~= nil
end

--- Makes the committed corpora anew: from the seeds, what is committed and what
--- runs have found since, as few and as small files as reach the same.
---@param names string[]|nil of targets; nil: all
function guided.collect (names)
   local seeds = require "spec.fuzz.seeds"
   guided.build()
   for _, target in ipairs(guided.targets) do
      local name = target.name
      local wanted = not names
      for _, other in ipairs(names or {}) do wanted = wanted or other == name end
      if wanted then
         campaign.progress("merging " .. name)
         local merged = folder("merged", name)
         local from = folder("seeds", name)
         assert(os.execute(("rm -f %s/* %s/*"):format(merged, from)))
         seeds.make[name](from)
         assert(os.execute(("%s/%s -merge=1 -max_len=%d %s %s %s %s >%s 2>&1")
            :format(BUILT, name, target.longest, merged, from,
            lfs.attributes(("%s/%s.tar.xz"):format(CORPUS, name), "size")
            and guided.unpack(name) or "", folder("work", name),
            folder "logs" .. "/merge-" .. name .. ".txt")))
         for file in lfs.dir(merged) do
            local path = merged .. "/" .. file
            if lfs.attributes(path, "mode") == "file"
               and guided.is_private(campaign.contents(path)) then
               os.remove(path)
            end
         end
         assert(os.execute(("cd %s && tar --sort=name --mtime=@0 --owner=0 "
            .. "--group=0 --numeric-owner --mode=644 -cf - * | xz -9e >%s")
            :format(quoted(merged), quoted(("%s/%s/%s.tar.xz"):format(
            lfs.currentdir(), CORPUS, name)))))
         campaign.progress()
         print(("%s: %s files, %s bytes packed"):format(name,
            campaign.output("ls " .. quoted(merged) .. " | wc -l"),
            lfs.attributes(CORPUS .. "/" .. name .. ".tar.xz", "size")))
      end
   end
end

return guided
