--- What the corpora of the fuzzers are made from: small libraries of the system
--- (seeds.txt), some that are compiled for what those do not have, caches, ld
--- scripts.

local campaign = require "spec.support.campaign"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local searching = require "spec.support.searching"

---@class seeds
local seeds = {}

-- As small as a library can be that is still made by gcc and ld.
local SMALL <const> = "-s -nostartfiles -Wl,-z,noseparate-code,--build-id=none "
   .. "-Wl,-z,max-page-size=4096 "

local function versions ()
   return "-Wl,--version-script=" .. fixtures.text(
      "OLD { global: f; local: private_*; }; NEW { global: g; value; } OLD;",
      ".map")
end

-- Each a way to make one, for what the libraries of the system do not have in
-- so few bytes.
local features = {
   lazy = function ()
      return assert(cc.shared([[
         extern int getpid(void); extern long absent __attribute__((weak));
         static long chosen(void) { return 3; }
         static void *choose(void) { return chosen; }
         long picked(void) __attribute__((ifunc("choose")));
         __thread long in_thread = 5, zero_in_thread;
         long own = 1, zeros[3000];
         long *table[4] = { &own, &zeros[7], &absent };
         __attribute__((constructor)) static void start(void) { own++; }
         long f(void) { return getpid() + in_thread + zero_in_thread + picked()
            + *table[0]; }
      ]], SMALL .. "-Wl,--hash-style=both,-z,lazy,-soname,f.so,-rpath,/nowhere"))
   end,
   packed = function ()
      return assert(cc.shared([[
         long f(void) { return 1; } long g(void) { return 2; } long value = 3;
         static long a, b;
         long *table[200] = { &a, &b, &a, 0, &b, [150] = &b };
         long sum(void) { return *table[0] + *table[1]; }
      ]], SMALL .. "-Wl,-z,pack-relative-relocs " .. versions()))
   end,
   text = function ()
      return assert(cc.shared([[
         .text
         .globl value, f
         .type value, @function
         value: movabs $thing, %rax
         f: mov (%rax), %rax
            ret
         .size value, . - value
         .data
         .globl thing, only, weak
         .type thing, @object
         .size thing, 8
         thing: .quad 17
         .type only, @gnu_unique_object
         .size only, 8
         only: .quad only, thing@SIZE
         .weak weak
         .quad weak, thing + 8
         .section .tbss, "awT", @nobits
         .globl in_thread
         .type in_thread, @object
         .size in_thread, 8
         in_thread: .skip 8
      ]],
         { language = "assembly",
           flags = "-nostdlib " .. SMALL
           .. "-Wl,-z,notext,--hash-style=sysv,--defsym,constant=77" }))
   end,
   descriptor = function ()
      return assert(cc.shared(
         "__thread long f = 5, g; long *a(void) { return &f; }"
         .. "long *b(void) { return &g; }",
         SMALL .. "-mtls-dialect=gnu2 " .. versions()))
   end,
   fixed = function ()
      return assert(cc.shared("__thread long f = 5; long *a(void) { return &f; }",
         SMALL .. "-ftls-model=initial-exec"))
   end,
   filter = function ()
      return assert(cc.shared("long f1, f2, f3, f4, f5, f6, f7, f8; long *p = &f4;",
         SMALL .. "-Wl,--filter=libm.so.6,--auxiliary=/no/such.so"))
   end,
   searching = function ()
      return assert(cc.shared("long f;", SMALL .. "-Wl,--auxiliary=none.so,-rpath,"
         .. "'$ORIGIN/$LIB:${PLATFORM}/a::/none/$ORIGIN'"))
   end,
   searching_first = function ()
      return assert(cc.shared("long f;", SMALL .. "-Wl,--auxiliary=none.so,"
         .. "--disable-new-dtags,-rpath,'${ORIGIN}:/none:.',-z,nodefaultlib"))
   end,
   smallest = function ()
      return assert(cc.shared(".data\n.globl f\nf: .quad f\n",
         { language = "assembly", flags = "-nostdlib " .. SMALL }))
   end,
}

local function put (folder, name, bytes)
   local file = assert(io.open(folder .. "/" .. name, "wb"))
   assert(file:write(bytes))
   assert(file:close())
end

local function libraries ()
   local found = {}
   for _, name in ipairs(campaign.list "spec/fuzz/seeds.txt") do
      local path = assert(campaign.locate(name))
      found[path:match "[^/]*$"] = campaign.contents(path)
   end
   for name, make in pairs(features) do
      found[name] = campaign.contents(make())
   end
   return found
end

---@type table<string, fun(folder: string, above?: string)>
seeds.make = {}

function seeds.make.reader (folder)
   for name, bytes in pairs(libraries()) do put(folder, name, bytes) end
end

-- The last byte says where the bytes come from, and whether what they need is
-- searched for.
function seeds.make.link (folder)
   for name, bytes in pairs(libraries()) do
      for last = 0, 4 do
         put(folder, name .. "-" .. last, bytes .. string.char(last))
      end
   end
end

local function object (source, flags)
   return campaign.contents(assert(cc.object(source, flags)))
end

-- Objects of all that compilers write, none larger than it must be.
---@return table<string, string>
local function objects ()
   local found = {}
   local C <const> = [[
      extern int other(int), maybe(void) __attribute__((weak)), far[];
      int common; static int counted = 3; int zeros[500];
      __thread int in_thread = 4, zero_in_thread;
      const char *table[] = { "text", "ext", "other" };
      static int chosen(void) { return counted; }
      static void *choose(void) { return chosen; }
      int picked(void) __attribute__((ifunc("choose")));
      __attribute__((constructor(200))) static void start(void) { counted++; }
      __attribute__((destructor)) static void stop(void) { counted--; }
      __attribute__((visibility("hidden"))) int hidden_one(void) { return 2; }
      int f(int x) { switch (x) { case 1: return 7; case 2: return other(2);
         case 3: return far[1]; case 4: return in_thread; case 5: return 9; }
         return (maybe ? maybe() : 0) + hidden_one() + zero_in_thread
            + common + picked(); }
   ]]
   for name, flags in pairs {
      pic = "", pie = "-fPIE", fixed = "-fno-pic", plt = "-fno-plt",
      large = "-mcmodel=large -fno-pic", large_pic = "-mcmodel=large",
      common = "-fcommon -ffunction-sections -fdata-sections",
      descriptor = "-mtls-dialect=gnu2", debug = "-g -fcommon",
   } do
      found[name] = object(C, flags)
   end
   found.asm = object [[__asm__(
      ".section .text.once,\"axG\",@progbits,once,comdat\n"
      ".weak once\n once: call f\n ret\n"
      ".section .data.both,\"awG\",@progbits,both\n both: .quad f, 5 - .\n"
      ".data\n .globl small\n small: .byte one\n .short one\n .long one, one\n"
      ".quad one@SIZE, one@GOTOFF\n .long one@PLT\n"
      ".section .ctors,\"aw\"\n .quad f\n"
      ".section .strings,\"aMS\",@progbits,1\n .string \"ab\", \"b\", \"ab\"\n"
      ".section .words,\"aM\",@progbits,8\n .quad 1, 2, 1\n"
      ".section named_set,\"a\"\n .quad __start_named_set, __stop_named_set\n"
      ".globl fixed\n fixed = 77\n .comm large, 64, 32\n");]]
   found.empty = object ""
   found.lto = object("int f;", "-flto")
   return found
end

function seeds.make.object (folder)
   for name, bytes in pairs(objects()) do put(folder, name, bytes) end
end

-- A thin one's members are above it: they are put into `above`, too, if that is
-- given.
function seeds.make.archive (folder, above)
   local made = fixtures.folder .. "/seeds"
   assert(os.execute(("rm -rf %s && mkdir -p %s/lib"):format(
      campaign.quoted(made), campaign.quoted(made))))
   for name, source in pairs {
      ["a.o"] = "int f(void) { return 1; } int both;",
      ["a_name_that_is_too_long.o"] = "int f(void); int g(void) { return f(); }",
   } do
      put(made, name, object(source))
   end
   put(made, "note.txt", "odd")
   for name, flags in pairs { whole = "rcs", thin = "rcsT", bare = "rcS" } do
      assert(os.execute(("cd %s/lib && rm -f x && ar %s x ../*.o ../note.txt "
         .. "2>&1 && cp x %s"):format(campaign.quoted(made), flags,
         campaign.quoted(campaign.canonical(folder) .. "/" .. name))))
   end
   if above then
      assert(os.execute(("cp %s/*.o %s/note.txt %s"):format(
         campaign.quoted(made), campaign.quoted(made), campaign.quoted(above))))
   end
   put(folder, "empty", "!<arch>\n")
end

-- By ldconfig, in a root of its own.
function seeds.make.cache (folder)
   local tree <close> = setmetatable({ root = searching.tree():root() },
      { __close = function (self) self.root:remove() end })
   local root = tree.root
   for _, name in ipairs { "libsearched.so.1", "libx.so.1", "libx.so.2",
      "libx10.so", "libz.so", "glibc-hwcaps/x86-64-v2/libsearched.so.1",
      "glibc-hwcaps/x86-64-v3/libsearched.so.1" } do
      root:copy("opt/one/" .. name, assert(cc.shared("int searched;",
         "-Wl,-soname," .. name:match "[^/]*$")))
   end
   root:write("etc/ld.so.conf", "/opt/one\n")
   for _, format in ipairs { "new", "compat", "old" } do
      root:inside("/sbin/ldconfig", "-X", "-i", "-c", format)
      put(folder, format, campaign.contents(root:at "etc/ld.so.cache"))
   end
end

function seeds.make.ldscript (folder)
   for number, text in ipairs {
      "/* GNU ld script */\nOUTPUT_FORMAT(elf64-x86-64)\nGROUP ( /lib/libc.so.6"
         .. " /usr/lib/libc_nonshared.a AS_NEEDED ( /lib64/ld.so.2 ) )\n",
      "INPUT(libncurses.so.6 -ltinfo)\n",
      "GROUP ( -l:libx.so.1 AS_NEEDED(-lgcc))",
      "INPUT(\"/opt/my libs/x(1).so\" =/usr/lib/y.so $SYSROOT/usr/lib/z.so)",
      "OUTPUT_ARCH(i386:x86-64) SEARCH_DIR(\"/opt/lib\"); TARGET(elf64-x86-64)"
         .. " STARTUP(crt.o) ENTRY(_start) EXTERN(x y) OUTPUT(a) INPUT ( c, d )",
      "GROUP(a)\nSECTIONS { . = 0; }", "/* no end GROUP(a)", "\127ELF\2\1\1",
   } do
      put(folder, tostring(number), text)
   end
end

return seeds
