-- How plugins are found by unwinders that do not ask _dl_find_object, and by
-- whoever walks dl_iterate_phdr.

local lfs = require "lfs"
local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local compare = require "spec.support.compare"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local elfedit = require "spec.support.elfedit"

local SOURCE = [[
#include <stdexcept>
#include <unwind.h>
static long destroyed;
struct Counted { ~Counted() { destroyed++; } };
static _Unwind_Reason_Code count(struct _Unwind_Context *, void *data)
{ ++*(long *)data; return _URC_NO_REASON; }
extern "C" long f(long x)
{
    try { Counted c; if (x) throw std::runtime_error("boom"); }
    catch (const std::exception &e) { return e.what()[0] * 10 + destroyed; }
    return 0;
}
extern "C" long frames(long)
{
    long n = 0;
    _Unwind_Backtrace(count, &n);
    return n > 2;
}
]]
local plugin = assert(cc.shared(SOURCE,
   { language = "c++", flags = "-lgcc_s" }))
local second = assert(cc.shared(SOURCE:gsub("boom", "crash"),
   { language = "c++", flags = "-lgcc_s" }))

-- A libgcc_s.so.1 made of the compiler's own libgcc_eh.a, whose functions are
-- hidden: each is shown by a jump to it. Instead of asking glibc's
-- _dl_find_object it asks one that `source` defines.
local SHOWN = {
   ["GCC_3.0"] = { "_Unwind_DeleteException", "_Unwind_Find_FDE",
      "_Unwind_ForcedUnwind", "_Unwind_GetDataRelBase", "_Unwind_GetGR",
      "_Unwind_GetIP", "_Unwind_GetLanguageSpecificData",
      "_Unwind_GetRegionStart", "_Unwind_GetTextRelBase",
      "_Unwind_RaiseException", "_Unwind_Resume", "_Unwind_SetGR",
      "_Unwind_SetIP", "__register_frame_info", "__deregister_frame_info",
      "__udivti3", "__udivmodti4" },
   ["GCC_3.3"] = { "_Unwind_Backtrace", "_Unwind_FindEnclosingFunction",
      "_Unwind_GetCFA", "_Unwind_Resume_or_Rethrow" },
   ["GCC_3.4"] = { "__popcountdi2" },
   ["GCC_4.2.0"] = { "_Unwind_GetIPInfo" },
}

local function shell (...)
   local command = ("unset LD_PRELOAD; " .. table.concat({ ... }, " && "))
   assert(os.execute("{ " .. command .. " ; } >/dev/null 2>&1"), command)
end

local function make_libgcc (source)
   local names, jumps, versions = {}, {}, {}
   for version, functions in pairs(SHOWN) do
      for _, name in ipairs(functions) do
         names[#names + 1] = name .. " own" .. name .. "\n"
         jumps[#jumps + 1] = (".globl %s\n.type %s, @function\n%s: jmp own%s\n")
            :format(name, name, name, name)
      end
      versions[#versions + 1] = ("%s { global: %s; local: *; };\n"):format(
         version, table.concat(functions, "; "))
   end
   for _, list in ipairs { names, jumps, versions } do table.sort(list) end
   names[#names + 1] = "_dl_find_object own_find_object\n"
   local folder = ("%s/libgcc-%s"):format(fixtures.folder, fixtures.digest(source
      .. table.concat(names) .. table.concat(versions)))
   local path = folder .. "/libgcc_s.so.1"
   if lfs.attributes(path, "mode") == "file" then return path end
   local temporary = ("%s.%s"):format(folder,
      lfs.symlinkattributes("/proc/self", "target"))
   shell("mkdir -p " .. temporary)
   local function put (name, text)
      disk.write(temporary .. "/" .. name, text)
   end
   put("names", table.concat(names))
   put("jumps.S", table.concat(jumps) .. '.section .note.GNU-stack,"",@progbits\n')
   put("versions", table.concat(versions))
   put("find.c", source)
   shell("cd " .. temporary,
      "objcopy --redefine-syms=names $(gcc -print-file-name=libgcc_eh.a) own.a",
      "objcopy --redefine-syms=names $(gcc -print-libgcc-file-name) rest.a",
      "gcc -O1 -fPIC -shared -o made jumps.S find.c -Wl,--whole-archive own.a "
         .. "-Wl,--no-whole-archive -Wl,-soname,libgcc_s.so.1 "
         .. "-Wl,--version-script=versions -Wl,-z,now -nostdlib rest.a -lc",
      "mv made libgcc_s.so.1", "cd /",
      ("{ mv %s %s || rm -r %s; }"):format(temporary, folder, temporary))
   return path
end

local function imports (path)
   local found = {}
   local file = elfedit.read(path)
   for _, symbol in ipairs(file:symbols()) do
      if symbol.st_shndx == 0 then found[file:string(symbol.st_name)] = true end
   end
   return found
end

-- As libgcc did it before glibc had _dl_find_object.
local walking = make_libgcc [[
   #define _GNU_SOURCE
   #include <dlfcn.h>
   #include <link.h>
   struct search { char *address; struct dl_find_object *result; };
   static int look(struct dl_phdr_info *info, size_t size, void *data)
   {
       struct search *search = data;
       int inside = 0;
       void *frames = 0;
       for (int i = 0; i < info->dlpi_phnum; i++) {
           const Elf64_Phdr *p = &info->dlpi_phdr[i];
           char *start = (char *)info->dlpi_addr + p->p_vaddr;
           if (p->p_type == PT_LOAD && search->address >= start
               && search->address < start + p->p_memsz)
               inside = 1;
           if (p->p_type == PT_GNU_EH_FRAME)
               frames = start;
       }
       if (!inside || !frames)
           return 0;
       search->result->dlfo_eh_frame = frames;
       return 1;
   }
   __attribute__((visibility("hidden")))
   int own_find_object(void *address, struct dl_find_object *result)
   {
       struct search search = { address, result };
       return dl_iterate_phdr(look, &search) ? 0 : -1;
   }
]]

-- One that has no such import: it knows what glibc mapped by means of its own.
local told = make_libgcc [[
   #define _GNU_SOURCE
   #include <dlfcn.h>
   __attribute__((visibility("hidden")))
   int own_find_object(void *address, struct dl_find_object *result)
   {
       int (*find)(void *, struct dl_find_object *)
           = dlsym(RTLD_DEFAULT, "_dl_find_object");
       return find(address, result);
   }
]]

local SCRIPT = { "open a " .. plugin, "call a f 1", "call a frames",
   "open b " .. second, "call b f 1", "call a f 1", "close a", "call b f 1",
   "open a " .. plugin, "call a f 1", "call b f 1" }
local SAYS = "open a: ok\nf() = 981\nframes() = 1\nopen b: ok\nf() = 991\n"
   .. "f() = 982\nclose a: ok\nf() = 992\nopen a: ok\nf() = 981\nf() = 993\n"

describe("An unwinder that walks dl_iterate_phdr", function ()
   it("finds plugins: libgcc as it was before 12", function ()
      assert.is_true(imports(walking)["dl_iterate_phdr"])
      assert.is_nil(imports(walking)["_dl_find_object"])
      assert.like_ldso(SCRIPT, { SAYS }, { preload = walking })
   end)

   it("finds plugins: one that is linked into a plugin", function ()
      -- Its import is the plugin's own.
      local path = assert(cc.shared [[
         #define _GNU_SOURCE
         #include <link.h>
         #include <string.h>
         static long own, count;
         static int look(struct dl_phdr_info *info, size_t size, void *data)
         {
             count++;
             for (int i = 0; i < info->dlpi_phnum; i++) {
                 const Elf64_Phdr *p = &info->dlpi_phdr[i];
                 char *start = (char *)info->dlpi_addr + p->p_vaddr;
                 if (p->p_type == PT_LOAD && (char *)&own >= start
                     && (char *)&own < start + p->p_memsz)
                     own++;
             }
             return 0;
         }
         long f(long x) { dl_iterate_phdr(look, 0); return own * 10 + (count > 3); }
      ]])
      assert.like_ldso({ "open a " .. path, "call a f" }, { "f() = 11" })
   end)
end)

-- A library of the host that walks, as garbage collectors and sanitizers do.
local walker = assert(cc.shared [[
   #define _GNU_SOURCE
   #include <link.h>
   #include <string.h>
   struct seen { long address, holds, named, headers, calls; };
   static unsigned long long adds, subs, last_adds, last_subs;
   static int look(struct dl_phdr_info *info, size_t size, void *data)
   {
       struct seen *seen = data;
       seen->calls++;
       adds = info->dlpi_adds;
       subs = info->dlpi_subs;
       for (int i = 0; i < info->dlpi_phnum; i++) {
           const Elf64_Phdr *p = &info->dlpi_phdr[i];
           long start = info->dlpi_addr + p->p_vaddr;
           if (p->p_type != PT_LOAD || seen->address < start
               || seen->address >= start + (long)p->p_memsz)
               continue;
           seen->holds++;
           seen->named = strstr(info->dlpi_name, ".so") != 0;
           seen->headers = info->dlpi_phnum;
           return seen->address & 1;
       }
       return 0;
   }
   long walked(long address)
   {
       struct seen seen = { address };
       int answer = dl_iterate_phdr(look, &seen);
       return answer * 1000 + seen.holds * 100 + seen.named * 10
              + (seen.headers > 3);
   }
   long added(void)
   {
       struct seen seen = { 0 };
       dl_iterate_phdr(look, &seen);
       long n = last_adds ? adds - last_adds : 0;
       last_adds = adds;
       return n;
   }
   long removed(void)
   {
       struct seen seen = { 0 };
       dl_iterate_phdr(look, &seen);
       long n = subs - last_subs;
       last_subs = subs;
       return n;
   }
]])
local asking = assert(cc.shared [[
   extern long walked(long), added(void), removed(void);
   static long variable[2];
   long known(void) { return walked((long)variable); }
   long stopped(void) { return walked((long)variable + 1); }
   long comes(void) { return added(); }
   long goes(void) { return removed(); }
]])

describe("dl_iterate_phdr, as the host's libraries call it", function ()
   local other = assert(cc.shared "long nothing;")

   it("shows a plugin once, by its name and with its headers", function ()
      assert.like_ldso({ "host " .. walker .. " global", "open a " .. asking,
         "call a known", "call a stopped" },
         { "known() = 111\nstopped() = 1111" })
   end)

   it("counts what comes and goes", function ()
      assert.like_ldso({ "host " .. walker .. " global", "open a " .. asking,
         "call a comes", "call a goes", "call a comes", "call a goes",
         "open b " .. other, "call a comes", "call a goes", "call a comes",
         "close b", "call a comes", "call a goes", "call a goes" },
         { "comes() = 0\ngoes() = 0\nopen b: ok\ncomes() = 1\ngoes() = 0\n"
            .. "comes() = 0\nclose b: ok\ncomes() = 0\ngoes() = 1\ngoes() = 0" })
   end)

   it("may open and close a plugin from the callback", function ()
      local result = child.lua([[
         local elf = require "elf64load"
         local p = assert(elf.open(arg[1]))
         local C = p:cdef "long walk(const void *, const void *);"
         local runtime = elf.runtime {}
         local q = assert(runtime:open(arg[2]))
         local outer = assert(runtime:open(arg[3]))
         print(C.walk(outer:lookup "again", p:lookup "walk"))
      ]], { assert(cc.shared [[
         #define _GNU_SOURCE
         #include <link.h>
         #include <string.h>
         static long count;
         static int look(struct dl_phdr_info *info, size_t size, void *data)
         {
             long (*again)(const char *) = data;
             // The plugins come last; each is asked to open and close one.
             if (strstr(info->dlpi_name, "/fixtures/"))
                 count += again(info->dlpi_name);
             return 0;
         }
         long walk(const void *again, const void *unused)
         {
             dl_iterate_phdr(look, (void *)again);
             return count;
         }
      ]]), other, assert(cc.shared([[
         #include <dlfcn.h>
         long again(const char *name)
         {
             void *handle = dlopen("]] .. assert(cc.shared "long fresh;") .. [[",
                                   RTLD_NOW);
             return handle && dlclose(handle) == 0;
         }
      ]])) }, { seconds = 200 })
      assert.equal(0, result.code, child.describe(result) .. result.err)
      assert.truthy(tonumber(result.out) >= 3, result.out)
   end)
end)

describe("An unwinder that only knows what it was told", function ()
   it("is told of plugins as they come and go", function ()
      local wants = imports(told)
      assert.is_nil(wants["dl_iterate_phdr"])
      assert.is_nil(wants["_dl_find_object"])
      assert.like_ldso(SCRIPT, { SAYS }, { preload = told })
   end)

   it("is told nothing of frames that it would run off", function ()
      -- No zero word ends .eh_frame in what is linked without start files.
      local path = assert(cc.shared([[
         extern "C" long f(long x) { return x + 1; }
      ]], { language = "c++", flags = "-nostartfiles" }))
      local ours = compare.ours({ "open a " .. path, "call a f 1",
         "open b " .. plugin, "call b f 1" }, { preload = told })
      assert.equal("open a: ok\nf() = 2\nopen b: ok\nf() = 981\n", ours.out,
         ours.err)
   end)

   it("is told nothing of frames that are not well formed", function ()
      -- One byte after the other is wrong, in the header or in the frames.
      local whole = assert(cc.shared "long f(long x) { return x + 1; }")
      local file = elfedit.read(whole)
      local header
      for _, segment in ipairs(file:segments()) do
         if segment.p_type == 0x6474e550 then header = segment end
      end
      local bytes = assert(io.open(whole, "rb")):read "a"
      local frames = header.p_offset + 4
         + string.unpack("<i4", bytes, header.p_offset + 5)
      local wrong = {}
      for at = 0, 11 do wrong[#wrong + 1] = header.p_offset + at end
      for at = 0, 59, 3 do wrong[#wrong + 1] = frames + at end
      local script = {}
      for number, at in ipairs(wrong) do
         local broken = bytes:sub(1, at) .. string.char(bytes:byte(at + 1) ~ 0xf5)
            .. bytes:sub(at + 2)
         local path = fixtures.text(broken, ".so")
         script[#script + 1] = ("open x%d %s"):format(number % 20, path)
         script[#script + 1] = ("call x%d f 1"):format(number % 20)
         script[#script + 1] = ("close x%d"):format(number % 20)
      end
      script[#script + 1] = "open b " .. plugin
      script[#script + 1] = "call b f 1"
      local ours = compare.ours(script, { preload = told })
      assert.equal("f() = 981", ours.out:match "([^\n]*)\n$", ours.err)
      assert.equal(0, ours.code, child.describe(ours))
   end)
end)

describe("An unwinder that the host opens later", function ()
   local plain = assert(cc.shared(
      "long middle(long (*f)(long), long x) { return f(x) + 1; }"))
   local SOURCE = [[
      static long thrower(long x) { throw x; }
      extern "C" long call(const void *middle, long x)
      {
          typedef long through(long (*)(long), long);
          try { return ((through *)middle)(thrower, x); }
          catch (long i) { return i * 10; }
      }
   ]]
   local shared = assert(cc.shared(SOURCE, { language = "c++" }))
   local static = assert(cc.shared(SOURCE,
      { language = "c++", flags = "-static-libgcc -static-libstdc++" }))

   -- Throws from a library of the host's through a plugin that was opened before
   -- any unwinder was there.
   local function throw (...)
      local result = child.lua([[
         local elf = require "elf64load"
         local p = assert(elf.open(arg[1]))
         for i = 2, #arg do assert(package.loadlib(arg[i], "*")) end
         local host = elf.host:cdef "long call(const void *, long);"
         print(host.call(p:lookup "middle", 7))
      ]], { plain, ... })
      assert.equal("70\n", result.out, child.describe(result) .. result.err)
   end

   it("finds plugins if it is linked into what needs it", function ()
      throw(static)
   end)

   it("finds plugins if it is libgcc_s", function () throw(shared) end)

   it("finds plugins if it is libgcc as it was before 12", function ()
      throw(walking, shared)
   end)

   it("finds plugins if it is the second that comes", function ()
      throw(static, shared)
      throw(shared, static)
   end)
end)

-- Its table of symbols has imports only, and its DT_GNU_HASH covers nothing.
describe("An unwinder in a library that exports nothing", function ()
   it("finds plugins that are opened after it", function ()
      local taker = assert(cc.shared [[
         static long (*call)(const void *, long);
         void take(long (*given)(const void *, long)) { call = given; }
         long give(const void *middle, long x) { return call(middle, x); }
      ]])
      local silent = assert(cc.shared([[
         extern "C" void take(long (*)(const void *, long));
         static long thrower(long x) { throw x; }
         static long call(const void *middle, long x)
         {
             typedef long through(long (*)(long), long);
             try { return ((through *)middle)(thrower, x); }
             catch (long i) { return i * 10; }
         }
         __attribute__((constructor)) static void start(void) { take(call); }
      ]], { language = "c++", flags = "-static-libgcc -static-libstdc++ "
         .. "-Wl,--exclude-libs,ALL " .. taker }))
      local result = child.lua([[
         local elf = require "elf64load"
         for i = 2, #arg do assert(package.loadlib(arg[i], "*")) end
         local p = assert(elf.open(arg[1]))
         local host = elf.host:cdef "long give(const void *, long);"
         print(host.give(p:lookup "middle", 7))
      ]], { assert(cc.shared(
         "long middle(long (*f)(long), long x) { return f(x) + 1; }")),
         taker, silent })
      assert.equal("70\n", result.out, child.describe(result) .. result.err)
   end)
end)
