--- The command's plan and why: what opening would do, without doing it.

local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"

local command = (os.getenv "ELF64LOAD_BUILD" or "build/release")
   .. "/bin/elf64load"

local function run (...)
   local result = child.run({ command, ... },
      { env = { LUA_PATH = ";;", LUA_CPATH = ";;" } })
   return result.out, result.err, result.code
end

-- By a reader that is not ours.
local read = require "cjson".decode

-- A root that needs two, of which one needs the other, and ends the process if
-- anything of them runs.
local ENDS <const> = [[
   #include <unistd.h>
   __attribute__((constructor)) static void begin(void) { _exit(9); }
]]
local paths = fixtures.group {
   root = { needs = { "middle", "leaf" }, source = ENDS .. [[
      extern long middle(void), leaf(void), twice(void);
      extern unsigned long strlen(const char *);
      extern long perhaps(void) __attribute__((weak));
      long mine(void) { return 1; }
      static void *choose(void) { _exit(8); }
      long picked(void) __attribute__((ifunc("choose")));
      long f(void) { return middle() + leaf() + twice() + strlen("x")
         + (perhaps ? perhaps() : 0) + mine(); }
   ]] },
   middle = { needs = { "leaf" }, source = ENDS .. [[
      extern long leaf(void);
      long middle(void) { return leaf(); }
      long twice(void) { return 1; }
   ]] },
   leaf = { source = ENDS .. [[
      long leaf(void) { return 1; }
      long twice(void) { return 2; }
   ]] },
}

local function missing ()
   return assert(cc.shared [[
      extern int absent;
      int *p = &absent;
   ]])
end

describe("elf64load plan", function ()
   it("shows what is needed as a tree, and runs nothing", function ()
      local out, err, status = run("plan", paths.root)
      assert.equal("", err)
      assert.equal(0, status)
      local tree = out:match "^(.-)\n\n"
      local lines = {}
      for line in tree:gmatch "[^\n]+" do
         lines[#lines + 1] = (line:gsub("/%S*/", ""):gsub(", %d+ %a+", ""))
      end
      assert.same({
         "root.so  new, by the path",
         "├─ middle.so  new, by the path",
         "│  ├─ leaf.so  new, by the path",
         "│  │  └─ libc.so.6 => libc.so.6  host",
         "│  └─ libc.so.6  host, above",
         "├─ leaf.so  new, above",
         "└─ libc.so.6  host, above",
      }, lines)
   end)

   it("counts imports, names clashes, and the order of the start", function ()
      local out = run("plan", paths.root)
      local plan <close> = assert(elf.plan(paths.root))
      assert.truthy(out:find(("\n%d imports\n"):format(#plan.bindings)))
      assert.truthy(out:find(("   twice  from %s, not %s\n"):format(
         paths.middle, paths.leaf), 1, true))
      local start = out:match "start, in this order\n(.-)\n\n"
      assert.equal(("       1  %s\n       2  %s\n       3  %s"):format(
         paths.leaf, paths.middle, paths.root), start)
      assert.truthy(out:find "R_X86_64_JUMP_SLOT")
   end)

   it("says what opening would fail for, with 1", function ()
      local out, err, status = run("plan", missing())
      assert.equal(1, status)
      assert.truthy(out:find("absent  wanted by " .. missing(), 1, true))
      assert.truthy(err:find("needs 'absent'", 1, true))
      out, err, status = run("plan", "no-such-library")
      assert.same({ "", 1 }, { out, status })
      assert.truthy(err:find "not found")
   end)

   it("shows every place where what is absent was looked for", function ()
      local needed = assert(cc.shared("int x;", "-Wl,-soname,no-such-library.so.9"))
      local path = assert(cc.shared("int y;", "-Wl,--no-as-needed " .. needed))
      local out, _, status = run("plan", path)
      assert.equal(1, status)
      assert.truthy(out:find("no-such-library.so.9  absent, notfound", 1, true))
      assert.truthy(out:find "not /usr/lib/no%-such%-library%.so%.9 %(.-%): notfound")
   end)

   it("gives as JSON what elf.plan has", function ()
      local out, err, status = run("plan", "--json", paths.root)
      assert.same({ "", 0 }, { err, status })
      local made = read(out)
      local plan <close> = assert(elf.plan(paths.root))
      -- Lua hosts differ in what they have open.
      assert.equal(#plan.bindings, #made.bindings)
      assert.same(plan.order, made.order)
      assert.same(plan.relocations, made.relocations)
      assert.same(plan.memory, made.memory)
      for at, binding in ipairs(plan.bindings) do
         assert.equal(binding.symbol, made.bindings[at].symbol)
      end
      assert.equal(paths.middle, made.tree.needs[1].path)
      assert.truthy(out:find('"missing": []', 1, true))
      assert.is_nil(made.error)
   end)

   it("has the failure in its JSON", function ()
      local out, err, status = run("plan", "--json", missing())
      assert.same({ "", 1 }, { err, status })
      local made = read(out)
      assert.equal("undefined", made.error.kind)
      assert.equal("absent", made.missing[1].symbol)
      made = read((run("plan", "--json", "no-such-library")))
      assert.equal("notfound", made.error.kind)
   end)

   it("draws a graph with each file and what it needs", function ()
      local out, _, status = run("plan", "--dot", paths.root)
      assert.equal(0, status)
      assert.equal(1, out:find("digraph plan {\n", 1, true))
      for _, edge in ipairs { { "root", "middle" }, { "root", "leaf" },
         { "middle", "leaf" } } do
         assert.truthy(out:find(('   "%s" -> "%s";\n'):format(paths[edge[1]],
            paths[edge[2]]), 1, true))
      end
      assert.falsy(out:find(('"%s" -> "%s"'):format(paths.leaf, paths.root), 1,
         true))
      assert.equal("}\n", out:sub(-2))
   end)

   it("can be coloured, by what becomes of a file", function ()
      local out = run("plan", "--color=always", paths.root)
      assert.truthy(out:find("\27[32m" .. paths.root, 1, true))
      assert.truthy(run("plan", "--color=always", missing()):find(
         "\27[31mabsent\27[0m", 1, true))
   end)

   it("is under a policy, if there is one", function ()
      local policy = fixtures.text(([[return { search = function (name)
         if name == "roots" then return "%s" end end }]]):format(paths.root),
         ".lua")
      local out, _, status = run("plan", "roots", "--policy", policy)
      assert.equal(0, status)
      assert.equal(1, out:find("roots => " .. paths.root, 1, true))
   end)
end)

describe("elf64load why", function ()
   it("shows who defines a name for whom, and who does not", function ()
      local out, err, status = run("why", paths.root, "twice")
      assert.same({ "", 0 }, { err, status })
      assert.equal(([[
twice, for
      %s
   is twice of %s (function)
   not twice of %s, which comes later in the scope
twice, looked up in
      %s
   is twice of %s (function)
]]):format(paths.root, paths.middle, paths.leaf, paths.root, paths.middle), out)
   end)

   it("shows together who gets the same", function ()
      local out = run("why", paths.root, "leaf")
      local wanters = out:match "^leaf, for\n(.-)\n   is leaf of "
      assert.truthy(wanters:find(paths.root, 1, true))
      assert.truthy(wanters:find(paths.middle, 1, true))
   end)

   it("takes a version", function ()
      local out, _, status = run("why", "libz.so.1", "memcpy@GLIBC_2.14")
      assert.equal(0, status)
      assert.equal(1, out:find("memcpy@GLIBC_2.14, for\n", 1, true))
      out = run("why", "libz.so.1", "memcpy@GLIBC_2.2.5")
      assert.falsy(out:find "%, for\n")
   end)

   it("shows what is weak and undefined, and what is only exported", function ()
      local out, _, status = run("why", paths.root, "perhaps")
      assert.equal(0, status)
      assert.truthy(out:find("is nothing, and NULL, as it is weak", 1, true))
      out, _, status = run("why", paths.root, "picked")
      assert.equal(0, status)
      assert.truthy(out:find("is picked of " .. paths.root .. " (ifunc)", 1,
         true))
   end)

   it("answers 1 for what nothing defines, and for what nobody knows", function ()
      local out, _, status = run("why", missing(), "absent")
      assert.equal(1, status)
      assert.truthy(out:find("what nothing that can be seen defines", 1, true))
      local none, err, code = run("why", paths.root, "leav")
      assert.same({ "", 1 }, { none, code })
      assert.truthy(err:find("did you mean 'leaf'", 1, true))
   end)

   it("shows the same as JSON", function ()
      local made = read((run("why", "--json", paths.root, "twice")))
      assert.equal(1, #made.imports)
      assert.equal(paths.middle, made.imports[1].provider)
      assert.equal(paths.leaf, made.imports[1].runner_up)
      assert.equal(paths.middle, made.exported.file)
      made = read((run("why", "--json", paths.root, "leav")))
      assert.equal("undefined", made.error.kind)
      assert.equal("leaf", made.error.detail.near[1])
   end)
end)
