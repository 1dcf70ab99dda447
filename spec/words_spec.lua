--- What spec/conformance/words compares, over objects of our own: words as linked
--- here mean what they mean as linked by ld, and one that does not is seen.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local child = require "spec.support.child"
local fixtures = require "spec.support.fixtures"
local linking = require "spec.support.linking"
local wording = require "spec.conformance.wording"

local folder = fixtures.folder .. "/words-"
   .. require "lfs".symlinkattributes("/proc/self", "target")

local ONE <const> = [[
   #include <stdio.h>
   #include <string.h>
   #include <math.h>
   extern int shared, *pointers[]; extern const char *name_of(int);
   static int own = 5, (*pick)(const char *) = puts;
   const double half = 0.5;
   __attribute__((weak)) int twice(int a) { return 2 * a; }
   int choose(int a) {
      switch (a) {
      case 0: return twice(own); case 1: return shared++; case 2: return 77;
      case 3: return *pointers[1]; case 4: return (int)pow(half, a);
      case 5: return pick("five"); case 6: return fprintf(stderr, "six %d", a);
      case 7: return (int)strlen(name_of(a)) + own++;
      default: return memcmp(&own, &shared, a);
      }
   }]]
local TWO <const> = [[
   int shared = 3; extern const double half; int twice(int a);
   static int hidden[3]; int *pointers[] = { &shared, &hidden[2], 0 };
   static const char *const names[] = { "one", "two", "five" };
   const char *name_of(int a) { hidden[1] += twice(a); return names[a % 3]; }
   const double *where(void) { return &half; }]]

local VARIANTS <const> = {
   { "-fPIC", "shared" }, { "-O2 -fPIC -fno-plt", "shared" },
   { "-O2 -fPIC -mcmodel=large", "shared" }, { "-O2 -fPIE", "pie" },
   { "-fno-pic", "exec" }, { "-O2 -fno-pic -mcmodel=large", "exec" },
}

local function objects (flags)
   return { assert(cc.object(ONE, flags)), assert(cc.object(TWO, flags)) }
end

local function all_equal (result)
   assert.same({}, result.faults)
   assert.equal(0, result.different)
   assert.equal(result.total, result.equal + result.design
      + (result.excluded["no word"] or 0))
end

describe("The relocated words of objects", function ()
   setup(function () assert(os.execute("mkdir -p '" .. folder .. "'")) end)
   teardown(function () child.run { "rm", "-rf", folder } end)

   for _, variant in ipairs(VARIANTS) do
      it("mean what ld's mean: " .. variant[1], function ()
         local results = wording.compare(objects(variant[1]), variant[2], folder)
         assert.is_true(results.image.total > 30)
         all_equal(results.image)
         all_equal(results.memory)
      end)
   end

   it("mean what ld's mean when they are for thread-local storage", function ()
      local text <const> = [[
         static __thread int first = 1, second; __thread long third = 3;
         extern __thread int fourth, fifth __attribute__((tls_model(
            "initial-exec")));
         int *one(void) { return &first; } int *two(void) { return &second; }
         long sum(void) { return first + second + third + fourth + fifth; }]]
      for _, flags in ipairs { "-O2 -fPIC", "-O2 -fPIC -mtls-dialect=gnu2" } do
         local results = wording.compare({ assert(cc.object(text, flags)),
            assert(cc.object("__thread int before, fourth = 4;", flags)) },
            "shared", folder, { sides = { "image" } })
         local types = results.image.types
         assert.is_truthy(types.R_X86_64_TLSGD or types.R_X86_64_GOTPC32_TLSDESC)
         assert.is_truthy(types.R_X86_64_GOTTPOFF)
         all_equal(results.image)
      end
   end)

   it("mean what ld's mean when constants that could be merged are relocated",
      function ()
         local function part (name)
            return linking.assembly((([[
               .section .rodata.cst8, "aM", @progbits, 8
               constant: .quad 7
               pointer: .quad NAME, other
               .data
               other: .quad 1
               .text
               .globl NAME
               NAME: mov pointer(%rip), %rax
               mov pointer + 8(%rip), %rcx
               add constant(%rip), %rax
               ret]]):gsub("NAME", name)))
         end
         for side, result in pairs((wording.compare({ part "one", part "two" },
               "exec", folder))) do
            assert.equal(10, result.total, side)
            all_equal(result)
         end
      end)

   it("of a group that another object has, too, are not there", function ()
      local text <const> = [[inline int both(int a) { throw a; }
         int %s(int a) { return both(a); }]]
      local results = wording.compare({ linking.cplusplus(text:format "one", "-O0"),
         linking.cplusplus(text:format "two", "-O0") }, "shared", folder)
      for _, result in pairs(results) do
         assert.is_true(result.excluded.dropped > 2)
         assert.equal(0, result.different, result.faults[1])
      end
   end)

   it("are different as soon as one byte is", function ()
      for _, variant in ipairs { VARIANTS[1], VARIANTS[4], VARIANTS[6] } do
         local results, test = wording.compare(objects(variant[1]), variant[2],
            folder)
         assert.equal(results.memory.total, #test.places)
         for number, place in ipairs(test.places) do
            assert.is_true(test.damage(place).different > 0,
               ("word %d of %s"):format(number, variant[1]))
         end
      end
   end)

   it("are nothing that can be compared where ld refuses them", function ()
      local results = wording.compare(objects "-fno-pic", "shared", folder)
      assert.equal(results.image.total, results.image.excluded.refused)
      assert.is_truthy(results.image.faults[1]:find("recompile", 1, true))
   end)
end)

describe("The campaign over Debian's sources #build", function ()
   it("has a list of them all, at -O0 and -O2", function ()
      local list = wording.list "spec/conformance/words.txt"
      assert.same({ "zlib", "lua5.4", "bzip2" }, list.packages)
      local levels, files = {}, {}
      for _, variant in ipairs(list.variants) do
         local level = variant.flags:match "-O%d"
         levels[level] = (levels[level] or 0) + 1
      end
      assert.is_true(levels["-O0"] > 3 and levels["-O2"] > 3)
      for _, image in ipairs(list.images) do
         files[image.package] = (files[image.package] or 0) + #image.files
      end
      assert.same({ zlib = 24, ["lua5.4"] = 66, bzip2 = 9 }, files)
   end)

   it("knows a mistake in its command", function ()
      assert.equal(0, child.run({ "spec/conformance/words", "--help" }).code)
      assert.equal(2, child.run({ "spec/conformance/words", "--no" }).code)
      assert.equal(2, child.run({ "spec/conformance/words", "no-such" }).code)
   end)
end)
