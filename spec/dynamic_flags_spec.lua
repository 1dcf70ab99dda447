-- Entries and flags of the dynamic section that change how a plugin is opened,
-- each against ld.so.

local assert = require "spec.support.assert"
local compare = require "spec.support.compare"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

-- Says whether its own getppid or the host's is called.
local OWN = [[
long getppid(void) { return 4242; }
long ask(void) { return getppid() == 4242; }
]]

-- Prints when it starts and when it stops.
local TALKER = [[
#include <unistd.h>
static long count;
__attribute__((constructor)) static void start(void) { write(1, "start\n", 6); }
__attribute__((destructor)) static void stop(void) { write(1, "stop\n", 5); }
long next(void) { return ++count; }
]]

local function needing (library, source, flags)
   return assert(cc.shared(source, ("-Wl,--no-as-needed %s %s"):format(library,
      flags or "")))
end

-- Adds bits to DT_FLAGS or DT_FLAGS_1, which may not be there yet.
local function flagged (path, tag, bits)
   local image = elfedit.read(path)
   local entry = image:dynamic(tag)
   if entry then
      entry.d_val = entry.d_val | bits
   else
      image:add(tag, bits)
   end
   return image:save()
end

describe("DT_SYMBOLIC", function ()
   it("puts the plugin before everything else in its own scope", function ()
      local image = elfedit.read(assert(cc.shared(OWN)))
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = 0" })
      image:add("DT_SYMBOLIC", 0)
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = 1" })
   end)

   it("may be the flag DF_SYMBOLIC", function ()
      local path = flagged(assert(cc.shared(OWN)), "DT_FLAGS", elfedit.DF_SYMBOLIC)
      assert.like_ldso({ "open a " .. path, "call a ask" }, { "ask() = 1" })
   end)

   it("does not put the plugin's dependencies first", function ()
      local paths = fixtures.group {
         top = { needs = { "below" }, source = [[
            extern long getppid(void);
            long ask(void) { return getppid() == 4242; } ]] },
         below = { source = "long getppid(void) { return 4242; }" },
      }
      local image = elfedit.read(paths.top)
      image:add("DT_SYMBOLIC", 0)
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = 0" })
   end)

   it("with deepbind changes nothing more", function ()
      local image = elfedit.read(assert(cc.shared(OWN)))
      image:add("DT_SYMBOLIC", 0)
      assert.like_ldso({ "open a " .. image:save() .. " deepbind",
         "call a ask" }, { "ask() = 1" })
   end)
end)

describe("DT_FILTER", function ()
   local filtee = assert(cc.shared
      "long thing(void) { return 2; } long extra(void) { return 3; }")
   local filter = assert(cc.shared("long thing(void) { return 1; }",
      "-Wl,--filter=" .. filtee))

   it("lets the filtee answer in the filter's place", function ()
      assert.like_ldso({ "open a " .. filter, "call a thing", "call a extra" },
         { "thing() = 2", "extra() = 3" })
   end)

   it("lets the filtee answer for who needs the filter", function ()
      local user = needing(filter,
         "extern long thing(void); long ask(void) { return thing(); }")
      assert.like_ldso({ "open a " .. user, "call a ask" }, { "ask() = 2" })
   end)

   it("fails the open when the filtee is not there", function ()
      local path = assert(cc.shared("long thing(void) { return 1; }",
         "-Wl,--filter=/no/such/filtee.so"))
      assert.like_ldso({ "open a " .. path }, { "open a: failed" },
         { kind = "notfound" })
      assert.says("/no/such/filtee.so", elf.open, path)
   end)

   it("starts the filtee before the filter, and stops it after", function ()
      local talking = assert(cc.shared(TALKER))
      local path = assert(cc.shared([[
         #include <unistd.h>
         __attribute__((constructor)) static void start(void)
         { write(1, "filter starts\n", 14); }
         __attribute__((destructor)) static void stop(void)
         { write(1, "filter stops\n", 13); }
      ]], "-Wl,--filter=" .. talking))
      assert.like_ldso({ "open a " .. path, "close a", "say end" },
         { "start\nfilter starts\n", "filter stops\nstop\n" })
   end)
end)

describe("DT_AUXILIARY", function ()
   local auxiliary = assert(cc.shared
      "long thing(void) { return 2; } long extra(void) { return 3; }")

   it("lets the auxiliary answer first", function ()
      local path = assert(cc.shared(
         "long thing(void) { return 1; } long own(void) { return 5; }",
         "-Wl,--auxiliary=" .. auxiliary))
      assert.like_ldso({ "open a " .. path, "call a thing", "call a extra",
         "call a own" }, { "thing() = 2", "extra() = 3", "own() = 5" })
   end)

   it("is passed over when it is not there", function ()
      local path = assert(cc.shared("long thing(void) { return 1; }",
         "-Wl,--auxiliary=/no/such/auxiliary.so"))
      assert.like_ldso({ "open a " .. path, "call a thing" },
         { "thing() = 1" })
   end)

   it("may be given several times, and then the order counts", function ()
      local other = assert(cc.shared
         "long thing(void) { return 4; } long more(void) { return 6; }")
      for _, order in ipairs { { auxiliary, other }, { other, auxiliary } } do
         local path = assert(cc.shared("long thing(void) { return 1; }",
            ("-Wl,--auxiliary=%s,--auxiliary=%s"):format(order[1], order[2])))
         assert.like_ldso({ "open a " .. path, "call a thing",
            "call a extra", "call a more" },
            { "extra() = 3", "more() = 6" })
      end
   end)
end)

describe("DT_TEXTREL", function ()
   local path = assert(cc.shared([[
      .text
      .globl value
      .type value, @function
      value: movabs $thing, %rax
         mov (%rax), %rax
         ret
      .size value, . - value
      .data
      .globl thing
      .type thing, @object
      .size thing, 8
      thing: .quad 17
   ]], { language = "assembly", flags = "-nostdlib -Wl,-z,notext" }))

   it("lets relocations write to code, which then is read-only again", function ()
      local image = elfedit.read(path)
      assert.truthy(image:dynamic "DT_TEXTREL")
      local text = image:load(elfedit.PF_R | elfedit.PF_X)
      assert.like_ldso({ "open a " .. path, "call a value",
         ("pages a %d %d"):format(text.p_vaddr & ~4095,
            text.p_vaddr + text.p_memsz) }, { "value() = 17", "pages r-x" })
   end)

   it("may be the flag DF_TEXTREL", function ()
      local image = elfedit.read(path)
      image:remove "DT_TEXTREL"
      local flags = image:dynamic "DT_FLAGS"
      if flags then
         flags.d_val = flags.d_val | elfedit.DF_TEXTREL
      else
         image:add("DT_FLAGS", elfedit.DF_TEXTREL)
      end
      assert.like_ldso({ "open a " .. image:save(), "call a value" },
         { "value() = 17" })
   end)

   it("that is missing where it is needed is an error", function ()
      -- ld.so writes all the same and dies.
      local image = elfedit.read(path)
      image:remove "DT_TEXTREL"
      local flags = image:dynamic "DT_FLAGS"
      if flags then flags.d_val = flags.d_val & ~elfedit.DF_TEXTREL end
      assert.fails_with("badformat", elf.open, image:save())
      assert.says({ "DT_TEXTREL", "R_X86_64_64" }, elf.open, image:save())
   end)
end)

describe("DF_1_NOW", function ()
   it("and DF_BIND_NOW and DT_BIND_NOW ask for what is done anyway", function ()
      local lazy = assert(cc.shared(OWN, "-Wl,-z,lazy"))
      local image = elfedit.read(lazy)
      image:add("DT_BIND_NOW", 0)
      for _, path in ipairs { lazy, assert(cc.shared(OWN, "-Wl,-z,now")),
         image:save(), flagged(lazy, "DT_FLAGS", elfedit.DF_BIND_NOW),
         flagged(lazy, "DT_FLAGS_1", elfedit.DF_1_NOW) } do
         assert.like_ldso({ "open a " .. path, "call a ask" }, { "ask() = 0" })
      end
   end)

   it("or not, a function that is missing fails the open", function ()
      local source = "extern long missing(void); long f(void) { return missing(); }"
      for _, flag in ipairs { "now", "lazy" } do
         assert.like_ldso({ "open a " .. assert(cc.shared(source, "-Wl,-z," .. flag)) },
            { "open a: failed" }, { kind = "undefined" })
      end
   end)
end)

describe("DF_1_GLOBAL", function ()
   it("makes nothing global: ld.so wants to be asked for it", function ()
      local provider = flagged(
         assert(cc.shared("long thing(void) { return 77; }", "-Wl,-z,global")),
         "DT_FLAGS_1", elfedit.DF_1_GLOBAL)
      local user = assert(cc.shared
         "extern long thing(void); long ask(void) { return thing(); }")
      assert.like_ldso({ "open p " .. provider, "open u " .. user },
         { "open u: failed" }, { kind = "undefined" })
      assert.like_ldso({ "open p " .. provider .. " global",
         "open u " .. user, "call u ask" }, { "ask() = 77" })
   end)
end)

describe("DF_1_NODELETE", function ()
   it("keeps the plugin after its last close, and stops it at exit", function ()
      local path = assert(cc.shared(TALKER, "-Wl,-z,nodelete"))
      assert.like_ldso({ "open a " .. path, "call a next", "close a",
         "say closed", "open a " .. path, "call a next", "close a",
         "say end" }, { "closed\nopen a: ok\nnext() = 2", "end\nstop\n" })
   end)

   it("keeps a dependency and what that needs, too", function ()
      local paths = fixtures.group {
         top = { needs = { "middle" }, source = [[
            extern long next(void); long ask(void) { return next(); } ]] },
         middle = { needs = { "below" }, flags = "-Wl,-z,nodelete",
            source = "extern long next(void); long m(void){ return next(); }" },
         below = { source = TALKER },
      }
      assert.like_ldso({ "open a " .. paths.top, "call a ask", "close a",
         "say closed", "open a " .. paths.top, "call a ask", "say end" },
         { "closed\nopen a: ok\nask() = 2", "end\nstop\n" })
   end)

   it("is what the option nodelete asks for", function ()
      local path = assert(cc.shared(TALKER))
      assert.like_ldso({ "open a " .. path .. " nodelete", "call a next",
         "close a", "open a " .. path, "call a next", "close a", "say end" },
         { "next() = 2", "end\nstop\n" })
      -- Also later, for what is open.
      assert.like_ldso({ "open a " .. path, "open b " .. path .. " nodelete",
         "call a next", "close a", "close b", "open a " .. path,
         "call a next" }, { "next() = 2" })
   end)
end)

describe("DF_1_NOOPEN", function ()
   local path = assert(cc.shared("long x;", "-Wl,-z,nodlopen"))

   it("forbids the plugin to be opened", function ()
      assert.like_ldso({ "open a " .. path }, { "open a: failed" },
         { kind = "unsupported" })
      assert.says("DF_1_NOOPEN", elf.open, path)
   end)

   it("forbids it as a dependency of what is opened, too", function ()
      local user = needing(path, "extern long x; long ask(void) { return x; }")
      assert.like_ldso({ "open a " .. user }, { "open a: failed" },
         { kind = "unsupported" })
   end)
end)

describe("DF_1_INITFIRST", function ()
   it("starts a dependency before all others", function ()
      local function said (name)
         return ([[
            #include <unistd.h>
            __attribute__((constructor)) static void start(void)
            { write(1, "%s\n", 2); } ]]):format(name)
      end
      local paths = fixtures.group {
         a = { needs = { "b", "c", "d" }, source = said "a" },
         b = { source = said "b" },
         c = { source = said "c" },
         d = { source = said "d", flags = "-Wl,-z,initfirst" },
      }
      assert.like_ldso({ "open a " .. paths.a }, { "d\n" })
   end)
end)

describe("DF_1_NODEFLIB", function ()
   -- libz lies in one of the default folders.
   local standin = assert(cc.shared("", "-nostdlib -Wl,-soname,libz.so.1"))
   local source = "extern const char *zlibVersion(void) __attribute__((weak));"
      .. "long has(void) { return zlibVersion != 0; }"

   it("leaves the default folders out of the search", function ()
      assert.like_ldso({ "open a " .. needing(standin, source, "-nostdlib"),
         "call a has" }, { "has() = 1" })
      local path = needing(standin, source, "-nostdlib -Wl,-z,nodefaultlib")
      assert.like_ldso({ "open a " .. path }, { "open a: failed" },
         { kind = "notfound" })
      assert.says({ "libz.so.1", path }, elf.open, path)
   end)

   it("leaves DT_RUNPATH alone", function ()
      local path = needing(standin, source, "-nostdlib -Wl,-z,nodefaultlib,"
         .. "-rpath,/usr/lib/x86_64-linux-gnu,--enable-new-dtags")
      assert.like_ldso({ "open a " .. path, "call a has" }, { "has() = 1" })
   end)
end)

describe("DF_1_ORIGIN", function ()
   it("and DF_ORIGIN or neither: $ORIGIN is the plugin's folder", function ()
      local dependency = assert(cc.shared "long thing(void) { return 12; }")
      local name = dependency:match "[^/]*$"
      local standin = assert(cc.shared("", "-nostdlib -Wl,-soname," .. name))
      for _, flags in ipairs { "", ",-z,origin" } do
         local path = needing(standin, [[
            extern long thing(void) __attribute__((weak));
            long ask(void) { return thing ? thing() : -1; }
         ]], "-Wl,-rpath,'$ORIGIN'" .. flags)
         assert.like_ldso({ "open a " .. path, "call a ask" },
            { "ask() = 12" })
         local entry = elfedit.read(path):dynamic "DT_FLAGS_1"
         assert.equal(flags ~= "",
            entry ~= nil and entry.d_val & elfedit.DF_1_ORIGIN ~= 0)
      end
   end)
end)

describe("DF_1_PIE", function ()
   it("marks an executable, which cannot be opened", function ()
      local path = assert(cc.program("int main(void) { return 0; }",
         "-fPIE -pie"))
      local flags = elfedit.read(path):dynamic "DT_FLAGS_1"
      assert.truthy(flags.d_val & elfedit.DF_1_PIE ~= 0)
      assert.like_ldso({ "open a " .. path }, { "open a: failed" },
         { kind = "unsupported" })
      assert.says("DF_1_PIE", elf.open, path)
   end)
end)

describe("What the dynamic section also may hold", function ()
   it("changes nothing: other flags, other entries", function ()
      local path = flagged(assert(cc.shared(OWN)), "DT_FLAGS_1", 0x7ff400)
      local image = elfedit.read(path)
      image:add("DT_DEBUG", 0)
      local spare
      for _, entry in ipairs(image:entries()) do
         if entry.d_tag == 0 then spare = spare or entry end
      end
      spare.d_tag, spare.d_val = 0x60001234, -1
      assert.like_ldso({ "open a " .. image:save(), "call a ask" },
         { "ask() = 0" })
   end)

   it("includes DT_PREINIT_ARRAY, which is for executables and ignored",
      function ()
         local image = elfedit.read(assert(cc.shared(TALKER)))
         image:dynamic "DT_INIT_ARRAY".d_tag = 32
         image:dynamic "DT_INIT_ARRAYSZ".d_tag = 33
         -- ld.so runs it in what dlopen opens, against the gABI.
         assert.opens_as({ "open a " .. image:save(), "call a next" },
            { "open a: ok\nnext() = 1" })
         local out = compare.ours({ "open a " .. image:save() }).out
         assert.falsy(out:find "start")
      end)
end)

describe("An ISA-level note", function ()
   -- One property, GNU_PROPERTY_X86_ISA_1_NEEDED, of four bytes.
   local function leveled (bits)
      local image = elfedit.read(assert(cc.shared(OWN .. [[
         __asm__(".pushsection .note.gnu.property, \"a\", @note\n"
                 ".balign 8\n.long 4, 16, 5\n.asciz \"GNU\"\n"
                 ".long 0xc0008002, 4, 1, 0\n.popsection\n");
      ]])))
      local property = string.pack("<I4I4", 0xc0008002, 4)
      local _, last = image.bytes:find(property, 1, true)
      assert.truthy(last)
      image:write(last, string.pack("<I4", bits))
      return image:save()
   end

   for name, bits in pairs { baseline = 1, v2 = 3, v3 = 7, v4 = 15 } do
      it(("of x86-64-%s is judged as ld.so does on this machine"):format(name),
         function ()
            -- What this machine is decides whether it opens.
            assert.like_ldso({ "open a " .. leveled(bits), "call a ask" },
               { "open a: " }, { may_fail = true })
         end)
   end

   it("of a level that this machine does not reach refuses the file", function ()
      for _, bits in ipairs { 1 << 4, 1 << 31 | 1 } do
         local path = leveled(bits)
         assert.like_ldso({ "open a " .. path }, { "open a: failed" },
            { kind = "unsupported" })
         assert.says("ISA", elf.open, path)
      end
   end)
end)
