--- Pointers, texts and memory of Lua's own, and two libraries that need them.

local assert = require "luassert"
local cc = require "elf64load.cc"
local elf = require "elf64load"

local function open (source)
   return assert(elf.open(assert(cc.shared(source))))
end

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
         ["struct s"] = "the size of struct s is not known; structs and unions are "
            .. "opaque here, and used by pointers alone",
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
