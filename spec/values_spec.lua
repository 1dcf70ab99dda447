--- What scalar values are on both sides, and variables of every shape.

local assert = require "luassert"
local cc = require "elf64load.cc"
local elf = require "elf64load"

local function open (source)
   return assert(elf.open(assert(cc.shared(source))))
end

describe("An integer", function ()
   local limits = {
      ["signed char"] = { -128, 127 }, char = { -128, 127 },
      ["unsigned char"] = { 0, 255 }, short = { -32768, 32767 },
      ["unsigned short"] = { 0, 65535 }, int = { -1 << 31, (1 << 31) - 1 },
      ["unsigned int"] = { 0, (1 << 32) - 1 }, int8_t = { -128, 127 },
      uint32_t = { 0, (1 << 32) - 1 }, wchar_t = { -1 << 31, (1 << 31) - 1 },
   }

   it("must lie within the range of its type", function ()
      for text, limit in pairs(limits) do
         local cell = elf.new(text)
         for _, value in ipairs(limit) do
            cell[0] = value
            assert.equal(value, cell[0])
         end
         for _, value in ipairs { limit[1] - 1, limit[2] + 1, 1 << 40 } do
            local why = ("%s expected, %d is not within %d and %d"):format(
               text, value, limit[1], limit[2]):gsub("-", "%%-")
            assert.error_matches(function () cell[0] = value end, why)
         end
         assert.equal(limit[2], cell[0])
      end
   end)

   it("of 64 bits is any integer of Lua, wrapping when it is unsigned",
      function ()
         local p <close> = open [[
            unsigned long long half(unsigned long long x) { return x / 2; }
            unsigned long most = -1;
         ]]
         local C = p:cdef [[
            uint64_t half(uint64_t); extern unsigned long most;
         ]]
         assert.equal(math.maxinteger, C.half(-1))
         assert.equal(-1, C.most)
         assert.is_true(math.ult(1, C.most))
         for _, value in ipairs { math.mininteger, math.maxinteger, -1, 0 } do
            C.most = value
            assert.equal(value, C.most)
         end
      end)

   it("may be a float without a fraction, and nothing else", function ()
      local cell = elf.new "int"
      cell[0] = 3.0
      assert.equal("integer", math.type(cell[0]))
      for _, value in ipairs { 3.5, 0 / 0, 1 / 0, 2 ^ 63 } do
         assert.error_matches(function () cell[0] = value end,
            "int expected, .* is not an integer of 64 bits")
      end
      for value, name in pairs { ["3"] = "string", [true] = "boolean",
         [print] = "function", [{}] = "table" } do
         assert.error_matches(function () cell[0] = value end,
            "int expected, got " .. name)
      end
      assert.error_matches(function () cell[0] = nil end, "got nil")
      assert.equal(3, cell[0])
   end)
end)

describe("A float", function ()
   it("is a number of Lua, rounded to what the type holds", function ()
      local single, double = elf.new "float", elf.new "double"
      single[0], double[0] = 0.1, 0.1
      assert.equal(string.unpack("f", string.pack("f", 0.1)), single[0])
      assert.equal(0.1, double[0])
      double[0] = 3
      assert.equal("float", math.type(double[0]))
      double[0] = 1 / 0
      assert.equal(1 / 0, double[0])
      assert.error_matches(function () double[0] = "1.5" end,
         "double expected, got string")
   end)

   it("of type long double takes all 64 bits of an integer", function ()
      local p <close> = open "long long back(long double x) { return x; }"
      local C = p:cdef "long long back(long double);"
      assert.equal(math.maxinteger, C.back(math.maxinteger))
      assert.equal(-3, C.back(-3.75))
   end)
end)

describe("A boolean", function ()
   it("is true or false, not a number or nil", function ()
      local p <close> = open [[
         _Bool flag = 1; _Bool not(_Bool x) { return !x; }
      ]]
      local C = p:cdef "extern bool flag; bool not(bool);"
      assert.is_true(C.flag)
      C.flag = false
      assert.is_false(C.flag)
      assert.is_true(C["not"](false))
      for _, value in ipairs { 0, 1, "true" } do
         assert.error_matches(function () C.flag = value end, "bool expected")
      end
      assert.error_matches(function () C["not"](nil) end,
         "bad argument #1 to 'not' %(bool expected, got nil%)")
   end)
end)

describe("An enum", function ()
   it("is an integer whose names are accepted on writing", function ()
      local p <close> = open [[
         enum color { RED, GREEN = 5 } V = GREEN;
         int number(enum color c) { return c; }
      ]]
      local C = p:cdef [[
         enum color { RED, GREEN = 5 };
         extern enum color V;
         int number(enum color);
      ]]
      assert.equal(5, C.V)
      C.V = "RED"
      assert.equal(C.RED, C.V)
      C.V = 7
      assert.equal(7, C.V)
      assert.equal(5, C.number "GREEN")
      assert.error_matches(function () C.number "BLUE" end,
         "bad argument #1 to 'number' %(enum color expected, 'BLUE' is none of "
         .. "RED, GREEN%)")
      assert.error_matches(function () C.V = 1.5 end, "enum color expected")
   end)

   it("of many names shows the first of them", function ()
      local names = {}
      for index = 1, 100 do names[index] = "N" .. index end
      local cell = elf.new("enum {" .. table.concat(names, ",") .. "}")
      cell[0] = "N100"
      assert.equal(99, cell[0])
      assert.error_matches(function () cell[0] = "N101" end,
         "'N101' is none of N1, N2, .*N12, %.%.%.%)")
   end)
end)

describe("A variable", function ()
   local p, C

   before_each(function ()
      p = open [[
         #include <stddef.h>
         int V = 3; const int fixed = 4; char text[6] = "hello";
         const char *const names[] = { "one", "two", NULL };
         int matrix[2][3] = { { 1, 2, 3 }, { 4, 5, 6 } };
         const char *name = "first"; int *at = &V;
         struct thing { int inside; } thing = { 42 };
         int inside(struct thing *t) { return t->inside; }
         int first(const int *a) { return a[0]; }
         size_t length(const char *s)
         { size_t n = 0; while (s && s[n]) n++; return n; }
         __thread int mine = 9;
      ]]
      C = p:cdef [[
         extern int V; extern const int fixed; extern char text[6];
         extern const char *const names[]; extern int matrix[2][3];
         extern const char *name; extern int *at;
         extern struct thing thing; int inside(struct thing *);
         int first(const int *); size_t length(const char *);
         extern _Thread_local int mine;
      ]]
   end)

   after_each(function ()
      if p then p:close() end
   end)

   it("is read and written through the namespace", function ()
      assert.equal(3, C.V)
      C.V = 7
      assert.equal(7, C.V)
      assert.equal(7, C.at[0])
      C.at[0] = 8
      assert.equal(8, C.V)
      assert.error_matches(function () C.V = "x" end,
         "bad value for 'V' %(int expected, got string%)")
      assert.error_matches(function () C.V = 1 << 31 end, "bad value for 'V'")
      assert.equal(8, C.V)
   end)

   it("that is const refuses to be written", function ()
      assert.equal(4, C.fixed)
      assert.error_matches(function () C.fixed = 5 end,
         "'const int fixed' is const: it cannot be written")
      assert.error_matches(function () C.names[0] = nil end,
         "'const char %*const names%[3%]' is const")
      assert.error_matches(function () C.names[0][0] = 1 end,
         "'const char %*' is const")
   end)

   it("that is an array is a reference, counted from 0, within bounds",
      function ()
         assert.equal(6, #C.text)
         assert.equal(("h"):byte(), C.text[0])
         C.text[0] = ("j"):byte()
         assert.equal("jello", elf.string(C.text))
         for _, index in ipairs { -1, 6, math.maxinteger, math.mininteger } do
            assert.error_matches(function () return C.text[index] end,
               "is outside of 'char text%[6%]', which has 6 elements from 0")
            assert.error_matches(function () C.text[index] = 0 end, "outside")
         end
         assert.error_matches(function () C.text = "other" end,
            "'char text%[6%]' cannot be written as a whole")
         assert.error_matches(function () return C.text.size end,
            "'char text%[6%]' has no field 'size'; it is indexed by integers")
         assert.error_matches(function () return C.text[0.5] end, "no field")
         assert.error_matches(function () C.text[2] = 300 end,
            "bad value for element 2 of 'text' %(char expected, 300 is not")
      end)

   it("without a size has as many elements as the file gives it", function ()
      assert.equal(3, #C.names)
      assert.equal("one", elf.string(C.names[0]))
      assert.equal("two", elf.string(C.names[1]))
      assert.is_nil(C.names[2])
      assert.error_matches(function () return C.names[3] end, "outside")
   end)

   it("of more dimensions than one gives its rows", function ()
      assert.equal(6, C.matrix[1][2])
      C.matrix[0][1] = 20
      assert.equal(20, C.matrix[0][1])
      assert.equal(2, #C.matrix)
      assert.equal(3, #C.matrix[0])
      assert.equal(4, C.first(C.matrix[1]))
      assert.error_matches(function () return C.matrix[1][3] end, "outside")
      assert.error_matches(function () C.matrix[1] = C.matrix[0] end,
         "cannot be assigned as a whole")
   end)

   it("that is a struct is a reference that C takes as a pointer", function ()
      assert.equal(42, C.inside(C.thing))
      assert.error_matches(function () return C.thing[0] end,
         "cannot be indexed: the size of struct thing is not known; structs")
      assert.error_matches(function () return C.thing.x end,
         "has no field 'x'; structs and unions are opaque here, and used by "
         .. "pointers alone$")
      assert.error_matches(function () C.thing = nil end,
         "cannot be written as a whole")
   end)

   it("keeps the string that was written to it", function ()
      C.name = ("long"):rep(3)
      collectgarbage()
      collectgarbage()
      for _ = 1, 1000 do assert(("x"):rep(12)) end
      assert.equal("longlonglong", elf.string(C.name))
      C.name = nil
      assert.is_nil(C.name)
      assert.equal(0, C.length(C.name))
   end)

   it("of which each thread has one is the calling thread's", function ()
      assert.equal(9, C.mine)
      C.mine = 10
      assert.equal(10, C.mine)
   end)

   it("is its element 0 when it was typed by as", function ()
      local V = p:lookup "V":as "int"
      V[0] = 12
      assert.equal(12, C.V)
      assert.equal(12, C.first(V))
      assert.equal("int V: ", tostring(V):match "^.-: ")
      local row = p:lookup "matrix":as "int[6]"
      assert.equal(6, row[5])
      assert.error_matches(function () p:lookup "V":as "long" end,
         "'V' is declared as long of 8 bytes, but has 4 bytes in")
      assert.error_matches(function () p:lookup "V":as "void" end,
         "'V' cannot be void")
   end)

   it("raises closed once its plugin has been stopped", function ()
      local text, row, V = C.text, C.matrix[0], p:lookup "V"
      local part = text + 1
      p:close()
      p = nil
      for _, f in ipairs {
         function () return C.V end, function () C.V = 1 end,
         function () return C.text end, function () return text[0] end,
         function () text[0] = 1 end, function () return row[0] end,
         function () return part[0] end, function () V:as "int" end,
         function () return elf.string(text) end,
         function () return C.names end,
      } do
         assert.error_matches(f, "closed")
      end
   end)
end)
