--- What an open says of symbols and versions that are missing: who wants them,
--- where they are not, what there is instead, what to do. All that is missing is
--- said at once.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local elf = require "elf64load"

local needing, versioned = fixtures.needing, fixtures.versioned

local function base (path) return path:match "[^/]*$" end

-- Kind, message without what differs between hosts, and detail.
local function failure (path, options)
   local plugin, message, kind, detail = elf.open(path, options)
   assert.is_nil(plugin)
   return kind, (message:gsub("the process %(.-%)", "the process")
      :gsub("; .- of the process", "")), detail
end

local audio = assert(cc.shared
   "long audio_play(void) { return 1; } long audio_stop(void) { return 2; }")
local user = needing(audio, [[
   extern long audio_plya(void);
   long f(void) { return audio_plya(); }]])

describe("A symbol that is missing", function ()
   it("is told of with where it is not and what is near", function ()
      local kind, message, detail = failure(user)
      assert.equal("undefined", kind)
      assert.equal(("%s needs 'audio_plya', which nothing that it can see "
         .. "defines: not in the process, %s, %s; did you mean 'audio_play' of "
         .. "%s?"):format(user, user, audio, audio), message)
      assert.equal(user, detail.wanter)
      assert.equal("audio_plya", detail.symbol)
      assert.same({ "audio_plya" }, detail.missing)
      assert.same({ { wanter = user, symbols = { "audio_plya" } } },
         detail.groups)
      assert.equal("audio_play", detail.near[1])
      assert.equal(("did you mean 'audio_play' of %s?"):format(audio),
         detail.advice)
      local scopes = detail.scopes
      assert.same({ user, audio }, { scopes[#scopes - 1], scopes[#scopes] })
      -- One of each file.
      local seen = {}
      for _, path in ipairs(scopes) do
         assert.is_nil(seen[path])
         seen[path] = true
      end
   end)

   it("is said to be in what others cannot see", function ()
      local other <close> = assert(elf.open(assert(cc.shared
         "long hidden_away(void) { return 3; }")))
      local path = assert(cc.shared [[
         extern long hidden_away(void);
         long f(void) { return hidden_away(); }]])
      local _, message = failure(path)
      assert.is_not_nil(message:find(("; %s, which is open, has it, but not for "
         .. "others: open that with `global` first, or link %s with it"):format(
         other.path, base(path)), 1, true), message)
   end)

   it("and nowhere else either is to be linked with", function ()
      local path = assert(cc.shared [[
         extern long nobody_has_this_one(void);
         long f(void) { return nobody_has_this_one(); }]])
      local _, message, detail = failure(path)
      local advice = ("link %s with the library that has it, or open that one "
         .. "with `global` first"):format(base(path))
      assert.equal(advice, detail.advice)
      assert.equal("; " .. advice, message:sub(-#advice - 2))
      assert.is_nil(detail.near)
   end)

   it("and is of a library that compilers link unasked is said to be", function ()
      if child.sanitizer then return end -- which has C++ itself
      local hello = [[
         #include <stdexcept>
         extern "C" int f(void) {
            try { throw std::runtime_error("what"); }
            catch (const std::exception &e) { return e.what()[0]; }
         }]]
      local object = assert(cc.object { source = hello, language = "c++" })
      local bare = assert(cc.shared { source = hello, language = "c++",
         flags = "-nostdlib", compiler = "cc" })
      -- In a process that has no C++ yet.
      local result = child.lua([[
         local elf = require "elf64load"
         for _, path in ipairs(arg) do
            print((select(2, elf.open(path)):gsub("\n", " ")))
         end
         assert(elf.open("libstdc++.so.6", { global = true }))
         for _, path in ipairs(arg) do
            print(assert(elf.open(path)):cdef "int f(void);".f())
         end]], { object, bare })
      assert.equal(0, result.code, result.err)
      local says = "; libstdc++.so.6 has it: open that with `global` first"
      local lines = {}
      for line in result.out:gmatch "[^\n]+" do lines[#lines + 1] = line end
      assert.equal(says, lines[1]:sub(-#says))
      says = ("%s, or link %s with it"):format(says, base(bare))
      assert.equal(says, lines[2]:sub(-#says))
      assert.equal("119", lines[3])
      assert.equal("119", lines[4])
   end)

   it("may be there in another version", function ()
      local one = versioned("long f(void) { return 1; }",
         "V1 { global: f; local: *; };")
      local two = versioned("long f(void) { return 1; } long g(void) {return 2;}",
         "V1 { global: g; }; V2 { global: f; local: *; } V1;",
         "-Wl,-soname," .. one)
      -- The file has the version, but not of this symbol.
      local has = versioned([[
         long f_(void) { return 1; } __asm__(".symver f_, f@@V1");
         long h(void) { return 1; }]],
         "V1 { global: f; }; V2 { global: h; local: *; } V1;")
      local stand_in = versioned("long f(void) { return 1; }",
         "V1 { }; V2 { global: f; local: *; } V1;", "-Wl,-soname," .. has)
      local path = needing(stand_in,
         "extern long f(void); long g(void) { return f(); }")
      local kind, message, detail = failure(path)
      assert.equal("undefined", kind)
      assert.is_not_nil(message:find(("%s needs 'f' (version V2), which nothing "
         .. "that it can see defines: "):format(path), 1, true), message)
      assert.is_not_nil(message:find(("; %s has it of version V1 only: install "
         .. "the %s that %s was linked against"):format(has, base(has),
         base(path)), 1, true), message)
      assert.same({ "V1" }, detail.versions)
      assert.equal("V2", detail.version)
      -- The file has not even the version.
      path = needing(two, "extern long f(void); long g(void) { return f(); }")
      kind, message, detail = failure(path)
      assert.equal("version", kind)
      assert.is_not_nil(message:find(("%s needs version 'V2' of %s (for 'f'), but "
         .. "%s (by the path) defines only V1"):format(path, one, one), 1, true), message)
      assert.same({ "V1" }, detail.versions)
      assert.equal(one, detail.path)
   end)
end)

describe("A C++ symbol that is missing", function ()
   local mixer = assert(cc.shared([[
      namespace mixer { int play(int a, float) { return a; }
         int play(const char *) { return 1; } int stop() { return 0; } }
      struct A { A(int); int get() const; int x; };
      A::A(int a) : x(a) {}
      int A::get() const { return x; }
      A make() { return A(1); } ]], { language = "c++" }))
   local function using (text)
      return needing(mixer, text, "c++")
   end

   it("is shown as C++ has it, with what has its name", function ()
      local path = using [[ namespace mixer { int play(int); }
         extern "C" int f() { return mixer::play(1); } ]]
      local _, message, detail = failure(path)
      assert.equal(("%s needs 'mixer::play(int)' (_ZN5mixer4playEi), which "
         .. "nothing that it can see defines: not in the process, %s, %s; %s has "
         .. "'mixer::play(int, float)' and 'mixer::play(char const*)': the "
         .. "parameters differ, compile %s with the headers of that %s"):format(
         path, path, mixer, mixer, base(path), base(mixer)),
         (message:gsub(", [^,]* of the process", "")))
      assert.equal("mixer::play(int)", detail.demangled)
      table.sort(detail.near, function (a, b) return a > b end)
      assert.same({ "_ZN5mixer4playEif", "_ZN5mixer4playEPKc" }, detail.near)
   end)

   it("has one name though its constructor has two", function ()
      local _, message = failure(using [[ struct A { A(long); int x; };
         extern "C" int f() { return A(1).x; } ]])
      assert.is_not_nil(message:find("needs 'A::A(long)' (_ZN1AC1El)", 1, true))
      assert.is_not_nil(message:find(" has 'A::A(int)': ", 1, true), message)
   end)

   it("may differ in being const", function ()
      local _, message = failure(using [[ struct A { A(int); int get(); int x; };
         extern "C" int f(A *a) { return a->get(); } ]])
      assert.is_not_nil(message:find(" has 'A::get() const': ", 1, true), message)
   end)

   it("may be misspelt", function ()
      local _, message = failure(using [[ namespace mixer { int stpo(); }
         extern "C" int f() { return mixer::stpo(); } ]])
      assert.is_not_nil(message:find("did you mean 'mixer::stop()' of ", 1, true),
         message)
   end)

   it("is compared as it is where nothing can read it", function ()
      local plain = assert(cc.shared "long _ZN5mixer4playEif(void) { return 1; }")
      local path = needing(plain, [[ extern long _ZN5mixer4playEi(void);
         long f(void) { return _ZN5mixer4playEi(); }]])
      local result = child.lua([[
         print((select(2, require "elf64load".open(...))))]], { path })
      -- Under a sanitizer libstdc++ is there.
      assert.is_not_nil(result.out:find(child.sanitizer and "mixer::play(int"
         or "did you mean '_ZN5mixer4playEif' of " .. plain, 1, true), result.out)
   end)

   it("is found by lookup under its C++ name", function ()
      local p <close> = assert(elf.open(mixer))
      for _, name in ipairs { "stop", "mixer::stop" } do
         assert.equal(("%s does not define '%s' (it has '_ZN5mixer4stopEv', in "
            .. "C++ 'mixer::stop()')"):format(mixer, name),
            (select(2, p:lookup(name)):gsub(", nor does what it needs", "")))
      end
   end)
end)

describe("Symbols that are missing", function ()
   it("are told of at once, by who wants them and of which version", function ()
      local library = versioned("long f(void) { return 1; }",
         "V1 { global: f; local: *; };")
      local stand_in = versioned([[
         long a(void) { return 1; } long b(void) { return 1; }
         long f(void) { return 1; }]], "V1 { global: *; };",
         "-Wl,-soname," .. library)
      local middle = needing(stand_in, [[
         extern long a(void), b(void), audio_plya(void);
         long m(void) { return a() + b() + audio_plya(); }]])
      local top = needing(middle .. " " .. audio, [[
         extern long m(void), gone(void), audio_stpo(void);
         long t(void) { return m() + gone() + audio_stpo(); }]])
      local kind, message, detail = failure(top)
      assert.equal("undefined", kind)
      assert.equal(6 - 1, #detail.missing)
      local groups = {}
      for at, group in ipairs(detail.groups) do
         table.sort(group.symbols)
         groups[at] = ("%s %s %s"):format(group.wanter == top and "top"
            or group.wanter == middle and "middle", group.version or "-",
            table.concat(group.symbols, " "))
      end
      table.sort(groups)
      assert.same({ "middle - audio_plya", "middle V1 a b",
         "top - audio_stpo gone" }, groups)
      for _, words in ipairs {
         middle .. " needs 2 symbols of version V1 that nothing it can see "
            .. "defines: ",
         middle .. " needs 1 symbol that nothing it can see defines: "
            .. "'audio_plya' (did you mean 'audio_play' of " .. base(audio),
         top .. " needs 2 symbols that nothing it can see defines: ",
         "'audio_stpo' (did you mean 'audio_stop' of " .. base(audio) .. "?)",
         "not defined in the process, ",
      } do
         assert.is_not_nil(message:find(words, 1, true), words .. "\n" .. message)
      end
   end)

   it("are listed as far as there is room, and counted", function ()
      local lines = { "long f(void) { return 0" }
      local declared = {}
      for i = 1, 700 do
         local name = ("missing_%03d_%s"):format(i, ("x"):rep(40))
         declared[i] = ("extern long %s(void);"):format(name)
         lines[#lines + 1] = (" + %s()"):format(name)
      end
      local path = assert(cc.shared(table.concat(declared, "\n")
         .. table.concat(lines, "\n") .. "; }"))
      local _, message, detail = failure(path)
      assert.is_not_nil(message:find(" needs 512 symbols that ", 1, true))
      assert.is_not_nil(message:find("and 188 symbols more", 1, true))
      assert.is_true(#message < 4000)
      assert.is_true(#detail.missing > 40)
      for _, name in ipairs(detail.missing) do
         assert.is_not_nil(name:find "^missing_%d%d%d_x+$")
      end
      assert.equal(#detail.missing, #detail.groups[1].symbols)
   end)

   it("of C++ are looked for among many without a system call for each",
   function ()
      local defined, wanted = {}, {}
      for number = 1, 200 do
         defined[number] = ("long audio_%d(long n) { return n; }"):format(number)
      end
      for number = 1, 40 do
         wanted[number] = ("long audio_%d(int);"):format(number)
         wanted[40 + number] = ("long f%d() { return audio_%d(1); }")
            :format(number, number)
      end
      local many = assert(cc.shared(table.concat(defined, "\n"),
         { language = "c++" }))
      local path = needing(many, table.concat(wanted, "\n"), "c++")
      local function reads ()
         return tonumber(campaign.contents("/proc/self/io")
            :match "syscr: (%d+)")
      end
      local before = reads()
      local kind, _, detail = failure(path)
      assert.equal("undefined", kind)
      assert.is_not_nil(detail.demangled:find "^audio_%d+%(int%)$")
      assert.is_true(reads() - before < 500, reads() - before)
   end)

   it("leave nothing behind", function ()
      assert.leaves_nothing(elf.open, user)
      assert.keeps_heap(elf.open, user)
   end)
end)

describe("What a version that is missing", function ()
   it("is of glibc means an older system", function ()
      local stand_in = versioned("long newest(void) { return 1; }",
         "GLIBC_2.99 { global: newest; };", "-nostdlib -Wl,-soname,libc.so.6")
      local path = assert(cc.shared(
         "extern long newest(void); long f(void) { return newest(); }",
         "-nostdlib " .. stand_in))
      local kind, message, detail = failure(path)
      assert.equal("version", kind)
      assert.is_not_nil(message:find(path .. " needs version 'GLIBC_2.99' of "
         .. "libc.so.6 (for 'newest'), but ", 1, true), message)
      assert.is_not_nil(message:find(" defines no newer than GLIBC_2%.%d+; "),
         message)
      assert.is_not_nil(message:find(("; %s was built for a newer system: build "
         .. "it on this one, or update this one"):format(base(path)), 1, true),
         message)
      assert.is_true(#detail.versions > 20)
   end)
end)
