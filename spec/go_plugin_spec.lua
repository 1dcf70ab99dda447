--- Go plugins in programs that are not Go, and the example of that.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local disk = require "spec.support.disk"
local golang = require "spec.support.golang"
local lfs = require "lfs"
local core = require "elf64load.core"

local build <const>, run <const> = golang.build, golang.run
local env <const>, quoted <const> = golang.env, disk.quoted

-- What Go gives as a string is malloc's, and the script's to free.
local TAKE <const> = [[
   local free = require "elf64load".host:cdef "void free(void *);".free
   local function take (text)
      local copy = require "elf64load".string(text)
      free(text)
      return copy
   end
]]

local HELLO <const> = [[
   package main

   import "fmt"

   var V int

   func F() { fmt.Printf("Hello, number %d\n", V) }
]]

describe("A Go plugin in a program that is not Go #full", function ()
   local SEVEN <const> = [[
      local elf = require "elf64load"
      local p = assert(elf.open(...))
      local C = p:cdef "extern int V; void F(void);"
      C.V = 7
      C.F()
   ]]

   it("has its variable set and its function called", function ()
      assert.equal("Hello, number 7\n", run(SEVEN, { build(HELLO, "plugin") }))
   end)

   it("may be stripped, without a build id, built with -trimpath", function ()
      for _, flags in ipairs { "-ldflags='-s -w'", "-ldflags=-buildid=",
         "-trimpath" } do
         assert.equal("Hello, number 7\n",
            run(SEVEN, { build(HELLO, "plugin", flags) }))
      end
   end)

   it("needs the toolchain once", function ()
      local path = build(HELLO, "plugin")
      local fresh = golang.folder .. "/fresh"
      golang.command("rm -rf " .. quoted(fresh))
      local result = child.lua(SEVEN, { path }, { seconds = 300,
         env = { XDG_CACHE_HOME = fresh, GOCACHE = env.GOCACHE } })
      assert.equal("Hello, number 7\n", result.out, result.err)
      local kept = {}
      for name in lfs.dir(fresh .. "/elf64load") do
         if name:find "^%w" then kept[#kept + 1] = name end
      end
      assert.equal(1, #kept)
      assert.is_truthy(kept[1]:find "^go%-%x+%-%x+%.so$", kept[1])
      result = child.lua(SEVEN, { path }, {
         through = { "env", "PATH=" .. golang.absent(), "XDG_CACHE_HOME=" .. fresh },
      })
      assert.equal("Hello, number 7\n", result.out, result.err)
   end)

   it("of another toolchain is refused, with what this one is", function ()
      local path = build(HELLO, "plugin")
      local hash = assert(core.peek(path, "go.link.pkghashbytes.runtime")
         or core.peek(path, "go:link.pkghashbytes.runtime"))
      local text = disk.contents(path)
      local at = assert(text:find(hash, 1, true))
      local other = disk.write(golang.folder .. "/other.so", text:sub(1, at - 1)
         .. string.char(hash:byte() ~ 0xff) .. text:sub(at + 1))
      local said = run([[
         local plugin, message, kind = require "elf64load".open(...)
         assert(not plugin)
         print(kind)
         print(message)
      ]], { other })
      assert.equal("unsupported\n" .. other, said:sub(1, 12 + #other))
      assert.is_truthy(said:find(golang.version(), 1, true), said)
   end)

   it("that Go refuses is refused in Go's words", function ()
      local path = build(HELLO, "plugin")
      local copy = disk.write(golang.folder .. "/copy.so", disk.contents(path))
      local said = run([[
         local elf = require "elf64load"
         assert(elf.open((...)))
         print(select(2, elf.open(select(2, ...))))
      ]], { path, copy })
      assert.is_truthy(said:find("plugin already loaded", 1, true), said)
   end)

   it("has symbols by its package's names", function ()
      local path = build(HELLO, "plugin")
      assert.equal(([[
symbol 'V' of %s: object	8
symbol 'F' of %s: function
nil	%s does not define 'v' (did you mean 'V' or 'F'?)	undefined
true	started
false	true
]]):format(path, path, path), run([[
         local elf = require "elf64load"
         local p = assert(elf.open(...))
         print(p:lookup "V", p:lookup "V".size)
         print(p:lookup "F")
         print(table.unpack({ p:lookup "v" }, 1, 3))
         print(p == elf.open(...), p.state)
         local C = p:cdef "void V(void); extern int F;"
         print((pcall(function () return C.V end)),
            not pcall(function () return C.F end))
      ]], { path }))
   end)

   it("is found by a searched name, with searchers in Lua", function ()
      local path = build(HELLO, "plugin")
      assert.equal("Hello, number 7\n", run([[
         local elf = require "elf64load"
         local path = ...
         table.insert(elf.searchers, 1, function (name)
            if name == "hello" then return path end
            return nil, "not hello"
         end)
         local C = assert(elf.open "hello"):cdef "extern long V; void F(void);"
         C.V = 7
         C.F()
      ]], { path }))
   end)

   it("is another plugin in another runtime", function ()
      local path = build(HELLO, "plugin")
      assert.equal("Hello, number 7\nHello, number 8\nHello, number 7\n", run([[
         local elf = require "elf64load"
         local path = ...
         local other = elf.runtime {}
         local C = assert(elf.open(path)):cdef "extern int V; void F(void);"
         local D = assert(other:open(path)):cdef "extern int V; void F(void);"
         C.V, D.V = 7, 8
         C.F() D.F() C.F()
         other:close()
      ]], { path }))
   end)

   it("shares packages with other plugins", function ()
      local one = build([[
         package main

         import "os"

         func Set(value string) error { return os.Setenv("SHARED", value) }
      ]], "plugin")
      local two = build([[
         package main

         import (
            "net/http"
            "os"
         )

         var Client http.Client

         func Get() string { return os.Getenv("SHARED") }
      ]], "plugin")
      assert.equal("seen\n", run(TAKE .. [[
         local elf = require "elf64load"
         local one, two = ...
         local C = assert(elf.open(one)):cdef "char *Set(const char *value);"
         local D = assert(elf.open(two)):cdef "char *Get(void);"
         assert(C.Set "seen" == nil)
         print(take(D.Get()))
      ]], { one, two }))
   end)

   it("may call C, and export to it", function ()
      local path = build([[
         package main

         // static int twice(int n) { return 2 * n; }
         import "C"

         //export Four
         func Four(n C.int) C.int { return 2 * C.twice(n) }
      ]], "plugin")
      assert.equal("20\n", run([[
         local p = assert(require "elf64load".open(...))
         print(p:cdef "int Four(int);".Four(5))
      ]], { path }))
   end)

   it("takes and gives the values that C has", function ()
      local path = build([[
         package main

         import (
            "errors"
            "unsafe"
         )

         var Count int64
         var Ratio float32

         func init() { Count = 40 }

         func Add(a int, b int32) int { return a + int(b) }
         func Less(a uint8, b uint16, c uint32, d uint64) uint64 {
            return d - uint64(a) - uint64(b) - uint64(c)
         }
         func Mean(a float64, b float32, c int8, d float64) float64 {
            return (a + float64(b) + float64(c) + d) / 4
         }
         func Many(a, b, c, d, e, f, g, h int64, x float64, i uint8) int64 {
            return a + 2*b + 3*c + 4*d + 5*e + 6*f + 7*g + 8*h + int64(x) + int64(i)
         }
         func Floats(a, b, c, d, e, f, g, h, i, j float64) float64 {
            return a + b + c + d + e + f + g + h + 10*i + 100*j
         }
         func Half(x float32) float32 { return x / 2 }
         func Not(x bool) bool { return !x }
         func Minus() int8 { return -5 }
         func Greet(name string) string { return "hello " + name }
         func Check(n int) error {
            if n < 0 {
               return errors.New("negative")
            }
            return nil
         }
         func Fill(to unsafe.Pointer, n int) unsafe.Pointer {
            for i := 0; i < n; i++ {
               *(*byte)(unsafe.Pointer(uintptr(to) + uintptr(i))) = byte('a' + i)
            }
            return to
         }
         func Store(to *int64, value int64) { *to = value }
         func Recovered() (text string) {
            defer func() { text = recover().(error).Error() }()
            var p *int
            *p = 3
            return ""
         }
      ]], "plugin")
      assert.equal([[
40	0.5
-1
-4
1.0
468
1126.0
1.5	false	true	-5
hello you
nil	negative
abc	true
-9
runtime error: invalid memory address or nil pointer dereference
]], run(TAKE .. [=[
         local elf = require "elf64load"
         local C = assert(elf.open(...)):cdef [[
            extern int64_t Count; extern float Ratio;
            long Add(long, int);
            uint64_t Less(uint8_t, uint16_t, uint32_t, uint64_t);
            double Mean(double, float, signed char, double);
            long Many(long, long, long, long, long, long, long, long, double,
               unsigned char);
            double Floats(double, double, double, double, double, double, double,
               double, double, double);
            float Half(float); _Bool Not(_Bool); signed char Minus(void);
            char *Greet(const char *); char *Check(long);
            char *Fill(char *, long); void Store(int64_t *, int64_t);
            char *Recovered(void);
         ]]
         C.Ratio = 0.5
         print(C.Count, C.Ratio)
         print(C.Add(3, -4))
         print(C.Less(1, 1, 2, 0))
         print(C.Mean(1, 2, -3, 4))
         print(C.Many(1, 2, 3, 4, 5, 6, 7, 8, 9.5, 255))
         print(C.Floats(1, 2, 3, 4, 5, 6, 7, 8, 9, 10))
         print(C.Half(3), C.Not(true), C.Not(false), C.Minus())
         print(take(C.Greet "you"))
         print(C.Check(1), take(C.Check(-1)))
         local memory = elf.new("char", 4)
         local same = C.Fill(memory, 3)
         print(elf.string(memory), elf.address(same) == elf.address(memory))
         local number = elf.new "int64_t"
         C.Store(number, -9)
         print(number[0])
         print(take(C.Recovered()))
      ]=], { path }))
   end)

   it("does not give C functions that C cannot call", function ()
      local path = build([[
         package main

         func Pair() (int, int) { return 1, 2 }
         func Slice(s []int)    {}
         func Map() map[int]int { return nil }
      ]], "plugin")
      assert.equal([[
Pair unsupported gives several results
Slice unsupported takes []int
Map unsupported gives map[int]int
]], run([[
         local p = assert(require "elf64load".open(...))
         for _, name in ipairs { "Pair", "Slice", "Map" } do
            local symbol, message, kind = p:lookup(name)
            assert(symbol == nil)
            print(name .. " " .. kind .. " "
               .. message:match "Go function that (.-), for which")
         end
      ]], { path }))
   end)
end)

describe("The example of Go #full", function ()
   it("prints what it says", function ()
      local host = { child.build .. "/bin/elf64load", "examples/go/main.lua" }
      local result = child.run(host, { env = env, seconds = 300 })
      assert.equal("Hello, number 7\n", result.out, result.err)
      assert.equal(0, result.code)
   end)

   it("says what to install where there is no Go", function ()
      local result = child.run({ "env", "PATH=" .. golang.absent(),
         child.build .. "/bin/elf64load", "examples/go/main.lua" })
      assert.equal(1, result.code)
      assert.is_truthy(result.err:find("golang-go", 1, true), result.err)
   end)
end)
