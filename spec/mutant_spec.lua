-- Five hundred seeded mutants of small libraries, opened with `start = false` in
-- children with limits: none crashes, none hangs, nothing is left behind.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local mutate = require "spec.fuzz.mutate"

local COUNT <const> = 500
local BATCH <const> = 125

-- ELF64LOAD_SEED=N tries others: mutant I has the seed N + I.
local SEED <const> = math.tointeger(os.getenv "ELF64LOAD_SEED" or 1)

local versions = fixtures.text(
   "OLD { global: f; local: private_*; }; NEW { global: g; value; } OLD;", ".map")

local provider = assert(cc.shared(
   "long f(void) { return 1; } long g(void) { return 2; } long value = 3;",
   "-Wl,--version-script=" .. versions))

local libraries = {
   -- All that a C compiler makes.
   assert(cc.shared([[
      extern long f(void), g(void), value, absent __attribute__((weak));
      extern int getpid(void);
      static long chosen(void) { return 3; }
      static void *choose(void) { return chosen; }
      long picked(void) __attribute__((ifunc("choose")));
      __thread long in_thread = 5, zero_in_thread;
      long own = 1, zeros[3000];
      long *table[40] = { &own, &value, &zeros[7], &absent };
      __attribute__((constructor)) static void start(void) { own++; }
      __attribute__((destructor)) static void stop(void) { own--; }
      long all(void) { return f() + g() + value + getpid() + in_thread
         + zero_in_thread + picked() + *table[0]; }
   ]], "-Wl,--hash-style=both,-z,lazy,-soname,mutant.so,-rpath,/nowhere "
      .. "-Wl,--no-as-needed " .. provider)),
   -- Its own versions, packed relative relocations.
   assert(cc.shared([[
      long f(void) { return 1; } long g(void) { return 2; } long value = 3;
      static long a, b;
      long *table[200] = { &a, &b, &a, 0, &b, [150] = &b };
      long sum(void) { return *table[0] + *table[1]; }
   ]], "-Wl,-z,pack-relative-relocs,--version-script=" .. versions)),
   -- System V hash only, relocations in code, unique and absolute symbols.
   assert(cc.shared([[
      .text
      .globl value
      .type value, @function
      value: movabs $thing, %rax
         mov (%rax), %rax
         ret
      .size value, . - value
      .data
      .globl thing, only, weak
      .type thing, @object
      .size thing, 8
      thing: .quad 17
      .type only, @gnu_unique_object
      .size only, 8
      only: .quad only
      .weak weak
      .quad weak, thing + 8
   ]],
      { language = "assembly",
        flags = "-nostdlib -Wl,-z,notext,--hash-style=sysv,--defsym,constant=77" })),
   -- As small as they come.
   assert(cc.shared(".data\n.globl f\nf: .quad f\n", { language = "assembly",
      flags = "-nostdlib" })),
   -- A filter, an auxiliary, many small symbols.
   assert(cc.shared("long f1, f2, f3, f4, f5, f6, f7, f8; long *p = &f4;",
      ("-Wl,--filter=%s,--auxiliary=/no/such.so,--hash-style=both"):format(
         provider))),
}

local static = assert(cc.shared([[
   __thread long in_thread = 5;
   long get(void) { return in_thread; }
]], "-ftls-model=initial-exec"))

-- Opens the mutants of some seeds, and says of each what became of it. The line
-- of a mutant is begun before it is opened: who dies over it is known.
local PROGRAM = [[
local elf = require "elf64load"
local mutate = require "spec.fuzz.mutate"
local resources = require "spec.support.resources"
local trial = require "spec.fuzz.trial"
io.stdout:setvbuf "no"
local first, last, path = math.tointeger(arg[1]), math.tointeger(arg[2]), arg[3]
local libraries = table.move(arg, 5, #arg, 1, {})
local names = { "f", "g", "value", "picked", "in_thread", "table", "own", "all",
   "thing", "only", "constant", "f4", "none", "" }

local before, left

-- Adds what is there and was not before, and goes on from here.
local function account ()
   local now = resources.snapshot()
   if before then
      left[#left + 1] = resources.difference(before, now)
   else
      left = {}
   end
   before = now
end

local function try (seed)
   local bytes, kind = mutate.mutant(seed, libraries)
   io.write(seed, " ", kind, " ")
   local kept = trial.stays(bytes)
   if kept then account() end
   local p, message, failure, detail
   if seed % 2 == 0 then
      -- A file of its own: what stays mapped must not change under it.
      os.remove(path)
      local file = assert(io.open(path, "wb"))
      file:write(bytes)
      file:close()
      p, message, failure, detail = elf.open(path, { start = false })
   else
      p, message, failure, detail = elf.load(bytes, "mutant", { start = false })
   end
   if p then
      trial.use(p, names, bytes)
      p:close()
      if kept then before = resources.snapshot() end
   else
      assert(type(message) == "string" and #message > 10)
      assert(type(detail) == "table")
   end
   io.write(p and "open" or failure, "\n")
end

-- What is made once is made by the libraries themselves, by one with static
-- thread-local storage, which a mutant may ask for, and by a search.
for _, library in ipairs { arg[4], table.unpack(libraries) } do
   local p <close> = assert(elf.open(library, { start = false }))
   trial.use(p, names, "")
end
assert(not elf.open "no-such-library.so")
account()
for seed = first, last do try(seed) end
account()
io.write(#left > 0 and "left:\n" .. table.concat(left, "\n") .. "\n" or "clean\n")
os.remove(path)
]]

local function batch (first, last)
   local path = ("%s/mutant-%d.so"):format(fixtures.folder, first)
   return child.lua(PROGRAM, { tostring(first), tostring(last), path, static,
      table.unpack(libraries) }, { seconds = 200, memory = 4096 })
end

describe("Mutants of small libraries", function ()
   local outcomes, kinds, deaths, unclean = {}, {}, {}, {}
   local opened, total, in_tables = 0, 0, 0

   local function count (into, key) into[key] = (into[key] or 0) + 1 end

   setup(function ()
      local first = SEED
      while first < SEED + COUNT do
         local last = math.min(first + BATCH, SEED + COUNT) - 1
         local result = batch(first, last)
         local reached = first - 1
         for seed, kind, outcome in result.out:gmatch "(%d+) (%a+) (%a*)" do
            reached = math.tointeger(seed)
            total = total + 1
            count(kinds, kind)
            if mutate.tables[kind] then in_tables = in_tables + 1 end
            if outcome == "open" then opened = opened + 1 end
            if outcome ~= "" then count(outcomes, outcome) end
         end
         if result.code ~= 0 then
            deaths[#deaths + 1] = ("the child %s over mutant %d\n%s"):format(
               child.describe(result), reached, result.err)
         elseif not result.out:find "\nclean\n$" then
            unclean[#unclean + 1] = result.out:match "left:.*"
         end
         -- After a death the rest of the batch is still to be done.
         first = result.code == 0 and last + 1 or reached + 1
         if #deaths > 20 then break end
      end
      local out = {}
      for _, list in ipairs { kinds, outcomes } do
         local words = {}
         for key, number in pairs(list) do
            words[#words + 1] = ("%s %d"):format(key, number)
         end
         table.sort(words)
         out[#out + 1] = table.concat(words, ", ")
      end
      io.write(("%d mutants, seeds %d to %d\n  changed: %s\n  outcome: %s\n")
         :format(total, SEED, SEED + COUNT - 1, out[1], out[2]))
   end)

   it("do not crash the loader and do not hang it", function ()
      assert.same({}, deaths)
      assert.equal(COUNT, total)
   end)

   it("leave no mappings and no descriptors", function ()
      assert.same({}, unclean)
   end)

   it("are changed in tables in a third of the cases at least", function ()
      assert.truthy(in_tables * 3 >= COUNT, tostring(in_tables))
   end)

   it("still open in a quarter of the cases at least", function ()
      assert.truthy(opened * 4 >= COUNT, tostring(opened))
   end)

   it("fail for more than one reason", function ()
      local reasons = 0
      for _ in pairs(outcomes) do reasons = reasons + 1 end
      assert.truthy(reasons >= 4)
      assert.is_nil(outcomes.start)
      assert.is_nil(outcomes.hook)
   end)

   it("are the same for the same seed", function ()
      for _, seed in ipairs { SEED, SEED + 7, SEED + 499 } do
         assert.equal(mutate.mutant(seed, libraries),
            mutate.mutant(seed, libraries))
      end
      assert.not_equal(mutate.mutant(SEED, libraries),
         mutate.mutant(SEED + 1, libraries))
   end)
end)
