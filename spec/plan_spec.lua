--- Plans: what an open would do, asked before anything of it is done, held
--- against what the open then does.

local assert = require "spec.support.assert"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local planning = require "spec.support.planning"
local elf = require "elf64load"
local lfs = require "lfs"

local needing, versioned = fixtures.needing, fixtures.versioned

-- The binding of a symbol that a file imports.
local function binding (plan, symbol, wanter)
   for _, one in ipairs(plan.bindings) do
      if one.symbol == symbol and (not wanter or one.wanter == wanter) then
         return one
      end
   end
end

local leaf, other = planning.leaf, planning.other
local object, run = planning.object, planning.run
local root = needing(leaf .. " " .. other, [[
   #include <unistd.h>
   extern long leaf(void), twice(void);
   extern long nobody(void) __attribute__((weak));
   long take(void) { return getpid(); }
   long f(void) { return leaf() + twice() + (nobody ? 1 : 0); }]])

describe("A plan", function ()
   local runtime, plan

   before_each(function ()
      runtime = elf.runtime {}
      plan = assert(runtime:plan(root))
   end)

   after_each(function ()
      plan:close()
      assert(runtime:close())
   end)

   it("has the tree of what is needed, and why it is that", function ()
      local tree = plan.tree
      assert.equal(root, plan.name)
      assert.same({ root, root, "new", "by the path" },
         { tree.name, tree.path, tree.state, tree.why })
      assert.same({ { path = root, place = "the path", result = "taken" } },
         tree.probes)
      local first, second = tree.needs[1], tree.needs[2]
      assert.same({ leaf, "new", "needed", root },
         { first.path, first.state, first.as, first.wanter })
      assert.equal(other, second.path)
      local libc = tree.needs[3]
      assert.same({ "libc.so.6", "host", "the process has it" },
         { libc.name, libc.state, libc.why })
      -- Told of once, in full.
      local again
      for _, needed in ipairs(first.needs) do
         if needed.name == "libc.so.6" then again = needed end
      end
      assert.is_true(again == nil or again.repeated or not libc.repeated)
   end)

   it("has the objects in the order in which names are looked up", function ()
      local paths = {}
      for _, one in ipairs(plan.objects) do paths[#paths + 1] = one.path end
      assert.same({ root, leaf, other }, { table.unpack(paths, 1, 3) })
      local needs = plan.objects[1].needs
      assert.same({ name = leaf, kind = "needed", path = leaf }, needs[1])
   end)

   it("has every binding: who wants what, in which version, and gets it where",
      function ()
         local getpid = binding(plan, "getpid", root)
         assert.matches("/libc%.so%.6$", getpid.provider)
         assert.same({ "GLIBC_2.2.5", "GLIBC_2.2.5", "function" },
            { getpid.version, getpid.provided, getpid.kind })
         assert.equal(leaf, binding(plan, "leaf", root).provider)
         local nobody = binding(plan, "nobody")
         assert.is_true(nobody.weak)
         assert.is_nil(nobody.provider)
         assert.is_true(binding(plan, "__cxa_finalize", root).loader)
      end)

   it("has as many as the plugins then say that they import", function ()
      local count, imports = #plan.bindings, 0
      assert(plan:commit())
      for _, path in ipairs { root, leaf, other } do
         imports = imports + runtime.loaded[path].imports
      end
      assert.equal(imports, count)
   end)

   it("gives addresses that the symbols then have", function ()
      local offsets = { leaf = binding(plan, "leaf", root).offset,
         twice = binding(plan, "twice", root).offset }
      local p = assert(plan:commit())
      for name, offset in pairs(offsets) do
         local base = runtime.loaded[leaf].base
         assert.equal(p:lookup(name).address, base + offset)
      end
   end)

   it("names the second definition that the scope has, and the clash", function ()
      local twice = binding(plan, "twice", root)
      assert.same({ leaf, other }, { twice.provider, twice.runner_up })
      assert.is_nil(twice.vague)
      assert.is_nil(binding(plan, "leaf", root).runner_up)
      local found
      for _, clash in ipairs(plan.clashes) do
         if clash.symbol == "twice" then found = clash end
      end
      assert.same({ symbol = "twice", provider = leaf, runner_up = other,
         wanters = { root } }, found)
   end)

   it("has the order of starts, the numbers of relocations and the memory",
      function ()
         local order, relocations = plan.order, plan.relocations
         local own, total = plan.objects[1].memory, 0
         for at = 1, 3 do total = total + plan.objects[at].memory.total end
         assert.equal(total, plan.memory.total)
         assert(own.code > 0 and own.data >= own.sealed and own.sealed > 0
            and own.code + own.data <= own.total)
         local p = assert(plan:commit())
         local sums = {}
         for _, path in ipairs { root, leaf, other } do
            for kind, count in pairs(runtime.loaded[path]:relocations()) do
               sums[kind] = (sums[kind] or 0) + count
            end
         end
         assert.same(sums, relocations)
         assert.equal(root, order[3])
         assert.equal(p.path, order[#order])
         local span = 0
         for line in io.lines "/proc/self/maps" do
            local from, to, file = line:match "^(%x+)%-(%x+) .-(/.*)$"
            if file == root then
               span = math.max(span, tonumber(to, 16) - p.base)
               assert(tonumber(from, 16) >= p.base)
            end
         end
         assert.equal(span, own.total)
      end)

   it("maps nothing and opens nothing", function ()
      for line in io.lines "/proc/self/maps" do
         assert.is_nil(line:find(leaf, 1, true))
      end
      assert.is_nil(runtime.loaded[root])
   end)

   it("is committed to just that", function ()
      local p = assert(plan:commit())
      assert.equal("started", p.state)
      assert.equal(11, p:cdef "long f(void);".f())
   end)

   it("knows what the runtime has open", function ()
      assert(runtime:open(leaf))
      local second = assert(runtime:plan(root))
      assert.same({ "open", "the runtime has it open" },
         { object(second, leaf).state, object(second, leaf).why })
      assert.same({ other, root }, second.order)
      local p = assert(second:commit())
      assert.equal(11, p:cdef "long f(void);".f())
   end)
end)

describe("The search of a plan", function ()
   local folder = fixtures.folder .. "/planned"
   local source = "long deep(void) { return 3; }"

   it("tells each file that was tried, and where", function ()
      lfs.mkdir(folder)
      local library = assert(cc.shared(source, "-Wl,-soname,libplanned.so"))
      os.remove(folder .. "/libplanned.so")
      assert(lfs.link(library, folder .. "/libplanned.so"))
      local path = needing(folder .. "/libplanned.so -Wl,-rpath,/no/such:" .. folder,
         "extern long deep(void); long f(void) { return deep(); }")
      local plan <close> = assert(elf.plan(path))
      local found = plan.tree.needs[1]
      assert.same({ "libplanned.so", folder .. "/libplanned.so",
         "by DT_RUNPATH of " .. path }, { found.name, found.path, found.why })
      local probes = found.probes
      assert.same({ path = folder .. "/libplanned.so", place = "DT_RUNPATH",
         owner = path, result = "taken" }, probes[#probes])
      local before = false
      for _, probe in ipairs(probes) do
         before = before or probe.path == "/no/such/libplanned.so"
            and probe.result == "notfound"
      end
      assert.is_true(before)
   end)

   it("asks the policy's search, and says so", function ()
      local asked = {}
      local runtime <close> = elf.runtime {
         search = function (name)
            asked[#asked + 1] = name
            return name == "elsewhere" and leaf or nil
         end,
      }
      local plan <close> = assert(runtime:plan "elsewhere")
      assert.same({ leaf, "by the search hook" },
         { plan.path, plan.tree.why })
      assert.equal("elsewhere", asked[1])
      local p <close> = assert(plan:commit())
      assert.equal(leaf, p.path)
   end)
end)

describe("What is missing", function ()
   local wanting = needing(leaf, [[
      extern long leaf(void), gone(int), away(int);
      long f(void) { return leaf() + gone(1) + away(2); }]])
   local top = needing(wanting, [[
      extern long gone(int), f(void);
      long g(void) { return gone(1) + f(); }]])

   it("is listed by symbols with all who want them, and is no failure", function ()
      local plan <close> = assert(elf.plan(top))
      local found = {}
      for _, missing in ipairs(plan.missing) do
         assert.equal("undefined", missing.kind)
         table.sort(missing.wanters)
         found[missing.symbol] = missing.wanters
      end
      local both = { top, wanting }
      table.sort(both)
      assert.same({ gone = both, away = { wanting } }, found)
   end)

   it("is said as the open that fails says it", function ()
      local plan <close> = assert(elf.plan(top))
      local _, message, kind = elf.open(top)
      assert.same({ "undefined", message }, { plan.kind, plan.message })
      assert.equal("undefined", kind)
      local p, why = plan:commit()
      assert.is_nil(p)
      assert.equal(message, why)
   end)

   it("is a version that a library should have", function ()
      local new = versioned("long v(void) { return 2; }",
         "ONE { global: v; local: *; }; TWO { } ONE;", "-Wl,-soname,libversion.so")
      local old = versioned("long v(void) { return 1; } long w(void) { return 1; }",
         "OTHER { global: w; local: *; };", "-Wl,-soname,libversion.so")
      local path = needing(new, "extern long v(void); long f(void) { return v(); }")
      local runtime <close> = elf.runtime {
         search = function (name)
            return name == "libversion.so" and old or nil
         end,
      }
      local plan <close> = assert(runtime:plan(path))
      local versions = {}
      for _, missing in ipairs(plan.missing) do
         if missing.kind == "version" then versions[#versions + 1] = missing end
      end
      assert.same({ { kind = "version", version = "ONE", library = old,
         wanters = { path } } }, versions)
      assert.equal("version", plan.kind)
      assert.equal("version", (select(3, plan:commit())))
   end)

   it("is a library that cannot be had, with why and what was tried", function ()
      local gone = assert(cc.shared("long h(void) { return 1; }",
         "-Wl,-soname,libnowhere-to-be-found.so.3"))
      local path = needing(gone .. " " .. leaf, [[
         extern long h(void), leaf(void);
         long f(void) { return h() + leaf(); }]])
      local plan <close> = assert(elf.plan(path))
      local library = plan.tree.needs[1]
      assert.same({ "libnowhere-to-be-found.so.3", "absent", "notfound" },
         { library.name, library.state, library.kind })
      assert(#library.probes > 0)
      -- The rest is planned all the same.
      assert.equal(leaf, binding(plan, "leaf").provider)
      local _, message = elf.open(path)
      assert.same({ "notfound", message }, { plan.kind, plan.message })
      local kinds = {}
      for _, missing in ipairs(plan.missing) do
         kinds[missing.library or missing.symbol] = missing.kind
      end
      assert.same({ ["libnowhere-to-be-found.so.3"] = "notfound",
         h = "undefined" }, kinds)
   end)

   it("is no file at all: the plan fails as the open does", function ()
      local message = assert.fails_with("notfound", elf.plan, "./no/such.so")
      assert.equal(select(2, elf.open "./no/such.so"), message)
      assert.fails_with("badformat", elf.plan, "spec/plan_spec.lua")
      assert.fails_with("unsupported", elf.plan,
         assert(cc.program "int main(void) { return 0; }"))
   end)
end)

describe("Nothing runs", function ()
   it("of a plugin whose constructor and IFUNC resolver end the process",
      function ()
         local path = assert(cc.shared [[
            #include <unistd.h>
            static long plain(void) { return 1; }
            static void *choose(void) { _exit(41); return plain; }
            long chosen(void) __attribute__((ifunc("choose")));
            long (*pointer)(void) = chosen;
            __attribute__((constructor)) static void begin(void) { _exit(42); }
            long f(void) { return chosen(); }]])
         local out = run([[
            local plan = assert(elf.plan(arg[1]))
            for _, one in ipairs(plan.bindings) do
               if one.symbol == "chosen" then print(one.kind) end
            end
            print(#plan.order, plan.order[1] == arg[1])
            print(plan.relocations.R_X86_64_JUMP_SLOT ~= nil)]], path)
         assert.matches("^ifunc\n", out)
         assert.matches("1\ttrue\ntrue\n$", out)
         -- Which it would.
         local result = child.lua([[
            local elf = require "elf64load"
            elf.plan(arg[1]):commit()]], { path })
         assert.equal(41, result.code)
      end)

   it("of the host family, which is read as a file", function ()
      local path = assert(cc.shared([[
         #include <string>
         #include <stdexcept>
         extern "C" long f(long n)
         {
             try { throw std::runtime_error(std::string(n, 'x')); }
             catch (std::exception &e) { return std::string(e.what()).size(); }
         }]], { language = "c++" }))
      local out = run([[
         local function has ()
            local text = io.open "/proc/self/maps":read "a"
            return text:find("libstdc++", 1, true) ~= nil
         end
         local before = has()
         local plan = assert(elf.plan(arg[1]))
         assert(has() == before)
         local family
         for _, object in ipairs(plan.objects) do
            if object.name == "libstdc++.so.6" then family = object end
         end
         assert(family.state == (before and "host" or "family"), family.state)
         print(family.why)
         for _, one in ipairs(plan.bindings) do
            if one.symbol == "__cxa_begin_catch" then
               print(one.provider == family.path, one.provided)
            end
         end
         local p = assert(plan:commit())
         print(p:cdef "long f(long n);".f(20), has())]], path)
      assert.matches("true\tCXXABI_1.3\n20\ttrue\n$", out)
      assert(out:match "^glibc opens it, found by [^\n]+\n"
         or out:match "^the process has it\n", out)
   end)

   it("of what the commit is for a plugin that is not to be started", function ()
      local plan <close> = assert(elf.plan(leaf,
         { private = true, start = false }))
      local p <close> = assert(plan:commit())
      assert.equal("mapped", p.state)
   end)
end)

describe("Thread-local storage", function ()
   it("is told by what it needs", function ()
      local path = assert(cc.shared [[
         __thread char dynamic[100];
         char *f(void) { return dynamic; }]])
      local fixed = assert(cc.shared([[
         __thread char fixed[64] __attribute__((tls_model("initial-exec")));
         char *f(void) { return fixed; }]]))
      local plan <close> = assert(elf.plan(path, { private = true }))
      assert.same({ 0, 100 }, { plan.tls.fixed, plan.tls.dynamic })
      local second <close> = assert(elf.plan(fixed, { private = true }))
      assert.same({ 64, 0 }, { second.tls.fixed, second.tls.dynamic })
      assert.is_true(second.objects[1].tls.fixed)
      local room = second.tls.room
      local p = assert(second:commit())
      local third <close> = assert(elf.plan(fixed, { private = true }))
      assert(third.tls.room < room, "the pool has as much room as before")
      assert(p:close())
   end)
end)

describe("Unique symbols", function ()
   local source = [[
      struct counter { static int &get() { static int n; return n; } };
      extern "C" int *where(void) { return &counter::get(); }]]
   local one = assert(cc.shared(source, { language = "c++", flags = "-DONE" }))
   local two = assert(cc.shared(source, { language = "c++", flags = "-DTWO" }))

   it("are not given to a plan, which may never be committed", function ()
      local out = run([[
         local plan = assert(elf.plan(arg[1]))
         local unique
         for _, binding in ipairs(plan.bindings) do
            if binding.unique then unique = binding.provider end
         end
         assert(unique == arg[1], unique)
         plan:close()
         local p = assert(elf.open(arg[2]))
         local here = p:cdef "int *where(void);".where()
         print(elf.whence(here).path == arg[2])
         local second = assert(elf.plan(arg[1]))
         for _, binding in ipairs(second.bindings) do
            if binding.unique then print(binding.provider == arg[2]) end
         end
         local q = assert(second:commit())
         print(q:cdef "int *where(void);".where() == here)]], one, two)
      assert.matches("^true\ntrue\n", out)
      assert.matches("true\n$", out)
      assert.is_nil(out:find "false")
   end)
end)
