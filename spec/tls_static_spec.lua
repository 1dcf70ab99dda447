--- Thread-local storage in every access model, with every kind of image, from
--- every kind of thread, against ld.so; and the pool of static storage.

local assert = require "spec.support.assert"
local cc = require "elf64load.cc"
local elfedit = require "spec.support.elfedit"
local threads = require "spec.support.threads"
local elf = require "elf64load"

local MODELS <const> = {
   { name = "general dynamic", has = "R_X86_64_DTPOFF64",
      flags = "-ftls-model=global-dynamic -mtls-dialect=gnu" },
   { name = "local dynamic", has = "R_X86_64_DTPMOD64", static = "static",
      flags = "-ftls-model=local-dynamic -mtls-dialect=gnu" },
   { name = "initial-exec", has = "R_X86_64_TPOFF64",
      flags = "-ftls-model=initial-exec" },
   { name = "TLSDESC", has = "R_X86_64_TLSDESC",
      flags = "-ftls-model=global-dynamic -mtls-dialect=gnu2" },
}

local INITIAL <const> = MODELS[3].flags
local DESCRIPTOR <const> = MODELS[4].flags

-- Variables that begin as zeros, or not, and one function that changes them and
-- answers with all of them.
local function probe (model, zero)
   local first = zero and "" or "= 40"
   local rest = zero and "[3]" or "[3] = { 1, 2, 3 }"
   local text = zero and "" or "= \"abcd\""
   local keyword = model.static or ""
   return assert(cc.shared(threads.IMPORT .. ([[
      KEYWORD __thread long first FIRST;
      KEYWORD __thread char text[5] TEXT;
      KEYWORD __thread long rest REST;
      __attribute__((noinline)) static long change(long x)
      {
          first += x;
          rest[1] += x;
          text[3] += x;
          return first * 1000000 + rest[1] * 10000 + text[3] * 10 + text[1];
      }
      static long address(long x) { return (long)&first; }
      long here(long x) { return change(x); }
      long before(long x) { return threads_run(change, x); }
      long after(long x) { return threads_new(change, x); }
      long differ(void)
      {
          long a = address(0), b = threads_run(address, 0),
               c = threads_new(address, 0);
          return a != b && b != c && a != c;
      }
   ]]):gsub("%u%u%u+", { KEYWORD = keyword, FIRST = first, TEXT = text,
      REST = rest }), model.flags .. threads.flags()))
end

local function has_type (path, name)
   local number = assert(elfedit[name], name)
   for _, relocation in ipairs(elfedit.read(path):relocations()) do
      if relocation.r_type == number then return true end
   end
   return false
end

describe("Thread-local variables", function ()
   for _, model in ipairs(MODELS) do
      for _, zero in ipairs { true, false } do
         it(("of the %s model that begin as %s are right in the main thread, in "
            .. "one that ran before and in one that came after")
            :format(model.name, zero and "zeros" or "others than zeros"),
            function ()
               local path = probe(model, zero)
               assert.truthy(has_type(path, model.has))
               assert.like_ldso({
                  "open w " .. threads.path(), "call w threads_start",
                  "open a " .. path,
                  "call a here 1", "call a before 2", "call a after 3",
                  "call a here 0", "call a before 0", "call a after 0",
                  "call a differ", "call a before 5", "close a",
                  "open a " .. path, "call a before 1", "call a here 1",
                  "call a after 1",
               }, { "differ() = 1" })
            end)
      end
   end

   it("at a fixed offset have the alignment that they ask for, up to 64",
      function ()
         for _, align in ipairs { 1, 8, 16, 32, 64 } do
            for _, value in ipairs { 0, 5 } do
               local path = assert(cc.shared(threads.IMPORT .. ([[
                  static __thread char odd = %d;
                  static __thread char aligned[3]
                      __attribute__((aligned(%d))) = { %d };
                  static long rest(long x) { return (long)aligned %% %d * 100
                     + aligned[0] * 10 + odd; }
                  long here(void) { return rest(0); }
                  long before(void) { return threads_run(rest, 0); }
                  long after(void) { return threads_new(rest, 0); }
               ]]):format(value, align, value, align),
                  INITIAL .. threads.flags()))
               local says = " = " .. value * 11
               assert.like_ldso({ "open w " .. threads.path(),
                  "call w threads_start", "open a " .. path, "call a here",
                  "call a before", "call a after" },
                  { "here()" .. says, "before()" .. says, "after()" .. says })
            end
         end
      end)

   it("at a fixed offset cannot have a larger one", function ()
      local path = assert(cc.shared([[
         __thread char room[3] __attribute__((aligned(128)));
         long f(void) { return room[0]; }
      ]], INITIAL))
      local message = assert.fails_with("unsupported", elf.open, path)
      assert.truthy(message:find("128", 1, true))
      assert.truthy(message:find("64", 1, true))
   end)

   it("may be another plugin's, at a fixed offset and by descriptors", function ()
      for _, flags in ipairs { INITIAL, DESCRIPTOR } do
         local below = assert(cc.shared([[
            __thread long pad = 1;
            __thread long shared = 50;
            long get(void) { return shared; }
         ]], INITIAL))
         local path = assert(cc.shared(threads.IMPORT .. [[
            extern __thread long shared;
            extern long get(void);
            static long add(long x) { shared += x; return get(); }
            long here(long x) { return add(x); }
            long before(long x) { return threads_run(add, x); }
            long after(long x) { return threads_new(add, x); }
         ]], flags .. threads.flags() .. " " .. below))
         assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
            "open a " .. path, "call a here 3", "call a before 4",
            "call a after 5", "call a here 1" },
            { "here() = 53\nbefore() = 54\nafter() = 55\nhere() = 54" })
      end
   end)

   it("are interposed by what was opened globally before", function ()
      local first = assert(cc.shared("__thread long shared = 70;", INITIAL))
      for _, model in ipairs(MODELS) do
         if not model.static then
            local path = assert(cc.shared([[
               __thread long pad, shared = 50;
               long read_(void) { return shared; }
            ]], model.flags))
            assert.like_ldso({ "open f " .. first .. " global",
               "open a " .. path, "call a read_" }, { "read_() = 70" })
         end
      end
   end)

   it("of a plugin that is open already get a fixed place while it has not used "
      .. "them", function ()
      local below = assert(cc.shared(threads.IMPORT .. [[
         __thread long shared = 60;
         static long get(long x) { return shared; }
         long here(void) { return get(0); }
         long before(void) { return threads_run(get, 0); }
      ]], MODELS[1].flags .. threads.flags()))
      local path = assert(cc.shared([[
         extern __thread long shared;
         long add(long x) { return shared += x; }
      ]], INITIAL .. " -Wl,--no-as-needed " .. below))
      assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
         "open b " .. below, "open a " .. path, "call a add 1", "call b here",
         "call b before" },
         { "add() = 61\nhere() = 61\nbefore() = 60" })
      -- glibc does not place what any thread has used.
      assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
         "open b " .. below, "call b before", "open a " .. path,
         "call b before", "call b here" },
         { "open a: failed", "here() = 60" }, { kind = "unsupported" })
   end)

   it("keep what was written to them when an open that wanted them at a fixed "
      .. "offset fails", function ()
      local below = assert(cc.shared([[
         __thread long shared = 60;
         long add(long x) { return shared += x; }
      ]], MODELS[1].flags))
      local path = assert(cc.shared([[
         extern __thread long shared;
         extern void missing(void);
         long f(long x) { missing(); return shared += x; }
      ]], INITIAL .. " -Wl,-z,now -Wl,--no-as-needed " .. below))
      local good = assert(cc.shared([[
         extern __thread long shared;
         long get(void) { return shared; }
      ]], INITIAL .. " -Wl,--no-as-needed " .. below))
      assert.like_ldso({ "open b " .. below, "open a " .. path,
         "call b add 1", "open g " .. good, "call g get" },
         { "open a: failed", "add() = 61" }, { may_fail = true })
   end)

   it("that are weak and missing are at the address that ld.so gives them",
      function ()
         for _, model in ipairs(MODELS) do
            if not model.static then
               local path = assert(cc.shared([[
                  extern __thread long missing __attribute__((weak));
                  long fine(void) { return 1; }
                  long read_(void) { return missing; }
                  long address(void) { return (long)&missing; }
               ]], model.flags))
               -- In the dynamic models ld.so leaves the module number 0, for
               -- which there is no block.
               local steps = { "open a " .. path, "call a fine" }
               if model.has == "R_X86_64_TLSDESC" then
                  steps[3] = "call a address"
               end
               assert.like_ldso(steps, { "fine() = 1" })
            end
         end
      end)

   it("begin with what an IFUNC resolver made of their image", function ()
      local path = assert(cc.shared(threads.IMPORT .. [[
         static long seven(void) { return 7; }
         static void *choose(void) { return seven; }
         long chosen(void) __attribute__((ifunc("choose")));
         __thread long (*function)(void) = chosen;
         static long call(long x) { return function(); }
         long here(void) { return call(0); }
         long before(void) { return threads_run(call, 0); }
         long after(void) { return threads_new(call, 0); }
      ]], INITIAL .. threads.flags()))
      assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
         "open a " .. path, "call a here", "call a before", "call a after" },
         { "here() = 7\nbefore() = 7\nafter() = 7" })
   end)

   it("can be used by constructors and by IFUNC resolvers", function ()
      local path = assert(cc.shared(threads.IMPORT .. [[
         __thread long number = 5;
         static long seen, found;
         static long one(void) { return found; }
         static void *choose(void) { number++; return one; }
         long chosen(void) __attribute__((ifunc("choose")));
         static long get(long x) { return number; }
         __attribute__((constructor)) static void start(void)
         { seen = threads_run(get, 0); found = number; }
         long constructed(void) { return seen; }
         long resolved(void) { return chosen() >= 5; }
      ]], INITIAL .. threads.flags()))
      assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
         "open a " .. path, "call a constructed", "call a resolved" },
         { "constructed() = 5\nresolved() = 1" })
   end)
end)

describe("A lookup of a thread-local symbol", function ()
   it("gives the calling thread's address", function ()
      for _, model in ipairs(MODELS) do
         if not model.static then
            local path = assert(cc.shared([[
               __thread long number = 12;
               long set(long x) { return number = x; }
            ]], model.flags))
            assert.like_ldso({ "open a " .. path, "value a number",
               "call a set 13", "value a number" },
               { "number = 12", "number = 13" })
         end
      end
   end)

   it("gives it in other threads too", function ()
      for _, model in ipairs(MODELS) do
         if not model.static then
            local path = assert(cc.shared(threads.IMPORT .. [[
               __thread long number = 12;
               static long address(long x) { return (long)&number; }
               long right(long (*find)(long))
               {
                   return (threads_run(find, 0) == threads_run(address, 0))
                      + (threads_new(find, 1) == 1) * 10;
               }
               long compare(long found) { return found == address(0); }
            ]], model.flags .. threads.flags()))
            assert.equal("11\n", threads.program([[
               static e64_plugin *plugin;
               static long find(long check)
               {
                   e64_symbol symbol;
                   if (e64_lookup(plugin, "number", NULL, &symbol, NULL))
                       return -1;
                   if (!check)
                       return (long)symbol.address;
                   return ((long (*)(long))e64_entry(plugin, "compare"))(
                       (long)symbol.address);
               }
               int main(int argc, char **argv)
               {
                   e64_plugin *worker = open_plugin(argv[1]);
                   ((long (*)(void))e64_entry(worker, "threads_start"))();
                   plugin = open_plugin(argv[2]);
                   printf("%ld\n", ((long (*)(long (*)(long)))e64_entry(plugin,
                       "right"))(find));
                   return 0;
               }
            ]], { threads.path(), path }))
         end
      end
   end)
end)

describe("Thread-local variables of the host", function ()
   local function user (declarations, flags)
      return assert(cc.shared(threads.IMPORT .. declarations .. [[
         static long add(long x) { return variable += x; }
         long here(long x) { return add(x); }
         long before(long x) { return threads_run(add, x); }
         long after(long x) { return threads_new(add, x); }
      ]], flags .. threads.flags()))
   end

   local STEPS <const> = { "call a here 3", "call a before 4", "call a after 5",
      "call a here 1" }

   it("are reached at fixed offsets and by descriptors when they are the "
      .. "program's own", function ()
      local extra = "__thread long variable = 80;"
      for _, flags in ipairs { INITIAL, DESCRIPTOR } do
         assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
            "open a " .. user("extern __thread long variable;", flags),
            table.unpack(STEPS) },
            { "here() = 83\nbefore() = 84\nafter() = 85\nhere() = 84" },
            { program = require "spec.support.compare".harness(extra, "-Wl,-E"),
               host = require "spec.support.compare".host(extra) })
      end
   end)

   it("are reached so when they are libc's", function ()
      for _, flags in ipairs { INITIAL, DESCRIPTOR } do
         assert.like_ldso({ "open w " .. threads.path(), "call w threads_start",
            "open a " .. user("extern __thread int errno;\n"
               .. "#define variable errno\n", flags), "call a before 4" })
      end
   end)

   local HOST <const> = [[
      __thread long variable = 90;
      long host_get(void) { return variable; }
   ]]

   -- The leak checker takes a block that glibc has placed late, sixteen bytes into
   -- a page, for one with a header of glibc 2.19, and follows that. It is told of
   -- each block by its own __tls_get_addr.
   local NO_LEAKS <const> = { ASAN_OPTIONS = (os.getenv "ASAN_OPTIONS" or "")
      .. ":detect_leaks=0" }

   it("are reached so when they were opened late and have not been used",
      function ()
         local host = assert(cc.shared(HOST, MODELS[1].flags))
         for _, flags in ipairs { INITIAL, DESCRIPTOR } do
            assert.like_ldso({ "host " .. host .. " global",
               "open w " .. threads.path(), "call w threads_start",
               "open a " .. user("extern __thread long variable;", flags),
               table.unpack(STEPS) },
               { "here() = 93\nbefore() = 94\nafter() = 95\nhere() = 94" },
               { env = NO_LEAKS })
         end
      end)

   it("can be those of several objects", function ()
      local names, lines, declarations, sum = { "open w " .. threads.path(),
         "call w threads_start" }, {}, {}, {}
      for i = 1, 5 do
         lines[i] = "host " .. assert(cc.shared(
            ("long own%d; __thread long variable%d = %d;"):format(i, i,
            10 ^ i // 1 | 0), MODELS[1].flags)) .. " global"
         declarations[i] = ("extern __thread long variable%d;\n"):format(i)
         sum[i] = "variable" .. i
      end
      local path = assert(cc.shared(threads.IMPORT .. table.concat(declarations)
         .. "static long add(long x) { return " .. table.concat(sum, " + ")
         .. "; }\nlong before(long x) { return threads_run(add, x); }",
         INITIAL .. threads.flags()))
      table.move(names, 1, 2, #lines + 1, lines)
      lines[#lines + 1] = "open a " .. path
      lines[#lines + 1] = "call a before"
      assert.like_ldso(lines, { "before() = 111110" }, { env = NO_LEAKS })
   end)

   it("have no fixed offset once they are used, which is an error that says what "
      .. "to do", function ()
      local host = assert(cc.shared(HOST, MODELS[1].flags))
      local use = assert(cc.shared([[
         extern long host_get(void);
         long use(void) { return host_get(); }
      ]]))
      local lines = { "host " .. host .. " global", "open u " .. use,
         "call u use", "open a " .. user("extern __thread long variable;",
            INITIAL) }
      local _, said = assert.like_ldso(lines, { "open a: failed" },
         { kind = "unsupported" })
      assert.truthy(said:find("preload", 1, true), said)
      -- And at startup they have one.
      table.remove(lines, 1)
      assert.like_ldso(lines, { "use() = 90", "open a: ok" },
         { preload = host })
   end)

   it("of libstdc++ have a fixed place (std::call_once)", function ()
      local path = assert(cc.shared([[
         #include <mutex>
         #include <thread>
         static std::once_flag flag;
         static int value;
         extern "C" long once(long x)
         {
             std::thread([x] { std::call_once(flag, [x] { value += x; }); })
                .join();
             std::call_once(flag, [] { value += 100; });
             return value;
         }
      ]], { language = "c++", flags = INITIAL }))
      assert.truthy(has_type(path, "R_X86_64_TPOFF64"))
      assert.like_ldso({ "open a " .. path, "call a once 7", "call a once 8" },
         { "once() = 7\nonce() = 7" })
   end)
end)
