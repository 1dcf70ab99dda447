--- What debuggers and profilers see of objects.

local lfs = require "lfs"
local elf = require "elf64load"
local child = require "spec.support.child"
local debugging = require "spec.support.debugging"
local disk = require "spec.support.disk"
require "spec.support.assert"

local TEXT <const> = [[
static int depth;
struct point { int x, y; };
static struct point here = { 3, 4 };
int common_one;
__attribute__((noinline)) static int deeper(int x)
{
    depth = x + 1; /* line 7 */
    common_one = x;
    here.x += depth;
    return depth + here.x;
}
int jit_function(int x)
{
    int doubled = x * 2;
    return deeper(doubled) + 1; /* line 15 */
}
]]

local folder = os.tmpname()
os.remove(folder)
assert(lfs.mkdir(folder))

teardown(function () child.run { "rm", "-rf", folder } end)

local function write (name, text)
   return disk.write(folder .. "/" .. name, text)
end

local function object (name, flags)
   write(name .. ".c", TEXT)
   local result = child.run({ "sh", "-c", ("cd %s && gcc -O0 %s -c %s.c"):format(
      folder, flags, name) }, { bare = true, merge = true })
   assert(result.code == 0, result.out)
   return folder .. "/" .. name .. ".o"
end

local host = debugging.host

describe("perf", function ()
   it("is told of the functions of objects, when that is asked for", function ()
      local path = object("perf", "-fPIC")
      local pid = io.open "/proc/self/stat":read "n"
      local map = ("/tmp/perf-%d.map"):format(pid)
      os.remove(map)
      local p <close> = assert(elf.open(path))
      assert.is_nil(io.open(map))
      local q <close> = assert(elf.open(path, { perf = true, private = true }))
      local file = assert(io.open(map))
      local text = file:read "a"
      file:close()
      os.remove(map)
      for _, name in ipairs { "jit_function", "deeper" } do
         local start, size = text:match("(%x+) (%x+) " .. name .. "\n")
         local symbol = q:lookup(name)
         assert.equal(symbol.address, tonumber(start, 16))
         assert.equal(symbol.size, tonumber(size, 16))
      end
      assert.equal(26, q:cdef "int jit_function(int);".jit_function(5))
      assert.equal("started", p.state)
   end)
end)

-- What debuggers run.
local script = write("program.lua", [[
   local elf = require "elf64load"
   for _ = 1, 2 do
      local p <close> = assert(elf.open(arg[1]))
      print(p:cdef "int jit_function(int);".jit_function(4))
   end
]])

local function says (out, ...)
   for _, text in ipairs { ... } do
      assert.truthy(out:find(text, 1, true), "no '" .. text .. "' in\n" .. out)
   end
end

local MANNERS <const> = { "-g -fPIC", "-g -fno-pic -fcommon",
   "-g -ffunction-sections -fdata-sections",
   "-g -gz" } -- lldb ends when it relocates what it has not unpacked

it("Objects whose debugging information is compressed open", function ()
   local p <close> = assert(elf.open(object("packed", "-g -gz -fPIC")))
   assert.equal(26, p:cdef "int jit_function(int);".jit_function(5))
end)

describe("gdb #full", function ()
   if child.sanitizer then return end -- LeakSanitizer traces the process itself

   local function debug (path, ...)
      local result = child.run(debugging.gdb({ ... }, { "--args",
         table.unpack(host(script, path)) }), { merge = true, seconds = 300 })
      assert.equal(0, result.code, result.out)
      return result.out
   end

   for _, flags in ipairs(MANNERS) do
      it("knows lines, variables and static functions: " .. flags, function ()
         local path = object("gdb" .. flags:gsub("%W", ""), flags)
         says(debug(path, "break deeper", "run", "bt 2", "print here", "next",
            "next", "print depth", "print common_one", "print $_siginfo"),
            "(deeper) pending", "deeper (x=8) at", "/* line 7 */",
            "jit_function (x=4) at", "$1 = {x = 3, y = 4}", "$2 = 9", "$3 = 8")
      end)
   end

   it("stops again in what was closed and opened anew", function ()
      local out = debug(object("again", "-g -fPIC"), "break again.c:15", "run",
         "print doubled", "continue", "print doubled", "continue")
      local _, stops = out:gsub("/%* line 15 %*/", "")
      assert.equal(2, stops, out)
      says(out, "$1 = 8", "$2 = 8", "exited normally")
   end)

   it("names static functions without debugging information", function ()
      says(debug(object("plain", "-fPIC"), "break deeper", "run", "bt 2",
         "info sharedlibrary"), "in deeper ()", "in jit_function ()")
   end)

   it("shows nothing twice", function ()
      local path = object("once", "-g -fPIC")
      local out = debug(path, "break deeper", "run", "info breakpoints",
         "info sharedlibrary")
      assert.falsy(out:match("Yes[^\n]*once%.o"), out)
      assert.falsy(out:find("2 locations", 1, true), out)
   end)
end)

describe("lldb #full", function ()
   if child.sanitizer then return end

   -- It does not know of such code after another exec, so it starts the host
   -- itself, in the environment that the host's words ask for.
   local START <const> = [[
      program=$1 object=$2
      eval "set -- $3"
      while [ "$1" = env ] || [ "${1#*=}" != "$1" ]; do
         [ "$1" = env ] || export "$1"
         shift
      done
      exec lldb --no-lldbinit --batch --source commands -- "$@" "$program" \
         "$object"
   ]]

   local function debug (path, ...)
      write("commands", "settings set plugin.jit-loader.gdb.enable on\n"
         .. table.concat({ ... }, "\n") .. "\n")
      local result = child.run({ "sh", "-c", "cd " .. folder .. "\n" .. START,
         "sh", script, path, os.getenv "ELF64LOAD_HOST" or child.host },
         { merge = true, seconds = 300 })
      assert.equal(0, result.code, result.out)
      return result.out
   end

   for _, flags in ipairs { table.unpack(MANNERS, 1, #MANNERS - 1) } do
      it("knows lines, variables and static functions: " .. flags, function ()
         local path = object("lldb" .. flags:gsub("%W", ""), flags)
         says(debug(path, "breakpoint set -n deeper", "run", "bt 2",
            "target variable here", "next", "next", "target variable depth",
            "print common_one"),
            "Breakpoint 1: no locations (pending)", "`deeper(x=8) at",
            "/* line 7 */", "`jit_function(x=4) at", "here = (x = 3, y = 4)",
            "depth = 9", "$0 = 8")
      end)
   end

   it("stops again in what was closed and opened anew", function ()
      local out = debug(object("anew", "-g -fPIC"),
         "breakpoint set -f anew.c -l 15", "run", "frame variable", "continue",
         "frame variable", "continue")
      local _, stops = out:gsub("stop reason = breakpoint", "")
      assert.equal(2, stops, out)
      says(out, "doubled = 8", "exited with status = 0")
   end)

   it("names static functions without debugging information", function ()
      says(debug(object("bare", "-fPIC"), "breakpoint set -n deeper", "run",
         "bt 2"), "`deeper\n", "`jit_function + ")
   end)
end)

describe("perf record #full", function ()
   if child.sanitizer then return end

   it("names frames of objects", function ()
      local path = write("spin.c", [[
         static double x = 1;
         __attribute__((noinline)) static long object_spins(long n)
         {
             for (long i = 0; i < n; i++) x = x * 1.0000001 + i;
             return x > 1;
         }
         long spin(long n) { return object_spins(n); }
      ]])
      assert.equal(0, child.run({ "sh", "-c", "cd " .. folder
         .. " && gcc -O1 -c spin.c" }, { bare = true }).code)
      local data = folder .. "/perf.data"
      local run = child.run(host(write("spin.lua", [[
         local elf = require "elf64load"
         local p = assert(elf.open(arg[1], { perf = true }))
         p:cdef "long spin(long);".spin(100000000)
      ]]), (path:gsub("c$", "o"))), { merge = true, through = { "perf", "record",
         "-q", "-e", "cpu-clock", "-o", data } })
      assert.equal(0, run.code, run.out)
      local report = child.run { "perf", "report", "-i", data, "--stdio" }
      assert.truthy(report.out:find("object_spins", 1, true),
         report.out .. report.err)
   end)
end)
