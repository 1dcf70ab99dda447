--- What is installed works where it was put: for C programs through pkg-config,
--- for Lua through its paths and through luarocks. #build

local lfs = require "lfs"
local child = require "spec.support.child"
local disk = require "spec.support.disk"

local contents = disk.contents

local function run (limits, ...)
   limits.bare, limits.merge, limits.seconds = true, true, 600
   local result = child.run({ ... }, limits)
   assert(result.code == 0, table.concat({ ... }, " ") .. "\n" .. result.out)
   return result.out
end

local function line (...)
   return (run({}, ...):gsub("\n$", ""))
end

-- The first fenced block of README in a language.
local function snippet (language)
   return contents "README.md":match("```" .. language .. "\n(.-)```")
end

local function names (folder)
   local list = {}
   for name in lfs.dir(folder) do
      if name:sub(1, 1) ~= "." then list[#list + 1] = name end
   end
   table.sort(list)
   return list
end

-- What `require` finds; the folder meta is for editors.
local function scripts ()
   local list = {}
   for _, name in ipairs(names "lua/elf64load") do
      if name:match "%.lua$" then list[#list + 1] = name end
   end
   return list
end

-- What zlib says of itself, asked by a program that ld.so started.
local function zlib_version (top)
   local source = top .. "/version.c"
   local file = assert(io.open(source, "w"))
   file:write [[
      #include <dlfcn.h>
      #include <stdio.h>
      int main(void)
      {
          void *z = dlopen("libz.so.1", RTLD_NOW);
          puts(((const char *(*)(void))dlsym(z, "zlibVersion"))());
          return 0;
      }]]
   file:close()
   run({}, "gcc", "-o", top .. "/version", source)
   return line(top .. "/version")
end

describe("An installed copy #build #once", function ()
   local top, destdir, root, premake, zlib

   setup(function ()
      premake = line("sh", "-c", "command -v premake4 || command -v premake5")
      top = line("mktemp", "-d")
      destdir = top .. "/a stage"
      root = destdir .. "/opt/elf"
      zlib = zlib_version(top)
      run({ env = { PREFIX = "/opt/elf", DESTDIR = destdir } },
         premake, "--file=premake5.lua", "install")
   end)

   teardown(function ()
      run({}, "rm", "-rf", top)
   end)

   it("lies under DESTDIR and PREFIX, and nowhere else", function ()
      assert.same({ "opt" }, names(destdir))
      assert.same({ "bin", "include", "lib", "share" }, names(root))
      assert.same({ "elf64load" }, names(root .. "/bin"))
      local headers = {}
      for _, folder in ipairs { "src", "src/lua" } do
         for _, name in ipairs(names(folder)) do
            if name:match "^elf64load.*%.h$" then headers[#headers + 1] = name end
         end
      end
      table.sort(headers)
      assert.same(headers, names(root .. "/include"))
      assert.same({ "libelf64load-lua.a", "libelf64load.a", "lua", "pkgconfig" },
         names(root .. "/lib"))
      assert.same({ "core.so" }, names(root .. "/lib/lua/5.4/elf64load"))
      assert.same({ "bash-completion", "doc", "lua", "man", "zsh" },
         names(root .. "/share"))
      assert.same(scripts(), names(root .. "/share/lua/5.4/elf64load"))
      assert.same({ "elf64load-lua.pc", "elf64load.pc" },
         names(root .. "/lib/pkgconfig"))
   end)

   it("has the manual page and the completions that the command's text makes",
   function ()
      local manual = require "elf64load.manual"
      local version = require "elf64load".version
      for file, text in pairs {
         ["man/man1/elf64load.1"] = manual.page(version),
         ["bash-completion/completions/elf64load"] = manual.bash(),
         ["zsh/site-functions/_elf64load"] = manual.zsh(),
      } do
         assert.equal(text, contents(root .. "/share/" .. file))
      end
   end)

   it("names its prefix without DESTDIR in the pkg-config files", function ()
      for _, name in ipairs { "elf64load", "elf64load-lua" } do
         local text = contents(root .. "/lib/pkgconfig/" .. name .. ".pc")
         assert.is_not_nil(text:match "^prefix=/opt/elf\n")
         assert.is_nil(text:find("stage", 1, true))
      end
   end)

   it("takes --prefix and --destdir for the same", function ()
      run({}, premake, "--file=premake5.lua", "--prefix=/usr/",
         "--destdir=" .. top .. "/other", "install")
      assert.same(names(root .. "/lib"), names(top .. "/other/usr/lib"))
      local text = contents(top .. "/other/usr/lib/pkgconfig/elf64load.pc")
      assert.is_not_nil(text:match "^prefix=/usr\n")
   end)

   -- Compiles C against the copy, with what pkg-config says of a package.
   local function compile (package, source, more)
      local path = top .. "/" .. package .. "-user"
      disk.write(path .. ".c", source)
      -- A staged copy is not where its files say; pkg-config calls that a
      -- sysroot. What it quotes is for a shell.
      run({ env = {
         PKG_CONFIG_PATH = top .. "/stage/opt/elf/lib/pkgconfig",
         PKG_CONFIG_SYSROOT_DIR = top .. "/stage",
      } }, "sh", "-ec", 'gcc -std=c11 -Wall -Wextra -Werror -o "$1" "$1.c" '
         .. '$(pkg-config --cflags --libs "$2") $3', "sh", path, package,
         more or "")
      return path
   end

   setup(function ()
      assert(lfs.link(destdir, top .. "/stage", true))
   end)

   it("lets README's C program open zlib, by pkg-config", function ()
      local source = snippet "c"
      assert.is_not_nil(source:find("#include <elf64load.h>", 1, true))
      local _, lines = source:gsub("\n", "")
      assert.is_true(lines <= 30, lines .. " lines")
      assert.equal(zlib, line(compile("elf64load", source)))
   end)

   it("shares no name with a program that has what its files have", function ()
      local taken, seen = {}, {}
      for _, archive in ipairs { "libelf64load.a", "libelf64load-lua.a" } do
         local text = line("env", "LC_ALL=C", "readelf", "-sW",
            "build/release/lib/" .. archive)
         for name in text:gmatch " HIDDEN +%d+ ([%a][%w_]*)" do
            if not seen[name] and not name:find "^e64_"
               and not name:find "^luaopen_" then
               seen[name] = true
               taken[#taken + 1] = name
            end
         end
      end
      assert.is_true(#taken > 300)
      local source = snippet "c":gsub("int main%(", function (main)
         return "int " .. table.concat(taken, " = 7, ") .. " = 7;\n"
            .. "int *const all[] = { &" .. table.concat(taken, ", &") .. " };\n"
            .. main
      end):gsub("return 0;", [[
         for (int i = 0; i < (int)(sizeof all / sizeof *all); i++)
            if (*all[i] != 7)
               return 1;
         return 0;]])
      assert.equal(zlib, line(compile("elf64load", source,
         "-rdynamic -fno-builtin")))
      -- Of those that are built only its own could be said.
      local path = top .. "/clashing.c"
      local file = assert(io.open(path, "w"))
      file:write(source)
      file:close()
      local result = child.run({ "gcc", "-w", "-fno-builtin", "-Isrc", "-o",
         top .. "/clashing", path, "build/release/lib/libelf64load.a" },
         { bare = true, merge = true, seconds = 600 })
      assert.matches("multiple definition", result.out, 1, true)
   end)

   it("lets an engine with a Lua of its own open the module", function ()
      local program = compile("elf64load-lua", [[
         #include <stdio.h>
         #include <lauxlib.h>
         #include <lualib.h>
         int luaopen_elf64load(lua_State *L);
         int luaopen_lpeg(lua_State *L);
         int main(int count, char **values)
         {
             lua_State *L = luaL_newstate();
             luaL_openlibs(L);
             luaL_requiref(L, "lpeg", luaopen_lpeg, 0);
             luaL_requiref(L, "elf64load", luaopen_elf64load, 0);
             lua_settop(L, 0);
             if (count != 2 || luaL_dofile(L, values[1])) {
                 puts(lua_tostring(L, -1));
                 return 1;
             }
             lua_close(L);
             return 0;
         }]], "-I/usr/include/lua5.4 -l:liblua5.4-lpeg.a -l:liblua5.4.a -lm -ldl")
      local script = top .. "/engine.lua"
      disk.write(script, snippet "lua")
      assert.equal(zlib, line(program, script))
   end)

   it("has a command that needs nothing beside it", function ()
      local moved = top .. "/moved"
      run({}, "cp", root .. "/bin/elf64load", moved)
      local script = top .. "/moved.lua"
      disk.write(script, snippet "lua")
      assert.equal(zlib, line("env", "-i", moved, script))
   end)

   it("has a module that a plain lua5.4 finds on its paths", function ()
      assert.equal(zlib, (run({
         env = {
            LUA_PATH = ("%s/?.lua;%s/?/init.lua"):format(
               root .. "/share/lua/5.4", root .. "/share/lua/5.4"),
            LUA_CPATH = root .. "/lib/lua/5.4/?.so;;",
         },
      }, "lua5.4", "-e", snippet "lua"):gsub("\n$", "")))
   end)
end)

describe("The example ctest #build #once", function ()
   it("finds its mistake with an installed copy, and no other", function ()
      local top = line("mktemp", "-d")
      finally(function () run({}, "rm", "-rf", top) end)
      local premake = line("sh", "-c", "command -v premake4 || command -v premake5")
      run({ env = { PREFIX = top .. "/copy" } }, premake, "--file=premake5.lua",
         "install")
      run({}, "cp", "-r", "examples/ctest", top)
      local function busted ()
         local result = child.run({ "lua5.4", line("sh", "-c",
            "command -v busted"), "--ignore-lua", "lease_spec.lua" }, {
            folder = top .. "/ctest", merge = true, seconds = 600, env = {
               LUA_PATH = ("%s/?.lua;%s/?/init.lua;;"):format(
                  top .. "/copy/share/lua/5.4", top .. "/copy/share/lua/5.4"),
               LUA_CPATH = top .. "/copy/lib/lua/5.4/?.so;;",
               XDG_CACHE_HOME = top,
            } })
         return result.out
      end
      local said = busted()
      assert.matches("0 successes / 1 failure / 0 errors", said, 1, true)
      assert.matches("last used 1700000000.0", said, 1, true)
      run({}, "sed", "-i", "s/float/double/", top .. "/ctest/lease.c",
         top .. "/ctest/lease_spec.lua")
      assert.matches("1 success / 0 failures / 0 errors", busted(), 1, true)
   end)
end)

describe("luarocks make #build #once", function ()
   it("installs a module that works", function ()
      local top = line("mktemp", "-d")
      finally(function () run({}, "rm", "-rf", top) end)
      run({}, "cp", "-r", "premake5.lua", "LICENSE", "elf64load-scm-1.rockspec",
         "src", "lua", top)
      run({ folder = top, env = { HOME = top } }, "luarocks", "--lua-version",
         "5.4", "make", "--deps-mode", "none", "--tree", top .. "/tree")
      local function lua (source)
         return run({
            env = {
               LUA_PATH = ("%s/?.lua;%s/?/init.lua"):format(
                  top .. "/tree/share/lua/5.4", top .. "/tree/share/lua/5.4"),
               LUA_CPATH = top .. "/tree/lib/lua/5.4/?.so;;",
               XDG_CACHE_HOME = top,
            },
         }, "lua5.4", "-e", source)
      end
      assert.equal(zlib_version(top) .. "\n", lua(snippet "lua"))
      assert.equal("42\n", lua [[
         local cc, elf = require "elf64load.cc", require "elf64load"
         local path = assert(cc.shared "int twice(int x) { return 2 * x; }")
         print(assert(elf.open(path)):cdef "int twice(int x);".twice(21))]])
   end)
end)
