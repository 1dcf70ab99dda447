-- intercept, allow, deny and overrides, driven from C programs without
-- Lua.

local cc = require "elf64load.cc"
local policy = require "spec.support.policy"

local lacking, helper = policy.lacking, policy.helper
local replaced = assert(cc.shared([[
   #include <dlfcn.h>
   extern long a64l(const char *), absent(const char *)
      __attribute__((weak));
   long number(void) { return a64l("e"); }
   long absents(void) { return absent ? absent("e") : 42; }
   static long sought(void *handle)
   {
       long (*found)(const char *) = dlsym(handle, "sought");
       return found ? found("e") : 42;
   }
   long seeks(void) { return sought(RTLD_DEFAULT); }
   long seeks_handle(void) { return sought(dlopen("libc.so.6", RTLD_LAZY)); }
]], "-fno-builtin"))
local user = assert(cc.shared([[
   #include <dlfcn.h>
   #include <stddef.h>
   extern size_t strlen(const char *);
   extern long a64l(const char *);
   extern int own(void);
   extern long labs(long) __attribute__((weak));
   int own(void) { return 5; }
   int (*own_pointer)(void) = own;
   long number(void) { return a64l("e"); }
   long length(void) { return (long)((size_t (*)(const char *))strlen)("four"); }
   long calls_own(void) { return own() + own_pointer(); }
   long has_labs(void) { return labs != NULL; }
   long looks(void)
   {
       long (*found)(const char *) = dlsym(RTLD_DEFAULT, "a64l");
       return found ? found("f") : -1;
   }
   long looks_handle(void)
   {
       void *libc = dlopen("libc.so.6", RTLD_LAZY);
       long (*found)(const char *) = dlsym(libc, "a64l");
       return found ? found("g") : -1;
   }
   long looks_own(void)
   {
       int (*found)(void) = dlsym(RTLD_DEFAULT, "own");
       return found ? found() : -1;
   }
   const char *why(void) { return dlerror(); }
]], "-fno-builtin"))

describe("intercept", function ()
   local HEAD = [[
      static long (*original)(const char *);
      static long instead(const char *text)
      {
          return 1000 + (original ? original(text) : 0);
      }
      static size_t shorter(const char *text) { return 1; }
      static int asked_for;
      static e64_status choose(void *data, e64_runtime *asked,
                               const e64_import *import, const e64_symbol *was,
                               void **address, e64_error *error)
      {
          printf("choose %s, %s, %d, %s\n", import->name, was->version,
                 was->address == (void *)a64l, base(was->file));
          if (data)
              *address = instead;
          original = was->address;
          return data && !strcmp(data, "no") ? E64_DENIED : E64_OK;
      }
      static void intercepting(const e64_intercept *intercept, size_t count)
      {
          static e64_rules rules = { .struct_size = sizeof rules };
          rules.intercept = intercept;
          rules.intercept_count = count;
          options.rules = &rules;
          begin();
      }
      static void shows(e64_plugin *plugin)
      {
          long number = call(plugin, "number"), looks = call(plugin, "looks");
          printf("%ld %ld %ld %ld %ld\n", number, looks,
                 call(plugin, "looks_handle"), call(plugin, "length"),
                 call(plugin, "calls_own"));
      }]]

   it("replaces imports and what dlsym finds, and tells of the original",
      function ()
         assert.equal("open: ok\n1042 1043 1044 1 10\n1\nopen: ok\n1042\n",
            policy.program(HEAD .. [[
            int main(int argc, char **argv)
            {
                static const e64_intercept list[] = {
                    { sizeof *list, "strlen", shorter },
                    { sizeof *list, "a64l", instead, (void **)&original },
                    { sizeof *list, "own", shorter },
                };
                intercepting(list, 3);
                e64_plugin *plugin = opens(argv[1]);
                shows(plugin);
                printf("%d\n", original == a64l);
                e64_close(plugin, NULL);
                original = NULL;
                plugin = opens(argv[1]);
                printf("%ld\n", call(plugin, "number"));
            }]], { user }))
      end)

   it("keeps the host's library open that its address lies in", function ()
      local body = [[
         #include <dlfcn.h>
         int main(int argc, char **argv)
         {
             void *host = dlopen(argv[2], RTLD_NOW);
             const e64_intercept list[] = {
                 { sizeof *list, "%s", dlsym(host, "helps") },
             };
             intercepting(list, 1);
             e64_plugin *plugin = opens(argv[1]);
             printf("%%d\n", call(plugin, "%s") != 42);
             dlclose(host);
             int open = mapped(base(argv[2])) > 0;
             printf("%%d %%d\n", open, open && call(plugin, "%s") != 42);
             e64_close(plugin, NULL);
             printf("mapped: %%d\n", mapped(base(argv[2])) > 0);
         }]]
      for _, case in ipairs {
         { "a64l", "number", "number" }, -- something else defines it
         { "absent", "absents", "absents" },
         { "sought", "seeks", "seeks" }, -- by dlsym alone
         { "sought", "seeks_handle", "seeks_handle" },
      } do
         assert.equal("open: ok\n1\n1 1\nmapped: 0\n", policy.program(HEAD
            .. "\n" .. body:format(table.unpack(case)), { replaced, helper }))
      end
   end)

   it("takes the place of what nothing defines", function ()
      assert.equal("begin\nopen: ok\n1000 1 0\n", policy.program(HEAD .. [[
         static int gone = 994;
         static long three(long x) { return 3; }
         static long count(void) { return 1; }
         int main(int argc, char **argv)
         {
             void *was = main;
             const e64_intercept list[] = {
                 { sizeof *list, "missing", three },
                 { sizeof *list, "gone", &gone },
                 { sizeof *list, "perhaps", count, &was },
             };
             intercepting(list, 3);
             e64_plugin *plugin = opens(argv[1]);
             printf("%ld %ld %d\n", call(plugin, "ask"), call(plugin, "weak"),
                    was != NULL);
         }]], { lacking }))
   end)

   it("asks a function that chooses, which may leave it or fail", function ()
      local body = [[
         int main(int argc, char **argv)
         {
             const e64_intercept list[] = {
                 { sizeof *list, "a64l", NULL, NULL, choose, %s },
             };
             intercepting(list, 1);
             e64_plugin *plugin = opens(argv[1]);
             if (plugin)
                 shows(plugin);
         }]]
      local asked = "choose a64l, GLIBC_2.2.5, 1, libc.so.6\n"
      assert.equal(asked .. "open: ok\n" .. asked .. asked:gsub("GL.-,",
         "(null),"):gsub("libc.so.6", "(none)") .. "1042 1043 1044 4 10\n",
         policy.program(HEAD .. body:format '"yes"', { user }))
      assert.equal(asked .. "open: ok\n" .. asked .. asked:gsub("GL.-,",
         "(null),"):gsub("libc.so.6", "(none)") .. "42 43 44 4 10\n",
         policy.program(HEAD .. body:format "NULL", { user }))
      assert.equal(asked .. "open: denied\nmessage: " .. user .. " needs "
         .. "'a64l': the intercept hook refused it (denied), and gave no reason\n",
         policy.program(HEAD .. body:format '"no"', { user }))
   end)

   it("is checked when a runtime is made", function ()
      local function made (list)
         return policy.program(HEAD .. ([[
            int main(void)
            {
                const e64_intercept list[] = { %s };
                intercepting(list, sizeof list / sizeof *list);
            }]]):format(list))
      end
      assert.equal("no runtime: invalid: e64_runtime_new: the intercept "
         .. "with index 0 has no name\n", made "{ sizeof *list, NULL, shorter }")
      assert.equal("no runtime: invalid: e64_runtime_new: struct_size of an "
         .. "intercept is 8, less than 48; set it to the size of that "
         .. "struct\n", made "{ 8, NULL, shorter }")
      assert.equal("no runtime: invalid: e64_runtime_new: the intercept of "
         .. "'a' has neither an address nor a function that chooses one\n",
         made "{ sizeof *list, \"a\" }")
      assert.equal("no runtime: duplicate: e64_runtime_new: 'a' is intercepted "
         .. "twice; leave one out\n", made
         "{ sizeof *list, \"a\", main }, { sizeof *list, \"a\", main }")
   end)
end)

describe("allow and deny", function ()
   local HEAD = [[
      static e64_rules rules = { .struct_size = sizeof rules };
      static void ruling(const char *const *allow, const char *const *deny)
      {
          rules.allow = allow;
          rules.deny = deny;
          options.rules = &rules;
          begin();
      }
      #define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }]] .. "\n"

   local function run (allow, deny)
      return policy.program(HEAD .. ([[
         int main(int argc, char **argv)
         {
             ruling(%s, %s);
             e64_plugin *plugin = opens(argv[1]);
             printf("mapped: %%d\n", mapped(base(argv[1])) > 0);
             if (plugin) {
                 printf("%%ld %%ld %%ld %%ld %%ld %%ld\n",
                        call(plugin, "number"), call(plugin, "looks"),
                        call(plugin, "looks_handle"), call(plugin, "looks_own"),
                        call(plugin, "calls_own"), call(plugin, "has_labs"));
                 call(plugin, "looks");
                 const char *(*why)(void) = (void *)e64_entry(plugin, "why");
                 const char *text = why();
                 puts(text ? text : "(null)");
             } else {
                 printf("%%s %%s\n", error.symbol, base(error.wanter));
             }
         }]]):format(allow, deny), { user })
   end

   local name = user:match "[^/]*$"

   it("fail an import that is not allowed, by its name", function ()
      assert.equal("open: denied\nmessage: " .. user .. " needs 'a64l' (version "
         .. "GLIBC_2.2.5), which the policy does not allow; put it on `allow`, "
         .. "or do without\nmapped: 0\na64l " .. name .. "\n",
         run('LIST("str*", "dl*")', "NULL"))
   end)

   it("fail an import that is denied, though it is allowed", function ()
      assert.equal("open: denied\nmessage: " .. user .. " needs 'a64l' (version "
         .. "GLIBC_2.2.5), which the policy denies by 'a6[3-5]l'; take that off "
         .. "`deny`, or do without\nmapped: 0\na64l " .. name .. "\n",
         run('LIST("*")', 'LIST("system", "a6[3-5]l")'))
   end)

   it("leave what is allowed, the plugin's own, and weak imports at NULL",
      function ()
         assert.equal("open: ok\nmapped: 1\n42 43 44 5 10 0\n",
            (run('LIST("a64l", "strlen", "dl*")', "NULL")
            :gsub("%(null%)\n", "")))
         assert.truthy(run("NULL", 'LIST("system")'):find("42 43 44 5 10 1\n", 1,
            true))
      end)

   it("hide from dlsym what is denied", function ()
      -- Weak, so that the plugin opens without.
      local shy = assert(cc.shared([[
         #include <dlfcn.h>
         extern long a64l(const char *) __attribute__((weak));
         long has(void) { return a64l != 0; }
         long finds(void) { return dlsym(RTLD_DEFAULT, "a64l") != 0; }
         long finds_next(void) { return dlsym(RTLD_NEXT, "a64l") != 0; }
         long finds_handle(void)
         {
             return dlsym(dlopen("libc.so.6", RTLD_LAZY), "a64l") != 0;
         }
         const char *why(void) { return dlerror(); }]], "-fno-builtin"))
      local out = policy.program(HEAD .. [[
         int main(int argc, char **argv)
         {
             ruling(NULL, LIST("a64l"));
             e64_plugin *plugin = opens(argv[1]);
             printf("%ld %ld %ld %ld\n", call(plugin, "has"),
                    call(plugin, "finds"), call(plugin, "finds_next"),
                    call(plugin, "finds_handle"));
             puts(((const char *(*)(void))e64_entry(plugin, "why"))());
         }]], { shy })
      assert.equal("open: ok\n0 0 0 0\n" .. shy .. " needs 'a64l', which the "
         .. "policy denies by 'a64l'; take that off `deny`, or do without\n",
         out)
   end)

   it("refuse a glob that is malformed", function ()
      assert.equal("no runtime: invalid: the pattern 'a[b' is malformed: its "
         .. "'[' has no ']'\n", run('LIST("a[b")', "NULL"))
      assert.equal("no runtime: invalid: the pattern 'a\\' is malformed: it "
         .. "ends in a backslash, which stands before nothing\n",
         run('LIST("a\\\\")', "NULL"))
   end)
end)

describe("Overrides", function ()
   it("replace what the runtime says for the plugins that match", function ()
      local out = policy.program([[
         #define LIST(...) (const char *const[]){ __VA_ARGS__, NULL }
         static size_t shorter(const char *text) { return 1; }
         static long instead(const char *text) { return -1; }
         static void tries(const char *glob, const char *path)
         {
             const e64_intercept first = { sizeof first, "a64l", instead };
             const e64_rules all = { sizeof all, LIST("nothing"),
                                     LIST("system"), &first, 1 };
             const e64_intercept other = { sizeof other, "strlen", shorter };
             const e64_rules some = { sizeof some, LIST("*"),
                                      LIST("strtol"), &other, 1 };
             const e64_override list[] = { { sizeof *list, "/no/where/*", &all },
                 { sizeof *list, glob, &some } };
             options.rules = &all;
             options.overrides = list;
             options.override_count = 2;
             begin();
             e64_plugin *plugin = opens(path);
             if (plugin)
                 printf("%ld %ld\n", call(plugin, "number"),
                        call(plugin, "length"));
         }
         int main(int argc, char **argv)
         {
             for (int i = 2; i < argc; i++)
                 tries(argv[i], argv[1]);
         }]], { user, "*.so", "fixtures/*", "/*/fixtures/*", "fixtures/**.so",
            "/**.so", "ix/*", "**/ix/*" })
      assert.same({
         "open: ok", "42 1", "open: ok", "42 1", "open: denied", "open: ok",
         "42 1", "open: ok", "42 1", "open: denied", "open: denied",
      }, (function ()
         local lines = {}
         for line in out:gmatch "[^\n]+" do
            if not line:find "^message" then lines[#lines + 1] = line end
         end
         return lines
      end)())
   end)
end)

describe("Rules", function ()
   it("refuse a number of what is not given", function ()
      local function made (rules, count)
         return policy.program(([[
            int main(void)
            {
                const e64_rules rules = { .struct_size = sizeof rules, %s };
                options.rules = &rules;
                options.override_count = %d;
                begin();
                puts("made");
            }]]):format(rules, count))
      end
      local message = "no runtime: invalid: e64_runtime_new: %s is NULL, but "
         .. "its count is %d\n"
      assert.equal(message:format("rules.intercept", 2),
         made(".intercept_count = 2", 0))
      assert.equal(message:format("rules.provide", 3),
         made(".provide_count = 3", 0))
      assert.equal(message:format("overrides", 1), made(".allow = NULL", 1))
      assert.equal("made\n", made(".allow = NULL", 0))
   end)
end)

describe("Globs", function ()
   it("match what those of fnmatch match, alone and among many", function ()
      local out = policy.program("\n" .. [[
         #include <fnmatch.h>
         #include "run/names.h"
         static unsigned state = 7;
         static unsigned roll(unsigned n)
         {
             state = state * 1103515245 + 12345;
             return (state >> 16) % n;
         }
         static void make(char *text, const char *letters, unsigned most)
         {
             unsigned count = roll(most + 1);
             for (unsigned i = 0; i < count; i++)
                 text[i] = letters[roll(strlen(letters))];
             text[count] = 0;
         }
         int main(void)
         {
             static char globs[64][16];
             const char *list[64];
             struct name_set *set;
             long wrong = 0, matches = 0;
             for (int round = 0; round < 3000; round++) {
                 char text[16];
                 for (int i = 0; i < 64; i++) {
                     do
                         make(globs[i], "ab/*?[a]!-\\", 8);
                     while (glob_fault(globs[i]) || strstr(globs[i], "**")
                            || strstr(globs[i], "[^") || strstr(globs[i], "\\/")
                            || strchr(globs[i], '[')
                               && strpbrk(globs[i], "/\\"));
                     list[i] = globs[i];
                 }
                 make(text, "ab/-", 8);
                 unsigned first = 0;
                 for (int i = 0; i < 64; i++) {
                     int both[2] = { 0, FNM_PATHNAME };
                     for (int k = 0; k < 2; k++) {
                         int theirs = !fnmatch(globs[i], text, both[k]);
                         int ours = glob_match(globs[i], text, k);
                         matches += theirs;
                         if (ours != theirs && wrong++ < 5)
                             printf("%s %s %d: %d\n", globs[i], text, k, ours);
                     }
                     if (!first && !fnmatch(globs[i], text, 0))
                         first = i + 1;
                 }
                 for (int i = 63; i >= 0; i--)
                     if (!strpbrk(globs[i], "*?[\\") && !strcmp(globs[i], text))
                         first = i + 1;
                 names_make(list, 64, false, &set);
                 unsigned found = names_find(set, text);
                 if (found != first && wrong++ < 5)
                     printf("%s: %u, %u\n", text, found, first);
                 names_free(set);
             }
             printf("%ld wrong, many: %d\n", wrong, matches > 1000);
         }]])
      assert.equal("0 wrong, many: 1\n", out)
   end)
end)
