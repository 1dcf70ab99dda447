--- The house around the code: what may stand where, who may know whom, and what
--- the things that are built show of themselves. #build

local lfs = require "lfs"
local child = require "spec.support.child"
local disk = require "spec.support.disk"

-- What a room may include: itself and all of a lower rank. Files that are
-- directly in src are everyone's.
local RANKS = {
   [""] = 0, elf = 1, object = 2, host = 3, tls = 4, link = 5, run = 6, call = 6,
   lua = 7, cli = 8,
}

local function allowed (from, to)
   return from == to or RANKS[to] < RANKS[from]
end

local contents = disk.contents

local function files (folder, pattern, found)
   found = found or {}
   for name in lfs.dir(folder) do
      local path = folder .. "/" .. name
      local mode = lfs.attributes(path, "mode")
      if mode == "directory" and name:sub(1, 1) ~= "." then
         files(path, pattern, found)
      elseif mode == "file" and name:match(pattern) then
         found[#found + 1] = path
      end
   end
   table.sort(found)
   return found
end

local sources = files("src", "%.[chS]$")

local function room (path)
   return path:match "^src/([^/]*)/" or ""
end

-- C without comments and literals, so that only what the compiler sees counts.
-- Lines stay where they are.
local function code (path)
   local text = contents(path)
   local out, at = {}, 1
   local function blank (piece) return (piece:gsub("[^\n]", " ")) end
   while at <= #text do
      local from = text:find("[/\"']", at)
      if not from then break end
      out[#out + 1] = text:sub(at, from - 1)
      local two, one = text:sub(from, from + 1), text:sub(from, from)
      local to
      if two == "//" then
         to = (text:find("\n", from, true) or #text + 1) - 1
      elseif two == "/*" then
         to = select(2, text:find("*/", from + 2, true)) or #text
      elseif one == "/" then
         to = from
      else
         to = from + 1
         while to <= #text and text:sub(to, to) ~= one do
            if text:sub(to, to) == "\\" then to = to + 1 end
            to = to + 1
         end
      end
      local piece = text:sub(from, to)
      -- What stands in quotes after #include is code here.
      local include = one == '"'
         and (out[#out]:match "#%s*include%s*$" ~= nil)
      out[#out + 1] = (one == "/" and two ~= "//" and two ~= "/*" or include)
         and piece or blank(piece)
      at = to + 1
   end
   out[#out + 1] = text:sub(at)
   return table.concat(out)
end

local codes = {}
for _, path in ipairs(sources) do codes[path] = code(path) end

local function exists (path)
   return lfs.attributes(path, "mode") == "file"
end

-- A path without "..".
local function plain (path)
   local count
   repeat
      path, count = path:gsub("[^/]+/%.%./", "", 1)
   until count == 0
   return path
end

-- Where in the sources the pattern stands that only some files may have.
local function strays (pattern, permitted)
   local found = {}
   for _, path in ipairs(sources) do
      if not permitted(path) then
         local number = 0
         for line in (codes[path] .. "\n"):gmatch "(.-)\n" do
            number = number + 1
            if line:match(pattern) then
               found[#found + 1] = ("%s:%d: %s"):format(path, number, line)
            end
         end
      end
   end
   return table.concat(found, "\n")
end

local function output (...)
   local result = child.run({ ... }, { bare = true })
   assert(result.code == 0, table.concat({ ... }, " ") .. "\n" .. result.err)
   return result.out
end

local ARCHIVES = {
   "build/release/lib/libelf64load.a", "build/release/lib/libelf64load-lua.a",
}

-- Which of them a room is in; the command's room is in none.
local function archive_of (path)
   local name = room(path)
   if name == "call" or name == "lua" then return ARCHIVES[2] end
   return name ~= "cli" and ARCHIVES[1] or nil
end

-- The path of the source that made a member, by archive and member.
local members = { [ARCHIVES[1]] = {}, [ARCHIVES[2]] = {} }
local clashes = {}
for _, path in ipairs(sources) do
   local base = path:match "([^/]*)%.[cS]$"
   local list = members[archive_of(path)]
   if base and list then
      local other = list[base .. ".o"]
      if other then clashes[#clashes + 1] = other .. " and " .. path end
      list[base .. ".o"] = path
   end
end

-- Calls visit(source, name, type) for each name that a member of our archives
-- defines or wants, with nm's letter for the type, small for what is local.
local function names (visit)
   for _, archive in ipairs(ARCHIVES) do
      local member
      for line in output("nm", archive):gmatch "[^\n]+" do
         member = line:match "^(%S+%.o):$" or member
         local kind, name = line:match "^%x*%s+(%a) (%S+)$"
         if name then visit(members[archive][member] or member, name, kind) end
      end
   end
end

describe("The house #build #once", function ()
   it("lets a room include only itself and the rooms below", function ()
      local faults = {}
      for _, path in ipairs(sources) do
         local folder = path:match "^(.*)/"
         for name in codes[path]:gmatch '#%s*include%s*"([^"]*)"' do
            local target = plain(folder .. "/" .. name)
            if not exists(target) then target = "src/" .. name end
            if not exists(target) then
               faults[#faults + 1] = path .. " includes " .. name
                  .. ", which is not a path from its folder or from src"
            elseif not RANKS[room(target)]
                  or not allowed(room(path), room(target)) then
               faults[#faults + 1] = path .. " includes " .. target
            end
         end
      end
      assert.equal("", table.concat(faults, "\n"))
   end)

   it("has only rooms whose rank is known", function ()
      for _, path in ipairs(sources) do
         assert.is_not_nil(RANKS[room(path)], path)
      end
   end)

   it("lets no room use a name of a room above, whoever declares it", function ()
      local owners, faults = {}, {}
      names(function (source, name, kind)
         if kind:match "[^U%l]" then owners[name] = source end
      end)
      names(function (source, name, kind)
         local owner = owners[name]
         if kind == "U" and owner and not allowed(room(source), room(owner)) then
            faults[#faults + 1] = ("%s uses %s of %s"):format(source, name, owner)
         end
      end)
      assert.is_not_nil(owners.e64_version)
      assert.equal("", table.concat(faults, "\n"))
   end)

   it("declares extern in a .c file only what has no header", function ()
      -- The compiler's and the C library's own names, and labels of assembly in
      -- the same file.
      local owners, faults = {}, {}
      names(function (source, name, kind)
         if kind ~= "U" and kind ~= "w" then
            owners[source .. ":" .. name] = true
         end
      end)
      for _, path in ipairs(sources) do
         for text in codes[path]:gmatch "%f[%w_]extern%f[^%w_]([^;{]*)" do
            local name = text:match "([%w_]+)%s*%(" or text:match "([%w_]+)%s*$"
            if path:match "%.c$" and name and not name:match "^__"
                  and not owners[path .. ":" .. name] then
               faults[#faults + 1] = path .. ":" .. text
            end
         end
      end
      assert.equal("", table.concat(faults, "\n"))
   end)

   it("includes Lua's headers in src/lua and src/cli only", function ()
      assert.equal("", strays("#%s*include%s*<l[ua][^>]*%.h>", function (path)
         return room(path) == "lua" or room(path) == "cli"
      end))
   end)

   it("calls glibc's loader in src/host only", function ()
      local loader = {
         dlopen = true, dlmopen = true, dlclose = true, dlsym = true,
         dlvsym = true, dlerror = true, dladdr = true, dladdr1 = true,
         dlinfo = true, dl_iterate_phdr = true, _dl_find_object = true,
      }
      local faults, callers = {}, 0
      names(function (source, name, kind)
         if kind ~= "U" or not loader[name] then return end
         callers = callers + 1
         if room(source) ~= "host" then
            faults[#faults + 1] = source .. " calls " .. name
         end
      end)
      assert.equal("", table.concat(faults, "\n"))
      assert.is_true(callers > 0)
   end)

   it("calls glibc's loader where it checks that no lock is held", function ()
      -- forward.c has the table, of which forward.h checks each use.
      local function checked (path)
         return path == "src/host/glibc.h" or path == "src/host/forward.c"
      end
      for _, name in ipairs {
         "dlopen", "dlclose", "dlsym", "dladdr1", "dlerror",
      } do
         assert.equal("", strays("[^%w_>]" .. name .. "%(", checked))
      end
      assert.equal("", strays("%f[%w_]host_forward%f[^%w_]", function (path)
         return path:match "^src/host/forward%.[ch]$" ~= nil
      end))
   end)

   it("takes locks by src/lock.h only, but for glibc's own", function ()
      assert.equal("", strays("pthread_mutex_%l+%(", function (path)
         return path:match "^src/lock%.[ch]$" ~= nil
            or path == "src/host/load_lock.c"
      end))
   end)

   -- A child has the locks as they stood in the other threads of its parent.
   it("has each lock held, or made new, around a fork", function ()
      local faults, locks = {}, 0
      for _, path in ipairs(sources) do
         local text = codes[path]
         for name in text:gmatch "static struct lock ([%w_]+)" do
            locks = locks + 1
            if text:find("lock_take(&" .. name .. ")", 1, true)
               and not text:find("lock_before_fork(&" .. name .. ")", 1, true)
               and not text:find("lock_make(&" .. name .. ")", 1, true)
            then
               faults[#faults + 1] = path .. ": " .. name
            end
         end
      end
      assert.equal("", table.concat(faults, "\n"))
      assert.is_true(locks > 0)
   end)

   it("names relocation types in a few files only", function ()
      -- What a shared object may hold, and what an object file may.
      assert.equal("", strays("R_X86_64_", function (path)
         return path == "src/link/reloc_x86_64.c"
            or path == "src/object/relocate_x86_64.c"
            or path == "src/object/got_x86_64.c"
      end))
   end)

   it("knows the machine in files that end in _x86_64 only", function ()
      local function machine (path) return path:match "_x86_64%.[chS]$" end
      for _, pattern in ipairs {
         "%f[%w_]_*asm_*%f[^%w_]", "__builtin_ia32", "__x86_64__",
         "include%s*<cpuid%.h>", "include%s*<%a*intrin%.h>",
      } do
         assert.equal("", strays(pattern, machine))
      end
      for _, path in ipairs(sources) do
         assert.is_true(not path:match "%.S$" or machine(path) ~= nil, path)
      end
   end)

   it("has no file of more than 600 lines", function ()
      local all = { "premake5.lua", "spec/run", "examples/run" }
      for _, folder in ipairs { "src", "lua", "spec", "examples" } do
         files(folder, "%.[%a]+$", all)
      end
      for _, path in ipairs(all) do
         if path:match "%.[chS]$" or path:match "%.lua$" or path:match "run$" then
            local _, lines = contents(path):gsub("\n", "")
            assert.is_true(lines <= 600, path .. " has " .. lines .. " lines")
         end
      end
   end)

   it("gives every C file of an archive a name of its own", function ()
      -- premake 4 puts all objects of an archive into one folder.
      assert.equal("", table.concat(clashes, "\n"))
   end)
end)

describe("The style #build #once", function ()
   it("has no part of elf64load.h that can be included without it", function ()
      for _, path in ipairs(files("src", "^elf64load_%l+%.h$")) do
         assert.is_true(path == "src/lua/elf64load_lua.h" or contents(path):find(
            '#ifndef ELF64LOAD_H\n#error "include elf64load.h"\n', 1, true) ~= nil,
            path)
      end
   end)

   it("keeps C within 80 columns, without tabs", function ()
      local faults = {}
      for _, path in ipairs(sources) do
         local number = 0
         for line in contents(path):gmatch "([^\n]*)\n" do
            number = number + 1
            if utf8.len(line) > 80 or path:match "%.[ch]$" and line:find "\t" then
               faults[#faults + 1] = path .. ":" .. number
            end
         end
      end
      assert.equal("", table.concat(faults, "\n"))
   end)

   it("gives luacheck nothing to say #full", function ()
      local result = child.run({ "luacheck", "--no-color", "-q", ".", ".busted",
         ".luacheckrc", "elf64load-scm-1.rockspec" },
         { bare = true, merge = true })
      assert.equal(0, result.code, result.out)
   end)
end)

describe("What is built #build #once", function ()
   local function shown (archive)
      local found = {}
      for line in output("readelf", "-sW", archive):gmatch "[^\n]+" do
         local binding, visibility, index, name = line:match
            "%d+: %x+ +%w+ +%u+ +(%u+) +(%u+) +(%w+) (%S+)"
         if name and (binding == "GLOBAL" or binding == "WEAK")
               and index ~= "UND"
               and (visibility == "DEFAULT" or visibility == "PROTECTED") then
            found[name] = true
         end
      end
      return found
   end

   local function sorted (set)
      local list = {}
      for name in pairs(set) do list[#list + 1] = name end
      table.sort(list)
      return list
   end

   local function needed (path)
      local list = {}
      for name in output("readelf", "-dW", path):gmatch
            "%(NEEDED%)[^\n]*%[([^%]\n]+)%]" do
         list[name] = true
      end
      return list
   end

   -- Whether all of the names stand for parts of glibc.
   local function check_needed (path)
      local glibc = {
         ["libc.so.6"] = true, ["libm.so.6"] = true,
         ["ld-linux-x86-64.so.2"] = true,
      }
      local found = needed(path)
      assert.is_true(found["libc.so.6"])
      for name in pairs(found) do
         assert.is_true(glibc[name], path .. " needs " .. name)
      end
   end

   local function dynamic (path, which)
      local list = {}
      for line in output("nm", "-D", which, path):gmatch "[^\n]+" do
         list[#list + 1] = line:match "(%S+)$"
      end
      table.sort(list)
      return list
   end

   it("shows in libelf64load.a just what its headers declare", function ()
      local declared = {}
      for path, text in pairs(codes) do
         local header = path:match "^src/elf64load[%w_]*%.h$"
            and text:gsub("#define[^\n]*", "") or ""
         for said in header:gmatch "E64_API%s+([^;{]-)%(" do
            declared[said:match "(e64_[%w_]+)$" or said] = true
         end
      end
      assert.is_true(declared.e64_open)
      assert.same(sorted(declared), sorted(shown(ARCHIVES[1])))
   end)

   it("shows in libelf64load-lua.a the module's opener only", function ()
      assert.same({ "luaopen_elf64load_core" }, sorted(shown(ARCHIVES[2])))
   end)

   it("has no writable and executable segment or stack", function ()
      for _, path in ipairs {
         "build/release/bin/elf64load", "build/release/lua/elf64load/core.so",
      } do
         local text = output("readelf", "-lW", path)
         assert.is_not_nil(text:match "GNU_STACK[^\n]* RW ", path)
         assert.is_nil(text:match "RWE", path)
      end
   end)

   it("has a command that needs libc, libm and ld.so only", function ()
      check_needed "build/release/bin/elf64load"
   end)

   it("has a command that exports the Lua API only", function ()
      local exported, copied = {}, {}
      local text = output("readelf", "-rW", "build/release/bin/elf64load")
      -- liblua5.4.a is compiled so that the executable holds glibc's stderr.
      for name in text:gmatch "R_X86_64_COPY +%x+ ([%w_]+@GLIBC_[%d.]+)" do
         copied[name] = true
      end
      for _, name in ipairs(dynamic("build/release/bin/elf64load",
            "--defined-only")) do
         exported[name] = true
         assert.is_true(name:match "^lua" ~= nil or copied[name] ~= nil, name)
      end
      for _, name in ipairs { "lua_newuserdatauv", "luaL_traceback" } do
         assert.is_true(exported[name], name)
      end
   end)

   it("has a module that needs libc, libm and ld.so only", function ()
      check_needed "build/release/lua/elf64load/core.so"
   end)

   it("has a module that exports its opener only", function ()
      assert.same({ "luaopen_elf64load_core" }, dynamic(
         "build/release/lua/elf64load/core.so", "--defined-only"))
   end)

   it("has a module that wants from others glibc's names and Lua's", function ()
      for _, name in ipairs(dynamic("build/release/lua/elf64load/core.so",
            "--undefined-only")) do
         assert.is_true(name:match "@GLIBC_" ~= nil or name:match "^lua" ~= nil
            -- Weak, for tools that are there or are not.
            or name:match "^_ITM_" ~= nil or name == "__gmon_start__"
            or name:match "^__lsan_" ~= nil, name)
      end
   end)

   it("has a module that stays mapped when Lua drops it", function ()
      local text = output("readelf", "-dW", "build/release/lua/elf64load/core.so")
      assert.is_not_nil(text:match "NODELETE")
   end)
end)
