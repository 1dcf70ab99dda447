--- Builds and runs the stress of two loaders: its plugins and its program.

local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"

local loading = {}

local FOLDER <const> = "spec/stress/"
local SOURCES <const> = FOLDER .. "plugins/"

-- The program's own symbols are what plugins call.
local FLAGS <const> = "-pthread -ldl -rdynamic -I spec/stress"

-- Each file has a number, letters that loaders.h explains, the thread that has
-- it for itself or -1, and a path.
local function files (threads)
   local lines, paths = {}, {}
   local include = "-I " .. SOURCES .. " -O1 "

   local function add (letters, source, flags, owner, needs)
      local number = #lines + 1
      local words = { include, ("-D ID=%d"):format(number), flags or "" }
      if needs then
         local said = {}
         words[#words + 1] = "-Wl,--no-as-needed"
         for at, need in ipairs(needs) do
            said[at] = ("NEED(%s,%d)"):format(need[1], need[2])
            words[#words + 1] = paths[need[2]]
         end
         table.insert(words, 2, ("-D 'NEEDS=%s'"):format(table.concat(said, " ")))
      end
      paths[number] = assert(cc.shared { file = SOURCES .. source,
         flags = table.concat(words, " ") })
      lines[number] = ("%d %s %d %s\n"):format(number, letters, owner or -1,
         paths[number])
      return number
   end
   local function flag (...) return "-D " .. string.format(...) end

   -- What several need, and those who do.
   local one = add("-", "plain.c", flag "FUNCTION=one")
   local two = add("-", "plain.c", flag "FUNCTION=two", nil, { { "one", one } })
   local left = add("-", "plain.c", "", nil, { { "one", one }, { "two", two } })
   add("-", "plain.c", "", nil, { { "two", two }, { "one", one } })
   -- Variables at fixed offsets; a function that a resolver chooses.
   for _ = 1, 2 do add("-", "fixed.c", "-ftls-model=initial-exec") end
   local chosen = add("-", "chosen.c", flag "FUNCTION=chosen")
   add("-", "plain.c", "", nil, { { "chosen", chosen } })
   -- What throws, within one and from one into another; objects of threads.
   local thrower = add("t", "thrower.cc", flag "FUNCTION=thrown")
   local catcher = add("t", "thrower.cc", "", nil, { { "thrown", thrower } })
   add("tb", "thrower.cc", flag "KEEPS", nil, { { "thrown", thrower } })
   -- What stays: unique symbols, and a flag.
   add("s", "unique.cc")
   add("f", "unique.cc")
   add("s", "plain.c", "-Wl,-z,nodelete")
   -- What finds another or does not.
   local global = add("g", "plain.c", flag "FUNCTION=seldom")
   add("-", "plain.c", flag "MAYBE=seldom " .. flag("MAYBE_ID=%d", global))
   -- The host's, which plugins need: whoever opens it first. The last one's
   -- constructor opens a plugin whose constructor has glibc open the first.
   local host = add("h", "host.c", flag "FUNCTION=host")
   add("-", "plain.c", "", nil, { { "host", host } })
   add("h", "host.c", flag("FUNCTION=ours -D OPENS=%d", #lines + 2))
   add("-", "opener.c", flag("OTHER=%d -D FROM_HOST=%d", left, host))
   -- Constructors that open each other: two, three in a ring, and two of which
   -- each is opened in the other's other runtime.
   local first = #lines + 1
   add("-", "opener.c", flag("OTHER=%d", first + 1))
   add("-", "opener.c", flag("OTHER=%d", first))
   add("-", "opener.c", flag("OTHER=%d -D KEEPS", first + 3))
   add("-", "opener.c", flag("OTHER=%d", first + 4))
   add("-", "opener.c", flag("OTHER=%d", first + 2))
   add("-", "opener.c", flag("OTHER=%d -D ABROAD", first + 6))
   add("-", "opener.c", flag("OTHER=%d -D ABROAD", first + 5))
   -- Destructors that close, and that open and close.
   add("-", "opener.c", flag("OTHER=%d -D KEEPS", left))
   add("-", "opener.c", flag("OTHER=%d -D KEEPS -D ABROAD", catcher))
   add("-", "opener.c", flag("OTHER=%d -D LATE", left))
   -- What each thread has for itself.
   for owner = 0, threads - 1 do
      add("-", "plain.c", "", owner, { { "two", two }, { "one", one } })
      add("-", "fixed.c", "-ftls-model=initial-exec", owner)
      add("t", "thrower.cc", "", owner, { { "thrown", thrower } })
   end
   return fixtures.text(table.concat(lines), ".txt")
end

local function program ()
   local flags = FLAGS
   if os.getenv "ELF64LOAD_CONFIG" == "tsan" then
      flags = flags .. " -fsanitize=thread"
   end
   return campaign.program({ FOLDER .. "loaders.c", FOLDER .. "loaders.h",
      FOLDER .. "tasks.c", FOLDER .. "census.c", FOLDER .. "watchdog.c",
      FOLDER .. "watchdog.h", SOURCES .. "program.h", "src/elf64load.h",
      fixtures.loader() .. "/lib/libelf64load.a" }, flags)
end

--- The words of a command that runs it.
---@param seconds integer
---@param threads integer
---@param seed integer
---@return string[]
function loading.command (seconds, threads, seed)
   return { program(), files(threads), tostring(seconds), tostring(threads),
      tostring(seed) }
end

--- Runs it and waits for it.
---@param seconds integer
---@param threads integer
---@param seed integer
---@return result
function loading.run (seconds, threads, seed)
   return child.run(loading.command(seconds, threads, seed), {
      seconds = seconds * 2 + 120,
      env = child.sanitizer and { STRESS_SANITIZED = "1" } or nil,
   })
end

return loading
