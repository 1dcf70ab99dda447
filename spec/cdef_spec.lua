--- C declarations as p:cdef, elf.cdef and elf.type read them, against gcc where
--- gcc can say what they mean.

local assert = require "luassert"
local cc = require "elf64load.cc"
local elf = require "elf64load"

-- All orders of the words of a text, each once.
local function orders (text)
   local words, found, seen = {}, {}, {}
   for word in text:gmatch "%S+" do words[#words + 1] = word end
   local function permute (count)
      if count == 0 then
         local order = table.concat(words, " ")
         if not seen[order] then found[#found + 1] = order end
         seen[order] = true
      end
      for index = 1, count do
         words[index], words[count] = words[count], words[index]
         permute(count - 1)
         words[index], words[count] = words[count], words[index]
      end
   end
   permute(#words)
   return found
end

-- What gcc says of each type: its size, and whether -1 of it is negative.
local function ask (includes, types)
   local sizes, signs = {}, {}
   for index, text in ipairs(types) do
      sizes[index] = ("sizeof(%s)"):format(text)
      signs[index] = ("(%s)-1 < 0"):format(text)
   end
   local path = assert(cc.shared(([[
      %s
      const int sizes[] = { %s };
      const int signs[] = { %s };
   ]]):format(includes, table.concat(sizes, ", "), table.concat(signs, ", "))))
   return assert(elf.open(path)):cdef
      "extern const int sizes[]; extern const int signs[];"
end

local function check (includes, types)
   local gcc = ask(includes, types)
   for index, text in ipairs(types) do
      local size = elf.type(text).size
      assert.equal(gcc.sizes[index - 1], size, text)
      local unsigned = elf.type(text).unsigned
      if unsigned ~= nil then
         assert.equal(gcc.signs[index - 1] == 1, not unsigned, text)
      end
   end
end

describe("A type of C's own", function ()
   it("may have its words in any order, and is what gcc makes of them",
      function ()
         local names = {}
         for name, texts in pairs {
            ["short"] = "short|signed short|short int|signed short int",
            ["unsigned short"] = "unsigned short|unsigned short int",
            ["int"] = "int|signed|signed int",
            ["unsigned int"] = "unsigned|unsigned int",
            ["long"] = "long|signed long|long int|signed long int",
            ["unsigned long"] = "unsigned long|unsigned long int",
            ["long long"] = [[long long|signed long long|long long int|
               signed long long int]],
            ["unsigned long long"] = [[unsigned long long|
               unsigned long long int]],
            ["char"] = "char", ["signed char"] = "signed char",
            ["unsigned char"] = "unsigned char",
            ["float"] = "float", ["double"] = "double",
            ["long double"] = "long double",
         } do
            for text in texts:gmatch "[^|]+" do
               for _, order in ipairs(orders(text)) do
                  assert.equal(name, tostring(elf.type(order)), order)
                  names[#names + 1] = order
               end
            end
         end
         table.sort(names)
         assert.equal(88, #names)
         check("", names)
      end)

   it("may have qualifiers between its words", function ()
      assert.equal("const unsigned long",
         tostring(elf.type "unsigned const long volatile int"))
      assert.equal("const int *const",
         tostring(elf.type "int const *volatile const"))
      assert.equal("char *", tostring(elf.type "char *restrict"))
      assert.equal("const char *",
         tostring(elf.type "__const char *__restrict"))
      assert.equal("signed char", tostring(elf.type "__signed__ char"))
   end)

   it("must have words that go together", function ()
      for _, text in ipairs {
         "long short", "unsigned float", "signed unsigned", "long long long",
         "short double", "int int", "void int", "unsigned _Bool",
         "long long double", "short char",
      } do
         assert.error_matches(function () elf.type(text) end,
            "line 1, column 1: '" .. text .. "' is no type of C")
      end
   end)

   it("is refused with its name when we cannot pass it", function ()
      for _, text in ipairs {
         "__int128", "unsigned __int128", "double _Complex", "_Complex float",
         "_Float128", "__float128", "_Decimal64",
      } do
         assert.error_matches(function () elf.type(text) end,
            text .. " is not supported")
      end
   end)
end)

describe("A standard typedef", function ()
   it("is known without being declared, as the headers declare it", function ()
      local names = {}
      for name in ([[
         bool size_t ssize_t ptrdiff_t intptr_t uintptr_t intmax_t uintmax_t
         int8_t int16_t int32_t int64_t uint8_t uint16_t uint32_t uint64_t
         int_least8_t int_least16_t int_least32_t int_least64_t uint_least8_t
         uint_least16_t uint_least32_t uint_least64_t int_fast8_t int_fast16_t
         int_fast32_t int_fast64_t uint_fast8_t uint_fast16_t uint_fast32_t
         uint_fast64_t wchar_t wint_t char16_t char32_t off_t off64_t time_t
         clock_t clockid_t suseconds_t useconds_t pid_t uid_t gid_t id_t mode_t
         dev_t ino_t nlink_t blksize_t blkcnt_t socklen_t key_t
      ]]):gmatch "%S+" do
         names[#names + 1] = name
         assert.equal(name, tostring(elf.type(name)))
      end
      check([[
         #define _GNU_SOURCE
         #include <stdbool.h>
         #include <stddef.h>
         #include <stdint.h>
         #include <sys/socket.h>
         #include <sys/types.h>
         #include <time.h>
         #include <uchar.h>
         #include <wchar.h>
      ]], names)
   end)

   it("may be declared again, even as something else", function ()
      local p <close> = assert(elf.open(assert(cc.shared "int f;")))
      p:cdef "typedef unsigned long size_t; typedef int bool;"
      assert.equal("integer", p:type("bool").kind)
      assert.equal("boolean", elf.type("bool").kind)
   end)
end)

describe("A declarator", function ()
   it("is read from the name outwards and shown as C writes it", function ()
      for text, shown in pairs {
         ["char*"] = "char *",
         ["char**const*"] = "char **const *",
         ["const void *"] = "const void *",
         ["int *[4]"] = "int *[4]",
         ["int (*)[4]"] = "int (*)[4]",
         ["int (*)(void)"] = "int (*)(void)",
         ["int (*[3])(int, char *)"] = "int (*[3])(int, char *)",
         ["void (*(*)(int))(double)"] = "void (*(*)(int))(double)",
         ["int[2][3]"] = "int [2][3]",
         ["int ()"] = "int (void)",
         ["int (const char *, ...)"] = "int (const char *, ...)",
         ["void (int a[4], char b[], int (*c)[2], int d(void))"] =
            "void (int *, char *, int (*)[2], int (*)(void))",
         ["int (size_t)"] = "int (size_t)",
         ["void (int n, int v[n], int w[static 3], int x[*])"] =
            "void (int, int *, int *, int *)",
         ["struct foo *"] = "struct foo *",
         ["union u *const *"] = "union u *const *",
         ["const struct foo *"] = "const struct foo *",
         ["unsigned (*(*)[2])(void)"] = "unsigned int (*(*)[2])(void)",
         ["char (((*)))[2]"] = "char (*)[2]",
      } do
         assert.equal(shown, tostring(elf.type(text)), text)
         assert.equal(elf.type(text), elf.type(shown), text)
      end
   end)

   it("of any shape is the same when it is read as it was shown", function ()
      local bases = { "int", "const char", "double", "struct s *", "size_t" }
      local seed = 20240229
      local function random (most)
         seed = (seed * 6364136223846793005 + 1442695040888963407)
         return (seed >> 33) % most + 1
      end
      local function declarator (depth)
         if depth == 0 then return "" end
         local inner = declarator(depth - 1)
         local kind = random(4)
         if kind == 1 then return "*" .. inner end
         if kind == 2 then return "*const " .. inner end
         if kind == 3 then return ("(*%s)[%d]"):format(inner, random(9)) end
         return ("(*%s)(%s)"):format(inner, bases[random(#bases)])
      end
      for _ = 1, 300 do
         local text = bases[random(#bases)] .. " " .. declarator(random(5))
         local ctype = elf.type(text)
         assert.equal(ctype, elf.type(tostring(ctype)), text)
      end
   end)

   it("may say nothing that C forbids", function ()
      for text, why in pairs {
         ["int (void)[3]"] = "a function cannot return int %[3%]",
         ["int (int)(int)"] = "a function cannot return int %(int%)",
         ["void [3]"] = "there are no arrays of void",
         ["int [3](void)"] = "there are no arrays of int %(void%)",
         ["struct s [2]"] = "an array of struct s has no size",
         ["int [][]"] = "an array of int %[%] has no size",
         ["int [-1]"] = "an array cannot have a negative size",
         ["int [1l << 62]"] = "an array of that size does not fit in memory",
         ["void (void, int)"] = "a parameter cannot be void",
      } do
         assert.error_matches(function () elf.type(text) end,
            "line 1, column %d+: " .. why)
      end
   end)

   it("may not be nested beyond reason", function ()
      local many = ("*"):rep(200)
      assert.error_matches(function () elf.type("int " .. many) end,
         "column 205: .*nested so deeply")
      assert.error_matches(function ()
         elf.type("int " .. ("("):rep(100000) .. "*" .. (")"):rep(100000))
      end, "line 1, column %d+: ")
      assert.equal("int *", tostring(elf.type(
         "int " .. ("("):rep(50) .. "*" .. (")"):rep(50))))
   end)
end)

describe("A struct", function ()
   it("may be opaque, declared or written out, and is used by pointer",
      function ()
         local p <close> = assert(elf.open(assert(cc.shared "int f;")))
         p:cdef [[
            struct one;
            typedef struct two two;
            typedef struct three { int a, *b; char c[3]; unsigned d : 3, : 0;
               union { struct { double x; } y; enum { INSIDE } z; };
               void (*f)(struct three *); } three, *pthree;
            typedef struct { int a; } four;
            typedef union { int a; float b; } *five;
         ]]
         for text, shown in pairs {
            ["struct one *"] = "struct one *", ["two *"] = "two *",
            ["three **"] = "three **", ["pthree"] = "pthree",
            ["four *"] = "four *", ["five"] = "five",
         } do
            assert.equal(shown, tostring(p:type(text)))
         end
      end)

   it("by value is refused with where it stands", function ()
      local p <close> = assert(elf.open(assert(cc.shared "int f;")))
      for text, why in pairs {
         ["void f(int,\n struct s x);"] = "line 2, column 2: passing struct s",
         ["struct s {\n int a; } f(void);"] = "line 2, column 12: returning struct s",
         ["typedef struct { int a; } t; void f(t);"] = "column 37: passing t",
         ["typedef union u t; t f(void);"] = "column 23: returning t",
      } do
         assert.error_matches(function () p:cdef(text) end,
            why .. " by value is not supported")
      end
   end)
end)

describe("An enum", function ()
   local p

   setup(function ()
      p = assert(elf.open(assert(cc.shared "int f;")))
   end)

   teardown(function () p:close() end)

   it("makes its names integers of the namespace", function ()
      local C = p:cdef [[
         enum color { RED, GREEN = 5, BLUE, };
         typedef enum { SMALL = -3, LARGE = BLUE * 2 } extent;
      ]]
      assert.same({ 0, 5, 6, -3, 12 },
         { C.RED, C.GREEN, C.BLUE, C.SMALL, C.LARGE })
      assert.equal("enum", p:type("enum color").kind)
      assert.equal(4, p:type("extent").size)
      assert.error_matches(function () C.RED = 1 end,
         "'RED' is no variable: it cannot be written")
   end)

   it("is known by its tag in later texts of the handle", function ()
      p:cdef "enum later { LATER };"
      assert.equal("enum later", tostring(p:type "enum later"))
      assert.error_matches(function () p:type "enum latr" end,
         "'enum latr' is not declared %(did you mean 'enum later'%?%)")
   end)

   it("is as wide and as signed as gcc makes it", function ()
      local declared, types = {}, {}
      for index, values in ipairs {
         "1", "-1", "0x7fffffff", "0x80000000", "0xffffffff",
         "0x100000000", "-1, MORE_%d = 0x7fffffff",
         "-1, MORE_%d = 0x80000000", "-0x80000000L", "-0x80000001L",
      } do
         types[index] = ("enum cdef_spec_%d"):format(index)
         declared[index] = ("enum cdef_spec_%d { CDEF_SPEC_%d = %s };"):format(
            index, index, values:format(index))
      end
      local text = table.concat(declared, "\n")
      elf.cdef(text)
      check(text, types)
   end)
end)

describe("A text of declarations", function ()
   local p

   before_each(function ()
      p = assert(elf.open(assert(cc.shared [[
         int V = 3; int one(void) { return 1; } int two(int x) { return x; }
         int renamed(void) { return 4; } int *pointer = &V;
      ]])))
   end)

   after_each(function () p:close() end)

   it("may hold comments, attributes, labels, markers and empty lines",
      function ()
         local C = p:cdef [[
            # 1 "header.h"
            #line 7 "header.h"
            // a line, extern int no;
            extern int V __attribute__((aligned(4), unused)); /* and
               a block */ ;
            __extension__ extern __inline int one(void)
               __attribute__((__nothrow__, section(")"))) __attribute__((cold));
            _Noreturn void two(int x __attribute__((unused)));
            int four(void) __asm__("" "renamed"), *pointer;
         ]]
         assert.equal(3, C.V)
         assert.equal(1, C.one())
         assert.equal(4, C.four())
         assert.equal(3, C.pointer[0])
      end)

   it("may declare several at once and the same again", function ()
      local C = p:cdef [[
         extern int V, one(void), *pointer, two(int);
         int two(int x);
         typedef int number; typedef int number;
         extern number V;
      ]]
      assert.equal(1, C.one())
      assert.equal(2, C.two(2))
      assert.equal(3, C.V)
   end)

   it("may be empty", function ()
      p:cdef ""
      p:cdef " \n /* nothing */ // at all"
   end)

   it("may use as a name what is a type elsewhere", function ()
      local C = p:cdef [[
         typedef int one;
         int two(one one);
         typedef int V;
         struct V { V V; };
      ]]
      assert.equal("int two(one)", tostring(C.two):match "^(.-):")
   end)

   it("declares for its own namespace, but types for the handle", function ()
      p:cdef "typedef int number; int one(void);"
      local C = p:cdef "number two(number);"
      assert.equal(2, C.two(2))
      assert.error_matches(function () return C.one end,
         "'one' is not declared in this cdef")
      local q <close> = assert(elf.open(p.path))
      assert.error_matches(function () q:cdef "number two(number);" end,
         "expected a type, got 'number'")
   end)

   it("sees the types that elf.cdef declares for all", function ()
      local shared = elf.cdef [[
         typedef struct cdef_spec_thing cdef_spec_thing;
         enum cdef_spec_enum { CDEF_SPEC_ONE = 1 };
      ]]
      assert.equal(1, shared.CDEF_SPEC_ONE)
      assert.equal("cdef_spec_thing *", tostring(elf.type "cdef_spec_thing *"))
      local C = p:cdef [[
         int two(enum cdef_spec_enum);
         enum { MORE = CDEF_SPEC_ONE + 1 };
      ]]
      assert.equal(1, C.two "CDEF_SPEC_ONE")
      assert.equal(2, C.MORE)
      assert.error_matches(function ()
         return elf.cdef("int one(void);").one
      end, "'one' is declared for all; to use one, declare it by the cdef of")
   end)

   it("that is wrong declares nothing at all", function ()
      assert.has_error(function ()
         p:cdef "typedef int early; enum { EARLY }; int one(void"
      end)
      assert.error_matches(function () p:type "early" end, "got 'early'")
      p:cdef "typedef long early; enum { EARLY = 3 };"
   end)

   it("may not contradict itself or an earlier one", function ()
      p:cdef "typedef int number; enum tag { NAMED };"
      for text, why in pairs {
         ["typedef long number;"] = "column 14: 'number' is declared already, as int$",
         ["typedef int a; typedef char a;"] = "column 29: 'a' is declared",
         ["int one(void); int one(int);"] =
            "column 20: 'one' is declared already, as int %(void%)",
         ["enum { NAMED = 2 };"] = "column 8: 'NAMED' is declared already, as 0",
         ["enum tag { OTHER };"] = "column 1: 'enum tag' is declared already",
         ["extern void V;"] = "column 13: 'V' cannot be void",
         ["static int one(void);"] = "column 1: what is static",
      } do
         assert.error_matches(function () p:cdef(text) end, why)
      end
   end)

   it("that does not parse says line, column and what was expected",
      function ()
         for text, why in pairs {
            ["int f(int"] = "line 1, column 10: expected .*'%)', got the end",
            ["int f(int)"] = "line 1, column 11: expected .*';', got the end",
            ["int f(int);\nint g(int;"] =
               "line 2, column 10: expected .*'%)', got ';'",
            ["\n\n  foo f(void);"] =
               "line 3, column 3: expected a type, got 'foo', which is no "
               .. "type that is known here",
            ["sise_t f(void);"] = "%(did you mean 'size_t'",
            ["int f(int, flaot);"] = "column 12: .*'flaot'.*",
            ["int 3;"] = "column 5: expected .*a name or ';', got '3'",
            ["int a b;"] = "column 7: expected .*',' or ';', got 'b'",
            ["int f(void) { return 1; }"] = "column 13: .*';', got '{'",
            ["int x = 1;"] = "column 7: .*';', got '='",
            ["/* never"] = "column 9: expected '%*/', got the end",
            ["int f(void); /* never"] = "expected '%*/', got the end",
            ["enum { };"] = "column 8: expected a name, got '}'",
            ["enum;"] = "column 5: expected '{' or a name, got ';'",
            ["struct { int };"] = "column 14: expected .*got '}'",
            ["int a[;"] = "column 7: expected .*got ';'",
            ["int a[2"] = "column 8: expected .*'%]', got the end",
            ["typedef int while;"] = "column 13: expected .*a name.*, got 'while'",
            ["#define A 1"] = "column 1: expected a type, got '#'; there is no "
               .. "preprocessor here",
            ["int f(..., int);"] = "column 10: expected '%)', got ','",
            ["int f(int, );"] = "column 12: expected a type or '...', got '%)'",
         } do
            assert.error_matches(function () p:cdef(text) end, "cdef: .*" .. why)
         end
      end)

   it("may not have an attribute that changes what is passed", function ()
      for _, attribute in ipairs { "vector_size(16)", "__ms_abi__", "mode(DI), pure" } do
         local text = ("int one(void) __attribute__((%s));"):format(attribute)
         assert.error_matches(function () p:cdef(text) end,
            "column 28: the attribute '" .. attribute:match "%a[%a_]*%a"
            .. "' is not supported")
      end
   end)

   it("may give an integer gcc's machine modes", function ()
      p:cdef [[
         typedef int a __attribute__((__mode__(__word__)));
         typedef unsigned b __attribute__((mode(QI)));
         typedef long c __attribute__((mode(HI))), d;
      ]]
      for name, size in pairs { a = 8, b = 1, c = 2, d = 8 } do
         assert.equal(size, p:type(name).size)
         assert.equal(name == "b", p:type(name).unsigned)
      end
      assert.error_matches(function ()
         p:cdef "int one(void) __attribute__((mode(DI)));"
      end, "column 5: int %(void%) in mode DI is not supported")
   end)

   it("passes over what a header defines for whoever includes it", function ()
      local C = p:cdef [[
         static __inline int one(void) { char c = '}'; return "}}"[c] /* } */; }
         extern inline int two(int x) { if (x) { return ''' + '"'; } return 0; }
         int one(void);
      ]]
      assert.equal(1, C.one())
      assert.error_matches(function () return C.two end, "not declared")
   end)

   it("may be what the preprocessor makes of a header", function ()
      for _, header in ipairs { "stdio.h", "string.h", "unistd.h", "time.h",
         "pthread.h", "sys/socket.h", "dlfcn.h", "lua5.4/lauxlib.h" } do
         local path = assert(cc.object(("#include <%s>"):format(header), "-E"))
         local file = assert(io.open(path))
         p:cdef(file:read "a")
         file:close()
      end
   end)

   it("is blamed on whoever wrote it", function ()
      local function blame (f)
         local _, message = pcall(f)
         return message:match "^(.-):%d+: "
      end
      local here = debug.getinfo(1, "S").short_src
      assert.equal(here, blame(function () p:cdef "int" end))
      assert.equal(here, blame(function () elf.cdef "int" end))
      assert.equal(here, blame(function () elf.type "in" end))
      assert.equal(here, blame(function () p:type "in" end))
      assert.equal(here, blame(function () elf.new "in" end))
      assert.equal(here, blame(function () return p:cdef("").nothing end))
      assert.equal(here, blame(function () p:cdef("").nothing = 1 end))
      assert.equal(here, blame(function () return p:cdef("int no;").no end))
   end)
end)

describe("A name of a namespace", function ()
   local p, C

   setup(function ()
      p = assert(elf.open(assert(cc.shared [[
         int V; int function(void) { return 1; } short narrow;
      ]])))
      C = p:cdef [[
         extern int V; int function(void); extern int missing;
         enum { CONSTANT };
      ]]
   end)

   teardown(function () p:close() end)

   it("that was not declared is not found, with names that are near", function ()
      assert.error_matches(function () return C.functoin end,
         "'functoin' is not declared in this cdef %(did you mean 'function'%?%)")
      assert.error_matches(function () C.constant = 1 end,
         "%(did you mean 'CONSTANT'%?%)")
   end)

   it("that the plugin does not define says what the lookup says", function ()
      local _, why = p:lookup "missing"
      local _, message = pcall(function () return C.missing end)
      assert.equal(why, message:match "^.-:%d+: (.*)$")
   end)

   it("must be declared as what it is", function ()
      for text, why in pairs {
         ["void V(void);"] = "'V' is declared as a function, but a variable in",
         ["extern int function;"] = "'function' is declared as int, but a function in",
         ["extern int narrow;"] = "'narrow' is declared as int of 4 bytes, but has 2 bytes in",
         ["extern short narrow[2];"] = "short %[2%] of 4 bytes, but has 2 bytes",
      } do
         local D = p:cdef(text)
         local name = text:match "V" or text:match "function" or "narrow"
         assert.error_matches(function () return D[name] end, why)
         assert.error_matches(function () D[name] = 1 end, why)
      end
   end)

   it("is looked up when it is first used, and once", function ()
      local before = C["function"]
      assert.is_true(rawequal(before, C["function"]))
   end)
end)
