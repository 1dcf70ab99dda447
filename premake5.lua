-- The build, for premake 5 and for Debian's premake4 (4.3) alike:
--
--    premake4 --file=premake5.lua gmake     (or: premake5 gmake)
--    make -C build config=release           (or: debug, asan, tsan)
--    PREFIX=/usr/local DESTDIR= premake4 --file=premake5.lua install
--
-- What comes out is build/CONFIG/bin/elf64load, build/CONFIG/lib/*.a and
-- build/CONFIG/lua/elf64load/core.so.

-- C and assembly of rooms of src; which archive a room goes into is said here.
local function rooms (...)
   local patterns = {}
   for _, room in ipairs { ... } do
      patterns[#patterns + 1] = "src/" .. room .. "/*.c"
      patterns[#patterns + 1] = "src/" .. room .. "/*.S"
   end
   return patterns
end

local loader = rooms("elf", "object", "host", "tls", "link", "run")
local bridge = rooms("call", "lua")
table.insert(loader, "src/*.c")

newoption {
   trigger     = "lua-include",
   value       = "DIR",
   description = "Where lua.h of Lua 5.4 is (default /usr/include/lua5.4)",
}
newoption {
   trigger     = "module-only",
   description = "Build lua/elf64load/core.so and what it needs, no command",
}
newoption {
   trigger     = "prefix",
   value       = "DIR",
   description = "install: where to (default $PREFIX, else /usr/local)",
}
newoption {
   trigger     = "destdir",
   value       = "DIR",
   description = "install: put before every path (default $DESTDIR)",
}
newoption {
   trigger     = "luadir",
   value       = "DIR",
   description = "install: Lua scripts only, into DIR",
}
newoption {
   trigger     = "libdir",
   value       = "DIR",
   description = "install: core.so only, into DIR (goes with --luadir)",
}

local lua_include = _OPTIONS["lua-include"] or "/usr/include/lua5.4"

-- os.execute answers a number in premake 4 and a boolean in premake 5.
local function run (command)
   local answer = os.execute(command)
   if answer ~= 0 and answer ~= true then
      error("this command failed: " .. command, 0)
   end
end

local function quoted (text)
   return "'" .. text:gsub("'", "'\\''") .. "'"
end

local function contents (path)
   local file = io.open(path, "rb")
   if not file then return nil end
   local text = file:read("*a")
   file:close()
   return text
end

-- A file that is the same already is left alone, so that make sees no change.
local function write (path, text)
   if contents(path) == text then return end
   local file = assert(io.open(path, "wb"))
   file:write(text)
   file:close()
end

-- ---------------------------------------------------------- the scripts ---

local function scripts ()
   local names = os.matchfiles("lua/elf64load/*.lua")
   table.sort(names)
   return names
end

-- lua/elf64load/*.lua as C, for programs that carry the scripts inside
-- themselves. Which file is which module is decided here, once.
local function bundle (target)
   local out, rows = {}, {}
   local function add (...) out[#out + 1] = string.format(...) end
   add("// Written by premake5.lua from lua/elf64load; changes here are lost.\n")
   add('#include "lua/bundle.h"\n')
   for number, path in ipairs(scripts()) do
      local base = path:match("([^/]*)%.lua$")
      local name = base == "init" and "elf64load" or "elf64load." .. base
      local text = contents(path)
      add("static const unsigned char script_%d[] = {", number)
      for at = 1, #text, 16 do
         add("    %s", (text:sub(at, at + 15):gsub(".", function (byte)
            return byte:byte() .. ","
         end)))
      end
      -- An empty array is not C; the zero does not count.
      add("    0\n};\n")
      rows[#rows + 1] = string.format('    {"%s", "@elf64load/%s.lua",\n'
         .. "     script_%d, sizeof script_%d - 1},", name, base, number, number)
   end
   add("const struct bundle_script bundle_scripts[] = {")
   add("%s", table.concat(rows, "\n"))
   add("    {0, 0, 0, 0},\n};")
   write(target, table.concat(out, "\n") .. "\n")
end

-- The makefiles know when a source is younger than its object, but not that a
-- source is gone (its object would stay in the archive) nor that this script
-- asks for other options. So the archives go when the list of sources has
-- changed, and the objects too when this script or the generator has.
local function forget ()
   local function differs (path, text)
      local before = contents(path)
      write(path, text)
      return before and before ~= text
   end
   local names = {}
   for _, patterns in ipairs { loader, bridge } do
      for _, pattern in ipairs(patterns) do
         for _, name in ipairs(os.matchfiles(pattern)) do
            names[#names + 1] = name
         end
      end
   end
   table.sort(names)
   if differs("build/sources.txt", table.concat(names, "\n") .. "\n") then
      run("rm -f build/*/lib/*.a")
   end
   local recipe = _PREMAKE_VERSION .. " " .. lua_include .. "\n"
      .. contents("premake5.lua")
   if differs("build/recipe.txt", recipe) then
      run("rm -rf build/obj build/*/lib/*.a")
   end
end

if _ACTION and _ACTION:match("^gmake") then
   os.mkdir("build")
   bundle("build/scripts.c")
   forget()
end

-- --------------------------------------------------------- the projects ---

local workspace = workspace or solution
local filter = filter or function (terms)
   configuration(terms.configurations and { terms.configurations } or {})
end

local configs = { "release", "debug", "asan", "tsan" }

local function outputs (folder)
   for _, name in ipairs(configs) do
      filter { configurations = name }
      targetdir("build/" .. name .. "/" .. folder)
   end
   filter {}
end

local function archive (name)
   project(name)
   kind "StaticLib"
   language "C"
   targetname(name)
   outputs "lib"
end

workspace "elf64load"
   configurations(configs)
   location "build"

   -- Everything goes into shared objects too, so all code is -fPIC, and hidden
   -- but for what elf64load.h marks E64_API. Symbols stay in: debuggers and
   -- backtraces are part of the job.
   buildoptions {
      "-std=gnu11", "-D_GNU_SOURCE=", "-fPIC", "-fvisibility=hidden", "-g",
      "-Wall", "-Wextra", "-Wshadow",
   }
   -- premake 4 links with -s unless it is told to keep the symbols.
   if symbols then symbols "On" else flags { "Symbols" } end

   filter { configurations = "release" }
      buildoptions { "-O2", "-DNDEBUG" }
   filter { configurations = "debug" }
      buildoptions { "-Og" }
   filter { configurations = "asan" }
      buildoptions {
         "-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined",
         "-fno-sanitize-recover=undefined",
      }
      linkoptions { "-fsanitize=address,undefined" }
   filter { configurations = "tsan" }
      buildoptions { "-O1", "-fno-omit-frame-pointer", "-fsanitize=thread" }
      linkoptions { "-fsanitize=thread" }
   filter {}

-- The loader: C only, needs libc only.
archive "elf64load"
   files(loader)
   includedirs { "src" }

-- The Lua half, over whatever Lua 5.4 the program has. It calls Lua through a
-- word, without a stub in between: one call of an `int f(int, int)` does so nine
-- times.
archive "elf64load-lua"
   buildoptions { "-fno-plt" }
   files(bridge)
   files { "build/scripts.c" }
   includedirs { "src", lua_include }

-- The same for a plain lua5.4: require "elf64load.core". It must not bring a
-- second Lua, and must stay mapped when lua_close drops it, because threads'
-- keys and patched slots point into it. libffi and libmd come from their
-- archives, so that the process gets no library that a plugin could ask for by
-- name; for the same reason its own name is not one (premake 5 alone would call
-- it core.so).
project "core"
   kind "SharedLib"
   language "C"
   targetname "core"
   targetprefix ""
   outputs "lua/elf64load"
   files { "src/lua/module/*.c" }
   includedirs { "src" }
   linkoptions {
      "-Wl,-u,luaopen_elf64load_core", "-Wl,-z,nodelete",
      "-Wl,-soname,elf64load.core",
      "-Wl,--version-script=../src/lua/core.map",
   }
   -- Read once from left to right: each before what it needs.
   links {
      "elf64load-lua", "elf64load", ":libffi_pic.a", ":libmd.a", "dl", "m",
   }

if not _OPTIONS["module-only"] then
   -- A Lua 5.4 host with everything linked in. C modules find the Lua API in
   -- it, and plugins must find nothing else, hence no -rdynamic. Lua is taken
   -- whole, also the parts that only C modules call.
   project "command"
      kind "ConsoleApp"
      language "C"
      targetname "elf64load"
      outputs "bin"
      files { "src/cli/*.c" }
      includedirs { "src", lua_include }
      linkoptions {
         "-Wl,--export-dynamic-symbol='lua*'",
         "-Wl,--whole-archive,-l:liblua5.4.a,--no-whole-archive",
      }
      links {
         "elf64load-lua", "elf64load", ":liblua5.4-lpeg.a", ":libffi.a",
         ":libmd.a", "dl", "m",
      }
end

-- ----------------------------------------------------------- installing ---

-- The version stands in the header, for everyone.
local function version ()
   local header, parts = contents("src/elf64load.h"), {}
   for _, part in ipairs { "MAJOR", "MINOR", "PATCH" } do
      parts[#parts + 1] = header:match("E64_VERSION_" .. part .. " (%d+)")
   end
   return table.concat(parts, ".")
end

local packages = {
   ["elf64load"] = [[
Description: a dynamic linker that a program carries inside itself
Libs: -L${libdir} -lelf64load -lpthread -ldl
Cflags: -I${includedir}
]],
   -- Which Lua 5.4, and whether LPeg is linked in or found by `require`, is
   -- the program's own affair.
   ["elf64load-lua"] = [[
Description: elf64load for Lua 5.4: luaopen_elf64load, over the program's Lua
Requires: elf64load = ${version} libffi libmd
Libs: -L${libdir} -lelf64load-lua
Libs.private: -lm
Cflags: -I${includedir}
]],
}

local function package_text (name, prefix)
   return "prefix=" .. prefix .. "\n"
      .. "libdir=${prefix}/lib\n"
      .. "includedir=${prefix}/include\n"
      .. "version=" .. version() .. "\n\n"
      .. "Name: " .. name .. "\n"
      .. "Version: ${version}\n"
      .. packages[name]
end

local function built_file (path)
   if not contents(path) then
      error(path .. " is not there; build first: make -C build config=release", 0)
   end
   return path
end

-- What files of the archives share among themselves gets names that no program
-- has, as C cannot spell them: "fail" becomes "e64.fail". Debuggers go on
-- showing the first.
local function apart (archives)
   local renamed = "build/renamed.txt"
   for _, path in ipairs(archives) do built_file(path) end
   run("LC_ALL=C readelf -sW " .. table.concat(archives, " ")
      .. " | awk '($5 == \"GLOBAL\" || $5 == \"WEAK\") && $6 == \"HIDDEN\""
      .. " && $7 != \"UND\" && $8 !~ /^(e64_|luaopen_|__)/ { print $8, \"e64.\" $8 }'"
      .. " | sort -u >" .. renamed)
   os.mkdir("build/installed")
   for _, path in ipairs(archives) do
      run("objcopy --redefine-syms=" .. renamed .. " " .. path
         .. " build/installed/" .. path:match("[^/]*$"))
   end
end

local function install ()
   local destdir = _OPTIONS.destdir or os.getenv("DESTDIR") or ""
   local built = "build/release/"

   local function put (mode, source, target)
      print(target)
      run("install -D -m " .. mode .. " " .. quoted(built_file(source)) .. " "
         .. quoted(destdir .. target))
   end

   local function put_module (luadir, libdir)
      put("755", built .. "lua/elf64load/core.so", libdir .. "/elf64load/core.so")
      for _, name in ipairs(scripts()) do
         put("644", name, luadir .. "/" .. name:match("elf64load/[^/]*$"))
      end
   end

   if _OPTIONS.luadir or _OPTIONS.libdir then
      put_module(assert(_OPTIONS.luadir, "--libdir goes with --luadir"),
         assert(_OPTIONS.libdir, "--luadir goes with --libdir"))
      return
   end

   local prefix = _OPTIONS.prefix or os.getenv("PREFIX") or "/usr/local"
   prefix = prefix:gsub("(.)/+$", "%1")
   put_module(prefix .. "/share/lua/5.4", prefix .. "/lib/lua/5.4")
   put("755", built .. "bin/elf64load", prefix .. "/bin/elf64load")
   for _, folder in ipairs { "src/", "src/lua/" } do
      for _, header in ipairs(os.matchfiles(folder .. "elf64load*.h")) do
         put("644", header, prefix .. "/include/" .. header:match("[^/]*$"))
      end
   end
   put("644", "LICENSE", prefix .. "/share/doc/elf64load/LICENSE")
   -- The manual page and what shells complete are made from what --help says.
   local manual = dofile("lua/elf64load/manual.lua")
   for file, text in pairs {
      ["man/man1/elf64load.1"] = manual.page(version()),
      ["bash-completion/completions/elf64load"] = manual.bash(),
      ["zsh/site-functions/_elf64load"] = manual.zsh(),
   } do
      local made = "build/" .. file:match("^%l+") .. ".txt"
      write(made, text)
      put("644", made, prefix .. "/share/" .. file)
   end
   apart { built .. "lib/libelf64load.a", built .. "lib/libelf64load-lua.a" }
   for _, name in ipairs { "elf64load", "elf64load-lua" } do
      local archive_file = "lib" .. name .. ".a"
      put("644", "build/installed/" .. archive_file,
         prefix .. "/lib/" .. archive_file)
      write("build/" .. name .. ".pc", package_text(name, prefix))
      put("644", "build/" .. name .. ".pc",
         prefix .. "/lib/pkgconfig/" .. name .. ".pc")
   end
end

newaction {
   trigger     = "install",
   description = "Install what was built: PREFIX=/usr/local DESTDIR= by default",
   execute     = function ()
      local done, why = pcall(install)
      if not done then
         io.stderr:write(tostring(why), "\n")
         os.exit(1)
      end
   end,
}
