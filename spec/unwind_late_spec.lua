-- libgcc_s, by which glibc unwinds, is opened when somebody needs it, and then
-- finds plugins that were open before.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local child = require "spec.support.child"

-- For clean-up handlers the compiler would have it need libgcc_s.
local path = assert(cc.shared([[
   #include <dlfcn.h>
   #include <execinfo.h>
   #include <pthread.h>
   #include <stdio.h>
   #include <string.h>
   #include <unistd.h>
   static void *libgcc(const char *name)
   { return dlsym(dlopen("libgcc_s.so.1", RTLD_NOW | RTLD_NOLOAD), name); }
   void _Unwind_Resume(void *exception)
   { ((void (*)(void *))libgcc("_Unwind_Resume"))(exception); }
   int __gcc_personality_v0(int version, int actions, unsigned long class,
                            void *exception, void *context)
   {
       int (*f)(int, int, unsigned long, void *, void *)
           = libgcc("__gcc_personality_v0");
       return f(version, actions, class, exception, context);
   }
   static int cleaned;
   static void clean(int *unused) { cleaned++; }
   static void *wait(void *unused)
   {
       int guard __attribute__((cleanup(clean))) = 1;
       for (;;)
           pause();
   }
   static void *leave(void *unused)
   {
       int guard __attribute__((cleanup(clean))) = 1;
       pthread_exit(0);
   }
   static long run(void *(*work)(void *), int stop)
   {
       pthread_t thread;
       pthread_create(&thread, 0, work, 0);
       if (stop)
           pthread_cancel(thread);
       pthread_join(thread, 0);
       return cleaned;
   }
   long cancel(void) { return run(wait, 1); }
   long depart(void) { return run(leave, 0); }
   __attribute__((noinline)) static long deep(void **frames)
   { long n = backtrace(frames, 64); __asm__ volatile (""); return n; }
   long trace(void)
   {
       void *frames[64];
       long n = deep(frames), own = 0;
       for (long i = 0; i < n; i++)
           own += (char *)frames[i] > (char *)trace - 4096
               && (char *)frames[i] < (char *)trace + 4096;
       return n > 3 && own > 1;
   }
   long there(void)
   {
       char line[4096];
       long found = 0;
       FILE *maps = fopen("/proc/self/maps", "r");
       while (fgets(line, sizeof line, maps))
           found |= strstr(line, "libgcc_s") != 0;
       fclose(maps);
       return found;
   }
   long through(void (*call)(void)) { call(); return there(); }
]], "-fexceptions -pthread"))

local function run (script)
   local result = child.lua([[
      local elf = require "elf64load"
      local p = assert(elf.open(arg[1]))
      local C = p:cdef "long there(void), cancel(void), depart(void); long trace(void), through(void (*)(void));"
   ]] .. script, { path })
   return result.out, child.describe(result) .. result.err
end

-- The sanitizers bring it along.
describe("An unwinder is opened when it is needed #build:", function ()
   for name, answer in pairs { cancel = 1, depart = 1, trace = 1 } do
      it(("by glibc, for %s"):format(name), function ()
         local out, why = run(([[
            print(C.there(), C.%s(), C.there())
            print(C.cancel(), C.depart(), C.trace())
         ]]):format(name))
         local cleaned = name == "trace" and 0 or 1
         assert.equal(("0\t%d\t1\n%d\t%d\t1\n"):format(answer, cleaned + 1,
            cleaned + 2), out, why)
      end)
   end

   it("not for opening and closing", function ()
      local out, why = run [[
         local runtime = elf.runtime {}
         local q = assert(runtime:open(arg[1]))
         q:close()
         runtime:close()
         print(C.there())
      ]]
      assert.equal("0\n", out, why)
   end)

   it("by a close that sees what looks like frames of the plugin", function ()
      local out, why = run [[
         print(C.through(function () p:close() end))
         print(p.state)
      ]]
      assert.equal("1\nclosed\n", out, why)
   end)
end)
