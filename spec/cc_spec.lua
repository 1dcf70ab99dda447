--- elf64load.cc compiles C once, and again when something that went into it is
--- another.

local lfs = require "lfs"
local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local cc = require "elf64load.cc"
local elf = require "elf64load"

local top

setup(function () top = child.run({ "mktemp", "-d" }).out:match "[^\n]+" end)
teardown(function () child.run { "rm", "-rf", top } end)

local function write (name, text)
   return disk.write(top .. "/" .. name, text)
end

local contents = disk.contents

local number = 0

-- A folder for what is compiled, which is not there yet.
local function fresh ()
   number = number + 1
   return ("%s/a cache %d/cc"):format(top, number)
end

-- A compiler that counts how often it compiles, and its count.
local function counted (before, after)
   number = number + 1
   local log = ("%s/compiler-%d.log"):format(top, number)
   local path = write("compiler " .. number, ([[
      #!/bin/sh
      case "$*" in *-MD*) ;; *) exec gcc "$@" ;; esac
      echo >>'%s'
      %s
      gcc "$@" || exit
      %s
   ]]):format(log, before or ":", after or ":"):gsub("^%s+", ""))
   child.run { "chmod", "+x", path }
   return "'" .. path .. "'", function ()
      local file = io.open(log, "rb")
      if not file then return 0 end
      local size = file:seek "end"
      file:close()
      return size
   end
end

local function value (path, name)
   local p <close> = assert(elf.open(path, { private = true }))
   return p:cdef("int " .. (name or "f") .. "(void);")[name or "f"]()
end

describe("Compiling", function ()
   it("makes a shared object that can be opened", function ()
      assert.equal(7, value(assert(cc.shared "int f(void) { return 7; }")))
   end)

   it("makes a program", function ()
      local path = assert(cc.program [[
         #include <stdio.h>
         int main(void) { puts("here"); return 3; }]])
      local result = child.run { path }
      assert.equal("here\n", result.out)
      assert.equal(3, result.code)
   end)

   it("makes an object file", function ()
      local path = assert(cc.object "int f(void) { return 7; }")
      assert.equal("\127ELF", contents(path):sub(1, 4))
      -- e_type is ET_REL.
      assert.equal(1, (string.unpack("<I2", contents(path), 17)))
      assert.equal(7, value(assert(cc.shared("", path))))
   end)

   it("knows C++ and assembly", function ()
      assert.equal(5, value(assert(cc.shared([[
         #include <string>
         extern "C" int f() { return std::string("abcde").size(); }]],
         { language = "c++" }))))
      assert.equal(9, value(assert(cc.shared([[
         .text
         .globl f
         .type f, @function
         f: mov $NINE, %eax
            ret
      ]], { language = "assembly", flags = "-nostdlib -DNINE=9" }))))
   end)

   it("knows the language of a file by its name", function ()
      local flags = "-DCOUNT=4"
      for _, name in ipairs { "a.c", "a.cc", "a.cpp", "a.cxx" } do
         local path = write(name, ([[
            #ifdef __cplusplus
            extern "C"
            #endif
            int f(void) { return sizeof 'x' * COUNT; }]]))
         assert.equal(name == "a.c" and 16 or 4, value(assert(cc.shared {
            file = path, flags = flags })))
      end
   end)

   it("takes flags as a shell reads them, or as they are in a list", function ()
      local text = [[ int f(void) { return sizeof TEXT; } ]]
      assert.equal(4, value(assert(cc.shared(text, [[-DTEXT='"a b"']]))))
      assert.equal(5, value(assert(cc.shared(text,
         { flags = { [[-DTEXT="a'$b"]] } }))))
   end)

   it("puts flags that all have before those of one", function ()
      local before = cc.flags
      finally(function () cc.flags = before end)
      cc.flags = { "-DONE=1", "-DTWO=1" }
      assert.equal(3, value(assert(cc.shared(
         "int f(void) { return ONE + TWO; }", "-UTWO -DTWO=2"))))
   end)

   it("asks CC and CXX, or the compiler that is named", function ()
      local c, times = counted()
      local plus, plus_times = counted()
      local result = child.lua([[
         local cc = require "elf64load.cc"
         cc.folder = arg[1]
         assert(cc.object "int f;")
         assert(cc.object("int f;", { compiler = arg[2] }))
      ]], { fresh(), plus }, { env = { CC = c } })
      assert.equal("", result.err)
      assert.equal(1, times())
      assert.equal(1, plus_times())
      result = child.lua([[
         local cc = require "elf64load.cc"
         cc.folder = arg[1]
         assert(cc.object("int f;", { language = "c++" }))
      ]], { fresh() }, { env = { CC = c, CXX = plus } })
      assert.equal("", result.err)
      assert.equal(1, times())
      assert.equal(2, plus_times())
   end)

   it("keeps what it makes in the user's cache", function ()
      local home = top .. "/home"
      local result = child.lua([[
         io.write(assert(require "elf64load.cc".object "int f;"))
      ]], {}, { env = { XDG_CACHE_HOME = "", HOME = home } })
      assert.equal(home .. "/.cache/elf64load/cc/",
         result.out:match "^(.*/)%x+%.o$", result.err)
      result = child.lua([[
         io.write(assert(require "elf64load.cc".object "int f;"))
      ]], {}, { env = { XDG_CACHE_HOME = home } })
      assert.equal(home .. "/elf64load/cc/", result.out:match "^(.*/)%x+%.o$")
   end)
end)

describe("What was compiled", function ()
   it("is not compiled again", function ()
      local compiler, times = counted()
      local folder = fresh()
      local options = { compiler = compiler, folder = folder, flags = "-O1" }
      for _, kind in ipairs { "object", "shared" } do
         local path = assert(cc[kind]("int f(void) { return 7; }", options))
         local count = times()
         assert.equal(path, cc[kind]("int f(void) { return 7; }", options))
         assert.equal(count, times())
      end
      assert.equal(2, times())
   end)

   it("leaves nothing else in its folder", function ()
      local folder = fresh()
      assert(cc.shared("#include <stdio.h>\n", { folder = folder }))
      assert.is_nil(cc.shared("int f(void) { return x; }", { folder = folder }))
      local found = {}
      for name in lfs.dir(folder) do
         local kind = name:match "^%x+(%.%a+)$" or name
         if name:sub(1, 1) ~= "." then
            found[kind] = (found[kind] or 0) + 1
         end
      end
      assert.same({ [".c"] = 2, [".read"] = 1, [".so"] = 1 }, found)
   end)

   it("is another for another text, flag, kind, language or compiler", function ()
      local folder, seen = fresh(), {}
      local function new (kind, text, options)
         options = options or {}
         options.folder = folder
         local path = assert(cc[kind](text, options))
         assert.is_nil(seen[path])
         seen[path] = true
      end
      new("object", "int f;")
      new("object", "int  f;")
      new("object", "int f;", { flags = "-DX" })
      new("object", "int f;", { flags = "-DX -DY" })
      new("object", "int f;", { language = "c++" })
      new("shared", "int f;")
      new("object", "int f;", { compiler = (counted()) })
   end)

   it("is compiled again when its compiler is another under the same name",
   function ()
      -- A file says what it calls itself.
      local compiler, times = counted()
      local path = write("versions", ("#!/bin/sh\n"
         .. "[ \"$1\" != --version ] || exec cat '%s/version'\n"
         .. "exec %s \"$@\"\n"):format(top, compiler))
      child.run { "chmod", "+x", path }
      local function run ()
         local result = child.lua([[
            local cc = require "elf64load.cc"
            io.write(assert(cc.object("int f;",
               { folder = arg[1], compiler = arg[2] })))
         ]], { top .. "/versioned", path })
         assert.equal("", result.err)
         return result.out
      end
      write("version", "one")
      local one = run()
      assert.equal(one, run())
      assert.equal(1, times())
      write("version", "two")
      assert.not_equal(one, run())
      assert.equal(2, times())
   end)
end)

describe("A file that was read", function ()
   local compiler, times, folder

   before_each(function ()
      compiler, times = counted()
      folder = fresh()
   end)

   local function shared (options)
      options.compiler, options.folder = compiler, folder
      return assert(cc.shared(options))
   end

   -- As if it had been so for long: what has just been written could change
   -- again within one tick of the file system's clock.
   local function settle ()
      child.run { "sleep", "0.05" }
   end

   local function put (name, text)
      local path = write(name, text)
      settle()
      return path
   end

   it("makes a header count", function ()
      put("it's a header.h", "#define VALUE 1\n")
      local asked = { flags = { "-I", top },
         source = '#include "it\'s a header.h"\nint f(void) { return VALUE; }' }
      local one = shared(asked)
      assert.equal(1, value(one))
      assert.equal(one, shared(asked))
      assert.equal(1, times())
      put("it's a header.h", "#define VALUE 2\n")
      local two = shared(asked)
      assert.equal(2, value(two))
      assert.equal(2, times())
      put("it's a header.h", "#define VALUE 1\n")
      assert.equal(one, shared(asked))
   end)

   it("counts by what is in it, not by its date", function ()
      put("dated.h", "#define VALUE 1\n")
      local asked = { flags = { "-I", top },
         source = '#include "dated.h"\nint f(void) { return VALUE; }' }
      local one = shared(asked)
      put("dated.h", "#define VALUE 1\n")
      assert.equal(one, shared(asked))
      assert.equal(1, times())
   end)

   it("makes the text itself count", function ()
      local path = put("text.c", "int f(void) { return 1; }")
      assert.equal(1, value(shared { file = path }))
      put("text.c", "int f(void) { return 2; }")
      assert.equal(2, value(shared { file = path }))
      assert.equal(2, value(shared { file = path }))
      assert.equal(2, times())
   end)

   it("makes a header of a header count, and one that is gone", function ()
      put("outer.h", '#include "inner.h"\n')
      put("inner.h", "#define VALUE 1\n")
      local asked = { flags = { "-I", top },
         source = '#include "outer.h"\nint f(void) { return VALUE; }' }
      assert.equal(1, value(shared(asked)))
      put("inner.h", "#define VALUE 2\n")
      assert.equal(2, value(shared(asked)))
      os.remove(top .. "/inner.h")
      assert.is_nil(cc.shared(asked))
   end)

   it("makes what is linked count", function ()
      local function archive (result)
         local path = top .. "/libvalue.a"
         os.remove(path)
         child.run { "ar", "rc", path, assert(cc.object(
            ("int value(void) { return %d; }"):format(result))) }
         settle()
      end
      local asked = { flags = { "-L" .. top, "-lvalue" },
         source = "int value(void); int f(void) { return value(); }" }
      archive(1)
      assert.equal(1, value(shared(asked)))
      archive(2)
      assert.equal(2, value(shared(asked)))
      assert.equal(2, value(shared(asked)))
      assert.equal(2, times())
   end)

   it("may change while the compiler runs", function ()
      -- The header that was read is not the one that is there afterwards.
      local header = top .. "/moving.h"
      compiler, times = counted(nil, ([[
         if grep -q 1 '%s'; then echo '#define VALUE 2' >'%s'; fi]])
         :format(header, header))
      put("moving.h", "#define VALUE 1\n")
      local asked = { flags = { "-I", top },
         source = '#include "moving.h"\nint f(void) { return VALUE; }' }
      assert.equal(2, value(shared(asked)))
      assert.equal(2, value(shared(asked)))
   end)
end)

describe("Several processes that compile the same at once", function ()
   it("all get it, whole", function ()
      local folder = fresh()
      local result = child.lua([[
         local cc = require "elf64load.cc"
         local elf = require "elf64load"
         local C = elf.host:cdef
            "int fork(void); int waitpid(int, int *, int); void _exit(int);"
         local children = {}
         for at = 1, 6 do
            children[at] = C.fork()
            if children[at] == 0 then
               local path = cc.shared("int f(void) { return 7; }",
                  { folder = arg[1] })
               local p = path and elf.open(path)
               C._exit(p and p:cdef "int f(void);".f() == 7 and 0 or 1)
            end
         end
         local status = elf.new "int"
         for _, number in ipairs(children) do
            C.waitpid(number, status, 0)
            io.write(status[0], " ")
         end
      ]], { folder })
      assert.equal("0 0 0 0 0 0 ", result.out, result.err)
      local kinds = {}
      for name in lfs.dir(folder) do
         if name:sub(1, 1) ~= "." then
            kinds[#kinds + 1] = name:match "^%x+(%.%a+)$" or name
         end
      end
      table.sort(kinds)
      assert.same({ ".c", ".read", ".so" }, kinds)
   end)
end)

describe("What does not compile", function ()
   it("is told of in the compiler's own words", function ()
      local message, detail = assert.fails_with("badformat", cc.object,
         "int f(void)\n{\n   return absent;\n}", "-DX=1")
      assert.is_not_nil(message:find("^inline%.c does not compile %(.*%-DX=1%):\n"))
      assert.is_not_nil(message:find("inline.c:3:11: error: ", 1, true), message)
      assert.is_nil(message:find(cc.folder, 1, true))
      assert.is_not_nil(message:find(detail.error, 1, true))
   end)

   it("is told of by the name of its file", function ()
      local path = write("wrong.c", "int f(void) { return absent; }")
      assert.says({ path .. " does not compile", path .. ":1:" }, cc.object,
         { file = path })
   end)

   it("may be what the linker says", function ()
      local message = assert.fails_with("badformat", cc.program,
         "int absent(void); int main(void) { return absent(); }")
      assert.is_not_nil(message:find("undefined reference to `absent'", 1, true))
   end)

   it("is tried again", function ()
      local compiler, times = counted()
      for _ = 1, 2 do
         assert.is_nil(cc.object("int", { compiler = compiler }))
      end
      assert.equal(2, times())
   end)

   it("may be a file that is not there", function ()
      assert.says(top .. "/none.c: no such file", cc.object,
         { file = top .. "/none.c" })
      assert.fails_with("notfound", cc.object, { file = top .. "/none.c" })
   end)

   it("may lack a compiler", function ()
      local message = assert.fails_with("notfound", cc.object, "int f;",
         { compiler = "no-such-compiler -O2" })
      assert.is_not_nil(message:find(
         "there is no compiler 'no-such-compiler -O2'", 1, true))
      message = assert.fails_with("notfound", cc.object, "int f;",
         { compiler = "false" })
      assert.is_not_nil(message:find("^'false' is no compiler to be used: "
         .. "'false %-%-version' ended with status 1 and said '[^\n]*'; install"),
         message)
   end)

   it("may have flags that no shell reads, or be refused by the linker", function ()
      local message = assert.fails_with("badformat", cc.object, "int f;", "-O2 '")
      assert.is_not_nil(message:find("does not compile %(.*\n.*[Uu]nterminated"),
         message)
      message = assert.fails_with("badformat", cc.shared, "int f;", "-lno-such")
      assert.is_not_nil(message:find("^inline%.c does not link %(.*no%-such"),
         message)
   end)

   it("may lack a folder to be kept in", function ()
      local path = write("a file", "")
      assert.fails_with("system", cc.object, "int f;", { folder = path .. "/in" })
      local result = child.lua([[
         print(select(2, require "elf64load.cc".object "int f;"))
      ]], {}, { env = { XDG_CACHE_HOME = "", HOME = "" } })
      assert.is_not_nil(result.out:find("neither XDG_CACHE_HOME nor HOME says",
         1, true), result.err)
   end)
end)

describe("Asking in a wrong way", function ()
   it("raises", function ()
      for text, call in pairs {
         ["there is no option 'flag' (did you mean 'flags'?)"] = function ()
            cc.object("int f;", { flag = "-O2" })
         end,
         ["the option 'flags' must be a string or a list of strings"] = function ()
            cc.object("int f;", { flags = 3 })
         end,
         ["what follows the text must be flags or a table of options, not a "
            .. "number"] = function () cc.object("int f;", 5) end,
         ["the text is given as a string, or as the option source or file"] =
         function () cc.object() end,
         ["the option 'source' must be a string"] = function () cc.object(3) end,
         ["the language must be c, c++ or assembly, not 'basic'"] = function ()
            cc.object("int f;", { language = "basic" })
         end,
         ["the name 'clock' does not tell the language, nor is there an option "
            .. "language"] = function () cc.object { file = "clock" } end,
      } do
         local fine, message = pcall(call)
         assert.is_false(fine)
         assert.equal(text, message:match "^spec/cc_spec%.lua:%d+: (.*)$")
      end
      assert.error_matches(function ()
         cc.object("int f;", { flags = { "-g", 1 } })
      end, "^the option 'flags' must be a string or a list of strings$")
   end)
end)
