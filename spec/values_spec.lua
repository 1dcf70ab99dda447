--- What values are on both sides: arguments, variables, arrays, pointers, texts
--- and memory.

local assert = require "luassert"
local compile = require "spec.support.compile"
local elf = require "elf64load"

local function open (source)
   return assert(elf.open(compile.shared(source)))
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
         "cannot be indexed: the size of struct thing is not known")
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

describe("A pointer", function ()
   local p, C

   setup(function ()
      p = open [[
         #include <stddef.h>
         static struct box { int value; } box = { 6 };
         struct box *box_open(void) { return &box; }
         int box_value(const struct box *b) { return b ? b->value : -1; }
         void *any(void *a) { return a; }
         const char *greet(void) { return "hello"; }
         char *writable(char *s) { if (s) s[0] = 'X'; return s; }
         unsigned char *bytes(unsigned char *s) { return s; }
         int length(const unsigned char *s)
         { int n = 0; while (s[n]) n++; return n; }
         int count(const signed char *s) { return length((const void *)s); }
         int sum(const int *a, int n)
         { int s = 0; for (int i = 0; i < n; i++) s += a[i]; return s; }
         long last(long *a) { return *a; }
         void out(struct box **at) { *at = &box; }
         const char *pick(const char **list, int n) { return list[n]; }
      ]]
      C = p:cdef [[
         typedef struct box box;
         box *box_open(void); int box_value(const box *);
         void *any(void *); const char *greet(void);
         char *writable(char *); unsigned char *bytes(unsigned char *);
         int length(const unsigned char *); int count(const signed char *);
         int sum(const int *, int); long last(long *); void out(box **);
         const char *pick(const char **, int);
      ]]
   end)

   teardown(function () p:close() end)

   it("that is NULL is nil, both ways", function ()
      assert.is_nil(C.any(nil))
      assert.equal(-1, C.box_value(nil))
      assert.is_nil(elf.cast("char *", 0))
   end)

   it("is a value with a type, equal by address", function ()
      local box = C.box_open()
      assert.equal(6, C.box_value(box))
      assert.equal(box, C.box_open())
      assert.equal(box, C.any(box))
      assert.are_not.equal(box, elf.cast("void *", elf.address(box) + 1))
      assert.are_not.equal(box, elf.address(box))
      assert.equal(("box *: 0x%x"):format(elf.address(box)), tostring(box))
      assert.equal(p:type "box *", elf.type(box))
      assert.error_matches(function () return #box end,
         "does not know how many elements follow")
      assert.error_matches(function () return box[0] end,
         "the size of box is not known")
   end)

   it("goes where C lets it go without a cast", function ()
      local box, ints = C.box_open(), elf.new("int", { 1, 2, 3 })
      assert.equal(6, C.box_value(C.any(box)))
      assert.equal(6, C.sum(ints, 3))
      assert.equal(6, C.sum(C.any(ints), 3))
      assert.equal(1, C.sum(elf.new("unsigned", { 1 }), 1))
      assert.equal(4, C.last(elf.new("long long", { 4 })))
      assert.equal(3, C.length(elf.new("char", "abc")))
      for text, f in pairs {
         ["const box %* expected, got int %[3%]"] =
            function () C.box_value(ints) end,
         ["const int %* expected, got box %*"] =
            function () C.sum(box, 1) end,
         ["const int %* expected, got long %[1%]"] =
            function () C.sum(elf.new "long", 1) end,
         ["box %*%* expected, got box %*"] = function () C.out(box) end,
         ["box %*%* expected, got void %*%[1%]"] =
            function () C.out(elf.new "void *") end,
         ["char %* expected, got const char %*, which must not be written; "
            .. "elf.cast overrides that"] =
            function () C.writable(C.greet()) end,
         ["const int %* expected, got number"] =
            function () C.sum(elf.address(ints), 1) end,
         ["const int %* expected, got FILE%*"] =
            function () C.sum(io.stdout, 1) end,
         ["const int %* expected, got elf64load.ctype"] =
            function () C.sum(elf.type "int", 1) end,
      } do
         assert.error_matches(f, text)
      end
   end)

   it("may be indexed and moved as in C", function ()
      local ints = elf.new("int", { 1, 2, 3 })
      local free = elf.cast("int *", ints)
      assert.equal(3, free[2])
      assert.equal(3, (free + 2)[0])
      assert.equal(2, (1 + free)[0])
      assert.equal(1, (free + 2 - 2)[0])
      assert.equal(2, free + 2 - free)
      assert.equal(-2, free - (free + 2))
      assert.equal("llo", elf.string(C.greet() + 2))
      assert.error_matches(function () return free - elf.new "long" end,
         "have no distance")
      assert.error_matches(function () return C.any(ints) + 1 end,
         "cannot be moved: the size of void is not known")
      assert.has_error(function () return free + "x" end)
      assert.has_error(function () return 1 - free end)
   end)

   it("into an array keeps to its bounds", function ()
      local ints = elf.new("int", { 1, 2, 3 })
      local rest = ints + 1
      assert.equal(2, #rest)
      assert.equal(3, rest[1])
      assert.equal(0, #(ints + 3))
      assert.error_matches(function () return rest[2] end, "outside")
      assert.error_matches(function () return rest[-1] end, "outside")
      assert.error_matches(function () return ints + 4 end, "outside")
      assert.error_matches(function () return ints - 1 end, "outside")
   end)

   it("out of a call is filled through an array of one", function ()
      local at = p:new "box *"
      assert.is_nil(at[0])
      C.out(at)
      assert.equal(C.box_open(), at[0])
      assert.equal(6, C.box_value(at[0]))
   end)

   it("is cast to any other, also from an address", function ()
      local box = C.box_open()
      assert.equal(6, elf.cast("int *", box)[0])
      assert.equal(6, elf.cast("int *", elf.address(box))[0])
      assert.equal(6, C.box_value(p:cast("box *", elf.address(box))))
      local text = elf.new("char", "abc")
      assert.equal("Xbc", elf.string(
         C.writable(elf.cast("char *", elf.cast("const char *", text)))))
      assert.equal(("b"):byte(), elf.cast("const char *", text)[1])
      assert.error_matches(function () return elf.cast("int", box) end,
         "int is no pointer type")
      assert.error_matches(function () return elf.cast("int *", "x") end,
         "pointer expected, got string")
   end)

   it("that was cast keeps the memory it points into", function ()
      local view = elf.cast("unsigned char *", elf.new("char", ("z"):rep(999)))
      local inner = view + 500
      view = nil
      collectgarbage()
      collectgarbage()
      assert(("y"):rep(2000))
      assert.equal(("z"):rep(499), elf.string(inner))
      assert.is_nil(view)
   end)
end)

describe("A string", function ()
   local p, C

   setup(function ()
      p = open [[
         #include <string.h>
         int length(const char *s) { return s ? (int)strlen(s) : -1; }
         int ulength(const unsigned char *s) { return (int)strlen((void *)s); }
         int slength(const signed char *s) { return (int)strlen((void *)s); }
         int blength(const unsigned char *s) { return (int)strlen((void *)s); }
         int last(const char *s, int n) { return s[n - 1]; }
         void write(char *s) { *s = 0; }
         int any(const void *s) { return s != 0; }
         const char *same(const char *s) { return s; }
      ]]
      C = p:cdef [[
         typedef unsigned char Byte; typedef Byte Bytef;
         int length(const char *); int ulength(const unsigned char *);
         int slength(const signed char *); int blength(const Bytef *);
         int last(const char *, int); void write(char *);
         int any(const void *); const char *same(const char *);
      ]]
   end)

   teardown(function () p:close() end)

   it("is accepted for const char * and its like only", function ()
      assert.equal(5, C.length "hello")
      assert.equal(5, C.ulength "hello")
      assert.equal(5, C.slength "hello")
      assert.equal(5, C.blength "hello")
      assert.error_matches(function () C.write "hello" end,
         "bad argument #1 to 'write' %(char %* expected, got string, which C "
         .. "must not write to; elf.new%(\"char\", text%) makes a copy%)")
      assert.error_matches(function () C.any "hello" end,
         "const void %* expected, got string")
      assert.error_matches(function () C.length(12) end,
         "const char %* expected, got number")
   end)

   it("is passed with all its bytes", function ()
      assert.equal(7, C.last("a\0b\7", 4))
      assert.equal(0, C.length "\0abc")
   end)

   it("comes out of C as a pointer, of which elf.string makes a copy",
      function ()
         local text = "some text"
         local pointer = C.same(text)
         assert.equal("const char *", tostring(elf.type(pointer)))
         assert.equal(text, elf.string(pointer))
         assert.equal("some", elf.string(pointer, 4))
         assert.equal("some text\0", elf.string(pointer, 10))
         assert.equal("", elf.string(pointer, 0))
         assert.is_nil(elf.string(nil))
         assert.error_matches(function () elf.string(pointer, -1) end,
            "a size cannot be negative")
         assert.error_matches(function () elf.string(text) end,
            "elf64load.pointer expected, got string")
         assert.has_error(function () elf.string() end)
      end)

   it("is copied up to the end of an array, and never beyond", function ()
      local full = elf.new("char[3]", "abc")
      assert.equal("abc", elf.string(full))
      assert.equal("bc", elf.string(full + 1))
      assert.equal("", elf.string(full + 3))
      assert.error_matches(function () elf.string(full, 4) end,
         "'char %[3%]' has 3 bytes")
   end)

   it("is made of the bytes of anything when a size is given", function ()
      local ints = elf.new("int", { 0x01020304, -1 })
      assert.equal("\4\3\2\1\255\255\255\255", elf.string(ints, 8))
      assert.error_matches(function () elf.string(ints) end,
         "'int %[2%]' is no text; with a size its bytes can be copied")
      assert.equal("abc", elf.string(elf.cast("void *",
         elf.new("char", "abc"))))
   end)
end)

describe("Memory of Lua's own", function ()
   it("is zeroed and has as many elements as were asked for", function ()
      for _, array in ipairs {
         elf.new("int", 4), elf.new "int[4]", elf.new("int[]", 4),
         elf.new(elf.type "int[4]"), elf.new(elf.type "int", 4),
      } do
         assert.equal(4, #array)
         assert.equal("int [4]", tostring(elf.type(array)))
         for index = 0, 3 do assert.equal(0, array[index]) end
      end
      assert.equal(1, #elf.new "double")
      assert.equal(0, #elf.new("int", 0))
      assert.equal(2, #elf.new("int[2][3]"))
      assert.equal(5, #elf.new("int[][3]", 5))
   end)

   it("is aligned as malloc's is", function ()
      for size = 1, 40 do
         assert.equal(0, elf.address(elf.new("char", size)) % 16)
      end
   end)

   it("may be made of a string", function ()
      assert.equal(4, #elf.new("char", "abc"))
      assert.equal("a\0c\0", elf.string(elf.new("unsigned char", "a\0c"), 4))
      local roomy = elf.new("char[8]", "abc")
      assert.equal("abc\0\0\0\0\0", elf.string(roomy, 8))
      assert.error_matches(function () elf.new("char[2]", "abc") end,
         "too long for char %[2%]")
      assert.error_matches(function () elf.new("int", "abc") end,
         "only arrays of char can be made of a string")
   end)

   it("may be made of a list, const or not", function ()
      local list = elf.new("const int", { 3, 4 })
      assert.equal(2, #list)
      assert.equal(4, list[1])
      assert.error_matches(function () list[1] = 5 end, "is const")
      assert.equal(0, elf.new("int[3]", { 1, 2 })[2])
      assert.error_matches(function () elf.new("int[1]", { 1, 2 }) end,
         "too long for int %[1%]")
      assert.error_matches(function () elf.new("int", { 1, "x" }) end,
         "bad value for element 1 of 'int %[2%]' %(int expected, got string%)")
   end)

   it("cannot be made of what has no size, or too much of it", function ()
      for text, why in pairs {
         ["struct s"] = "the size of struct s is not known",
         ["void"] = "the size of void is not known",
         ["int (void)"] = "the size of int %(void%) is not known",
         ["int[]"] = "int %[%] needs a count",
      } do
         assert.error_matches(function () elf.new(text) end, why)
      end
      assert.error_matches(function () elf.new("int", -1) end, "negative")
      assert.error_matches(function () elf.new("int", math.maxinteger) end,
         "do not fit in memory")
      assert.error_matches(function () elf.new("int", true) end,
         "integer, string or table expected, got boolean")
      assert.error_matches(function () elf.new("int[4]", 4) end,
         "the type has its count already")
      assert.error_matches(function () elf.new(5) end,
         "C type expected, got number")
   end)

   it("keeps what its cells point to", function ()
      local p <close> = open [[
         const char *pick(const char **list, int n) { return list[n]; }
      ]]
      local C = p:cdef "const char *pick(const char **, int);"
      local list = elf.new("const char *", 3)
      local numbers = elf.new "char *"
      for index = 0, 2 do list[index] = ("number %d"):format(index) end
      numbers[0] = elf.new("char", "owned " .. #list)
      collectgarbage()
      collectgarbage()
      for index = 1, 2000 do assert(("other %d"):format(index)) end
      for index = 0, 2 do
         assert.equal("number " .. index, elf.string(C.pick(list, index)))
      end
      assert.equal("owned 3", elf.string(numbers[0]))
   end)

   it("lets go of what its cells do not point to any more", function ()
      local cell = elf.new "char *"
      local weak = setmetatable({}, { __mode = "v" })
      weak[1] = elf.new("char", 10)
      cell[0] = weak[1]
      collectgarbage()
      assert.is_not_nil(weak[1])
      cell[0] = nil
      collectgarbage()
      collectgarbage()
      assert.is_nil(weak[1])
   end)

   it("goes with its last reference", function ()
      collectgarbage()
      collectgarbage()
      local before = collectgarbage "count"
      for _ = 1, 50 do elf.new("char", 1 << 20) end
      collectgarbage()
      collectgarbage()
      assert.is_true(collectgarbage "count" - before < 1024)
   end)
end)

describe("Real libraries", function ()
   it("that fill buffers of ours are natural to use: zlib", function ()
      local z <close> = assert(elf.open "libz.so.1")
      local C = z:cdef [[
         typedef unsigned char Byte; typedef Byte Bytef;
         typedef unsigned long uLong; typedef uLong uLongf;
         uLong compressBound(uLong sourceLen);
         int compress(Bytef *dest, uLongf *destLen,
                      const Bytef *source, uLong sourceLen);
         int uncompress(Bytef *dest, uLongf *destLen,
                        const Bytef *source, uLong sourceLen);
      ]]
      local text = ("a text that repeats itself, "):rep(50)
      local size = elf.new("unsigned long", { C.compressBound(#text) })
      local packed = elf.new("char", size[0])
      assert.equal(0, C.compress(packed, size, text, #text))
      assert.is_true(size[0] < 100)
      local back = elf.new("char", #text)
      local length = z:new("uLongf", { #text })
      assert.equal(0, C.uncompress(back, length, packed, size[0]))
      assert.equal(text, elf.string(back, length[0]))
   end)

   it("that hand out handles are natural to use: sqlite", function ()
      local sqlite <close> = assert(elf.open "libsqlite3.so.0")
      local C = sqlite:cdef [[
         typedef struct sqlite3 sqlite3;
         typedef struct sqlite3_stmt sqlite3_stmt;
         enum { SQLITE_OK, SQLITE_ROW = 100, SQLITE_DONE };
         int sqlite3_open(const char *filename, sqlite3 **ppDb);
         int sqlite3_close(sqlite3 *);
         int sqlite3_prepare_v2(sqlite3 *, const char *zSql, int nByte,
                                sqlite3_stmt **ppStmt, const char **pzTail);
         int sqlite3_bind_text(sqlite3_stmt *, int, const char *, int,
                               void (*)(void *));
         int sqlite3_step(sqlite3_stmt *);
         int sqlite3_finalize(sqlite3_stmt *);
         int sqlite3_column_int(sqlite3_stmt *, int iCol);
         double sqlite3_column_double(sqlite3_stmt *, int iCol);
         const unsigned char *sqlite3_column_text(sqlite3_stmt *, int iCol);
         const char *sqlite3_errmsg(sqlite3 *);
         char *sqlite3_mprintf(const char *, ...);
         void sqlite3_free(void *);
      ]]
      local slot = sqlite:new "sqlite3 *"
      assert.equal(C.SQLITE_OK, C.sqlite3_open(":memory:", slot))
      local db = slot[0]
      local statement, tail = sqlite:new "sqlite3_stmt *", elf.new "const char *"
      local sql = "select ?1, 6 * 7, 0.5, null; rest"
      assert.equal(C.SQLITE_OK,
         C.sqlite3_prepare_v2(db, sql, #sql, statement, tail))
      -- -1 as a destructor: sqlite copies.
      local transient = sqlite:cast("void (*)(void *)", -1)
      C.sqlite3_bind_text(statement[0], 1, "hello", 5, transient)
      assert.equal(C.SQLITE_ROW, C.sqlite3_step(statement[0]))
      assert.equal("hello", elf.string(C.sqlite3_column_text(statement[0], 0)))
      assert.equal(42, C.sqlite3_column_int(statement[0], 1))
      assert.equal(0.5, C.sqlite3_column_double(statement[0], 2))
      assert.is_nil(elf.string(C.sqlite3_column_text(statement[0], 3)))
      assert.equal(C.SQLITE_DONE, C.sqlite3_step(statement[0]))
      assert.equal(C.SQLITE_OK, C.sqlite3_finalize(statement[0]))
      assert.are_not.equal(C.SQLITE_OK,
         C.sqlite3_prepare_v2(db, "selec", -1, statement, nil))
      assert.equal('near "selec": syntax error',
         elf.string(C.sqlite3_errmsg(db)))
      local made = C.sqlite3_mprintf("%q and %d", "it's", 7)
      assert.equal("it''s and 7", elf.string(made))
      C.sqlite3_free(made)
      assert.equal(C.SQLITE_OK, C.sqlite3_close(db))
   end)
end)
