-- Symbol versions by ld.so's rules: which definition a reference gets, and when
-- a version that is missing fails the open.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

-- A shared object with a version script.
local needing, versioned = fixtures.needing, fixtures.versioned

-- An empty one that only lends its path as DT_SONAME to the linker.
local function standin (path, source, script)
   local flags = "-Wl,-soname," .. path
   if script then return versioned(source or "", script, flags) end
   return assert(cc.shared(source or "", flags))
end

-- What an image needs of a file.
local function need (image, file)
   for _, entry in ipairs(image:needs()) do
      if entry.file == file then return entry end
   end
   error("it needs nothing of " .. file, 2)
end

local TWO = [[
long f_old(void) { return 1; }
long f_new(void) { return 2; }
__asm__(".symver f_old, f@V1\n.symver f_new, f@@V2\n");
long g(void) { return 3; }
long h(void) { return 4; }
]]
local TWO_SCRIPT = "V1 { global: f; g; local: *; }; V2 { global: f; h; } V1;"
local two = versioned(TWO, TWO_SCRIPT)

-- Three versions, of which the oldest has index 2.
local three = versioned([[
long f1(void) { return 1; }
long f2(void) { return 2; }
long f3(void) { return 3; }
__asm__(".symver f1, f@V1\n.symver f2, f@V2\n.symver f3, f@@V3\n");
long only_new_(void) { return 30; }
__asm__(".symver only_new_, only_new@@V3\n");
long hidden_(void) { return 31; }
__asm__(".symver hidden_, hidden@V3\n");
long several_2(void) { return 32; }
long several_3(void) { return 33; }
__asm__(".symver several_2, several@V2\n.symver several_3, several@@V3\n");
]], [[
V1 { global: f; local: *; };
V2 { global: f; several; } V1;
V3 { global: f; only_new; hidden; several; } V2;
]])

local ASK = [[
extern long f(void);
long ask(void) { return f(); }
]]

local function old (name, version)
   return ([[
      extern long f(void);
      __asm__(".symver f, %s@%s");
      long ask(void) { return f(); }
   ]]):format(name, version)
end

describe("A versioned reference", function ()
   it("gets the version that it was linked to", function ()
      for version, answer in pairs { V1 = 1, V2 = 2 } do
         local user = needing(two, old("f", version))
         assert.like_ldso({ "open a " .. user, "call a ask" },
            { "ask() = " .. answer })
      end
      assert.like_ldso({ "open a " .. needing(two, ASK), "call a ask" },
         { "ask() = 2" })
   end)

   it("gets its version from whichever file in the scope defines it first",
      function ()
         local other = versioned(TWO:gsub("return 1", "return 11"), TWO_SCRIPT)
         local user = needing(two, old("f", "V1"))
         local image = elfedit.read(user)
         assert.truthy(need(image, two))
         assert.like_ldso({ "open o " .. other .. " global",
            "open a " .. user, "call a ask" }, { "ask() = 11" })
      end)

   it("takes a symbol without a version from a file without versions", function ()
      local plain = assert(cc.shared "long f(void) { return 7; }")
      local user = needing(standin(plain, TWO, TWO_SCRIPT), old("f", "V1"))
      -- Here ld.so ends the process: an assertion in it says that a file which
      -- a DT_VERNEED names has versions.
      assert.opens_as({ "open a " .. user, "call a ask" },
         { "open a: ok", "ask() = 7" })
      -- From a file that it does not name it takes the symbol too.
      assert.like_ldso({ "open p " .. plain .. " global",
         "open a " .. needing(two, old("f", "V1")), "call a ask" },
         { "ask() = 7" })
   end)

   it("takes a symbol of the base version from a file with others", function ()
      -- `f` is global without a version here, index 1.
      local base = versioned("long f(void) { return 8; } long g(void){return 1;}",
         "V1 { global: g; };")
      assert.equal(1, elfedit.read(base):versym "f".index)
      local user = needing(standin(base, TWO, TWO_SCRIPT),
         "extern long f(void); long ask(void) { return f(); }")
      local image = elfedit.read(user)
      -- It asks for V2, which the file must seem to define.
      need(image, base).versions[1].vna_flags = 2
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = 8" })
      -- A hidden reference does not take it.
      local version = need(image, base).versions[1]
      version.vna_other = version.vna_other | 0x8000
      image:versym "f".index = version.vna_other
      assert.like_ldso({ "open a " .. image:save() }, { "open a: failed" },
         { kind = "undefined" })
   end)

   it("does not get another version of the symbol", function ()
      -- V2 is there, but f has it in the linker's stand-in only.
      local lacking = versioned(
         "long f_old(void) { return 1; } long h(void) { return 4; }"
         .. '__asm__(".symver f_old, f@V1");',
         "V1 { global: f; local: *; }; V2 { global: h; } V1;")
      local user = needing(standin(lacking, TWO, TWO_SCRIPT), old("f", "V2"))
      assert.like_ldso({ "open a " .. user }, { "open a: failed" },
         { kind = "undefined" })
      local message, detail = assert.fails_with("undefined", elf.open, user)
      assert.equal("f", detail.symbol)
      assert.equal("V2", detail.version)
      assert.truthy(message:find("V2", 1, true))
   end)
end)

describe("An unversioned reference", function ()
   local function unversioned (library)
      return needing(standin(library,
         "long f, only_new, hidden, several;"), [[
         extern long f(void) __attribute__((weak));
         extern long only_new(void) __attribute__((weak));
         extern long hidden(void) __attribute__((weak));
         extern long several(void) __attribute__((weak));
         long ask(void) { return f ? f() : -1; }
         long ask_new(void) { return only_new ? only_new() : -1; }
         long ask_hidden(void) { return hidden ? hidden() : -1; }
         long ask_several(void) { return several ? several() : -1; }
      ]])
   end

   it("gets the oldest version", function ()
      assert.like_ldso({ "open a " .. unversioned(two), "call a ask" },
         { "ask() = 1" })
      assert.like_ldso({ "open a " .. unversioned(three), "call a ask" },
         { "ask() = 1" })
   end)

   it("gets a later version when that is the only one that is not hidden",
      function ()
         assert.like_ldso({ "open a " .. unversioned(three),
            "call a ask_new", "call a ask_hidden", "call a ask_several" },
            { "ask_new() = 30", "ask_hidden() = -1", "ask_several() = 33" })
      end)

   it("gets none when several versions are not hidden", function ()
      local image = elfedit.read(three)
      for at, symbol in ipairs(image:symbols()) do
         if image:string(symbol.st_name) == "several" then
            local place = image:offset(image:dynamic "DT_VERSYM".d_val)
               + 2 * (at - 1)
            local index = string.unpack("<I2", image.bytes, place + 1)
            image:write(place, string.pack("<I2", index & 0x7fff))
         end
      end
      assert.like_ldso({ "open a " .. unversioned(image:save()),
         "call a ask_several" }, { "ask_several() = -1" })
   end)
end)

describe("An import of an object file", function ()
   -- What a plugin's function answers: of the object, or of what ld makes of it.
   local function answers (source, library)
      local out = {}
      local object = assert(cc.object(source))
      for number, path in ipairs { object, assert(cc.shared("",
            ("-Wl,--no-as-needed %s %s"):format(object, library))) } do
         local runtime <close> = elf.runtime {}
         assert(runtime:open(library, { global = true }))
         out[number] = assert(runtime:open(path)):cdef "long ask(void);".ask()
      end
      return out
   end

   it("gets the default version, as ld would have asked for", function ()
      assert.same({ 2, 2 }, answers(ASK, two))
      assert.same({ 3, 3 }, answers(ASK, three))
      assert.same({ 33, 33 }, answers(
         "long several(void); long ask(void) { return several(); }", three))
   end)

   it("gets none where ld would find none", function ()
      local runtime <close> = elf.runtime {}
      assert(runtime:open(three, { global = true }))
      local message, detail = assert.fails_with("undefined", runtime.open,
         runtime, (assert(cc.object(
            "long hidden(void); long ask(void) { return hidden(); }"))))
      assert.equal("hidden", detail.symbol)
      assert.truthy(message:find("version V3 only", 1, true), message)
      assert.truthy(message:find("nothing new is linked with that", 1, true),
         message)
   end)

   it("is the host's function that has its name now", function ()
      -- Of memcpy, glibc has another under its oldest version.
      local source <const> = [[
         #include <string.h>
         long ask(void) {
            void *(*volatile copy)(void *, const void *, unsigned long) = memcpy;
            return (long)copy; }]]
      local object = assert(elf.open((assert(cc.object(source)))))
      local shared = assert(elf.open((assert(cc.shared(source)))))
      local kind <const> = "long ask(void);"
      assert.equal(shared:cdef(kind).ask(), object:cdef(kind).ask())
      shared:close()
      object:close()
   end)
end)

describe("A lookup", function ()
   it("without a version gets the default one", function ()
      assert.like_ldso({ "open a " .. two, "call a f", "open b " .. three,
         "call b f", "has b hidden", "call b several" },
         { "f() = 2", "f() = 3", "has hidden: no", "several() = 33" })
   end)

   it("with a version gets that one only", function ()
      assert.like_ldso({ "open a " .. three, "versioned a f V1",
         "versioned a f V2", "versioned a f V3", "versioned a hidden V3",
         "has a f V9", "has a hidden V1" },
         { "f() = 1", "f() = 2", "f() = 3", "hidden() = 31", "has f@V9: no",
            "has hidden@V1: no" })
   end)

   it("with a version finds nothing in a file without versions but the symbol",
      function ()
         local plain = assert(cc.shared("long f(void) { return 7; }", "-nostdlib"))
         assert.like_ldso({ "open a " .. plain, "has a f V1" },
            { "has f@V1: " })
      end)

   it("says which versions there are", function ()
      local p <close> = assert(elf.open(three))
      local function says (plugin, name, text)
         local message, detail = assert.fails_with("undefined", plugin.lookup,
            plugin, name, "V9")
         assert.equal(text, message:match "%(([^()]*)%)$")
         return detail.versions
      end
      assert.same({ "V1", "V2", "V3" }, says(p, "f",
         "it has version V1 and V2 and V3"))
      local z <close> = assert(elf.open "libz.so.1")
      assert.is_nil(says(z, "crc32", "it has one without a version"))
      if child.sanitizer then return end -- which has malloc itself
      for _, plugin in ipairs { z, elf.host } do
         assert.same({ "GLIBC_2.2.5" }, says(plugin, "malloc",
            "libc.so.6 has version GLIBC_2.2.5"))
      end
   end)

   it("knows no versions of a file without DT_VERDEF and DT_VERNEED", function ()
      local image = elfedit.read(versioned(TWO, TWO_SCRIPT, "-nostdlib"))
      image:remove "DT_VERDEF"
      assert.truthy(image:dynamic "DT_VERSYM")
      assert.is_nil(image:dynamic "DT_VERNEED")
      local path = image:save()
      assert.like_ldso({ "open a " .. path, "call a f", "versioned a f V1",
         "versioned a f V2", "has a f V9" }, { "open a: ok" })
   end)

   it("answers the version of what it found", function ()
      local p <close> = assert(elf.open(three))
      assert.equal("V3", assert(p:lookup "f").version)
      assert.equal("V1", assert(p:lookup("f", "V1")).version)
      local _, detail = assert.fails_with("undefined", p.lookup, p, "f", "V9")
      assert.equal("V9", detail.version)
      local plain <close> = assert(elf.open(assert(cc.shared "long x;")))
      assert.is_nil(assert(plain:lookup "x").version)
   end)
end)

describe("A version that a file needs", function ()
   local newer = TWO_SCRIPT .. "V3 { global: n; } V2;"
   local user = needing(
      standin(two, TWO .. "long n(void) { return 5; }", newer),
      "extern long n(void); long ask(void) { return n(); }")

   it("and that its provider lacks fails the open: not the symbol is missing",
      function ()
         assert.like_ldso({ "open a " .. user }, { "open a: failed" },
            { kind = "version" })
         local message, detail = assert.fails_with("version", elf.open, user)
         assert.truthy(message:find("'V3'", 1, true))
         assert.truthy(message:find(user, 1, true))
         assert.truthy(message:find(two, 1, true))
         assert.equal("V3", detail.version)
         assert.equal(user, detail.wanter)
      end)

   it("weakly (VER_FLG_WEAK) does not fail the open", function ()
      local image = elfedit.read(needing(
         standin(two, TWO .. "long n(void) { return 5; }", newer), [[
         extern long n(void) __attribute__((weak));
         long ask(void) { return n ? n() : -1; } ]]))
      for _, version in ipairs(need(image, two).versions) do
         version.vna_flags = 2
      end
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = -1" })
   end)

   it("is none to a provider without any versions", function ()
      local plain = assert(cc.shared "long n(void) { return 6; }")
      local path = needing(
         standin(plain, TWO .. "long n(void) { return 5; }", newer),
         "extern long n(void) __attribute__((weak));"
         .. "long ask(void) { return n ? 1 : -1; }")
      assert.opens_as({ "open a " .. path, "call a ask" }, { "ask() = 1" })
   end)

   it("is compared by hash and by name", function ()
      for _, field in ipairs { "vna_hash", "vna_name" } do
         local image = elfedit.read(needing(two, old("f", "V1")))
         local version = need(image, two).versions[1]
         version[field] = version[field] + 1
         assert.like_ldso({ "open a " .. image:save() }, { "open a: failed" },
            { kind = "version" })
      end
   end)

   it("may be the base version, which symbols without a version have", function ()
      local base = elfedit.read(versioned(
         "long f(void) { return 8; } long g(void) { return 1; }",
         "V1 { global: g; };"))
      local first = base:definitions()[1]
      assert.equal(1, first.definition.vd_flags) -- VER_FLG_BASE
      -- Its name is that of the file; here it is one that both files hold.
      first.name.vda_name = base:symbol "f".st_name
      first.definition.vd_hash = ("f"):byte()
      local path = base:save()
      local image = elfedit.read(needing(standin(path, TWO, TWO_SCRIPT), ASK))
      local version = need(image, path).versions[1]
      version.vna_name = image:symbol "f".st_name
      version.vna_hash = ("f"):byte()
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = 8" })
      version.vna_hash = ("g"):byte()
      assert.like_ldso({ "open a " .. image:save() }, { "open a: failed" },
         { kind = "version" })
   end)

   it("of libc that this libc lacks fails the open", function ()
      local libc = versioned("long invented(void) { return 1; }",
         "GLIBC_9.9 { global: invented; };", "-nostdlib -Wl,-soname,libc.so.6")
      local path = assert(cc.shared([[
         extern long invented(void);
         long ask(void) { return invented(); }
      ]], "-nostdlib -Wl,--no-as-needed " .. libc))
      assert.like_ldso({ "open a " .. path }, { "open a: failed" },
         { kind = "version" })
      local _, detail = assert.fails_with("version", elf.open, path)
      assert.equal("GLIBC_9.9", detail.version)
   end)

   it("is found whatever the counts say: links are followed", function ()
      local image = elfedit.read(needing(two, old("f", "V1")))
      image:dynamic "DT_VERNEEDNUM".d_val = 77
      need(image, two).need.vn_cnt = 99
      local provider = elfedit.read(two)
      provider:dynamic "DT_VERDEFNUM".d_val = 0
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = 1" })
      assert.like_ldso({ "open a " .. provider:save(), "versioned a f V1" },
         { "f() = 1" })
   end)
end)

describe("The host's versions", function ()
   it("are kept apart: an old reference gets the old definition", function ()
      -- These have two or more. Sanitizers replace others that have.
      local path = assert(cc.shared [[
         extern void *nftw(void), *nftw_old(void), *sched_setaffinity(void),
             *sched_setaffinity_old(void), *getpid(void);
         __asm__(".symver nftw_old, nftw@GLIBC_2.2.5\n"
                 ".symver sched_setaffinity_old, sched_setaffinity@GLIBC_2.3.3\n");
         static void *volatile all[] = { nftw, nftw_old, sched_setaffinity,
                                         sched_setaffinity_old };
         long from_getpid(long i) { return (char *)all[i] - (char *)getpid; }
         long differ(void) { return all[0] != all[1] && all[2] != all[3]; }
      ]])
      assert.like_ldso({ "open a " .. path, "call a from_getpid 0",
         "call a from_getpid 1", "call a from_getpid 2",
         "call a from_getpid 3", "call a differ" }, { "differ() = 1" })
   end)

   it("serve unversioned references with the oldest definition", function ()
      -- Linked against a libc without versions.
      local libc = assert(cc.shared("long nftw, getpid;",
         "-nostdlib -Wl,-soname,libc.so.6"))
      local path = assert(cc.shared([[
         extern void *nftw(void), *getpid(void);
         long distance(void) { return (char *)nftw - (char *)getpid; }
      ]], "-nostdlib -Wl,--no-as-needed " .. libc))
      assert.like_ldso({ "open a " .. path, "call a distance" })
   end)

   it("are found by lookups", function ()
      local path = assert(cc.shared
         "extern long getpid(void); long f(void) { return getpid(); }")
      assert.like_ldso({ "open a " .. path, "has a realpath GLIBC_2.2.5",
         "has a realpath GLIBC_2.3", "has a realpath GLIBC_2.4" },
         { "has realpath@GLIBC_2.2.5: yes", "has realpath@GLIBC_2.4: no" })
   end)
end)
