--- C modules of Lua through the loader: require "elf64load.require".

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local lfs = require "lfs"

-- A folder with modules under these names.
local folder

local function module (name, source)
   local made = assert(cc.shared("#include <lauxlib.h>\n" .. source,
      "-I/usr/include/lua5.4"))
   assert(lfs.link(made, folder .. "/" .. name, true))
end

-- A luaopen function that answers its own name and what it was given.
local function opens (name)
   return ([[
      int luaopen_%s(lua_State *L)
      {
          lua_pushfstring(L, "%s %%s %%s", lua_tostring(L, 1),
              lua_tostring(L, 2));
          return 1;
      }
   ]]):format(name, name)
end

local START <const> = [[
   local elf = require "elf64load"
   local modules = require "elf64load.require"
   package.path = ""
]]

-- What a script prints that starts with modules of `folder` to be found.
local function run (text)
   local result = child.lua(START .. text, {}, { folder = folder })
   assert.equal(0, result.code, result.out .. result.err)
   return result.out
end

setup(function ()
   folder = child.run({ "mktemp", "-d" }).out:match "[^\n]+"
   module("plain.so", opens "plain")
   module("all.so", opens "all" .. opens "all_one" .. opens "all_one_more")
   module("one-two.so", opens "one")
   module("v1-name.so", opens "name")
   module("both-here.so", opens "both" .. opens "here")
   module("none.so", "int nothing;")
   module("lacks.so", "int luaopen_lacks(lua_State *L) { return absent(L); }")
   module("shows.so", "const char *shown(void) { return \"seen\"; }")
   module("sees.so", [[
      extern const char *shown(void);
      int luaopen_sees(lua_State *L)
      { lua_pushstring(L, shown()); return 1; }
   ]])
   module("fails.so", [[
      int luaopen_fails(lua_State *L) { return luaL_error(L, "not today"); }
   ]])
   assert(lfs.mkdir(folder .. "/deep"))
   module("deep/er.so", opens "deep_er")
end)

teardown(function () child.run { "rm", "-rf", folder } end)

describe("require through the loader", function ()
   it("calls luaopen_ with the name and the file, and answers both", function ()
      assert.equal("plain plain ./plain.so\t./plain.so\nsame\ntrue\n", run [[
         package.cpath = "./?.so"
         print(require "plain")
         print(require "plain" == package.loaded.plain and "same")
         print(elf.loaded["./plain.so"] ~= nil)
      ]])
   end)

   it("turns dots into folders and underscores", function ()
      assert.equal("deep_er deep.er ./deep/er.so\t./deep/er.so\n", run [[
         package.cpath = "./?.so"
         print(require "deep.er")
      ]])
   end)

   it("finds a submodule in the file of its root", function ()
      assert.equal("all_one_more all.one.more ./all.so\t./all.so\n"
         .. "all_one all.one ./all.so\t./all.so\n", run [[
         package.cpath = "./?.so"
         print(require "all.one.more")
         print(require "all.one")
      ]])
   end)

   it("takes what stands before a '-', else what stands behind it", function ()
      assert.equal("one one-two ./one-two.so\nname v1-name ./v1-name.so\n"
         .. "both both-here ./both-here.so\n", run [[
         package.cpath = "./?.so"
         for _, name in ipairs { "one-two", "v1-name", "both-here" } do
            print((require(name)))
         end
      ]])
   end)

   it("opens the file that was found here, not one that is searched", function ()
      assert.equal("plain plain plain.so\tplain.so\n", run [[
         package.cpath = "?.so"
         print(require "plain")
      ]])
   end)

   it("says what require says of names that are not there", function ()
      local script = [[
         package.cpath = "./?.so;./?/init"
         for _, name in ipairs { "XXX", "all.two", "X.Y" } do
            print(select(2, pcall(require, name)))
         end
         for _, path in ipairs { 3, {} } do
            package.cpath = path
            print(select(2, pcall(require, "XXX")))
         end
      ]]
      local theirs = child.run({ "lua5.4", "-e", "package.path = ''" .. script },
         { folder = folder })
      assert.is_not_nil(theirs.out:find("no module 'all.two' in file", 1, true))
      assert.equal(theirs.out, run(script))
   end)

   it("says what is wrong with a file that was found", function ()
      local out = run [[
         package.cpath = "./?.so"
         for _, name in ipairs { "none", "lacks", "fails" } do
            print(select(2, pcall(require, name)))
         end
      ]]
      for _, text in ipairs {
         "error loading module 'none' from file './none.so':\n\t"
            .. "./none.so does not define 'luaopen_none'",
         "error loading module 'lacks' from file './lacks.so':\n\t", "'absent'",
         "not today",
      } do
         assert.is_not_nil(out:find(text, 1, true), out)
      end
   end)

   it("has a loadlib that shares names when it is told to", function ()
      assert.equal("nil\topen\ntrue\nseen\nnil\tinit\nnil\topen\n", run [[
         local function said (found, _, failed) print(found, failed) end
         said(package.loadlib("./sees.so", "luaopen_sees"))
         print(package.loadlib("./shows.so", "*"))
         print(package.loadlib("./sees.so", "luaopen_sees")())
         said(package.loadlib("./sees.so", "absent"))
         said(package.loadlib("./absent.so", "luaopen_sees"))
      ]])
   end)

   it("uses the runtime that it is told to, until it is restored", function ()
      assert.equal("false\ttrue\ntrue\ttrue\ntrue\nfalse\n", run [[
         package.cpath = "./?.so"
         local own = elf.runtime {}
         local function here (name) return elf.loaded[name] ~= nil end
         modules.use(own)
         require "plain"
         print(here "./plain.so", own.loaded["./plain.so"] ~= nil)
         modules.use()
         package.loaded.plain = nil
         require "plain"
         print(here "./plain.so", own.loaded["./plain.so"] ~= nil)
         local before = #package.searchers
         modules.restore()
         print(before == #package.searchers)
         require "all"
         print(here "./all.so")
      ]])
   end)

   it("leaves searchers that are not Lua's own where they are", function ()
      local result = child.lua([[
         package.path = package.path
         local function mine () end
         local function last () end
         table.insert(package.searchers, 1, mine)
         table.insert(package.searchers, last)
         local before = { table.unpack(package.searchers) }
         local modules = require "elf64load.require"
         local now = package.searchers
         local changed = {}
         for at = 1, math.max(#now, #before) do
            if now[at] ~= before[at] then changed[#changed + 1] = at end
         end
         -- The command has a searcher more, which came before all this.
         print(#now - #before, #changed, #now - changed[1], #now - changed[2])
         modules.restore()
         for at, searcher in ipairs(package.searchers) do
            if searcher ~= before[at] then print("not restored", at) end
         end
      ]])
      assert.equal("0\t2\t2\t1\n", result.out, result.err)
   end)

   it("refuses to use what is no runtime", function ()
      assert.equal("a runtime expected, as elf.runtime gives it\n", run [[
         print((select(2, pcall(modules.use, 3)):gsub("^.-: ", "")))
      ]])
   end)

   it("keeps a module mapped when its runtime is closed", function ()
      assert.equal("plain ? ?\n", run [[
         package.cpath = "./?.so"
         local own = elf.runtime {}
         modules.use(own)
         local f = package.loadlib("./plain.so", "luaopen_plain")
         own:close()
         print((f("?", "?")))
      ]])
   end)
end)

describe("core.cfunction", function ()
   it("takes functions only", function ()
      local core = require "elf64load.core"
      local elf = require "elf64load"
      local z <close> = assert(elf.open(assert(cc.shared "int v; void f(void) {}")))
      assert.equal("function", type(core.cfunction(z:lookup "f")))
      assert.has_error(function () core.cfunction(z:lookup "v") end)
      assert.has_error(function () core.cfunction(3) end)
   end)
end)

-- What distributions have, each put to some work.
local known = {
   lpeg = [[
      local lpeg = require "lpeg"
      local list = lpeg.Ct(lpeg.C(lpeg.R "az"^1) * ("," * lpeg.C(lpeg.R "az"^1))^0)
      print(table.concat(list:match "one,two,three", " "))
      assert(not pcall(lpeg.match, lpeg.V "open", "x"))
   ]],
   cjson = [[
      local cjson = require "cjson"
      local value = cjson.decode '{ "list": [1, 2.5, "three", null], "yes": true }'
      print(#value.list, value.list[3], value.list[4] == cjson.null, value.yes)
      assert(not pcall(cjson.decode, "{"))
      assert(cjson.encode { 1, 2 } == "[1,2]")
   ]],
   luv = [[
      local uv = require "luv"
      local said = {}
      local timer = uv.new_timer()
      timer:start(1, 0, function ()
         said[#said + 1] = "timer"
         timer:close()
      end)
      -- Its own threads, from its own pool.
      uv.fs_stat("/", function (_, stat) said[#said + 1] = stat.type end)
      uv.run()
      table.sort(said)
      print(table.concat(said, " "))
   ]],
   zlib = [[
      local zlib = require "zlib"
      local text = ("la "):rep(1000)
      local small = zlib.deflate()(text, "finish")
      print(#small < 100, zlib.inflate()(small) == text)
   ]],
   ["luasql.sqlite3"] = [[
      local environment = require "luasql.sqlite3".sqlite3()
      local connection = assert(environment:connect ":memory:")
      assert(connection:execute "create table planet (name text, moons integer)")
      assert(connection:execute "insert into planet values ('Mars', 2)")
      local cursor = assert(connection:execute "select * from planet")
      print(cursor:fetch())
      cursor:close()
      connection:close()
      environment:close()
   ]],
}

local prints = {
   lpeg = "one two three\n", cjson = "4\tthree\ttrue\ttrue\n",
   luv = "directory timer\n", zlib = "true\ttrue\n",
   ["luasql.sqlite3"] = "Mars\t2\n",
}

describe("Of Debian's modules", function ()
   setup(function ()
      assert(lfs.mkdir(folder .. "/copies"))
      child.run { "cp", "/usr/lib/x86_64-linux-gnu/lua/5.4/lpeg.so",
         folder .. "/copies" }
   end)

   for name, text in pairs(known) do
      it(name .. " works through the loader", function ()
         -- The command has LPeg within, and for a plain lua5.4 glibc has opened
         -- Debian's file, but no copy of it.
         local result = child.lua(([[
            local elf = require "elf64load"
            require "elf64load.require"
            package.loaded.lpeg, package.preload.lpeg = nil, nil
            package.cpath = (...) .. "/copies/?.so;" .. package.cpath
            %s
            local path = package.searchpath(%q, package.cpath)
            assert(elf.loaded[path] or error(path))
            assert(elf.loaded[path].state == "started")
         ]]):format(text, name), { folder })
         assert.equal(0, result.code, result.err)
         assert.equal(prints[name], result.out)
      end)
   end
end)
