--- Calling C functions: every scalar type, every number of arguments, in
--- registers and on the stack, against what the same C says about itself.

local assert = require "luassert"
local cc = require "elf64load.cc"
local elf = require "elf64load"

local function open (source)
   return assert(elf.open(assert(cc.shared(source))))
end

local function range (bits, unsigned)
   if unsigned then return 0, bits == 64 and -1 or (1 << bits) - 1 end
   return -1 << (bits - 1), (1 << (bits - 1)) - 1
end

-- Each type with the format by which C prints it, and values that show whether
-- it was passed whole.
local types = {
   { name = "_Bool", format = "%d", values = { true, false } },
   { name = "float", format = "%a", values = { 1.5, -0.25, 2 ^ 100, 0.0 } },
   { name = "double", format = "%a", values = { 0.1, -1e300, 2 ^ -1074, 3 } },
   { name = "long double", format = "%La", values = { 0.5, -3.0, 2 ^ 40 } },
   { name = "void *", format = "%p", values = { nil } },
}

for name, bits in pairs {
   char = 8, ["signed char"] = 8, ["unsigned char"] = 8, short = 16,
   ["unsigned short"] = 16, int = 32, ["unsigned int"] = 32, long = 64,
   ["unsigned long"] = 64, ["long long"] = 64, ["unsigned long long"] = 64,
} do
   local unsigned = name:find "^unsigned" ~= nil
   local least, most = range(bits, unsigned)
   types[#types + 1] = {
      name = name, values = { least, most, 0, 1, 100 },
      format = unsigned and "%llu" or "%lld",
      cast = unsigned and "(unsigned long long)" or "(long long)",
   }
end

table.sort(types, function (one, other) return one.name < other.name end)

local seed = 42

local function random (most)
   seed = seed * 6364136223846793005 + 1442695040888963407
   return (seed >> 33) % most + 1
end

-- A value of a type, and the text that C makes of it.
local function pick (ctype, printer)
   local at = random(math.max(1, #ctype.values))
   local value = ctype.values[at]
   return value, printer(ctype, value)
end

describe("A call", function ()
   -- The functions print what they got; the same printf, called from Lua with
   -- one argument each, says what they should have got.
   it("passes arguments of every type in every place", function ()
      local signatures, source = {}, {
         "#include <stdio.h>\nstatic char out[4096];",
      }
      for number = 1, 120 do
         local parameters, arguments, formats, chosen = {}, {}, {}, {}
         for index = 1, number <= 20 and number - 1 or random(24) - 1 do
            local ctype = types[random(#types)]
            chosen[index] = ctype
            parameters[index] = ctype.name .. " a" .. index
            arguments[index] = ", " .. (ctype.cast or "") .. "a" .. index
            formats[index] = ctype.format
         end
         local list = #chosen > 0 and table.concat(parameters, ", ") or "void"
         signatures[number] = { types = chosen, text =
            ("const char *f%d(%s);"):format(number, list) }
         source[#source + 1] = ([[const char *f%d(%s)
            { sprintf(out, "%s"%s); return out; }]]):format(number, list,
            table.concat(formats, " "), table.concat(arguments))
      end
      -- One of each, to be asked what a value looks like.
      for index, ctype in ipairs(types) do
         source[#source + 1] = ([[const char *show%d(%s a)
            { sprintf(out, "%s", %sa); return out; }]]):format(index,
            ctype.name, ctype.format, ctype.cast or "")
         ctype.declaration = ("const char *show%d(%s a);"):format(index,
            ctype.name)
         ctype.show = "show" .. index
      end
      local p <close> = open(table.concat(source, "\n"))

      local expected = {}
      for _, ctype in ipairs(types) do
         local C = p:cdef(ctype.declaration)
         for index = 1, math.max(1, #ctype.values) do
            local value = ctype.values[index]
            local text = elf.string(C[ctype.show](value))
            expected[ctype.name .. tostring(value)] = text
            -- Lua's own idea of it, where it has one.
            if ctype.cast then
               local unsigned = ctype.format == "%llu" and value < 0
               assert.equal(unsigned and "18446744073709551615"
                  or tostring(value), text)
            elseif ctype.format == "%a" then
               assert.equal(("%a"):format(value), text)
            elseif type(value) == "boolean" then
               assert.equal(value and "1" or "0", text)
            end
         end
      end
      local checked = 0
      for number, signature in ipairs(signatures) do
         local f = p:cdef(signature.text)["f" .. number]
         for _ = 1, 5 do
            local values, texts = {}, {}
            for index, ctype in ipairs(signature.types) do
               values[index], texts[index] = pick(ctype, function (t, value)
                  return expected[t.name .. tostring(value)]
               end)
            end
            assert.equal(table.concat(texts, " "), elf.string(
               f(table.unpack(values, 1, #signature.types))), signature.text)
            checked = checked + #texts
         end
      end
      assert.is_true(checked > 3000)
   end)

   it("returns results of every type", function ()
      local source = {}
      for index, ctype in ipairs(types) do
         source[#source + 1] = ("%s f%d(%s a) { return a; }"):format(
            ctype.name, index, ctype.name)
      end
      local p <close> = open(table.concat(source, "\n"))
      for index, ctype in ipairs(types) do
         local f = p:cdef(("%s f%d(%s);"):format(ctype.name, index,
            ctype.name))["f" .. index]
         for _, value in ipairs(ctype.values) do
            local result = f(value)
            assert.equal(value, result, ctype.name)
            local is = math.type(result)
            if is then
               assert.equal(ctype.format:find "a" and "float" or "integer", is)
            end
         end
      end
      assert.equal(0, select("#", open("void f(void) {}"):cdef
         "void f(void);".f()))
   end)

   it("extends what is narrower than a register", function ()
      local p <close> = open [[
         __asm__(".globl wide\n.type wide, @function\nwide: movl %edi, %eax\n"
                 "ret\n.size wide, . - wide");
      ]]
      for text, value in pairs {
         ["signed char"] = -2, ["unsigned char"] = 254, short = -2,
         ["unsigned short"] = 65534, int = -2,
      } do
         local f = p:lookup("wide"):as(("int (%s)"):format(text))
         assert.equal(value, f(value), text)
         assert.equal(value, f(value + 0.0), text)
      end
      assert.equal(1, p:lookup("wide"):as "int (_Bool)" (true))
   end)

   it("looks only at the part of a register that its result has", function ()
      local p <close> = open [[
         __asm__(".globl all\n.type all, @function\nall: movq $-1, %rax\n"
                 "movq $0x3fc00000ffffffff, %rcx\nmovq %rcx, %xmm0\n"
                 "ret\n.size all, . - all");
      ]]
      local symbol = p:lookup "all"
      assert.equal(255, symbol:as "unsigned char (void)" ())
      assert.equal(-1, symbol:as "short (void)" ())
      assert.equal(0xffffffff, symbol:as "unsigned (void)" ())
      assert.equal(-1, symbol:as "unsigned long (void)" ())
   end)

   it("takes as many arguments as C promises", function ()
      local parameters, sum, values = {}, {}, {}
      for index = 1, 127 do
         parameters[index] = "long a" .. index
         sum[index] = ("a%d * %d"):format(index, index)
         values[index] = index
      end
      local text = ("long f(%s)"):format(table.concat(parameters, ", "))
      local p <close> = open(text .. "{ return " .. table.concat(sum, "+")
         .. "; }")
      assert.equal(127 * 128 * 255 // 6,
         p:cdef(text .. ";").f(table.unpack(values)))
      assert.error_matches(function ()
         p:cdef("long f(long, " .. table.concat(parameters, ", ") .. ");")
      end, "more than 127 parameters is not supported")
   end)

   it("must have as many arguments as the prototype", function ()
      local p <close> = open [[
         int add(int a, int b) { return a + b; }
         int nothing(void) { return 0; }
         int many(int count, ...) { return count; }
      ]]
      local C = p:cdef [[
         int add(int, int); int nothing(void); int many(int count, ...);
      ]]
      assert.error_matches(function () C.add(1) end,
         "wrong number of arguments to 'add' %(2 expected, got 1%): "
         .. "int add%(int, int%)")
      assert.error_matches(function () C.add(1, 2, nil) end,
         "%(2 expected, got 3%)")
      assert.error_matches(function () C.nothing(nil) end,
         "%(0 expected, got 1%)")
      assert.error_matches(function () C.many() end,
         "wrong number of arguments to 'many' %(at least 1 expected, got 0%): "
         .. "int many%(int, ...%)")
      assert.error_matches(function ()
         C.many(1, table.unpack({}, 1, 127))
      end, "got 128")
   end)

   it("blames the line that made it", function ()
      local p <close> = open "int add(int a, int b) { return a + b; }"
      local C = p:cdef "int add(int, int);"
      local function caller () return 1 + C.add(1, "2") end
      local _, message = pcall(caller)
      local where = debug.getinfo(caller, "S")
      assert.equal(("%s:%d"):format(where.short_src, where.linedefined),
         message:match "^(.-:%d+): bad argument #2 to 'add'")
   end)

   it("runs in any coroutine", function ()
      local p <close> = open "int add(int a, int b) { return a + b; }"
      local C = p:cdef "int add(int, int);"
      assert.equal(5, coroutine.wrap(function () return C.add(2, 3) end)())
   end)

   it("allocates nothing when nothing but numbers go through it", function ()
      local p <close> = open "double f(int a, double b) { return a * b; }"
      local f = p:cdef("double f(int, double);").f
      f(1, 2)
      collectgarbage "stop"
      local before = collectgarbage "count"
      for index = 1, 1000 do f(index, 2.5) end
      local after = collectgarbage "count"
      collectgarbage "restart"
      assert.equal(before, after)
   end)
end)

describe("A call in place of '...'", function ()
   local C, out

   setup(function ()
      C = elf.host:cdef [[
         int snprintf(char *restrict, size_t, const char *restrict, ...);
      ]]
      out = elf.new("char", 1000)
   end)

   local function format (...)
      local size = C.snprintf(out, #out, ...)
      return elf.string(out, size)
   end

   it("passes integers as long, floats as double, booleans as int", function ()
      assert.equal("-1 9223372036854775807 ff",
         format("%ld %lld %x", -1, math.maxinteger, 255))
      assert.equal("-5 2.500000 1e+100", format("%d %f %g", -5, 2.5, 1e100))
      assert.equal("1 0", format("%d %d", true, false))
   end)

   it("passes strings, pointers and nil as pointers", function ()
      local text = elf.new("char", "owned")
      assert.equal("given owned (nil)", format("%s %s %p", "given", text, nil))
      assert.equal(("0x%x"):format(elf.address(text)), format("%p", text))
      local symbol = assert(elf.host:lookup "snprintf")
      assert.equal(("0x%x"):format(elf.address(symbol)),
         format("%p", symbol))
   end)

   it("passes any number of them, in any mixture, with the right registers",
      function ()
         local formats = { ["%ld"] = -7, ["%.3f"] = 0.125, ["%s"] = "text" }
         local names = { "%ld", "%.3f", "%s" }
         for count = 0, 60 do
            local chosen, values, texts = {}, {}, {}
            for index = 1, count do
               local name = names[random(3)]
               chosen[index] = name
               values[index] = formats[name]
               texts[index] = name:gsub("l", ""):format(values[index])
            end
            assert.equal(table.concat(texts, " "),
               format(table.concat(chosen, " "), table.unpack(values)))
         end
      end)

   it("refuses what is none of these", function ()
      assert.error_matches(function () format("%p", {}) end,
         "bad argument #4 to 'snprintf' %(integer, float, boolean, string or "
         .. "pointer expected, got table%)")
      assert.error_matches(function () format("%p", print) end,
         "got function")
   end)

   it("keeps the types of what the prototype names", function ()
      assert.error_matches(function () C.snprintf(out, 10, 5) end,
         "bad argument #3 to 'snprintf' %(const char %* expected, got number%)")
   end)
end)

describe("A function", function ()
   local p, C

   before_each(function ()
      p = open [[
         #include <stdlib.h>
         int V = 5;
         int add(int a, int b) { return a + b; }
         int less(const void *a, const void *b)
         { return *(const int *)a - *(const int *)b; }
         int (*hook)(int, int) = add;
         int (*find(int which))(int, int) { return which ? add : NULL; }
         int apply(int (*f)(int, int), int a) { return f ? f(a, a) : -1; }
         void sort(int *at, size_t count, int (*order)(const void *,
            const void *)) { qsort(at, count, sizeof *at, order); }
      ]]
      C = p:cdef [[
         int add(int, int);
         int less(const void *, const void *);
         extern int (*hook)(int, int);
         int (*find(int))(int, int);
         int apply(int (*)(int, int), int);
         void sort(int *at, size_t, int order(const void *, const void *));
      ]]
   end)

   after_each(function ()
      if p then p:close() end
   end)

   it("without a type says how to give it one", function ()
      local symbol = assert(p:lookup "add")
      assert.error_matches(function () symbol(1, 2) end,
         "'add' has no type yet: p:cdef \"void add%(void%);\" gives it one")
      assert.error_matches(function () p:lookup "V" () end,
         "'V' is a variable and has no type yet: p:cdef \"extern int V;\" ")
   end)

   it("gets a type by as", function ()
      local add = p:lookup "add":as "int (int, int)"
      assert.equal(7, add(3, 4))
      assert.equal(C.add, add)
      assert.error_matches(function () p:lookup "add":as "int" end,
         "'add' is declared as int, but a function in")
      assert.error_matches(function () p:lookup "V":as "int (void)" end,
         "'V' is declared as a function, but a variable in")
      assert.equal(p:type "int (int, int)", elf.type(add))
   end)

   it("shows its prototype and its address", function ()
      assert.equal(("int add(int, int): 0x%x"):format(
         elf.address(p:lookup "add")), tostring(C.add))
   end)

   it("can be given as a pointer, by type or without", function ()
      assert.equal(8, C.apply(C.add, 4))
      assert.equal(8, C.apply(p:lookup "add", 4))
      assert.equal(-1, C.apply(nil, 4))
      assert.error_matches(function () C.apply(C.less, 1) end,
         "bad argument #1 to 'apply' %(int %(%*%)%(int, int%) expected, "
         .. "got int less%(const void %*, const void %*%)%)")
      assert.error_matches(function () C.apply({}, 1) end, "got table")
      local list = elf.new("int", { 5, 3, 4, 1, 2 })
      C.sort(list, #list, C.less)
      assert.same({ 1, 2, 3, 4, 5 },
         { list[0], list[1], list[2], list[3], list[4] })
   end)

   it("that C points to can be called, kept and replaced", function ()
      assert.equal(5, C.find(1)(2, 3))
      assert.is_nil(C.find(0))
      assert.equal(5, C.hook(2, 3))
      C.hook = nil
      assert.is_nil(C.hook)
      C.hook = C.add
      assert.equal(C.add, C.hook)
      assert.error_matches(function () C.find(1)(1) end,
         "wrong number of arguments to 'int %(int, int%)'")
   end)

   it("is all that can be called", function ()
      local cell = elf.new "int"
      assert.error_matches(function () cell() end,
         "'int %[1%]' is no function")
      assert.error_matches(function ()
         getmetatable(cell).__call(5)
      end, "elf64load.pointer expected, got number")
      for _, other in ipairs { p:lookup "add", io.stdout } do
         assert.error_matches(function () getmetatable(cell).__call(other) end,
            "elf64load.pointer expected, got ")
      end
   end)

   it("raises closed once its plugin has been stopped", function ()
      local add, hook, symbol = C.add, C.hook, p:lookup "add"
      assert.equal(3, hook(1, 2))
      p:close()
      p = nil
      for _, f in ipairs {
         function () add(1, 2) end, function () C.add(1, 2) end,
         function () return C.hook end, function () C.hook = nil end,
         function () symbol() end, function () symbol:as "int (void)" end,
         function () return C.apply(add, 1) end,
         function () elf.new("void *")[0] = symbol end,
         function () elf.new("void *", { add }) end,
         function () return elf.cast("void *", add) end,
         function () return elf.address(symbol) end,
      } do
         assert.error_matches(f, "closed")
      end
      -- A pointer that came out of C is C's own business.
      assert.equal("int (int, int)", tostring(elf.type(hook)))
   end)

   -- To make a callback lets the collector run, and it calls finalisers.
   local function closing_while_collecting (f)
      collectgarbage "stop"
      -- A step of the collector is all of its work.
      local mode = collectgarbage("incremental", 100, 100, 30)
      setmetatable({}, { __gc = function () p:close() end })
      collectgarbage "restart"
      local done, message = pcall(f)
      collectgarbage("incremental", 200, 100, 13)
      collectgarbage(mode)
      assert.equal("closed", p.state)
      p = nil
      assert.is_false(done)
      assert.matches("closed: '%l+' belonged to", message)
   end

   it("is not called when the collector has closed its plugin", function ()
      local apply, callback = C.apply, function (a, b) return a + b end
      assert.equal(8, apply(callback, 4))
      closing_while_collecting(function () apply(callback, 4) end)
   end)

   it("is not given what the collector has closed", function ()
      p:close()
      local other <close> = open "void two(void *p, int (*f)(void)) { f(); }"
      local two = other:cdef "void two(void *, int (*)(void));".two
      local function callback () return 0 end
      for _, typed in ipairs { true, false } do
         p = open "int add(int a, int b) { return a + b; }"
         local given = p:lookup "add"
         if typed then given = given:as "int (int, int)" end
         two(given, callback)
         closing_while_collecting(function () two(given, callback) end)
      end
   end)

   it("is not written to what the collector has closed", function ()
      local hook = p:lookup "hook":as "int (*)(int, int)"
      local function callback (a, b) return a + b end
      closing_while_collecting(function () hook[0] = callback end)
   end)
end)
