--- Calls that are bound when they are made first, against dlopen's RTLD_LAZY.

local assert = require "spec.support.assert"
local compare = require "spec.support.compare"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elfedit = require "spec.support.elfedit"
local elf = require "elf64load"

-- Whatever the linker's default is.
local LAZY <const> = " -fno-builtin -Wl,-z,lazy"

local function shared (source, flags)
   return assert(cc.shared(source, (flags or "") .. LAZY))
end

local function needing (library, source, flags)
   return shared(source, "-Wl,--no-as-needed " .. library .. " " .. (flags or ""))
end

-- Calls what nothing defines, and what is there.
local MISSING <const> = [[
extern long absent(void);
extern unsigned long strlen(const char *);
long own(void) { return 7; }
long present(void) { return own() + strlen("four"); }
long call_absent(void) { return absent(); }
]]

-- The same end by both loaders: what ld.so says after the program's name.
local function ends_alike (script, options)
   local theirs, ours = compare.theirs(script, options),
      compare.ours(script, options)
   local function said (result)
      return result.err:match ": (symbol lookup error: [^\n]*)\n$"
   end
   assert.equal(127, theirs.code, theirs.err)
   assert.equal(127, ours.code, ours.err)
   assert.equal(theirs.out, ours.out)
   assert.truthy(said(theirs), theirs.err)
   assert.equal(said(theirs), said(ours))
   return said(ours)
end

describe("A plugin that is opened lazily", function ()
   it("calls its own functions, the host's and those of what it needs", function ()
      local path = needing(shared "long other(long x) { return x + 1; }", [[
         extern long other(long), labs(long), atol(const char *);
         long mine(long x) { return x * 2; }
         long f(long x) { return mine(other(labs(x))) + atol("100"); }
      ]])
      assert.like_ldso({ "open a " .. path .. " lazy", "call a f -4",
         "call a f -5" }, { "f() = 110", "f() = 112" })
   end)

   it("need not find what it does not call", function ()
      local path = shared(MISSING)
      assert.like_ldso({ "open a " .. path .. " lazy", "call a present" },
         { "open a: ok", "present() = 11" })
      assert.fails_with("undefined", elf.open, path)
   end)

   it("ends the process by a call of what is missing, in ld.so's words", function ()
      local path = shared(MISSING)
      assert.equal(("symbol lookup error: %s: undefined symbol: absent"):format(
         path), ends_alike { "open a " .. path .. " lazy", "call a present",
         "call a call_absent" })
   end)

   it("names the version of what is missing", function ()
      local function library (source)
         return shared(source, "-Wl,-soname,lazy-versions.so -Wl,--version-script="
            .. fixtures.text("ONE { *; };\n", ".map"))
      end
      local folder = fixtures.folder .. "/lazy-versions"
      os.execute("mkdir -p " .. folder)
      os.execute(("cp %s %s/lazy-versions.so"):format(
         library "long there(void) { return 1; }", folder))
      local path = needing(library [[long there(void) { return 1; }
         long gone(void) { return 2; }]], [[
         extern long there(void), gone(void);
         long f(void) { return there(); }
         long g(void) { return gone(); } ]])
      assert.truthy(ends_alike({ "open a " .. path .. " lazy", "call a f",
         "call a g" }, { env = { LD_LIBRARY_PATH = folder } }):find(
         "gone, version ONE", 1, true))
   end)

   it("is bound at once when it was linked with -z now", function ()
      for _, how in ipairs { "-Wl,-z,now", "-Wl,-z,now,--disable-new-dtags" } do
         local path = assert(cc.shared(MISSING, "-fno-builtin " .. how))
         assert.like_ldso({ "open a " .. path .. " lazy" }, { "open a: failed" },
            { kind = "undefined" })
      end
   end)

   it("is bound at once by each of the three marks for that", function ()
      for _, mark in ipairs { { "DT_BIND_NOW", 0 }, { "DT_FLAGS", 8 },
         { "DT_FLAGS_1", 1 } } do
         local image = elfedit.read(shared(MISSING))
         image:add(mark[1], mark[2])
         assert.like_ldso({ "open a " .. image:save() .. " lazy" },
            { "open a: failed" }, { kind = "undefined" })
      end
   end)

   it("is bound at once under LD_BIND_NOW, unless that is empty", function ()
      local script = { "open a " .. shared(MISSING) .. " lazy" }
      assert.like_ldso(script, { "open a: failed" },
         { kind = "undefined", env = { LD_BIND_NOW = "1" } })
      assert.like_ldso(script, { "open a: ok" }, { env = { LD_BIND_NOW = "" } })
   end)

   it("finds what was opened globally after it", function ()
      local path = shared(MISSING)
      local late = shared "long absent(void) { return 42; }"
      assert.like_ldso({ "open a " .. path .. " lazy",
         "open b " .. late .. " global", "call a call_absent" },
         { "call_absent() = 42" })
   end)

   it("finds what the host opened globally after it", function ()
      local path = shared(MISSING)
      local late = shared "long absent(void) { return 42; }"
      assert.like_ldso({ "open a " .. path .. " lazy",
         "host " .. late .. " global", "call a call_absent" },
         { "call_absent() = 42" })
   end)

   it("finds nothing in what was opened after it for others", function ()
      local path = shared(MISSING)
      local late = shared "long absent(void) { return 42; }"
      ends_alike { "open a " .. path .. " lazy", "open b " .. late,
         "call a call_absent" }
   end)

   it("finds what is global before what it needs, and what was first", function ()
      local needed = shared "long which(void) { return 1; }"
      local path = needing(needed, [[ extern long which(void);
         long f(void) { return which(); } ]])
      local two = shared "long which(void) { return 2; }"
      local three = shared "long which(void) { return 3; }"
      assert.like_ldso({ "open a " .. path .. " lazy",
         "open b " .. two .. " global", "open c " .. three .. " global",
         "call a f" }, { "f() = 2" })
      -- What has been called stays as it is.
      assert.like_ldso({ "open a " .. path .. " lazy", "call a f",
         "open b " .. two .. " global", "call a f" }, { "f() = 1" })
      assert.like_ldso({ "open a " .. path .. " lazy deepbind",
         "open b " .. two .. " global", "call a f" }, { "f() = 1" })
      assert.like_ldso({ "open a " .. path .. " lazy",
         "open b " .. two .. " global", "close b", "call a f" }, { "f() = 1" })
   end)

   it("finds itself first with DT_SYMBOLIC", function ()
      local path = shared([[ long which(void) { return 1; }
         long f(void) { return which(); } ]])
      local image = elfedit.read(path)
      image:add("DT_SYMBOLIC", 0)
      local two = shared "long which(void) { return 2; }"
      assert.like_ldso({ "open b " .. two .. " global",
         "open a " .. image:save() .. " lazy", "call a f",
         "open c " .. path .. " lazy", "call c f" }, { "f() = 1", "f() = 2" })
   end)

   it("finds what another root needs, whose dependency it is", function ()
      local middle = shared [[ extern long top(void);
         long f(void) { return top(); } ]]
      local root = needing(middle, "long top(void) { return 5; }")
      assert.like_ldso({ "open m " .. middle .. " lazy", "open r " .. root,
         "call m f" }, { "f() = 5" })
      assert.like_ldso({ "open r " .. root .. " lazy", "call r f" },
         { "f() = 5" })
   end)

   it("finds what it needs when the root that brought it is closed", function ()
      local inner = shared "long inner(void) { return 6; }"
      local middle = needing(inner, [[ extern long inner(void);
         long f(void) { return inner(); } ]])
      local root = needing(middle, "long top(void) { return 5; }")
      assert.like_ldso({ "open r " .. root .. " lazy", "open m " .. middle,
         "close r", "call m f" }, { "close r: ok", "f() = 6" })
   end)

   it("keeps what it has been bound to, and nothing that it has not", function ()
      local path = shared(MISSING)
      local late = shared "long absent(void) { return 43; }"
      assert.like_ldso({ "open a " .. path .. " lazy",
         "open b " .. late .. " global", "call a call_absent", "close b",
         "mapped " .. late, "call a call_absent", "close a", "mapped " .. late },
         { "mapped: yes", "call_absent() = 43", "mapped: no" })
      assert.like_ldso({ "open a " .. path .. " lazy",
         "open b " .. late .. " global", "close b", "mapped " .. late },
         { "mapped: no" })
      local a = assert(elf.open(path, { lazy = true }))
      local b = assert(elf.open(late, { global = true }))
      assert.equal(43, a:cdef "long call_absent(void);".call_absent())
      local kinds = {}
      for _, pin in ipairs(b:pins()) do kinds[pin.kind] = pin.path end
      assert.equal(path, kinds.dependent)
      a:close()
      b:close()
   end)

   it("keeps what the host has opened and it has been bound to", function ()
      local path = shared(MISSING)
      local late = shared "long absent(void) { return 44; }"
      assert.like_ldso({ "open a " .. path .. " lazy",
         "host " .. late .. " global as h", "call a call_absent", "unhost h",
         "mapped " .. late, "call a call_absent" },
         { "unhost h: ok", "mapped: yes", "call_absent() = 44" })
   end)

   it("asks the resolver of an IFUNC when it calls it", function ()
      local library = shared [[
         long asked;
         static long one(void) { return 1; }
         static void *choose(void) { asked++; return one; }
         long picked(void) __attribute__((ifunc("choose")));
      ]]
      local path = needing(library, [[
         extern long picked(void);
         long f(void) { return picked(); }
      ]])
      assert.like_ldso({ "open b " .. library .. " lazy",
         "open a " .. path .. " lazy", "value b asked", "call a f",
         "value b asked", "call a f", "value b asked" }, { "f() = 1" })
   end)

   it("counts once what a resolver calls while it is being opened", function ()
      local path = shared [[
         extern long absent(void);
         static long one(void) { return 1; }
         static long two(void) { return 2; }
         static void *choose(void) { return absent() == 43 ? one : two; }
         long picked(void) __attribute__((ifunc("choose")));
         long (*pointer)(void) = picked;
         long f(void) { return pointer(); }
      ]]
      local late = shared "long absent(void) { return 43; }"
      assert.equal("open b: ok\nopen a: ok\nclose b: ok\nmapped: yes\nf() = 1\n"
         .. "close a: ok\nmapped: no\n", compare.ours {
         "open b " .. late .. " global", "open a " .. path .. " lazy",
         "close b", "mapped " .. late, "call a f", "close a",
         "mapped " .. late }.out)
   end)

   it("calls from constructors and destructors", function ()
      local library = shared "long next(long x) { return x + 1; }"
      local path = needing(library, [[
         extern long next(long), labs(long), puts(const char *);
         extern long write(int, const char *, unsigned long);
         long value;
         __attribute__((constructor)) static void begin(void)
         { value = next(labs(-3)); }
         extern long after(long);
         __attribute__((destructor)) static void end(void)
         { write(1, after(1) == 2 ? "good\n" : "bad\n", 5); }
         long after(long x) { return x + 1; }
      ]])
      assert.like_ldso({ "open a " .. path .. " lazy", "value a value",
         "close a" }, { "value = 4", "good" })
      -- One that nobody closes.
      assert.like_ldso({ "open a " .. path .. " lazy" }, { "open a: ok", "good" })
   end)

   it("throws through a first call, and unwinds from a resolver", function ()
      local library = assert(cc.shared([[
         #include <stdexcept>
         #include <unwind.h>
         static _Unwind_Reason_Code count(struct _Unwind_Context *context,
            void *data)
         {
             void **caller = (void **)data;
             void *start = _Unwind_FindEnclosingFunction(
                (void *)(_Unwind_GetIP(context) - 1));
             if (start == caller[0]) caller[1] = start;
             return _URC_NO_REASON;
         }
         extern "C" {
         void *searched[2];
         long thrower(long x) { throw std::runtime_error("x"); }
         static long one(void) { return 1; }
         static void *choose(void)
         { _Unwind_Backtrace(count, searched); return (void *)one; }
         long picked(void) __attribute__((ifunc("choose")));
         }
      ]], { language = "c++", flags = LAZY }))
      local path = assert(cc.shared([[
         extern "C" {
         extern void *searched[2];
         long thrower(long), picked(void);
         long caught(void) { try { return thrower(1); }
            catch (...) { return 8; } }
         __attribute__((noinline)) long seen(void)
         {
             searched[0] = (void *)seen;
             long one = picked();
             return one + (searched[1] == (void *)seen);
         }
         }
      ]],
         { language = "c++",
           flags = "-Wl,--no-as-needed " .. library .. LAZY }))
      assert.like_ldso({ "open a " .. path .. " lazy", "call a caught",
         "call a seen" }, { "caught() = 8", "seen() = 2" })
   end)

   it("has errno as it was", function ()
      local path = shared [[
         #include <errno.h>
         extern long absent(void) __attribute__((weak));
         extern long unlikely(void);
         long f(void) { errno = 33; unlikely(); return errno; }
      ]]
      local late = shared "long unlikely(void) { return 1; }"
      assert.like_ldso({ "open a " .. path .. " lazy",
         "host " .. late .. " global", "call a f" }, { "f() = 33" })
   end)

   it("may have a PLT for branch tracking, or slots that prelink has filled",
   function ()
      local source = [[ extern long labs(long), atol(const char *);
         long f(long x) { return labs(x) + atol("100"); } ]]
      local tracked = shared(source, "-fcf-protection=full -Wl,-z,ibtplt")
      local image = elfedit.read(shared(source))
      local slots = image:dynamic "DT_PLTGOT".d_val
      local plt = image:section ".plt".sh_addr
      image:write(image:offset(slots + 8), ("<I8"):pack(plt + 16 + 6))
      for at = 0, 1 do
         image:write(image:offset(slots + 24 + 8 * at), ("<I8"):pack(0x1234))
      end
      for _, path in ipairs { tracked, image:save() } do
         assert.like_ldso({ "open a " .. path .. " lazy", "call a f -3",
            "call a f -3" }, { "f() = 103" })
      end
   end)

   it("may leave a weak function undefined", function ()
      local path = shared [[
         extern long absent(void) __attribute__((weak));
         long f(void) { return absent ? absent() : 9; } ]]
      assert.like_ldso({ "open a " .. path .. " lazy", "call a f" },
         { "f() = 9" })
   end)

   it("is one that a plugin opens by dlopen with RTLD_LAZY", function ()
      local path = shared(MISSING)
      local opener = shared(([[
         #include <dlfcn.h>
         static long open_as(int mode)
         {
             void *handle = dlopen("%s", mode);
             long (*f)(void) = handle ? dlsym(handle, "present") : 0;
             long answer = f ? f() : 0;
             if (handle) dlclose(handle);
             return answer;
         }
         long now(void) { return open_as(RTLD_NOW); }
         long lazy(void) { return open_as(RTLD_LAZY); }
         long both(void) { return open_as(RTLD_LAZY | RTLD_NOW); }
      ]]):format(path), "-ldl")
      assert.like_ldso({ "open a " .. opener, "call a now", "call a lazy",
         "call a both" }, { "now() = 0", "lazy() = 11", "both() = 11" })
   end)

   it("has what cannot wait bound at once, where ld.so crashes", function ()
      -- Slots that become read-only, none for the PLT to use, and ones that do
      -- not lead into it.
      local image = elfedit.read(shared(MISSING .. "long room[2048];"))
      local relro = image:segment "PT_GNU_RELRO"
      relro.p_memsz = 0x2000
      local none = elfedit.read(shared(MISSING))
      none:remove "DT_PLTGOT"
      local astray = elfedit.read(shared(MISSING))
      local slots = astray:dynamic "DT_PLTGOT".d_val
      for at = 3, 5 do
         astray:write(astray:offset(slots + 8 * at), ("<I8"):pack(0))
      end
      for _, edited in ipairs { image, none, astray } do
         assert.fails_with("undefined", elf.open, edited:save(), { lazy = true })
      end
   end)

   it("is refused for what is wrong with a relocation that could wait", function ()
      local image = elfedit.read(shared(MISSING))
      local relocation = image:relocation {
         type = elfedit.R_X86_64_JUMP_SLOT }
      image:write(relocation.offset + 12, ("<I4"):pack(0xffffff))
      assert.fails_with("badformat", elf.open, image:save(), { lazy = true })
   end)

   it("leaves nothing when it is closed", function ()
      local path = needing(shared "long other(long x) { return x + 1; }", [[
         extern long other(long), labs(long);
         long f(long x) { return other(labs(x)); } ]])
      local function round ()
         local p = assert(elf.open(path, { lazy = true, global = true }))
         assert.equal(4, p:cdef "long f(long);".f(-3))
         p:close()
      end
      assert.leaves_nothing(round)
      assert.keeps_heap(round)
   end)
end)
