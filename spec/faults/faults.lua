--- Builds and runs the injection of faults.

local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"

local faults = {}

local FOLDER <const> = "spec/faults/"

-- What DT_NEEDED names stand for: links in a folder that DT_RUNPATH names.
local function link (folder, name, path)
   assert(os.execute(("mkdir -p '%s' && ln -sfn '%s' '%s/%s'"):format(folder,
      path, folder, name)))
   return folder .. "/" .. name
end

local CHECK <const> = "long check(void) { return %s; }\n"

local function plugin (source, check, flags)
   return assert(cc.shared(source .. CHECK:format(check), flags))
end

local function tree (folder)
   local runpath = " -Wl,--no-as-needed,-rpath," .. folder
   local paths = {}
   local function add (name, source, check, ...)
      local words = { "-Wl,-soname,libfaults_" .. name .. ".so" .. runpath }
      for _, other in ipairs { ... } do
         words[#words + 1] = paths[other] or other
      end
      paths[name] = plugin(source, check, table.concat(words, " "))
      link(folder, "libfaults_" .. name .. ".so", paths[name])
   end
   add("leaf", [[
      static long *slot, value;
      static void __attribute__((constructor)) start(void) { slot = &value; }
      long leaf(void) { return slot == &value ? 20 : 0; }
   ]], "leaf() + 22")
   add("left", [[
      extern long leaf(void);
      long (*held)(void) = leaf;
      long left(void) { return held(); }
   ]], "left() + 22", "leaf")
   add("right", [[
      #include <stdlib.h>
      #include <math.h>
      extern long leaf(void);
      static void *memory;
      double (*root)(double) = sqrt;
      static void __attribute__((constructor)) start(void) { memory = malloc(100); }
      static void __attribute__((destructor)) stop(void) { free(memory); }
      long right(void) { return memory && root(4) == 2 ? leaf() + 2 : 0; }
   ]], "right() + 20", "leaf", "-lm")
   add("root", "extern long left(void), right(void);", "left() + right()",
      "left", "right")
   return paths
end

-- Objects and archives, of which `first` needs all others.
local function objects (folder, paths)
   local function add (name, source, flags)
      local made = assert(cc.object(source, flags or "-fPIC"))
      paths[name] = link(folder, name .. ".o", made)
   end
   add("alone", [[
      #include <stdio.h>
      __thread long variable = 20;
      static long number, (*held)(void);
      int (*say)(const char *) = puts;
      static long internal(void) { return 2; }
      __attribute__((constructor)) static void start(void)
      { number = 20; held = internal; }
   ]] .. CHECK:format "say ? number + variable + held() : 0")
   add("first", [[
      extern long second(void), third(void), fourth(void);
      static long internal(void) { return 2; }
      static long (*volatile held)(void) = internal;
   ]] .. CHECK:format "held() + second() + third() + fourth()")
   add("second", [[
      long common;
      static long one(void) { return 10; }
      static void *choose(void) { return one; }
      long second(void) __attribute__((ifunc("choose")));
   ]], "-fPIC -fcommon")
   add("other", "long common; long second(void) { return 10 + common; }",
      "-fPIC -fcommon")
   add("third", "long third(void) { return 10; }")
   add("fourth", "long fourth(void) { return 20; }")
   add("incomplete", "extern long nowhere_at_all(void);"
      .. CHECK:format "nowhere_at_all()")
   -- Words of 32 bits, of the host's data and of its own.
   add("far", [[
      #include <stdio.h>
      extern char **environ;
      static const char *const texts[] = { "one", "two" };
   ]] .. CHECK:format "stdout && environ && texts[1][0] == 't' ? 42 : 0",
      "-fno-pic")
   for name, words in pairs { archive = "rcs libthird.a third.o",
      thin = "rcsT libthin.a third.o fourth.o", bare = "rcS libbare.a second.o",
      both = "rcs libboth.a first.o second.o" }
   do
      -- Another process may be using what is there.
      local made = words:match "%S+%.a"
      paths[name] = folder .. "/" .. made
      assert(os.execute(("cd '%s' && rm -f new-%s && ar %s && mv new-%s %s")
         :format(folder, made, words:gsub(made, "new-%0"), made, made)))
   end
end

-- A shared object without what gcc puts into each by itself would not be what
-- people open: so all are made as usual.
local function plugins ()
   local folder = fixtures.folder .. "/faults"
   local paths = tree(folder)
   objects(folder, paths)
   paths.plain = plugin([[
      #include <stdio.h>
      #include <stdlib.h>
      #include <string.h>
      static char zeros[100000];
      int (*say)(const char *) = puts;
      void *(*const all[])(size_t) = { malloc, malloc };
      static long number;
      static void __attribute__((constructor)) start(void) { number = 42; }
   ]], "say && all[1] && !zeros[99999] ? number : 0")
   paths.link = link(folder, "another name.so", paths.plain)
   paths.lonely = plugin("extern long leaf(void);", "leaf() + 22")
   paths.undefined = plugin("extern long nowhere_a(void), nowhere_b(void);",
      "nowhere_a() + nowhere_b()")
   local old = assert(cc.shared("long thing(void) { return 42; }",
      "-Wl,-soname,libfaults_versions.so -Wl,--version-script="
      .. fixtures.text("NEWER { thing; };", ".map")))
   local present = assert(cc.shared("long thing(void) { return 42; }",
      "-Wl,-soname,libfaults_versions.so -Wl,--version-script="
      .. fixtures.text("OLDER { thing; };", ".map")))
   link(folder, "libfaults_versions.so", present)
   paths.version = plugin("extern long thing(void);", "thing()",
      old .. " -Wl,-rpath," .. folder)
   paths.versions = plugin([[
      #include <stdio.h>
      int (*say)(const char *) = puts;
      long first(void) { return 1; }
      long second(void) { return 2; }
      __asm__(".symver first,versioned@OLD");
      __asm__(".symver second,versioned@@NEW");
   ]], "42", "-Wl,--version-script="
      .. fixtures.text("OLD { check; }; NEW { versioned; };", ".map"))
   paths.filter = plugin("extern long leaf(void);", "leaf() + 22",
      "-Wl,-rpath," .. folder .. " -Wl,-f,libfaults_nowhere.so"
      .. " -Wl,-f,libfaults_left.so -Wl,-F,libfaults_leaf.so")
   paths.family = plugin(
      "extern unsigned ns_get16(const unsigned char *);",
      "ns_get16((const unsigned char *)\"\\0*\")",
      "-Wl,--no-as-needed -lresolv")

   local THREAD <const> = [[
      __thread int variable = 21, zero;
      __thread int *pointer = 0;
      __thread char more[100] = "more";
      long get(void) { return zero == 0 && !pointer && more[0] == 'm' ? variable : 0; }
   ]]
   paths.initial = plugin(THREAD, "get() * 2",
      "-ftls-model=initial-exec -Wl,-soname,libfaults_initial.so")
   link(folder, "libfaults_initial.so", paths.initial)
   paths.zero = plugin("__thread long zeros[12];", "zeros[11] + 42",
      "-ftls-model=initial-exec")
   paths.dynamic = plugin(THREAD, "get() * 2")
   paths.descriptor = plugin(THREAD, "get() * 2", "-mtls-dialect=gnu2")
   paths.borrower = plugin("extern __thread int variable;", "variable * 2",
      paths.initial .. " -ftls-model=initial-exec -Wl,-rpath," .. folder)
   paths.filler = plugin("__thread char room[3900] = \"*\";", "room[0]",
      "-ftls-model=initial-exec")
   paths.large = plugin("__thread char room[900] = \"*\";", "room[0]",
      "-ftls-model=initial-exec")

   local CHOSEN <const> = [[
      static long one(void) { return 21; }
      static long two(void) { return 21; }
      static void *choose_one(void) { return one; }
      static void *choose_two(void) { return two; }
      long first(void) __attribute__((ifunc("choose_one")));
      long second(void) __attribute__((ifunc("choose_two")));
      static long hidden(void) __attribute__((ifunc("choose_two")));
      long (*held)(void) = first;
   ]]
   paths.ifunc = plugin(CHOSEN, "held() + second() + hidden() - 21")
   paths.text = assert(cc.shared([[
      .text
      .globl chosen
      .type chosen, @gnu_indirect_function
      chosen: lea one(%rip), %rax
              ret
      one:    mov $42, %eax
              ret
      .globl check
      .type check, @function
      check:  movabs $chosen, %rax
              movabs $data, %rcx
              jmp *%rax
      .globl data
      .type data, @object
      .data
      data:   .quad check, chosen
   ]], { language = "assembly", flags = "-nostdlib -Wl,-z,notext" }))
   paths.special = plugin([[
      __thread int variable = 42;
      static long one(void) { return 42; }
      static void *choose(void) { return one; }
      long chosen(void) __attribute__((ifunc("choose")));
      __asm__(".globl only\n.type only, @gnu_unique_object\n.size only, 4\n"
              ".data\nonly: .long 42\n.text");
      extern int only;
   ]], "only")
   paths.cpp = assert(cc.shared([[
      #include <mutex>
      #include <string>
      #include <stdexcept>
      struct counted {
         std::string text;
         counted() : text("forty-two, and long enough for the heap") { }
         ~counted() { text.clear(); }
      };
      thread_local counted mine;
      template <class T> struct single { static int value; };
      template <class T> int single<T>::value = 21;
      int *unique() { return &single<int>::value; }
      static std::once_flag once;
      static int found;
      static std::string global("a string that lies on the heap, too");
      static int caught()
      {
         try { throw std::runtime_error("21"); }
         catch (const std::exception &error) { return std::stoi(error.what()); }
      }
      extern "C" long check(void)
      {
         std::call_once(once, [] { found = caught(); });
         return mine.text.size() == 39 && global.size() == 35
            ? found + single<int>::value : 0;
      }
   ]], { language = "c++", flags = "-pthread" }))
   paths.nested = plugin(([[
      #include <dlfcn.h>
      static void *handle;
      static void open_it(void)
      {
         if (!handle)
            handle = dlopen("%s", RTLD_NOW);
      }
      static void __attribute__((constructor)) start(void) { open_it(); }
      static void __attribute__((destructor)) stop(void)
      {
         if (handle)
            dlclose(handle);
      }
      static long ask(void)
      {
         open_it();
         return ((long (*)(void))dlsym(handle, "check"))();
      }
   ]]):format(paths.plain), "ask()", "-ldl")
   return paths
end

local words

-- The program and what it is told of the plugins.
local function driver ()
   if words then return words end
   local sources = {}
   for at, name in ipairs { "driver.c", "scenarios.c", "scenarios.h",
      "asking.c", "asking.h", "deciding.c", "deciding.h", "linking.c",
      "linking.h", "state.c", "state.h", "tracer.c", "tracer.h" } do
      sources[at] = FOLDER .. name
   end
   sources[#sources + 1] = "src/elf64load.h"
   sources[#sources + 1] = fixtures.loader() .. "/lib/libelf64load.a"
   words = { campaign.program(sources, "-g -pthread"), fixtures.folder }
   for key, path in pairs(plugins()) do
      words[#words + 1] = key .. "=" .. path
   end
   return words
end

-- malloc keeps nothing aside, so that what it has given out can be counted.
local TUNABLES <const> = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1"
   .. ":glibc.malloc.mmap_threshold=1048576"

-- Its heap grows often, so that this fails too. Not where all that needs memory
-- fails: where its table of unique symbols grows, ld.so ends the process then
-- ("out of memory").
local SMALL <const> = TUNABLES .. ":glibc.malloc.top_pad=4096"
   .. ":glibc.malloc.trim_threshold=4096"

--- All that there are.
---@return string[]
function faults.scenarios ()
   local names = {}
   for name in child.run({ driver()[1] }).out:gmatch "[^\n]+" do
      names[#names + 1] = name
   end
   return names
end

---@class fault_result
---@field text string what was found
---@field points integer how many were made to fail
---@field refused integer
---@field harmless integer
---@field heaps integer where malloc went on in a mapping, which stays, as brk failed
---@field wrong integer

--- Runs one scenario.
---@param scenario string
---@param what "calls"|"memory"
---@param when "warm"|"cold"
---@param how "one"|"all"
---@param variant? integer
---@return fault_result
function faults.run (scenario, what, when, how, variant)
   local command = driver()
   local result = child.run(table.move(command, 2, #command, 7,
      { command[1], scenario, what, when, how, tostring(variant or 0) }),
      { seconds = 1200, merge = true,
         env = { GLIBC_TUNABLES = how == "one" and SMALL or TUNABLES } })
   local points, refused, harmless, heaps, wrong = result.out:match(
      "(%d+) points, (%d+) refused, (%d+) harmless, (%d+) with the heap in a "
      .. "mapping, (%d+) wrong\n$")
   if not points then
      error(("%s %s %s %s %s\n%s"):format(scenario, what, when, how,
         child.describe(result), result.out), 0)
   end
   return { text = result.out, points = math.tointeger(points),
      refused = math.tointeger(refused), harmless = math.tointeger(harmless),
      heaps = math.tointeger(heaps), wrong = math.tointeger(wrong) }
end

--- Makes each allocation of a Lua state fail in turn, over what lua.lua does.
---@return result
function faults.lua ()
   local build = fixtures.loader()
   local sources = { FOLDER .. "lua.c", FOLDER .. "state.c", FOLDER .. "state.h",
      FOLDER .. "scenarios.h", "src/elf64load.h",
      build .. "/lib/libelf64load-lua.a", build .. "/lib/libelf64load.a" }
   local program = campaign.program(sources, "-I/usr/include/lua5.4 -g -pthread",
      "-l:libffi.a -l:libmd.a -l:liblua5.4-lpeg.a -l:liblua5.4.a -lm -ldl")
   local paths = plugins()
   return child.run({ program, FOLDER .. "lua.lua", fixtures.folder,
      paths.plain, "libfaults-nowhere.so.7", paths.first, paths.second,
      paths.thin },
      { seconds = 600, env = { GLIBC_TUNABLES = TUNABLES }, merge = true })
end

return faults
