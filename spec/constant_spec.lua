--- Constants of enums, against what gcc computes.

local assert = require "luassert"
local cc = require "elf64load.cc"
local elf = require "elf64load"

describe("An enum", function ()
   local p

   setup(function ()
      p = assert(elf.open(assert(cc.shared "int f;")))
   end)

   teardown(function () p:close() end)

   it("has constants as gcc computes them", function ()
      local expressions = {
         "1 + 2 * 3 - 4 / 3", "-7 / 2", "-7 % 2", "7 % -2", "-7 >> 1",
         "~0u", "~0", "~0ul", "0x7fffffff + 0u", "1u - 2", "1u - 2 < 0",
         "-1 < 0u", "-1 < 0l", "-1l < 0u", "1 << 31 >> 31", "1u << 31 >> 31",
         "0xffffffff", "4294967295", "2147483648", "0x80000000 >> 4",
         "0x8000000000000000 >> 4", "-1ul / 3", "-2ul % 7", "(-5ul) / (-3ul)",
         "010", "0x1F", "0", "1 ? 2 : 3", "0 ? 2 : 3u", "0 ? 1u : -1",
         "!5", "!0", "1 && 0", "0 || 3", "5 & 6", "5 | 6", "5 ^ 6", "+4",
         "3 == 3u", "-1 == ~0u", "2 <= 1", "2 >= 2", "1 != 2",
         "'A'", "'\\n'", "'\\\\'", "'\\0'", "'\\377'", "'\\x41'", "'\\''",
         "sizeof(int)", "sizeof(char *[3])", "sizeof(long) * 2 - 17",
         "(1 + 2) * (3 - 4)", "1 - 1 - 1", "100 / 10 / 2", "2 | 1 == 1",
         "18446744073709551615u", "9223372036854775807", "1 + 1 << 2",
         "0 && 1 / 0", "1 || 1 / 0", "123456789 * 10",
         "(int)4294967297", "(unsigned char)-1", "(signed char)200",
         "(unsigned short)70000 + 1", "(unsigned)-1 > 0", "(char)65 - 66",
         "(unsigned char)0 - 1 < 0", "(long)(int)0x80000000 / 2",
         "(size_t)-1 / 2", "-(int)sizeof(int)", "(int)(16 * sizeof(void *))",
      }
      local declared, values = {}, {}
      for index, expression in ipairs(expressions) do
         declared[index] = ("E%d = %s"):format(index, expression)
         values[index] = ("(long long)(%s)"):format(expression)
      end
      local q <close> = assert(elf.open(assert(cc.shared(
         "#include <stddef.h>\nconst long long values[] = {"
         .. table.concat(values, ", ") .. "};"))))
      local C = q:cdef("enum {" .. table.concat(declared, ", ")
         .. "}; extern const long long values[];")
      for index, expression in ipairs(expressions) do
         assert.equal(C.values[index - 1], C["E" .. index], expression)
      end
   end)

   it("has constants that C allows", function ()
      for text, why in pairs {
         ["enum { A = 1 / 0 };"] = "column 14: a division by zero",
         ["enum { A = 1 << 32 };"] = "column 14: a shift by 32 bits",
         ["enum { A = 09 };"] = "column 12: '09' is no integer",
         ["enum { A = 1lul };"] = "column 12: '1lul' is no integer",
         ["enum { A = 0x1ffffffffffffffff };"] = "is no integer of 64 bits",
         ["enum { AX,\n B = AY };"] =
            "line 2, column 6: 'AY' is no constant that is known here "
            .. "%(did you mean 'AX'%?%)",
         ["enum { A = (float)1 };"] = "column 13: a constant cannot be cast",
         ["enum { A = sizeof(struct s) };"] = "size of struct s is not known; "
            .. "structs and unions are opaque here",
      } do
         assert.error_matches(function () p:cdef(text) end, why)
      end
   end)
end)
