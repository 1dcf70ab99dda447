--- What compilers call for what the processor has no instruction for: objects
--- get it from the loader, as shared objects get it from libgcc.a.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local linking = require "spec.support.linking"
local objects = require "spec.support.objects"
local elf = require "elf64load"

local libgcc = objects.shown("gcc", "-print-libgcc-file-name"):match "[^\n]+"

-- What libgcc.a hides and no object of a compiler's asks for by itself.
local OTHERS <const> = {
   { "^DW%.ref%.", "^__[CD]TOR_LIST__$" },     -- of crtbegin.o
   { "morestack", "^__stack_split_initialize$", -- -fsplit-stack
      "^__generic_", "^__wrap_pthread_create$" },
   { "^__%l+_%l+ms64f?x?_1%d$" },              -- -mcall-ms2sysv-xlogues
   { "^__eprintf$", "^__gcc_bcmp$" },           -- of gcc before 3
   { "_tab$", "^__sfp_handle_exceptions$" },   -- its functions among themselves
}

local function is_other (name)
   for _, patterns in ipairs(OTHERS) do
      for _, pattern in ipairs(patterns) do
         if name:find(pattern) then return true end
      end
   end
   return false
end

-- All global names that it hides, sorted.
local function hidden ()
   local seen, out = {}, {}
   for line in objects.shown("readelf", "-sW", libgcc):gmatch "[^\n]+" do
      local bind, seeable, where, name = line:match
         "^ *%d+: %x+ +%w+ +%u+ +(%u+) +(%u+) +(%w+) +(%S+)"
      if bind and bind ~= "LOCAL" and seeable == "HIDDEN" and where ~= "UND"
         and not seen[name] then
         seen[name] = true
         out[#out + 1] = name
      end
   end
   table.sort(out)
   return out
end

-- An object that has the addresses of these.
local function wanting (names)
   local lines = { ".section .note.GNU-stack, \"\", @progbits\n.data\n"
      .. ".globl wanted\nwanted:" }
   for _, name in ipairs(names) do lines[#lines + 1] = ".quad " .. name end
   return linking.assembly(table.concat(lines, "\n"))
end

describe("What libgcc.a hides", function ()
   local mine, others = {}, {}
   for _, name in ipairs(hidden()) do
      local list = is_other(name) and others or mine
      list[#list + 1] = name
   end

   it("is there for objects, name by name", function ()
      assert.is_true(#mine > 100)
      local plugin <close> = assert(elf.open(wanting(mine)))
      local address = plugin:lookup "wanted".address
      local C = plugin:cdef(("extern void *wanted[%d];"):format(#mine))
      assert.is_true(address ~= 0)
      for at, name in ipairs(mine) do
         assert.is_not_nil(C.wanted[at - 1], name)
      end
   end)

   it("is linked from it where no compiler asks for it unasked", function ()
      assert.is_true(#others > 50)
      for _, name in ipairs(others) do
         local object = wanting { name }
         if not (name:find "morestack" or name:find "generic"
            or name:find "split" or name:find "^__wrap" -- want -fsplit-stack
            or name:find "^__[CD]TOR" or name:find "^DW") then
            local plugin <close> = assert(elf.link { object, libgcc })
            assert.is_not_nil(plugin:lookup "wanted", name)
         end
      end
   end)
end)

it("Decimal numbers are computed by libgcc.a itself", function ()
   local object = assert(cc.object [[
      static volatile _Decimal64 a = 1.5dd, b = 2.25dd;
      int start(void) { return (int)(a * b * 1000.0dd); }]])
   local none, message = elf.open(object)
   assert.is_nil(none)
   assert.truthy(message:find("'__bid_muldd3'", 1, true), message)
   local plugin <close> = assert(elf.link { object, libgcc })
   assert.equal(3375, plugin:cdef "int start(void);".start())
end)

local TEXT <const> = [==[
#include <stdint.h>
typedef __int128 wide; typedef unsigned __int128 uwide;
static volatile wide wa = -(((wide)7 << 70) + 3), wb = ((wide)5 << 65) + 1;
static volatile uwide ua = ((uwide)9 << 100) + 12345, ub = ((uwide)7 << 64) + 3;
static volatile float f = 3.75f; static volatile double d = -2.5e9;
static volatile long double l = 1.25e15L;
static volatile __float128 q = 1.5, r = -0.75;
static volatile int n = 3; static volatile long m = -77;
static volatile unsigned long um = 0xf00dul << 40;
static uint64_t sum;
static void mix(const void *p, int size) { const unsigned char *b = p;
for (int i = 0; i < size; i++) sum = (sum ^ b[i]) * 1099511628211ul; }
#define MIX(type, e) do { type v_ = (e); mix(&v_, sizeof v_); } while (0)
#define MIXL(e) do { long double v_ = (e); mix(&v_, 10); } while (0)
uint64_t integers(void)
{
   sum = 1;
   MIX(wide, wa / wb); MIX(wide, wa % wb); MIX(uwide, ua / ub);
   MIX(uwide, ua % ub); MIX(wide, wa * wb);
   MIX(wide, wa << n); MIX(wide, wa >> n); MIX(uwide, ua >> n);
   wide w; MIX(int, __builtin_mul_overflow(wa, wb, &w)); MIX(wide, w);
   MIX(int, __builtin_popcountl(um)); MIX(int, __builtin_parityl(um));
   MIX(int, __builtin_clrsbl(m)); MIX(int, __builtin_clzl(um));
   MIX(int, __builtin_ctzl(um)); MIX(int, __builtin_ffsl(um));
   MIX(uint64_t, __builtin_bswap64(um));
   return sum;
}
uint64_t floats(void)
{
   sum = 1;
   MIX(wide, (wide)f); MIX(wide, (wide)d); MIX(wide, (wide)l);
   MIX(uwide, (uwide)f); MIX(uwide, (uwide)l);
   MIX(float, (float)wa); MIX(double, (double)wa); MIXL((long double)wa);
   MIX(float, (float)ua); MIX(double, (double)ua); MIXL((long double)ua);
   MIX(double, __builtin_powi(f, n)); MIX(float, __builtin_powif(f, n));
   MIXL(__builtin_powil(l, n));
   MIX(uint64_t, (uint64_t)f); MIX(uint64_t, (uint64_t)l);
   _Complex float cf = f + 2.0if; _Complex double cd = d - 1.0i;
   _Complex long double cl = l + 1.0Li;
   volatile _Complex float vf = cf; volatile _Complex double vd = cd;
   volatile _Complex long double vl = cl;
   vf = vf * vf / cf; vd = vd * vd / (cd + 1); vl = vl * vl / (cl + 2);
   MIX(float, __real__ vf); MIX(double, __imag__ vd); MIXL(__real__ vl);
   return sum;
}
uint64_t quads(void)
{
   sum = 1;
   MIX(__float128, q + r); MIX(__float128, q - r); MIX(__float128, q * r);
   MIX(__float128, q / r); MIX(__float128, -q);
   MIX(int, q < r); MIX(int, q <= r); MIX(int, q > r); MIX(int, q >= r);
   MIX(int, q == r); MIX(int, q != r); MIX(int, __builtin_isunordered(q, r));
   MIX(__float128, (__float128)f); MIX(__float128, (__float128)d);
   MIX(__float128, (__float128)l);
   MIX(float, (float)q); MIX(double, (double)q); MIXL((long double)q);
   MIX(int, (int)q); MIX(long, (long)q); MIX(wide, (wide)q);
   MIX(unsigned, (unsigned)q); MIX(unsigned long, (unsigned long)q);
   MIX(uwide, (uwide)q);
   MIX(__float128, (__float128)n); MIX(__float128, (__float128)m);
   MIX(__float128, (__float128)wa); MIX(__float128, (__float128)(unsigned)n);
   MIX(__float128, (__float128)um); MIX(__float128, (__float128)ua);
   return sum;
}
uint64_t halves(void)
{
   sum = 1;
#ifdef __FLT16_MAX__
   static volatile _Float16 h; h = (_Float16)f;
   MIX(_Float16, h); h = (_Float16)d; MIX(_Float16, h); h = (_Float16)l;
   MIX(_Float16, h); h = (_Float16)q; MIX(_Float16, h); h = (_Float16)wa;
   MIX(_Float16, h); h = (_Float16)ua; MIX(_Float16, h);
   h = (_Float16)f; MIX(float, h); MIX(double, h); MIXL(h);
   MIX(__float128, h); MIX(wide, (wide)h); MIX(uwide, (uwide)h);
   MIX(int, h == (_Float16)n);
   volatile _Complex _Float16 c = h; c = c * c / (c + (_Float16)1);
   MIX(_Float16, __real__ c);
#endif
   return sum;
}
uint64_t processor(void)
{
   sum = 1; __builtin_cpu_init();
#define HAS(name) MIX(int, !!__builtin_cpu_supports(name))
   HAS("sse2"); HAS("avx2"); HAS("avx512f"); HAS("avx512vbmi2"); HAS("gfni");
   HAS("avx512bf16"); HAS("avx512vpopcntdq");
   char t[64]; __builtin___clear_cache(t, t + 64);
   return sum;
}
]==]

describe("What is computed by helpers of the compiler", function ()
   local FUNCTIONS <const> = { "integers", "floats", "quads", "halves",
      "processor" }

   local function answers (path)
      local plugin <close> = assert(elf.open(path))
      local C = plugin:cdef("unsigned long "
         .. table.concat(FUNCTIONS, "(void), ") .. "(void);")
      local out = {}
      for at, name in ipairs(FUNCTIONS) do out[at] = C[name]() end
      return out
   end

   local function compare (compiler, flags)
      local function options (more)
         return { source = TEXT, compiler = compiler, flags = "-w " .. more }
      end
      local object = assert(cc.object(options(flags)))
      local shared = assert(cc.shared(options "-O1 -fPIC"))
      assert.same(answers(shared), answers(object))
      return object
   end

   it("is what a shared object computes with its own copy", function ()
      local object = compare("gcc", "-O2 -fPIC")
      compare("gcc", "-O0 -fno-pic")
      local needs = objects.shown("nm", "-u", object)
      for _, name in ipairs { "__udivti3", "__multf3", "__extendhfsf2",
         "__truncsfhf2", "__cpu_model", "__cpu_features2",
         "__powixf2", "__divxc3", "__fixunsxfti" } do
         assert.truthy(needs:find("U " .. name .. "\n", 1, true), name)
      end
   end)

   it("is the same of what clang makes #full", function ()
      compare("clang", "-O2 -fPIC")
      compare("clang", "-O0 -fno-pic")
   end)
end)
