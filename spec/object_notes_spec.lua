--- What objects say in notes is what ld makes of it.

local assert = require "spec.support.assert"
local compare = require "spec.support.compare"
local fixtures = require "spec.support.fixtures"
local linking = require "spec.support.linking"
local objects = require "spec.support.objects"
local elf = require "elf64load"

-- As psABI "Program Property" numbers them.
local FEATURES <const>, NEEDED <const>, USED <const> =
   0xc0000002, 0xc0008002, 0xc0010002
local IBT <const>, SHSTK <const> = 1, 2

local count = 0

-- An object with properties, given as types and values; each list is a note.
local function noted (...)
   local lines = {}
   for _, properties in ipairs { ... } do
      lines[#lines + 1] = (".long 4, %d, 5\n.asciz \"GNU\""):format(
         8 * #properties)
      for at = 1, #properties, 2 do
         lines[#lines + 1] = (".long 0x%x, 4, 0x%x, 0"):format(properties[at],
            properties[at + 1])
      end
   end
   count = count + 1
   return linking.assembly(([[
      .section .note.GNU-stack, "", @progbits
      .section .note.gnu.property, "a", @note
      .balign 8
      %s
      .text
      .globl f%d
   f%d: .byte 0xf3, 0x0f, 0x1e, 0xfa
      mov $%d, %%eax
      ret]]):format(table.concat(lines, "\n"), count, count, count))
end

-- What a file has, as readelf says it.
local function properties (path)
   local out = {}
   for line in objects.shown("readelf", "-nW", path):gmatch "Properties: *([^\n]*)" do
      out[#out + 1] = line
   end
   return table.concat(out, "; ")
end

-- The image of these and the file that ld makes of them.
local function both (...)
   local image = linking.image { ... }
   local theirs = image .. ".ld"
   objects.shown("ld", "-shared", "-o", theirs, ...)
   return image, theirs
end

local function like_ld (...)
   local image, theirs = both(...)
   local want = properties(theirs)
   assert.equal(want, properties(image))
   return want
end

describe("Program properties of objects", function ()
   it("are kept of one", function ()
      assert.equal("x86 feature: IBT, SHSTK, x86 ISA needed: x86-64-baseline, "
         .. "x86-64-v2", like_ld(noted { FEATURES, IBT | SHSTK, NEEDED, 3 }))
   end)

   it("are features if all have them, wherever one lacks them", function ()
      local function has (bits) return noted { FEATURES, bits } end
      assert.equal("x86 feature: SHSTK",
         like_ld(has(IBT | SHSTK), has(SHSTK), has(IBT | SHSTK)))
      assert.equal("", like_ld(has(IBT), has(SHSTK)))
      for at = 1, 3 do
         local list = { has(SHSTK), has(SHSTK) }
         table.insert(list, at, (noted()))
         assert.equal("", like_ld(table.unpack(list)))
      end
   end)

   it("are needed if one needs them", function ()
      assert.equal("x86 ISA needed: x86-64-baseline, x86-64-v2",
         like_ld(noted { NEEDED, 1 }, noted(), noted { NEEDED, 2 }))
   end)

   it("are used if one uses them and all say so", function ()
      assert.equal("x86 ISA used: x86-64-baseline, x86-64-v3",
         like_ld(noted { USED, 1 }, noted { USED, 4 }))
      assert.equal("", like_ld(noted { USED, 1 }, noted { FEATURES, 2 }))
   end)

   it("may stand in several notes of an object", function ()
      assert.equal("x86 feature: SHSTK, x86 ISA needed: x86-64-baseline",
         like_ld(noted({ FEATURES, SHSTK }, { NEEDED, 1 }),
         noted { FEATURES, SHSTK }))
   end)

   it("are read beside notes of another alignment", function ()
      local other = linking.assembly [[
         .section .note.GNU-stack, "", @progbits
         .section .note.other, "a", @note
         .balign 4
         .long 2, 4, 7
         .asciz "x"
         .balign 4
         .long 5
         .long 2, 4, 8
         .asciz "y"
         .balign 4
         .long 6
         .text
         .globl other
      other: ret]]
      local image, theirs = both(other, noted { NEEDED, 3 })
      assert.equal(properties(theirs), properties(image))
      local shown = objects.shown("readelf", "-nW", image)
      assert.truthy(shown:find("(0x00000007)", 1, true), shown)
      assert.truthy(shown:find("(0x00000008)", 1, true), shown)
   end)

   it("do not claim what entries of a PLT have not", function ()
      local calling = linking.object([[int abs(int); int f(int x)
         { return abs(x) + 1; }]], "-fcf-protection=full -fno-builtin")
      assert.equal("x86 feature: IBT, SHSTK", properties(calling))
      assert.equal("x86 feature: SHSTK", properties(linking.image { calling }))
   end)
end)

describe("An ISA level that objects need", function ()
   it("is judged as ld.so does of what ld makes of them", function ()
      for _, bits in ipairs { 1, 3, 7, 15, 1 << 4, 1 << 31 | 1 } do
         local object, plain = noted { NEEDED, bits }, noted { NEEDED, 1 }
         local theirs = ("%s/level-%d.so"):format(fixtures.folder, bits)
         objects.shown("ld", "-shared", "-o", theirs, plain, object)
         local said = compare.theirs({ "open a " .. theirs }).out
         local plugin <close>, message, kind = elf.link { plain, object }
         assert.equal(said:match "open a: (%l*)" == "ok", plugin ~= nil, said)
         if not plugin then
            assert.equal("unsupported", kind)
            assert.truthy(message:find(object
               .. ": section .note.gnu.property: needs a processor of ISA level",
               1, true), message)
         end
      end
   end)
end)
