--- Assertions about loading, for luassert. Required for its effect:
---
---    require "spec.support.assert"
---    assert.fails_with("undefined", elf.open, path)
---    assert.like_ldso({ "open a " .. path, "call a f" }, { "f() = 7" })

local assert = require "luassert"
local say = require "say"
local compare = require "spec.support.compare"
local child = require "spec.support.child"
local resources = require "spec.support.resources"

local function register (name, callback, message)
   say:set("assertion." .. name .. ".positive", message)
   assert:register("assertion", name, callback,
      "assertion." .. name .. ".positive")
end

-- Fails the assertion with a text of ours.
local function refuse (state, text)
   state.failure_message = text
   return false
end

--- fails_with(kind, f, ...): f(...) answers nil, a message, that kind and a
--- table of details. Message and details are handed on.
local function fails_with (state, arguments)
   local kind, f = arguments[1], arguments[2]
   local value, message, got, detail = f(table.unpack(arguments, 3, arguments.n))
   if value ~= nil then
      return refuse(state, ("expected a failure of kind %s, and it worked: %s")
         :format(kind, tostring(value)))
   elseif got ~= kind then
      return refuse(state, ("expected kind %s, got %s: %s"):format(kind,
         tostring(got), tostring(message)))
   elseif type(message) ~= "string" or message == "" then
      return refuse(state, "a failure without a message")
   elseif type(detail) ~= "table" then
      return refuse(state, "a failure without a table of details: " .. message)
   end
   return true, { message, detail, n = 2 }
end

register("fails_with", fails_with, "Expected a failure of kind %s.")

--- says(words, f, ...): f(...) fails and its message holds each of the words.
local function says (state, arguments)
   local words, f = arguments[1], arguments[2]
   local value, message = f(table.unpack(arguments, 3, arguments.n))
   if value ~= nil then
      return refuse(state, "expected a failure, and it worked")
   end
   for _, word in ipairs(type(words) == "table" and words or { words }) do
      if not tostring(message):find(word, 1, true) then
         return refuse(state, ("the message does not say '%s': %s"):format(word,
            tostring(message)))
      end
   end
   return true
end

register("says", says, "Expected a message that says %s.")

-- What of `texts` is not in `out`, or nil.
local function lacking (out, texts)
   for _, text in ipairs(texts) do
      if not ("\n" .. out):find("\n" .. text, 1, true) then return text end
   end
end

--- like_ldso(script [, texts [, options]]): what both loaders did is the same,
--- line by line, and holds lines that begin with these texts. A failure must be
--- named there to be accepted, unless options.may_fail. With options.kind ours
--- failed with that kind.
local function like_ldso (state, arguments)
   local script, texts, options = arguments[1], arguments[2], arguments[3]
   local theirs = compare.theirs(script, options)
   local ours = compare.ours(script, options)
   local both = ("\nld.so, which %s:\n%s%s\nelf64load, which %s:\n%s%s"):format(
      child.describe(theirs), theirs.out, theirs.err,
      child.describe(ours), ours.out, ours.err)
   if theirs.code ~= 0 then
      return refuse(state, "the program for ld.so does not work" .. both)
   elseif ours.code ~= 0 then
      return refuse(state, "the program for elf64load ended badly" .. both)
   elseif theirs.out ~= ours.out then
      return refuse(state, "they differ" .. both)
   end
   local text = lacking(theirs.out, texts or {})
   if text then
      return refuse(state, ("neither says '%s'"):format(text) .. both)
   end
   local expected = table.concat(texts or {}, "\n")
   for _, sign in ipairs { "failed", "not open", "no symbol" } do
      if not (options and options.may_fail) and theirs.out:find(sign, 1, true)
            and not expected:find(sign, 1, true) then
         return refuse(state, ("both say '%s'"):format(sign) .. both)
      end
   end
   if options and options.kind
         and not ours.err:find("kind: " .. options.kind .. "\n", 1, true) then
      return refuse(state, ("ours is not of kind %s"):format(options.kind) .. both)
   end
   return true, { ours.out, ours.err, n = 2 }
end

register("like_ldso", like_ldso, "Expected what ld.so does.")

--- opens_as(script, texts [, options]): where this loader differs on purpose,
--- what it does begins with these lines.
local function opens_as (state, arguments)
   local script, texts, options = arguments[1], arguments[2], arguments[3]
   local ours = compare.ours(script, options)
   local said = ("\nelf64load, which %s:\n%s%s"):format(
      child.describe(ours), ours.out, ours.err)
   if ours.code ~= 0 then
      return refuse(state, "it ended badly" .. said)
   end
   local text = lacking(ours.out .. "\n" .. ours.err, texts)
   if text then
      return refuse(state, ("it does not say '%s'"):format(text) .. said)
   end
   return true
end

register("opens_as", opens_as, "Expected another outcome.")

-- What is kept for later may move when the collector has made room for it: that
-- does not go on, whereas what is left behind is so in every round.
local TRIES <const> = 4

--- leaves_nothing(f, ...): mappings, descriptors and glibc's list are after
---- f(...) what they were before. f runs once before, so that what is made once
---- and kept is not counted.
local function leaves_nothing (state, arguments)
   local f = arguments[1]
   local difference
   f(table.unpack(arguments, 2, arguments.n))
   for _ = 1, TRIES do
      local before = resources.snapshot()
      f(table.unpack(arguments, 2, arguments.n))
      difference = resources.difference(before, resources.snapshot())
      if not difference then return true end
   end
   return refuse(state, "it leaves behind:\n" .. difference)
end

register("leaves_nothing", leaves_nothing, "Expected that nothing is left.")

-- Less than one block of the smallest size for each of the rounds.
local ROUNDS <const> = 64
local SLACK <const> = 1024

--- keeps_heap(f, ...): many rounds of f(...) leave the heap as large as it was.
--- Several times: what is made once and kept, and how far the collector is, are
--- not counted. As many rounds come before: a weak table is as large as many
--- keys need that are gone, and small again now and then.
local function keeps_heap (state, arguments)
   local f = arguments[1]
   local function rounds ()
      for _ = 1, ROUNDS do f(table.unpack(arguments, 2, arguments.n)) end
   end
   local grown = math.huge
   for _ = 1, 5 do
      rounds()
      local before = resources.heap()
      rounds()
      grown = math.min(grown, resources.heap() - before)
      if grown < SLACK then return true end
   end
   return refuse(state, ("%d rounds leave %d bytes in the heap"):format(
      ROUNDS, grown))
end

register("keeps_heap", keeps_heap, "Expected that the heap does not grow.")

return assert
