--- GNU ld scripts: which files they name.

local ldscript = require "elf64load.ldscript"
local disk = require "spec.support.disk"

-- The list in one line: "path", "-lname", and "?" after what AS_NEEDED holds.
local function parsed (text)
   local inputs, why = ldscript.parse(text)
   if not inputs then return nil, why end
   local out = {}
   for _, input in ipairs(inputs) do
      assert.is_true((input.path == nil) ~= (input.library == nil))
      out[#out + 1] = (input.path or "-l" .. input.library)
         .. (input.as_needed and "?" or "")
   end
   return table.concat(out, " ")
end

describe("An ld script", function ()
   it("like glibc's libc.so and libm.so names libraries", function ()
      assert.equal("/lib/x86_64-linux-gnu/libc.so.6 "
         .. "/usr/lib/x86_64-linux-gnu/libc_nonshared.a "
         .. "/lib64/ld-linux-x86-64.so.2?", parsed [[
/* GNU ld script: the rest of libc that is not shared comes second. */
OUTPUT_FORMAT(elf64-x86-64)
GROUP ( /lib/x86_64-linux-gnu/libc.so.6 /usr/lib/x86_64-linux-gnu/libc_nonshared.a
   AS_NEEDED ( /lib64/ld-linux-x86-64.so.2 ) )
]])
   end)

   it("of this system is read as gcc's linker reads it", function ()
      local pipe = assert(io.popen "gcc -print-file-name=libm.so")
      local path = pipe:read "l"
      pipe:close()
      local text = disk.contents(path)
      local inputs = assert(ldscript.parse(text))
      assert.is_not_nil(inputs[1].path:match "/libm%.so%.6$")
      assert.is_false(inputs[1].as_needed)
   end)

   it("may name libraries as the linker's options do", function ()
      assert.equal("libncurses.so.6 -ltinfo",
         parsed "INPUT(libncurses.so.6 -ltinfo)\n")
      assert.equal("libx.so.1 -lgcc?",
         parsed "GROUP ( -l:libx.so.1 AS_NEEDED(-lgcc))")
   end)

   it("separates names by blanks and commas", function ()
      assert.equal("a b c d? e? f", parsed
         "INPUT(a,b , c\n\tAS_NEEDED ( d, e ),f)")
   end)

   it("may quote names, and begin them with '=' for the system's root", function ()
      assert.equal("/opt/my libs/x(1).so /usr/lib/y.so /usr/lib/z.so", parsed
         'INPUT("/opt/my libs/x(1).so" =/usr/lib/y.so $SYSROOT/usr/lib/z.so)')
   end)

   it("may consist of several commands and comments", function ()
      assert.equal("a b c", parsed [[
/**/ OUTPUT_FORMAT("elf64-x86-64", "elf64-x86-64", "elf64-x86-64")
OUTPUT_ARCH(i386:x86-64) SEARCH_DIR("/opt/lib"); SEARCH_DIR(/usr/lib)
TARGET(elf64-x86-64) /* one * / ** */ GROUP(a /* in between */b);
;ENTRY(_start) EXTERN(x y) INPUT ( c ) /* the end */]])
   end)

   local function refused (words, text)
      local found, why = parsed(text)
      assert.is_nil(found)
      assert.is_not_nil(why:find(words, 1, true), why)
   end

   it("for another machine is refused", function ()
      refused("the ld script is for elf32-i386, not for elf64-x86-64",
         "OUTPUT_FORMAT(elf32-i386)\nGROUP(/lib32/libc.so.6)")
   end)

   it("that names nothing is refused", function ()
      for _, text in ipairs {
         "/* nothing */", "", " \n", "OUTPUT_FORMAT(elf64-x86-64)", "GROUP()",
         "GROUP(AS_NEEDED())", ";;",
      } do
         refused("the ld script names no file", text)
      end
   end)

   it("that says what only the linker understands is refused by line", function ()
      refused("line 2 of the ld script is not understood: SECTIONS",
         "GROUP(a)\nSECTIONS { . = 0; }")
      refused("line 3", "GROUP(a)\n/*\n*/ GROUP(b")
      refused("line 1", "GROUP ( a AS_NEEDED ( b )")
      refused("line 1", "INPUT(AS_NEEDED(AS_NEEDED(x)))")
      refused("line 1", 'INPUT("a)')
   end)

   it("is known from what was meant to be one and cannot be read", function ()
      assert.is_true(ldscript.resembles "GROUP(a)\nSECTIONS { . = 0; }")
      assert.is_false(ldscript.resembles "GROUP(a)\0")
      assert.is_false(ldscript.resembles "hello (world)\0")
      assert.is_true(#("x"):rep(ldscript.longest) > 65536)
   end)

   it("is told from what is none", function ()
      for _, text in ipairs {
         "\127ELF\2\1\1", "hello", "GROUPS", "GROUP", "#!/bin/sh\nGROUP(a)",
         "GROUP(a)\0", ("x"):rep(70000), "/* no end GROUP(a)",
      } do
         refused("neither ELF nor a GNU ld script", text)
      end
   end)

   it("may be any text without doing harm", function ()
      local seed = 4711
      local function chance (below)
         seed = (seed * 1103515245 + 12345) % 2147483648
         return (seed >> 8) % below + 1
      end
      local pieces = { "GROUP", "INPUT", "(", ")", " ", ",", "a", "-l", "/*",
         "*/", "AS_NEEDED", '"', ";", "\n", "=", "OUTPUT_FORMAT", "\255", "{" }
      local good = 0
      for _ = 1, 3000 do
         local text = {}
         for at = 1, chance(40) do text[at] = pieces[chance(#pieces)] end
         local found, why = parsed(table.concat(text))
         assert.equal("string", type(found or why))
         good = good + (found and 1 or 0)
      end
      assert.equal("string", type(select(2, parsed("GROUP("
         .. ("AS_NEEDED("):rep(6000)))))
      assert.is_true(#parsed("GROUP(" .. ("a "):rep(30000) .. ")") > 50000)
      assert.is_true(good >= 0)
   end)
end)
