--- Thread-local variables of objects, in all models.

local assert = require "spec.support.assert"
local linking = require "spec.support.linking"
local objects = require "spec.support.objects"

local object = linking.object

local function relocations (path)
   local out = {}
   for kind in objects.shown("readelf", "-rW", path):gmatch "R_X86_64_%w+" do
      out[kind] = (out[kind] or 0) + 1
   end
   return out
end

local user <const> = [[
   #include <pthread.h>
   #include <stdio.h>
   extern __thread int theirs; extern __thread long zero;
   static __thread int own = 5; static __thread short second = 6;
   __thread char third[40] = "third"; static __thread int unset;
   static void *run(void *data) {
      own++; second++; theirs++; zero += 2; unset += 3; third[0] = 'T';
      printf("%d %d %d %ld %d %s\n", own, second, theirs, zero, unset, third);
      return data; }
   int start(void) { pthread_t thread; run(0);
      pthread_create(&thread, 0, run, 0); pthread_join(thread, 0); run(0);
      return own + second + theirs + (int)zero + unset; }]]
local definer <const> = [[
   _Alignas(64) __thread int theirs = 70; __thread long zero;
   __thread int unaligned = 3;]]

describe("Thread-local variables of objects", function ()
   for _, flags in ipairs {
      "", "-O2", "-fno-plt", "-O2 -fno-plt", "-mtls-dialect=gnu2 -O2",
      "-ftls-model=initial-exec", "-O2 -ftls-model=initial-exec",
      "-ftls-model=local-dynamic -O2",
   } do
      it("are right with gcc " .. (flags == "" and "-fPIC" or flags), function ()
         local inputs = { object(user, flags), object(definer, flags) }
         local out = linking.like_ld(inputs)
         assert.is_not_nil(out:find("7 8 72 4 6 Third", 1, true), out)
      end)
   end

   it("are asked for in the way that each model has", function ()
      local function kinds (flags)
         return relocations(linking.image { object(user, flags),
            object(definer, flags) })
      end
      local dynamic = kinds "-O2"
      assert.is_true(dynamic.R_X86_64_DTPMOD64 > 0)
      assert.is_nil(dynamic.R_X86_64_TPOFF64)
      assert.is_true(kinds("-mtls-dialect=gnu2 -O2").R_X86_64_TLSDESC > 0)
      assert.is_true(kinds("-ftls-model=initial-exec").R_X86_64_TPOFF64 > 0)
      local fixed = kinds "-ftls-model=local-exec"
      assert.is_true(fixed.R_X86_64_TPOFF32 > 0)
      assert.is_nil(fixed.R_X86_64_DTPMOD64)
   end)

   it("say so when they want a fixed place", function ()
      local function flags (model)
         return objects.shown("readelf", "-dW", linking.image {
            object(user, "-ftls-model=" .. model), object(definer) })
      end
      assert.is_not_nil(flags "initial-exec":find("STATIC_TLS", 1, true))
      assert.is_nil(flags "global-dynamic":find("STATIC_TLS", 1, true))
   end)

   it("may be common", function ()
      local source = [[.globl start
         start: sub $8, %rsp
         data16 lea v@tlsgd(%rip), %rdi
         .value 0x6666
         rex64
         call __tls_get_addr@PLT
         mov (%rax), %eax
         add $8, %rsp
         ret
         .tls_common v, 8, 16]]
      assert.equal("start: 0\nclosed\n", linking.like_ld {
         linking.assembly(source) })
   end)

   it("are refused where the code is for others", function ()
      linking.refused("badformat", { "thread-local", "plain" }, {
         linking.assembly [[.data
            .globl plain
            plain: .quad 0
            .text
            .reloc ., R_X86_64_GOTTPOFF, plain
            .long 0]] })
      linking.refused("unsupported", { "R_X86_64_DTPOFF32", "'elsewhere'" }, {
         linking.assembly "lea elsewhere@dtpoff(%rax), %rax" })
   end)
end)
