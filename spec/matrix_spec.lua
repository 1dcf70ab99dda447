--- One program's objects, by all compilers and code models, print the same linked
--- in a process as linked by ld (spec/conformance/matrix).

local cells = require "spec.conformance.cells"

local function as_it_must_be (cell)
   local fault, refused = cells.try(cell)
   assert.is_nil(fault)
   assert(not refused or cell.may)
end

describe("Objects that are linked in a process print what ld's program prints",
function ()
   for _, cell in ipairs(cells.diagonal()) do
      it("when they are " .. cell.name, function () as_it_must_be(cell) end)
   end
end)

describe("All objects of the matrix #full", function ()
   it("are 72", function () assert.equal(72, #cells.list()) end)

   for _, cell in ipairs(cells.list()) do
      it("print what ld's program prints when they are " .. cell.name,
         function () as_it_must_be(cell) end)
   end
end)
