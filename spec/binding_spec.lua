-- Which definition imports are bound to where names are not read, or only after
-- their hashes: against ld.so.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local disk = require "spec.support.disk"
local elfedit = require "spec.support.elfedit"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"

local function format (text, values)
   return (text:gsub("%$(%w+)", values))
end

-- Functions of these names, each of which answers a number of its own, and for
-- each another one that calls it by its own plugin's import.
local function defining (names, base, prefix)
   local lines = {}
   for number, name in ipairs(names) do
      lines[#lines + 1] = format([[
         long $name(void) { return $value; }
         long (*$prefix$name_pointer)(void) = $name;
         long $prefix$name(void) { return 1000 * $name() + $prefix$name_pointer(); }
      ]], { name = name, value = base + number, prefix = prefix })
   end
   return table.concat(lines)
end

local function asking (names, prefix)
   local lines = {}
   for _, name in ipairs(names) do
      lines[#lines + 1] = "call a " .. prefix .. name
   end
   return lines
end

-- "Ez" and "FY" have the same hash in DT_GNU_HASH, "FX" one that differs from it
-- in the lowest bit, which the table does not hold.
local ALIKE = { "name_Ez", "name_FY", "name_FX" }

describe("A name that a plugin defines itself", function ()
   it("is its own though something before it has a name of the same hash",
      function ()
         for _, given in ipairs(ALIKE) do
            local before = assert(cc.shared(defining({ given }, 10, "of_")))
            local plugin = assert(cc.shared(defining(ALIKE, 20, "own_")))
            local script = asking(ALIKE, "own_")
            table.insert(script, 1, "open before " .. before .. " global")
            table.insert(script, 2, "open a " .. plugin)
            local said = {}
            for number, name in ipairs(ALIKE) do
               said[number] = ("own_%s() = %d"):format(name,
                  (name == given and 11 or 20 + number) * 1001)
            end
            assert.like_ldso(script, said)
         end
      end)

   it("is another's where that comes before it, among hundreds", function ()
      local all, some = {}, {}
      for i = 1, 400 do
         all[i] = ("f%d_%d"):format(i, i * i)
         if i % 3 == 0 then some[#some + 1] = all[i] end
      end
      local before = assert(cc.shared(defining(some, 5000, "of_")))
      local plugin = assert(cc.shared(defining(all, 1, "own_")))
      local script = asking(all, "own_")
      table.insert(script, 1, "open before " .. before .. " global")
      table.insert(script, 2, "open a " .. plugin)
      assert.like_ldso(script, { ("own_f1_1() = %d"):format(2 * 1001),
         ("own_f3_9() = %d"):format(5001 * 1001) })
   end)

   -- So many that asking for them one by one would take longer.
   it("is libc's where libc has it, among many", function ()
      local all = { "getpagesize", "sched_yield" }
      for i = 3, 1200 do all[i] = "own_name_" .. i end
      local plugin = assert(cc.shared(defining(all, 5000, "of_")))
      local script = asking({ all[1], all[2], all[3], all[1200] }, "of_")
      table.insert(script, 1, "open a " .. plugin)
      assert.like_ldso(script, { "of_getpagesize() = " .. 4096 * 1001,
         "of_sched_yield() = 0", "of_own_name_3() = " .. 5003 * 1001 })
   end)

   it("is found by a table of the other style that comes before it", function ()
      local before = assert(cc.shared(defining({ "shared_name" }, 10, "of_"),
         "-Wl,--hash-style=sysv"))
      local plugin = assert(cc.shared(defining({ "shared_name", "lonely" }, 20,
         "own_")))
      assert.like_ldso({ "open before " .. before .. " global",
         "open a " .. plugin, "call a own_shared_name", "call a own_lonely" },
         { "own_shared_name() = 11011", "own_lonely() = 22022" })
   end)

   it("is its own of that version, and not the other of the same name", function ()
      local plugin = assert(fixtures.versioned([[
         __asm__(".symver old, name@V1\n.symver new, name@@V2\n");
         long old(void) { return 1; }
         long new(void) { return 2; }
         extern long name(void);
         long (*pointer)(void) = name;
         long ask(void) { return 10 * name() + pointer(); }
      ]], "V1 { }; V2 { global: name; ask; local: *; } V1;"))
      assert.like_ldso({ "open a " .. plugin, "call a ask" }, { "ask() = 22" })
   end)
end)

describe("A group of many plugins", function ()
   -- Each defines a name that all define, one that the next two do as well, and
   -- one of its own, and asks for those of the others.
   local COUNT <const> = 40

   local function member (i)
      return format([[
         long everybody(void) { return $i; }
         long three_$a(void) { return 100 + $i; }
         long three_$b(void) { return 200 + $i; }
         long three_$c(void) { return 300 + $i; }
         long single_$i(void) { return $i; }
         extern long single_$next(void) __attribute__((weak));
         extern long nowhere_$i(void) __attribute__((weak));
         long ask_$i(void)
         {
             return everybody() + 1000 * three_$a() + 1000000 * three_$b()
                  + 1000000000 * three_$c()
                  + (single_$next ? single_$next() : 7) * 1000000000000
                  + (nowhere_$i ? 1 : 0);
         }
      ]], { i = i, a = i, b = i + 1, c = i + 2, next = i % COUNT + 1 })
   end

   it("is bound as ld.so binds it, whoever defines a name first", function ()
      local members, lines = {}, {}
      for i = 1, COUNT do
         -- One has a table of the other style, in the middle.
         members[i] = assert(cc.shared(member(i), i == 23
            and "-Wl,--hash-style=sysv" or "-Wl,--hash-style=gnu"))
         lines[i] = "call a ask_" .. i
      end
      local root = assert(fixtures.needing(
         table.concat(members, " "), "long root(void) { return 1; }"))
      table.insert(lines, 1, "open a " .. root)
      assert.like_ldso(lines, { "ask_1() = 2" })
   end)
end)

describe("A large table of addresses", function ()
   -- Addresses, then a few words that are not relocated, then zeros.
   local SOURCE <const> = [[
      __asm__(".data\n.globl table\n.type table, @object\n"
              "table:\n.rept $words\n.quad table + 8\n.endr\n"
              ".size table, . - table\n.text\n");
      extern void *table[$words];
      long words[1000] = { 5, 6 };
      long zeros[$zeros];
      long wrong(void)
      {
          long count = 0;
          for (long i = 0; i < $words; i++)
              count += table[i] != (void *)&table[1];
          for (long i = 0; i < $zeros; i++)
              count += zeros[i] != 0;
          return count + (words[0] != 5) + (words[1] != 6) + words[999];
      }
      long change(void)
      {
          table[0] = table[$words - 1] = 0;
          zeros[0] = zeros[$zeros - 1] = 1;
          return wrong();
      }
   ]]

   it("is relocated wherever its memory comes from", function ()
      for _, size in ipairs {
         { words = 600000, zeros = 300000 }, -- two huge pages and the half of one
         { words = 500000, zeros = 10 },     -- nearly all of two
         { words = 160000, zeros = 10 },     -- more than the half of one
         { words = 160000, zeros = 40000 },  -- with zeros on the rest of it
         { words = 160000, zeros = 200000 }, -- and behind it
         { words = 100000, zeros = 200000 }, -- too small for one
      } do
         local plugin = assert(cc.shared(format(SOURCE, size)))
         assert.like_ldso({ "open a " .. plugin, "call a wrong",
            "call a change" }, { "wrong() = 0", "change() = 4" })
         assert.leaves_nothing(elf.open, plugin)
      end
   end)

   it("whose file is cut meanwhile is refused", function ()
      local other = assert(cc.shared("", "-Wl,-soname,other.so"))
      local image = elfedit.read(assert(cc.shared(
         format(SOURCE, { words = 500000, zeros = 10 }),
         "-Wl,--no-as-needed " .. other)))
      local size = image:offset(image:symbol "words".st_value)
      local path = os.tmpname()
      disk.write(path, image.bytes)
      local runtime <close> = elf.runtime { search = function ()
         child.run { "truncate", "-s", tostring(size), path }
         return other
      end }
      assert.says(("%s: was cut to %d bytes while it was read"):format(path,
         size), runtime.open, runtime, path)
      os.remove(path)
   end)
end)

describe("DT_RELACOUNT", function ()
   local SOURCE <const> = "extern long getpid(void); long x; long *p = &x;"
      .. "long (*f)(void) = getpid; long g(void) { return *p + f(); }"

   it("may be missing, or count too few", function ()
      for _, count in ipairs { 0, 1 } do
         local image = elfedit.read(assert(cc.shared(SOURCE)))
         image:dynamic "DT_RELACOUNT".d_val = count
         elf.open(image:save()):close()
      end
      local image = elfedit.read(assert(cc.shared(SOURCE)))
      image:remove "DT_RELACOUNT"
      elf.open(image:save()):close()
   end)

   it("that counts others is refused", function ()
      local image = elfedit.read(assert(cc.shared(SOURCE)))
      image:dynamic "DT_RELACOUNT".d_val = 1000
      local path = image:save()
      assert.fails_with("badformat", elf.open, path)
      assert.says({ "is not relative, and DT_RELACOUNT counts it" }, elf.open,
         path)
      assert.leaves_nothing(elf.open, path)
   end)
end)
