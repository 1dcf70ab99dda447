-- Libraries do real work through the loader, and glibc's list does not gain them.
-- What spec/conformance/work does for all of them, under each host.

local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local fixtures = require "spec.support.fixtures"
local working = require "spec.conformance.working"

-- What runs the commands: a plain lua5.4 has no sanitizer.
local HOST <const> = child.build .. "/bin/elf64load "

local function start (arguments, limits)
   return child.lua([[assert(loadfile "spec/conformance/job.lua")(...)]],
      arguments, limits)
end

local tasks = {}
for _, task in ipairs(working.list()) do tasks[task.name] = task end

-- A job of this spec's own, with libz at hand.
local function outcome (text)
   return working.run({ name = "libz", path = tasks.libz.path,
      job = fixtures.text("return function (work) " .. text .. " end", ".lua") },
      start, false)
end

describe("Real work is done by", function ()
   for _, name in ipairs { "libsqlite3", "libz", "libssl", "libcrypto",
      "libpython3.11", "libgtk-3" } do
      it(name .. ", as far as it needs no screen", function ()
         local result = working.run(tasks[name], start, false)
         assert.is_true(result.ok, result.text)
      end)
   end

   -- Not under sanitizers: theirs of __cxa_throw wants libstdc++ to be there when
   -- the process starts.
   describe("every library of the list, in windows, too: #full #build", function ()
      lazy_setup(function ()
         assert(os.execute "unset LD_PRELOAD; spec/conformance/install >&2")
      end)

      for name, task in pairs(tasks) do
         it(name .. ": " .. task.does, function ()
            -- It may have been installed just now.
            task.path = assert(campaign.locate(name))
            local result = working.run(task, start, true)
            assert.is_true(result.ok, result.text)
         end)
      end
   end)

   it("exactly the libraries that are compared, too", function ()
      local compared = campaign.list "spec/conformance/libraries.txt"
      local listed = {}
      for at, task in ipairs(working.list()) do listed[at] = task.name end
      assert.same(compared, listed)
   end)
end)

describe("Work that comes off is taken for done", function ()
   it("with what it says", function ()
      local result = outcome [[ work.open "libz.so.1"; return "nothing" ]]
      assert.same({ ok = true, text = "nothing" }, result)
   end)
end)

describe("Work is not taken for done when", function ()
   it("it raises", function ()
      local result = outcome [[ work.open "libz.so.1"; work.equal(1, 2, "one") ]]
      assert.is_false(result.ok)
      assert.matches("one: expected 2, got 1", result.text, 1, true)
   end)

   it("the process ends before it", function ()
      local result = outcome [[ os.exit(0, false) ]]
      assert.is_false(result.ok)
      assert.matches("it exited with 0", result.text, 1, true)
   end)

   it("the library is not opened at all", function ()
      local result = outcome [[ return "nothing" ]]
      assert.is_false(result.ok)
      assert.matches("libz[^\n]* is no plugin", result.text)
   end)

   it("glibc has opened the library, or another", function ()
      local result = outcome [[
         package.loadlib("libz.so.1", "*")
         work.open "libz.so.1"
         return "nothing"
      ]]
      assert.is_false(result.ok)
      assert.matches("glibc has opened [^\n]*libz", result.text)
      assert.matches("libz[^\n]* is no plugin", result.text)
      result = outcome [[
         work.open "libz.so.1"
         package.loadlib("libsqlite3.so.0", "*")
         return "nothing"
      ]]
      assert.is_false(result.ok)
      assert.matches("glibc has opened [^\n]*libsqlite3", result.text)
   end)

   it("code of a file is mapped that is neither glibc's nor a plugin",
      function ()
         local result = outcome [[
            work.open "libz.so.1"
            local C = work.elf.host:cdef [=[
               int open(const char *path, int how, ...);
               void *mmap(void *at, size_t size, int protection, int flags,
                  int file, long offset);
            ]=]
            -- Read and execute, private.
            assert(C.mmap(nil, 4096, 5, 2, C.open("/bin/true", 0), 0))
            return "nothing"
         ]]
         assert.is_false(result.ok)
         assert.matches("mapped by nobody that we know: /[^\n]*true",
            result.text)
      end)
end)

describe("The command spec/conformance/work", function ()
   local function run (words)
      local pipe = assert(io.popen("unset LD_PRELOAD; " .. HOST
         .. "spec/conformance/work "
         .. words .. " 2>&1"))
      local text = pipe:read "a"
      local _, _, code = pipe:close()
      return code, text
   end

   it("says what it has done, and succeeds", function ()
      local code, text = run "libz libcrypto"
      assert.equal(0, code, text)
      assert.matches("^ok +libz +%d[^\n]+\nok +libcrypto +%d[^\n]+\n"
         .. "2 of 2 did their work\n$", text)
   end)

   it("fails when something has failed", function ()
      local code, text = run "--no-window libwebkit2gtk-4.1"
      assert.equal(1, code, text)
      assert.matches("^FAILED libwebkit2gtk%-4.1 ", text)
      assert.matches("\n0 of 1 did their work\n$", text)
   end)

   it("does not take a mistake for work", function ()
      assert.equal(2, (run "--all"))
      assert.equal(2, (run "libnope"))
   end)
end)
