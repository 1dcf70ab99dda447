local said = {}
local function say (...)
   local words = table.pack(...)
   for at = 1, words.n do words[at] = tostring(words[at]) end
   said[#said + 1] = table.concat(words, " ")
end

-- Strings.
say(("%-6s|%6.2f|%5d|%q|%x"):format("a", 2 / 3, 42, 'b"\n', 255))
say((("one two three"):gsub("(%w+) (%w+)", "%2 %1")))
for key, value in ("a=1, b=22"):gmatch "(%w+)=(%w+)" do say(key, value) end
say(string.unpack("<i4s1d", string.pack("<i4s1d", -7, "packed", 0.5)))
say(#("xyz"):rep(1000, "-"), ("%a+"):rep(2), utf8.char(228, 8364), utf8.len "äö")

-- Tables.
local list = {}
for at = 1, 200 do list[at] = at * 7919 % 211 end
table.sort(list, function (a, b) return a > b end)
say(table.concat(list, ",", 1, 10), select("#", table.unpack(list)))
table.move(list, 1, 3, 5)
table.insert(list, 2, "in")
say(table.remove(list, 1), table.concat(list, " ", 1, 8), #list)
local proxy = setmetatable({}, {
   __index = function (_, key) return key * 2 end,
   __call = function (_, ...) return select("#", ...) end,
   __lt = function () return true end,
   __close = function (_, why) say("closed", why) end,
})
say(proxy[21], proxy(1, nil, nil), proxy < proxy)

-- Coroutines.
local function numbers (n)
   return coroutine.wrap(function ()
      for at = 1, n do coroutine.yield(at, at * at) end
      return "end"
   end)
end
for at, square in numbers(4) do
   say(at, square)
   if at == "end" then break end
end
local inner = coroutine.create(function (...)
   local got = select("#", ...)
   local done, why = pcall(function ()
      got = got + coroutine.yield(got)
      error { code = got }
   end)
   say(done, why.code, coroutine.isyieldable())
   local _ <close> = proxy
   coroutine.yield "kept"
   error("in a coroutine", 1)
end)
say(coroutine.resume(inner, 1, 2))
say(coroutine.resume(inner, 40))
say(coroutine.resume(inner))
say(coroutine.status(inner), coroutine.resume(inner))

-- Errors.
say(pcall(error, "plain", 0))
say(pcall(function () local _ <close> = proxy; return nil + 1 end))
say(select(2, pcall(error)))
say(pcall(string.rep, "x", 1 << 40))
say(pcall(string.format, "%d", 1.5))
say(select(2, load("x = = 1", "=text")))
say(xpcall(function () error(setmetatable({}, { __tostring = function ()
   return "an object" end })) end, tostring))
local function deep (n) return 1 + deep(n + 1) end
local done, why = pcall(deep, 1)
say(done, why:match "stack overflow")
for n = 1, 2000 do
   done, why = pcall(function () return pcall(error, n) end)
end
say(done, why)
say(pcall(pcall, error, "twice"))
say(select("#", xpcall(deep, debug.traceback, 1)))

-- Numbers, chunks, the collector.
say(7 // 2, -7 // 2, -7 % 3, 7.0 // 0, 1 << 62, math.type(3.0), 10 / 2, 2 ^ 0.5)
say(math.maxinteger + 1 == math.mininteger, math.ult(1, -1), 0x1p-2, 1e100)
say(string.format("%.14g", math.sin(1) + math.exp(2) + math.fmod(7, 3)))
local chunk = assert(load(string.dump(function (a) return a * a end)))
say(chunk(12))
local weak, freed = setmetatable({}, { __mode = "k" }), 0
for _ = 1, 100 do
   weak[setmetatable({}, { __gc = function () freed = freed + 1 end })] = 1
end
collectgarbage()
collectgarbage "generational"
for n = 1, 20000 do list[n % 50] = { n, tostring(n) } end
collectgarbage()
say(next(weak), freed, collectgarbage "count" < 20000)

-- Files and the C library's streams.
local file = assert(io.tmpfile())
file:write("first\n", 2, " ", 3.5, "\nlast")
file:seek "set"
say(file:read "L")
say(file:read("n", "n"))
say(file:read "a", io.type(file))
file:close()
say(pcall(file.read, file))
say(io.open("/nowhere/at/all"))
print "standard output"
io.write("and ", "more\n")
io.stdout:flush()
return table.concat(said, "\n")
