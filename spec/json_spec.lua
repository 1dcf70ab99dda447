--- What `--json` prints.

local json = require "elf64load.json"

describe("JSON", function ()
   local value = {
      name = 'a "b"\\c\n\t\1\127/', list = { 1, 2.5, true, { "x" } },
      none = json.array, large = math.mininteger, inner = { z = 1, a = {} },
   }

   it("is what RFC 8259 says", function ()
      assert.equal([[{"inner":{"a":{},"z":1},"large":-9223372036854775808,]]
         .. [=["list":[1,2.5,true,["x"]],]=]
         .. [["name":"a \"b\"\\c\n\t\u0001\u007f/","none":[]}]],
         json.encode(value))
   end)

   it("has a line for each element, when it is to be read by people", function ()
      assert.equal('{\n  "a": [\n    1,\n    2\n  ],\n  "b": [],\n  "c": "d"\n}',
         json.encode({ a = { 1, 2 }, b = json.array, c = "d" }, true))
      local function plain (text)
         return (text:gsub("\n *", ""):gsub('": ', '":'))
      end
      assert.equal(json.encode(value), plain(json.encode(value, true)))
   end)

   it("shows bytes that are no UTF-8 as characters", function ()
      assert.equal('"\u{e9}\u{ff}/x"', json.encode "\xe9\xff/x")
      assert.equal('"\u{e9}"', json.encode "\u{e9}")
   end)

   it("has null for numbers that JSON has not", function ()
      assert.equal("[null,null,1e+300,0.1]", json.encode { 0 / 0, 1 / 0, 1e300,
         0.1 })
   end)

   it("is the same text for equal values", function ()
      local one, other = {}, {}
      for at = 1, 100 do one["k" .. at], other["k" .. 101 - at] = 1, 1 end
      assert.equal(json.encode(one), json.encode(other))
   end)
end)
