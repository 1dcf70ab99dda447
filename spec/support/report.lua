--- busted's output for spec/run: a line that moves on a terminal, a line for
--- each file elsewhere, failures as soon as they are known. The file named by
--- ELF64LOAD_REPORT always holds where the run is, so that spec/run can tell
--- what a host died of; at the end it holds the counts.

local busted = require "busted"
local system = require "system"
local term = require "term"
-- A full run has no excuse.
local full = (os.getenv "ELF64LOAD_FULL" or "") ~= ""
local skips = full and {} or dofile "spec/support/skips.lua"

local terminal = term.isatty(io.stdout)
local report = os.getenv "ELF64LOAD_REPORT"

local function put (...)
   if not report then return end
   local file = assert(io.open(report, "w"))
   file:write(...)
   file:close()
end

return function ()
   local handler = require "busted.outputHandlers.base"()
   local shown = { failures = 0, errors = 0, pendings = 0 }
   local failed, skipped, done = 0, 0, 0
   local file = { started = 0, done = 0, failed = 0 }

   local function clear ()
      if terminal then io.write("\r\27[K") end
   end

   local function text (message)
      if message == nil then return "no message" end
      if type(message) == "string" then return message end
      return require "pl.pretty".write(message)
   end

   local function print_failure (what, entry, message)
      clear()
      local trace = entry.trace or entry.element and entry.element.trace or {}
      io.write(what, ": ", entry.name or "?", "\n  ", trace.short_src or "?",
         ":", trace.currentline or 0, "\n")
      io.write("  ", (text(message):gsub("\n", "\n  ")), "\n")
      if what == "ERROR" and trace.traceback then
         io.write("  ", (trace.traceback:gsub("\n", "\n  ")), "\n")
      end
      io.flush()
      failed = failed + 1
      file.failed = file.failed + 1
   end

   -- What the base handler has collected since last time.
   local function flush ()
      for _, kind in ipairs { "failures", "errors", "pendings" } do
         local list = handler[kind]
         for index = shown[kind] + 1, #list do
            local entry = list[index]
            if kind == "failures" then
               print_failure("FAILED", entry, entry.message)
            elseif kind == "errors" then
               print_failure("ERROR", entry, entry.message)
            elseif skips[entry.name] then
               skipped = skipped + 1
               clear()
               io.write("skipped: ", entry.name, ": ", skips[entry.name], "\n")
            else
               print_failure("SKIPPED", entry,
                  full and "a full run skips nothing"
                  or "a skip that spec/support/skips.lua does not name")
            end
         end
         shown[kind] = #list
      end
   end

   handler.fileStart = function (element)
      file = { name = element.name, started = system.monotime(), done = 0,
         failed = 0 }
      return nil, true
   end

   handler.fileEnd = function ()
      flush()
      if not terminal and file.name and file.done + file.failed > 0 then
         io.write(("%4d ok %6.2f s  %s%s\n"):format(file.done,
            system.monotime() - file.started, file.name,
            file.failed > 0 and "  FAILED: " .. file.failed or ""))
         io.flush()
      end
      return nil, true
   end

   handler.testStart = function (element)
      local name = handler.getFullName(element)
      put("running ", handler.successesCount, " ", failed, " ", skipped, " ",
         file.name or "?", ": ", (name:gsub("\n", " ")), "\n")
      if terminal then
         local line = ("%d  %s"):format(done, name:gsub("\n", " "))
         io.write("\r\27[K", line:sub(1, 79))
         io.flush()
      end
      return nil, true
   end

   handler.testEnd = function (_, _, status)
      done = done + 1
      if status == "success" then file.done = file.done + 1 end
      flush()
      return nil, true
   end

   handler.suiteEnd = function ()
      flush()
      clear()
      io.flush()
      put("counts ", handler.successesCount, " ", failed, " ", skipped, "\n")
      return nil, true
   end

   busted.subscribe({ "file", "start" }, handler.fileStart)
   busted.subscribe({ "file", "end" }, handler.fileEnd)
   busted.subscribe({ "test", "start" }, handler.testStart)
   busted.subscribe({ "test", "end" }, handler.testEnd)
   busted.subscribe({ "suite", "end" }, handler.suiteEnd)
   return handler
end
