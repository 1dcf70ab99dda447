--- Threads that are in no call from a Lua state, and a program that lets them in.

local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local lfs = require "lfs"

-- Its thread calls what it was given, and asks dlopen.
local plugin = assert(cc.shared [[
   #include <dlfcn.h>
   #include <stdio.h>
   int (*kept)(int, const char *);
   const char *wanted;
   void *work(void *unused)
   {
       printf("called: %d\n", kept(3, "text"));
       void *handle = dlopen(wanted, RTLD_NOW);
       printf("%s\n", handle ? "opened" : dlerror());
       if (handle)
           printf("%d\n", ((int (*)(void))dlsym(handle, "answer"))());
       return 0;
   }
]])

local other = assert(cc.shared "int answer(void) { return 42; }")

local function program (more)
   local state = {}
   for at, path in ipairs { "src/elf64load.h", "src/lua/elf64load_lua.h",
      child.build .. "/lib/libelf64load.a",
      child.build .. "/lib/libelf64load-lua.a" } do
      local is = assert(lfs.attributes(path))
      state[at] = ("%d_%d"):format(is.modification, is.size)
   end
   local sanitize = child.build:find "asan$" and "-fsanitize=address,undefined "
      or child.build:find "tsan$" and "-fsanitize=thread " or ""
   return assert(cc.program([[
      #include <pthread.h>
      #include <stdio.h>
      #include <lauxlib.h>
      #include <lualib.h>
      #include "elf64load_lua.h"
      int luaopen_lpeg(lua_State *L);

      static pthread_mutex_t in_state = PTHREAD_MUTEX_INITIALIZER;
      static lua_State *visitors;

      static lua_State *enter(void *data)
      { (void)data; pthread_mutex_lock(&in_state); return visitors; }
      static void leave(void *data, lua_State *L)
      {
          (void)data;
          if (lua_getglobal(L, "leaving") == LUA_TFUNCTION)
              lua_call(L, 0, 0);
          lua_settop(L, 0);
          pthread_mutex_unlock(&in_state);
      }

      // run(address): in a thread, while nobody is in the state.
      static int run(lua_State *L)
      {
          pthread_t thread;
          void *(*work)(void *) = (void *(*)(void *))lua_tointeger(L, 1);
          pthread_mutex_unlock(&in_state);
          pthread_create(&thread, NULL, work, NULL);
          pthread_join(thread, NULL);
          pthread_mutex_lock(&in_state);
          return 0;
      }

      int main(int count, char **words)
      {
          lua_State *L = luaL_newstate();
          e64_lua_threads threads = { sizeof threads, enter, leave, NULL };
          setvbuf(stdout, NULL, _IONBF, 0);
          pthread_mutex_lock(&in_state);
          luaL_openlibs(L);
          luaL_requiref(L, "lpeg", luaopen_lpeg, 0);
          luaL_requiref(L, "elf64load", luaopen_elf64load, 1);
          lua_settop(L, 0);
          visitors = lua_newthread(L);
          lua_setfield(L, LUA_REGISTRYINDEX, "visitors");
          lua_register(L, "run", run);
          if (]] .. more .. [[)
              e64_lua_set_threads(L, &threads);
          if (luaL_loadfile(L, words[1]))
              return puts(lua_tostring(L, -1));
          for (int i = 2; i < count; i++)
              lua_pushstring(L, words[i]);
          if (lua_pcall(L, count - 2, 0, 0))
              return puts(lua_tostring(L, -1));
          lua_close(L);
          return 0;
      }
   ]], ("-DBUILT=%s -Isrc -Isrc/lua -I/usr/include/lua5.4 -pthread %s-L%s/lib "
      .. "-lelf64load-lua -lelf64load -l:libffi.a -l:libmd.a "
      .. "-l:liblua5.4-lpeg.a -l:liblua5.4.a -lm -ldl"):format(
      table.concat(state, "_"), sanitize, child.build)))
end

local SCRIPT <const> = [[
   warn "@on"
   local elf = elf64load
   local plugin, other, raises = ...
   local runtime = elf.runtime {
      search = function (name)
         if name == "the other" then return other end
         return nil, "unknown"
      end,
      accept = function (p)
         print("accept", p.path == plugin or p.path == other)
         return true
      end,
      verify = function (image, name)
         view = name == other and image or nil
         return #image > 0
      end,
      order = function (plugins) return plugins end,
      on = { started = function () print "started" end },
   }
   local p = assert(runtime:open(plugin))
   local C = p:cdef "int (*kept)(int, const char *); const char *wanted;"
   C.kept = function (number, text)
      if raises then error("a reason", 0) end
      return number + #elf.string(text)
   end
   C.wanted = "the other"
   function leaving()
      if view then print("has a view", (pcall(view.sub, view, 1))) end
      view = nil
   end
   run(p:lookup "work".address)
   collectgarbage()
]]

local function run (threads, ...)
   local result = child.run({ program(threads), fixtures.text(SCRIPT, ".lua"),
      plugin, other, ... }, { merge = true,
      through = { "env", "-u", "LD_PRELOAD" } })
   assert.equal(0, result.code, result.out)
   return result.out
end

describe("A thread that is in no call from a Lua state #threads", function ()
   it("is let in by the program, to hooks and callbacks", function ()
      assert.equal("accept\ttrue\nstarted\ncalled: 7\nhas a view\tfalse\n"
         .. "accept\ttrue\nstarted\nopened\n42\n", run "1")
   end)

   it("has nobody to raise to: that is a warning", function ()
      assert.is_truthy(run("1", "raises"):find("Lua warning: a callback raised "
         .. "in a thread that is in no call from its Lua state: a reason\n"
         .. "called: 0\n", 1, true))
   end)

   it("may search while a script changes where", function ()
      local searcher = assert(cc.shared [[
         #include <dlfcn.h>
         #include <pthread.h>
         static pthread_t thread;
         static volatile int stop;
         static void *search(void *unused)
         {
             while (!stop)
                 dlopen("libnowhere.so", RTLD_NOW);
             return unused;
         }
         void begin(void) { pthread_create(&thread, 0, search, 0); }
         void end(void) { stop = 1; pthread_join(thread, 0); }
      ]])
      local result = child.run({ program "0", fixtures.text([[
         local runtime = elf64load.runtime {}
         local C = assert(runtime:open(...)):cdef "void begin(void), end(void);"
         C.begin()
         for i = 1, 2000 do
            runtime.path = ("/nowhere/"):rep(i % 50 + 1) .. i .. "/?.so"
            runtime:open("libz.so.1", { noload = true })
         end
         C["end"]()
         print "ended"
      ]], ".lua"), searcher }, { merge = true,
         through = { "env", "-u", "LD_PRELOAD" } })
      assert.equal("0 ended\n", result.code .. " " .. result.out)
   end)

   it("is not let in otherwise", function ()
      local out = run "0"
      assert.is_truthy(out:find("called: 0\nthe other: the policy's 'search' is "
         .. "a Lua function, and this thread is not in a call from its Lua "
         .. "state\n", 1, true), out)
   end)
end)
