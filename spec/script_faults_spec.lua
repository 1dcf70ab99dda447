--- Twelve faults of script authors, and all that is said of each. What has to be
--- done about it must be clear from the message alone: `fix` says what that is,
--- and `words` which words of the message give it.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local searching = require "spec.support.searching"
local elf = require "elf64load"

local scratch

local function write (name, bytes)
   local path = scratch .. "/" .. name
   child.run { "mkdir", "-p", path:match "^(.*)/" }
   return disk.write(path, bytes)
end

local contents = disk.contents

local function place (name, path) return write(name, contents(path)) end

local function plain (source, flags)
   return assert(cc.shared(source or "long one(void) { return 1; }", flags))
end

-- Needs files by these names.
local function needing (source, names, flags, language)
   local words = { "-Wl,--no-as-needed " .. (flags or "") }
   for _, name in ipairs(names) do
      words[#words + 1] = plain("", "-Wl,-soname," .. name)
   end
   return assert(cc.shared(source,
      { language = language, flags = table.concat(words, " ") }))
end

local function runpath (folders)
   return "-Wl,--enable-new-dtags -Wl,-rpath,'" .. folders .. "'"
end

local versioned = fixtures.versioned

-- The same file for another machine, or of 32 bits.
local function foreign (path, machine, class)
   local bytes = contents(path)
   return bytes:sub(1, 4) .. string.char(class or 2) .. bytes:sub(6, 18)
      .. ("<I2"):pack(machine) .. bytes:sub(21)
end

local NOWHERE <const> = "not in /etc/ld.so.cache, not in ld.so's own folders "
   .. "(/lib/x86_64-linux-gnu, /usr/lib/x86_64-linux-gnu, /lib, /usr/lib)"

-- In the expected text the end of a line is a space and '|' the end of one, the
-- folder stands as %, NOWHERE for what is said of places that are always looked
-- into, and what the process has, which is not the same in both hosts, as "the
-- process" alone.
local function check (fault, message)
   local said = message:gsub("the process %(.-%)", "the process")
      :gsub("; [^;,]* of the process", ""):gsub(", [^;,]* of the process", "")
   local wanted = fault.says:gsub("\n%s*", " "):gsub("| ?", "\n")
      :gsub("%%/", function () return scratch .. "/" end)
      :gsub("NOWHERE", NOWHERE)
   assert.equal(wanted, said)
   for _, words in ipairs(fault.words) do
      words = words:gsub("%%/", function () return scratch .. "/" end)
      assert.is_not_nil(said:find(words, 1, true),
         ("to see that one has to %s, it must say '%s'"):format(fault.fix, words))
   end
end

-- What an open says that fails.
local function fails (fault, kind, name, policy)
   local runtime <close> = elf.runtime(policy or {})
   local message, detail = assert.fails_with(kind, runtime.open, runtime, name)
   check(fault, message)
   return detail
end

before_each(function ()
   scratch = child.run({ "mktemp", "-d" }).out:match "[^\n]+"
end)

after_each(function ()
   child.run { "rm", "-rf", scratch }
end)

describe("A stranger can name the fix for", function ()
   it("a library that is misspelt", function ()
      place("mods/libaudio.so.2", plain())
      fails({ fix = "write libaudio.so.2",
         words = { "did you mean %/mods/libaudio.so.2?" },
         says = [[libaudoi.so.2: not found; no file
            %/mods/libaudoi.so.2, NOWHERE; did you mean %/mods/libaudio.so.2?]] },
         "notfound", "libaudoi.so.2", { path = scratch .. "/mods/?" })
   end)

   it("a dependency that is missing two levels down", function ()
      place("libmid.so", needing("long m;", { "libnowhere_deep.so.3" }))
      place("top.so", needing("long t;", { "libmid.so" }, runpath "$ORIGIN"))
      fails({ fix = "install libnowhere_deep.so.3, which libmid.so needs",
         words = { "libnowhere_deep.so.3: not found, needed by %/libmid.so",
            "install it" },
         says = [[libnowhere_deep.so.3: not found, needed by %/libmid.so,
             which %/top.so needs; NOWHERE; install it, link libmid.so with a
             -rpath to its folder, or name FOLDER/? in the runtime's path]] },
         "notfound", scratch .. "/top.so")
   end)

   it("a version that is too old", function ()
      local old = versioned("long audio_play(void) { return 1; }",
         "AUDIO_1 { global: audio_play; local: *; };", "-Wl,-soname,libaudio.so.1")
      local new = versioned("long audio_play(void) { return 1; }",
         "AUDIO_1 { }; AUDIO_2 { global: audio_play; local: *; } AUDIO_1;",
         "-Wl,-soname,libaudio.so.1")
      place("libaudio.so.1", old)
      place("game.so", assert(cc.shared(
         "extern long audio_play(void); long f(void) { return audio_play(); }",
         runpath "$ORIGIN" .. " " .. new)))
      fails({ fix = "install a libaudio.so.1 that has version AUDIO_2",
         words = { "needs version 'AUDIO_2' of libaudio.so.1",
            "%/libaudio.so.1 (by DT_RUNPATH of %/game.so) defines only AUDIO_1",
            "install the libaudio.so.1 of then or a newer one" },
         says = [[%/game.so needs version 'AUDIO_2' of libaudio.so.1
             (for 'audio_play'), but %/libaudio.so.1 (by DT_RUNPATH of
             %/game.so) defines only AUDIO_1; it is older than what game.so was
             linked against, or was built otherwise: install the libaudio.so.1 of
             then or a newer one]] },
         "version", scratch .. "/game.so")
   end)

   describe("a version that is too old, though another file has it", function ()
      local SOURCE <const> = "long audio_play(void) { return 1; }"
      local SONAME <const> = "-Wl,-soname,libaudio.so.1"
      local old = versioned(SOURCE, "AUDIO_1 { global: audio_play; local: *; };",
         SONAME)
      local new = versioned(SOURCE, "AUDIO_1 { }; AUDIO_2 { global: audio_play; "
         .. "local: *; } AUDIO_1;", SONAME)
      local game = assert(cc.shared("extern long audio_play(void); "
         .. "long f(void) { return audio_play(); }",
         runpath "$ORIGIN/a:$ORIGIN/b" .. " " .. new))

      before_each(function ()
         place("a/libaudio.so.1", old)
         place("b/libaudio.so.1", new)
         place("game.so", game)
      end)

      it("that comes later", function ()
         fails({ fix = "name the folder of b/libaudio.so.1 first",
            words = { "%/b/libaudio.so.1 (by DT_RUNPATH of %/game.so) has it",
               "name the folder of the one that has it before" },
            says = [[%/game.so needs version 'AUDIO_2' of libaudio.so.1
                (for 'audio_play'), but %/a/libaudio.so.1 (by DT_RUNPATH of
                %/game.so) defines only AUDIO_1; %/b/libaudio.so.1 (by
                DT_RUNPATH of %/game.so) has it, but is not looked at, as
                %/a/libaudio.so.1 comes first: name the folder of the one that
                has it before, or take the other away]] },
            "version", scratch .. "/game.so")
         -- Nor does ld.so look further.
         assert.like_ldso({ "open g " .. scratch .. "/game.so" },
            { "open g: failed" })
      end)

      it("and one without it is open", function ()
         local runtime <close> = elf.runtime {}
         assert(runtime:open(scratch .. "/a/libaudio.so.1"))
         place("game.so", assert(cc.shared("extern long audio_play(void); "
            .. "long f(void) { return audio_play(); }",
            runpath "$ORIGIN/b" .. " " .. new)))
         local message = assert.fails_with("version", runtime.open, runtime,
            scratch .. "/game.so")
         check({ fix = "open b/libaudio.so.1 first",
            words = { "%/a/libaudio.so.1 is open already",
               "open the one that has it first" },
            says = [[%/game.so needs version 'AUDIO_2' of libaudio.so.1
                (for 'audio_play'), but %/a/libaudio.so.1 (by the path)
                defines only AUDIO_1; %/b/libaudio.so.1 (by DT_RUNPATH of
                %/game.so) has it, but %/a/libaudio.so.1 is open already and is
                taken: open the one that has it first]] }, message)
      end)
   end)

   it("a symbol that is misspelt", function ()
      place("libaudio.so", plain "long audio_play(void) { return 1; }")
      place("game.so", needing(
         "extern long audio_paly(void); long f(void) { return audio_paly(); }",
         { "libaudio.so" }, runpath "$ORIGIN"))
      fails({ fix = "write audio_play",
         words = { "did you mean 'audio_play' of %/libaudio.so?" },
         says = [[%/game.so needs 'audio_paly', which nothing that it can see
             defines: not in the process, %/game.so, %/libaudio.so; did you mean
             'audio_play' of %/libaudio.so?]] },
         "undefined", scratch .. "/game.so")
      local audio <close> = assert(elf.open(scratch .. "/libaudio.so"))
      check({ fix = "write audio_play", words = { "did you mean 'audio_play'?" },
         says = "%/libaudio.so does not define 'audio_paly' (did you mean "
            .. "'audio_play'?)" }, (select(2, audio:lookup "audio_paly")))
   end)

   it("a C++ signature that has changed", function ()
      place("libmixer.so", assert(cc.shared([[
         namespace mixer { int play(int a, float) { return a; } } ]],
            { language = "c++" })))
      place("game.so", needing([[ namespace mixer { int play(int); }
         extern "C" int f() { return mixer::play(1); } ]], { "libmixer.so" },
         runpath "$ORIGIN", "c++"))
      fails({ fix = "compile game.so with the header of the new libmixer.so",
         words = { "needs 'mixer::play(int)'",
            "%/libmixer.so has 'mixer::play(int, float)'",
            "compile game.so with the headers of that libmixer.so" },
         says = [[%/game.so needs 'mixer::play(int)' (_ZN5mixer4playEi), which
             nothing that it can see defines: not in the process, %/game.so,
             %/libmixer.so; %/libmixer.so has 'mixer::play(int, float)': the
             parameters differ, compile game.so with the headers of that
             libmixer.so]] },
         "undefined", scratch .. "/game.so")
   end)

   it("a symbol that the policy denies", function ()
      place("mod.so", plain [[
         extern int system(const char *); int f(void) { return system("ls"); } ]])
      fails({ fix = "take 'sys*' off the policy's deny",
         words = { "denies by 'sys*'; take that off `deny`" },
         says = [[%/mod.so needs 'system' (version GLIBC_2.2.5), which the policy
             denies by 'sys*'; take that off `deny`, or do without]] },
         "denied", scratch .. "/mod.so", { deny = { "sys*" } })
      fails({ fix = "put 'system' on the policy's allow",
         words = { "'system'", "put it on `allow`" },
         says = [[%/mod.so needs 'system' (version GLIBC_2.2.5), which the policy
             does not allow; put it on `allow`, or do without]] },
         "denied", scratch .. "/mod.so", { allow = { "printf" } })
   end)

   it("a file for another architecture in the path", function ()
      write("arm/libaudio.so", foreign(plain(), 183))
      local path = { path = scratch .. "/arm/?;" .. scratch .. "/good/?" }
      fails({ fix = "install the libaudio.so for x86-64 instead of AArch64's",
         words = { "%/arm/libaudio.so was passed over",
            "it is for AArch64", "install the one for x86-64" },
         says = [[libaudio.so: not found; no file %/arm/libaudio.so, no
             file %/good/libaudio.so, NOWHERE; %/arm/libaudio.so was passed over:
             invalid architecture, only AMD64 supported (it is for AArch64);
             install the one for x86-64, 64 bits, or name its folder before this
             one's]] },
         "badarch", "libaudio.so", path)
      -- Where the right one follows nothing fails, and it can be asked for.
      place("good/libaudio.so", plain())
      local fault = { fix = "know that good/libaudio.so was taken, and why",
         words = { "%/arm/libaudio.so was passed over: badarch",
            "%/good/libaudio.so was taken" },
         says = "'libaudio.so' was opened, which is %/good/libaudio.so|"
            .. "%/arm/libaudio.so was passed over: badarch (the runtime's path)|"
            .. "%/good/libaudio.so was taken (the runtime's path)|"
            .. "1 handle has not been closed" }
      local runtime <close> = elf.runtime(path)
      local plan <close> = assert(runtime:plan "libaudio.so")
      local results = {}
      for at, probe in ipairs(plan.tree.probes) do
         results[at] = probe.path:sub(#scratch + 2) .. " " .. probe.result
      end
      assert.same({ "arm/libaudio.so badarch", "good/libaudio.so taken" }, results)
      check(fault, assert(runtime:open "libaudio.so"):why().message)
   end)

   it("dependencies that make a circle", function ()
      place("liba.so", needing("long a;", { "libb.so" }, runpath "$ORIGIN"))
      place("libb.so", needing("long b;", { "liba.so" }, runpath "$ORIGIN"))
      local runtime <close> = elf.runtime {}
      local plan <close> = assert(runtime:plan(scratch .. "/liba.so"))
      local order = {}
      for at, object in ipairs(plan.order) do
         order[at] = (object.path or object):match "[^/]*$"
      end
      assert.same({ "libb.so", "liba.so" }, order)
      local why = assert(runtime:open(scratch .. "/liba.so")):why()
      check({ fix = "have one of liba.so and libb.so not need the other",
         words = { "it needs %/libb.so, which needs it",
            "%/libb.so is started first, before what it needs" },
         says = [[it needs %/libb.so, which needs it: of these %/libb.so is
             started first, before what it needs]] },
         why.circle)
      -- A policy cannot turn it round.
      fails({ fix = "put libb.so first, or set force",
         words = { "they need each other in a circle",
            "put %/libb.so first, or set `force`" },
         says = [[%/liba.so: the order hook starts %/liba.so before %/libb.so,
             which it needs; they need each other in a circle, which is cut where
             ld.so cuts it: before %/liba.so is started; put %/libb.so first, or
             set `force`]] },
         "hook", scratch .. "/liba.so", { order = function (plugins)
            return { plugins[2], plugins[1] }
         end })
   end)

   it("a DT_RUNPATH that does not count further down", function ()
      place("lib/libmid.so", needing("long m;", { "libdeep.so" }))
      place("lib/libdeep.so", plain())
      place("top.so", needing("long t;", { "libmid.so" }, runpath "$ORIGIN/lib"))
      fails({ fix = "link libmid.so with a -rpath of its own",
         words = { "%/lib/libdeep.so is there by DT_RUNPATH of %/top.so, which "
            .. "does not count", "link libmid.so with a -rpath of its own" },
         says = [[libdeep.so: not found, needed by %/lib/libmid.so, which
             %/top.so needs; NOWHERE; %/lib/libdeep.so is there by DT_RUNPATH of
             %/top.so, which does not count for what libmid.so needs: link
             libmid.so with a -rpath of its own]] },
         "notfound", scratch .. "/top.so")
   end)

   it("a symbol that two libraries provide", function ()
      place("libold.so", plain "long mix(void) { return 1; }")
      place("libnew.so", plain "long mix(void) { return 2; }")
      place("game.so", needing(
         "extern long mix(void); long f(void) { return mix(); }",
         { "libold.so", "libnew.so" }, runpath "$ORIGIN"))
      local path = scratch .. "/game.so"
      local runtime <close> = elf.runtime {}
      local plan <close> = assert(runtime:plan(path))
      assert.equal(1, #plan.clashes)
      local clash = plan.clashes[1]
      assert.same({ "mix", scratch .. "/libold.so", scratch .. "/libnew.so" },
         { clash.symbol, clash.provider, clash.runner_up })
      local p = assert(runtime:open(path))
      check({ fix = "link game.so with libnew.so first",
         words = { "gets 'mix' from %/libold.so", "not from %/libnew.so, which "
            .. "defines it too, but not first in the scope" },
         says = [[%/game.so gets 'mix' from %/libold.so; not from %/libnew.so,
             which defines it too, but not first in the scope]] }, p:bindings "mix"[1].message)
   end)

   it("a hook that raises", function ()
      local detail = fails({ fix = "look into the search function, at line 7",
         words = { "in the hook 'search': mods.lua:7: the pack has no index" },
         says = "thing: in the hook 'search': mods.lua:7: the pack has no index" },
         "hook", "thing", {
            search = load("\n\n\n\n\n\nerror 'the pack has no index'",
               "=mods.lua"),
         })
      assert.equal("mods.lua:7: the pack has no index", detail.error)
   end)

   it("a file of 32 bits in the cache", function ()
      local tree <close> = setmetatable({ searching.tree():root() },
         { __close = function (self) self[1]:remove() end })
      local root = tree[1]
      root:copy("opt/one/libaudio.so.1", plain(nil, "-Wl,-soname,libaudio.so.1"))
      root:write("etc/ld.so.conf", "/opt/one\n")
      root:inside("/sbin/ldconfig", "-X", "-i")
      root:copy("driver", searching.driver())
      -- Since ldconfig has looked somebody has put another one there.
      root:write("opt/one/libaudio.so.1", foreign(plain(), 3, 1))
      local function search ()
         return searching.run("/driver", { "libaudio.so.1" },
            { root = root.path })
      end
      local fault = { fix = "install the libaudio.so.1 for 64 bits",
         words = { "/opt/one/libaudio.so.1 was passed over",
            "a 32-bit file for i386", "install the one for x86-64, 64 bits" },
         says = [[libaudio.so.1: not found; not at /opt/one/libaudio.so.1 where
             the cache has it, not in ld.so's own folders (/lib/x86_64-linux-gnu,
             /usr/lib/x86_64-linux-gnu, /lib, /usr/lib); /opt/one/libaudio.so.1
             was passed over: invalid filetype, only ELF64 supported (a 32-bit
             file for i386); install the one for x86-64, 64 bits, or name its
             folder before this one's]] }
      local failed = search()
      assert.equal("badformat", failed.failed)
      check(fault, failed.message)
      -- Where another follows it is passed over.
      root:copy("usr/lib/libaudio.so.1", plain())
      local found = search()
      assert.equal("/usr/lib/libaudio.so.1", found.found)
      assert.equal("badformat", found.kinds["/opt/one/libaudio.so.1"])
   end)
end)
