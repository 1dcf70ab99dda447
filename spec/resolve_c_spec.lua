-- The resolve hook, driven from C programs without Lua.

local cc = require "elf64load.cc"
local policy = require "spec.support.policy"

local lacking, helper = policy.lacking, policy.helper
local replaced = assert(cc.shared([[
   extern long a64l(const char *), absent(const char *)
      __attribute__((weak));
   long number(void) { return a64l("e"); }
   long absents(void) { return absent ? absent("e") : 42; }
]], "-fno-builtin"))

describe("The resolve hook", function ()
   local HOOK = [[
      static int gone = 1000, answers = 1;
      static e64_plugin *helper;
      static long given(long x) { return 10 * x; }
      static e64_status resolve(void *data, e64_runtime *asked,
                                const e64_import *import, e64_symbol *symbol,
                                e64_error *error)
      {
          printf("resolve %s, %d, %d of %s, %d\n", import->name, import->weak,
                 import->version != NULL, path_of(import->wanter),
                 asked == runtime && import->struct_size == sizeof *import);
          if (!answers || strcmp(import->name, data) == 0)
              return E64_NOTFOUND;
          if (helper && strcmp(import->name, "missing") == 0)
              return e64_lookup(helper, "helps", NULL, symbol, error);
          symbol->address = strcmp(import->name, "gone") == 0
                          ? (void *)&gone : (void *)given;
          return answers == 2 ? E64_DENIED : E64_OK;
      }
      static void resolving(const char *not)
      {
          options.resolve = resolve;
          options.resolve_data = (void *)not;
          begin();
      }]]

   -- One line for each that is asked for, in any order.
   local function asked (out)
      local lines = {}
      local rest = ("\n" .. out):gsub("\nresolve ([^\n]*)", function (line)
         lines[#lines + 1] = line
         return ""
      end)
      table.sort(lines)
      return lines, (rest:gsub("^\n", ""))
   end

   it("is asked once for each name that nothing defines, weak ones too",
      function ()
         local lines, rest = asked(policy.program(HOOK .. [[
            int main(int argc, char **argv)
            {
                resolving("");
                e64_plugin *plugin = opens(argv[1]);
                printf("%ld %ld\n", call(plugin, "ask"), call(plugin, "weak"));
                printf("%s\n", e64_status_name(e64_close(plugin, NULL)));
                e64_runtime_free(runtime, NULL);
            }]], { lacking }))
         local name = lacking:match "[^/]*$"
         assert.same({ "gone, 0, 0 of " .. name .. ", 1",
            "missing, 0, 0 of " .. name .. ", 1",
            "perhaps, 1, 0 of " .. name .. ", 1" }, lines)
         assert.equal("begin\nopen: ok\n1030 30\nok\n", rest)
      end)

   it("leaves what it does not know missing, and says it with all the others",
      function ()
         local _, rest = asked(policy.program(HOOK .. [[
            int main(int argc, char **argv)
            {
                resolving("gone");
                opens(argv[1]);
                answers = 0;
                opens(argv[1]);
                for (int i = 0; error.missing[i]; i++)
                    printf("%s\n", error.missing[i]);
                printf("mapped: %d\n", mapped(base(argv[1])));
            }]], { lacking }))
         assert.truthy(rest:find("^open: undefined\nmessage: [^\n]*'gone'"), rest)
         assert.truthy(rest:find("\nmapped: 0\n", 1, true), rest)
         assert.truthy(rest:find("\ngone\n", 1, true), rest)
         assert.truthy(rest:find("\nmissing\n", 1, true), rest)
      end)

   it("fails the open, and nothing stays", function ()
      local _, rest = asked(policy.program(HOOK .. [[
         int main(int argc, char **argv)
         {
             answers = 2;
             resolving("");
             opens(argv[1]);
             printf("mapped: %d\n", mapped(base(argv[1])));
         }]], { lacking }))
      assert.truthy(rest:find("^open: denied\nmessage: %S+ needs 'gone': the resolve "
         .. "hook refused it %(denied%), and gave no reason\nmapped: 0\n"), rest)
   end)

   it("keeps the host's library open that its answer lies in", function ()
      local _, rest = asked(policy.program("#include <dlfcn.h>\n" .. HOOK .. [[
         int main(int argc, char **argv)
         {
             void *host = dlopen(argv[2], RTLD_NOW);
             resolving("");
             helper = opens(argv[2]);
             e64_plugin *plugin = opens(argv[1]);
             e64_close(helper, NULL);
             dlclose(host);
             printf("mapped: %d\n", mapped(base(argv[2])) > 0);
             printf("%ld\n", mapped(base(argv[2])) ? call(plugin, "ask") : -1);
             e64_close(plugin, NULL);
             printf("mapped: %d\n", mapped(base(argv[2])) > 0);
         }]], { lacking, helper }))
      assert.equal("open: ok\nbegin\nopen: ok\nmapped: 1\n1300\nmapped: 0\n",
         rest)
   end)

   -- What a hook opens is not closed by the hook.
   local OPENS = [[
      #include <dlfcn.h>
      static const char *library;
      static void *host;
      static void *helps(void)
      {
          if (!host)
              host = dlopen(library, RTLD_NOW);
          return dlsym(host, "helps");
      }
      static e64_status resolve(void *data, e64_runtime *asked,
                                const e64_import *import, e64_symbol *symbol,
                                e64_error *error)
      {
          symbol->address = helps();
          return E64_OK;
      }
      static e64_status choose(void *data, e64_runtime *asked,
                               const e64_import *import, const e64_symbol *was,
                               void **address, e64_error *error)
      {
          *address = helps();
          return E64_OK;
      }
      int main(int argc, char **argv)
      {
          static const e64_intercept list[] = {
              { .struct_size = sizeof *list, .name = "a64l", .choose = choose },
          };
          static e64_rules rules = { .struct_size = sizeof rules,
                                     .intercept = list, .intercept_count = 1 };
          library = argv[2];
          if (argc > 4)
              options.rules = &rules;
          else
              options.resolve = resolve;
          begin();
          e64_plugin *plugin = opens(argv[1]);
          dlclose(host);
          int open = mapped(base(library)) > 0;
          printf("%d %d\n", open, open && call(plugin, argv[3]) != 42);
          e64_close(plugin, NULL);
          printf("mapped: %d\n", mapped(base(library)) > 0);
      }]]

   it("keeps what it has just opened itself, and intercept does, too",
      function ()
         local wanted = "open: ok\n1 1\nmapped: 0\n"
         assert.equal(wanted, policy.program(OPENS,
            { replaced, helper, "absents" }))
         assert.equal(wanted, policy.program(OPENS,
            { replaced, helper, "number", "intercept" }))
      end)

   it("keeps the plugin open that its answer lies in", function ()
      local _, rest = asked(policy.program(HOOK .. [[
         int main(int argc, char **argv)
         {
             resolving("");
             helper = opens(argv[2]);
             e64_plugin *plugin = opens(argv[1]);
             printf("%ld\n", call(plugin, "ask"));
             e64_close(helper, NULL);
             printf("mapped: %d\n", mapped(base(argv[2])) > 0);
             printf("%ld\n", call(plugin, "ask"));
             e64_close(plugin, NULL);
             printf("mapped: %d\n", mapped(base(argv[2])) > 0);
         }]], { lacking, helper }))
      assert.equal("open: ok\nbegin\nopen: ok\n1300\nmapped: 1\n1300\n"
         .. "mapped: 0\n", rest)
   end)
end)
