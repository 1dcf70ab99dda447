--- Go code in libraries, which nobody can stop; Go plugins as far as no Go is
--- needed.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local golang = require "spec.support.golang"
local threads = require "spec.support.threads"
local elf = require "elf64load"
local core = require "elf64load.core"

local build <const>, run <const> = golang.build, golang.run
local env <const>, quoted <const> = golang.env, disk.quoted

-- What Go's linker writes into each file, but for what is after the name.
local function note (owner, kind)
   return ([[
      __asm__(".pushsection .note.go.buildid, \"a\", @note\n.balign 4\n"
         ".long 4, 8, %d\n.ascii \"%s\\0\\0\"\n.ascii \"build id\"\n"
         ".popsection\n");
      int f(void) { return 7; }
   ]]):format(kind, owner)
end

-- A Go plugin as far as can be seen before anything of it is run; `hash` are the
-- bytes that say which Go runtime it wants.
local function plugin_like (hash)
   return assert(cc.shared((hash and [[
      .globl go.link.pkghashbytes.runtime
      .type go.link.pkghashbytes.runtime, @object
      .size go.link.pkghashbytes.runtime, 8
      .section .rodata
      go.link.pkghashbytes.runtime: .ascii "%s"
   ]] or ""):format(hash) .. [[
      .data
      .globl runtime.firstmoduledata
      .type runtime.firstmoduledata, @object
      .size runtime.firstmoduledata, 8
      runtime.firstmoduledata: .quad 0
   ]], { language = "assembly", flags = "-nostdlib" }))
end

describe("A library with Go code", function ()
   local function stays (path)
      local plugin = assert(elf.open(path))
      assert.is_true(plugin:close())
      return elf.loaded[path] ~= nil
   end

   it("is known by Go's note and stays open when it is closed", function ()
      assert.is_true(stays(assert(cc.shared(note("Go", 4)))))
   end)

   it("is known without the note by what all Go code exports to C", function ()
      assert.is_true(stays(assert(cc.shared "void crosscall2(void) {}")))
   end)

   it("is not taken for one by notes of others", function ()
      assert.is_false(stays(assert(cc.shared(note("Go", 3)))))
      assert.is_false(stays(assert(cc.shared(note("Og", 4)))))
      assert.is_false(stays(assert(cc.shared "void crosscall3(void) {}")))
   end)
end)

describe("A look into a file", function ()
   it("gives the bytes of a symbol and opens nothing", function ()
      local path = assert(cc.shared [[
         const char text[] = "abc";
         __attribute__((constructor)) static void die(void) { __builtin_trap(); }
      ]])
      assert.equal("abc\0", core.peek(path, "text"))
      assert.is_nil(elf.loaded[path])
   end)

   it("fails for what is not there", function ()
      local path = assert(cc.shared "char space[100]; char much[5000] = { 1 };")
      assert.fails_with("undefined", core.peek, path, "text")
      assert.fails_with("badformat", core.peek, path, "space") -- .bss
      assert.fails_with("badformat", core.peek, path, "much")
      assert.fails_with("notfound", core.peek, path .. ".none", "text")
      assert.fails_with("badformat", core.peek, "README.md", "text")
   end)
end)

describe("A Go plugin", function ()
   it("is not loaded from bytes: Go opens files", function ()
      local text = disk.contents(plugin_like "12345678")
      assert.says({ "bytes", "Go plugin", "elf.open" }, elf.load, text, "bytes")
      assert.fails_with("unsupported", elf.load, text, "bytes")
   end)

   it("that does not say which runtime it wants is refused", function ()
      local path = plugin_like(nil)
      assert.says({ path, "Go plugin", "does not say which" }, elf.open, path)
      assert.fails_with("unsupported", elf.open, path)
   end)

   it("cannot be had private, deepbind or held", function ()
      local path = plugin_like "12345678"
      for _, options in ipairs { { private = true }, { deepbind = true },
         { start = false } } do
         assert.says({ path, (next(options)) }, elf.open, path, options)
         assert.fails_with("unsupported", elf.open, path, options)
      end
   end)

   -- env finds the rest in the folder alone.
   local function open_in (folder, cache)
      return child.lua([[
         print(select(2, require "elf64load".open(...)))
      ]], { plugin_like "12345678" }, {
         through = { "env", "PATH=" .. folder, "XDG_CACHE_HOME=" .. cache },
      })
   end

   it("needs the toolchain, says the message where there is none", function ()
      local result = open_in(golang.absent(), fixtures.folder .. "/no-cache")
      assert.equal(0, result.code, result.err)
      assert.is_truthy(result.out:find("no command 'go'", 1, true), result.out)
      assert.is_truthy(result.out:find("golang-go", 1, true), result.out)
   end)

   it("shows what a toolchain says that does not work", function ()
      local folder = fixtures.folder .. "/bad-go"
      os.execute(("rm -rf %s && cp -r %s %s"):format(quoted(folder),
         quoted(golang.absent()), quoted(folder)))
      disk.write(folder .. "/go", "#!/bin/sh\necho 'no space left'\nexit 1\n")
      os.execute("chmod +x " .. quoted(folder .. "/go"))
      local result = open_in(folder, fixtures.folder .. "/no-cache")
      assert.equal(0, result.code, result.err)
      assert.is_truthy(result.out:find("no space left", 1, true), result.out)
   end)
end)

local LIBRARY <const> = [[
   package main

   /*
   #include <pthread.h>

   extern long Sum(int);

   static void *body(void *sum) { *(long *)sum = Sum(20); return 0; }

   static long threads(void)
   {
      pthread_t all[8];
      long sums[8], sum = 0;
      for (int i = 0; i < 8; i++)
         pthread_create(&all[i], 0, body, &sums[i]);
      for (int i = 0; i < 8; i++)
         pthread_join(all[i], 0), sum += sums[i];
      return sum;
   }
   */
   import "C"

   import (
      "os"
      "runtime"
   )

   //export Sum
   func Sum(count C.int) C.long {
      parts := make(chan C.long)
      for i := 0; i < int(count); i++ {
         go func(i int) {
            var kept [][]byte
            for j := 0; j < 100; j++ {
               kept = append(kept, make([]byte, 1000+i))
            }
            runtime.Gosched()
            parts <- C.long(len(kept) * i)
         }(i)
      }
      var sum C.long
      for i := 0; i < int(count); i++ {
         sum += <-parts
      }
      return sum
   }

   //export Threads
   func Threads() C.long { return C.threads() }

   //export Collect
   func Collect() C.int {
      var before, after runtime.MemStats
      runtime.ReadMemStats(&before)
      runtime.GC()
      runtime.ReadMemStats(&after)
      return C.int(after.NumGC - before.NumGC)
   }

   //export Recovered
   func Recovered(divisor C.int) (result C.int) {
      defer func() {
         if recover() != nil {
            result = -1
         }
      }()
      return 100 / divisor
   }

   //export Variable
   func Variable() C.int { return C.int(len(os.Getenv("ELF64LOAD_GO_SPEC"))) }

   func main() {}
]]

describe("A Go c-shared library #full", function ()
   local arguments = { "Sum", "100", "Threads", "0", "Collect", "0", "Recovered",
      "0", "Recovered", "5", "Variable", "0" }

   local given = { ELF64LOAD_GO_SPEC = "twelve bytes" }
   for name, value in pairs(env) do given[name] = value end

   -- What it says when ld.so opens it, two times, in a C program.
   local function theirs (path)
      local program = assert(cc.program([[
         #include <dlfcn.h>
         #include <stdio.h>
         #include <stdlib.h>
         int main(int argc, char **argv)
         {
            void *library = dlopen(argv[1], RTLD_NOW);
            for (int round = 0; round < 2; round++) {
               for (int i = 2; i < argc; i += 2) {
                  long (*f)(int);
                  if (round == 0) f = (long (*)(int))dlsym(library, argv[i]);
                  else f = (long (*)(int))dlsym(dlopen(argv[1], RTLD_NOW), argv[i]);
                  printf("%s %d\n", argv[i], (int)f(atoi(argv[i + 1])));
               }
               dlclose(library);
            }
         }
      ]], "-ldl"))
      local result = child.run({ program, path, table.unpack(arguments) },
         { env = given })
      assert.equal(0, result.code, result.err)
      assert.is_truthy(result.out:find("Sum 495000\nThreads 152000", 1, true),
         result.out)
      return result.out
   end

   it("works as under ld.so, also after it was closed", function ()
      local path = build(LIBRARY, "c-shared")
      local ours = run([[
         local elf = require "elf64load"
         local path = ...
         for round = 1, 2 do
            local p = assert(elf.open(path))
            for i = 2, select("#", ...), 2 do
               local name, value = select(i, ...)
               local f = assert(p:lookup(name)):as "int (int)"
               print(name, f(math.tointeger(value)))
            end
            p:close()
            assert(elf.loaded[path])
         end
      ]], { path, table.unpack(arguments) }, { env = given })
      assert.equal(theirs(path), (ours:gsub("\t", " ")))
   end)

   it("works so in a C program that the loader is linked into", function ()
      local path = build(LIBRARY, "c-shared")
      assert.equal(theirs(path), threads.program([[
         int main(int argc, char **argv)
         {
            for (int round = 0; round < 2; round++) {
               e64_plugin *plugin = open_plugin(argv[1]);
               for (int i = 2; i < argc; i += 2) {
                  long (*f)(int) = (long (*)(int))e64_entry(plugin, argv[i]);
                  printf("%s %d\n", argv[i], (int)f(atoi(argv[i + 1])));
               }
               e64_close(plugin, NULL);
            }
            return 0;
         }
      ]], { path, table.unpack(arguments) }, { env = given }))
   end)

   it("inside another library keeps that one open", function ()
      local archive = build(LIBRARY, "c-archive")
      local path = assert(cc.shared([[
         extern long Sum(int);
         long more(int n) { return Sum(n) + 1; }
      ]], quoted(archive) .. " -lpthread"))
      assert.equal("4501\ntrue\n", run([[
         local elf = require "elf64load"
         local p = assert(elf.open(...))
         print(p:cdef "long more(int);".more(10))
         p:close()
         print(elf.loaded[...] ~= nil)
      ]], { path }))
   end)
end)

