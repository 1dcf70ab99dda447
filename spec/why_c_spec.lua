-- e64_why, e64_bindings and the parts of an error, in a C program without Lua.

local assert = require "luassert"
local cc = require "elf64load.cc"
local policy = require "spec.support.policy"

local leaf = assert(cc.shared "long leaf(void) { return 7; }")
local root = assert(cc.shared([[
   extern long leaf(void), given(void), gone(void) __attribute__((weak));
   long root(void) { return leaf() + given() + (gone ? 1 : 0); }]],
   "-Wl,--no-as-needed " .. leaf))
local broken = assert(cc.shared([[
   extern long laef(void), leff(void);
   long broken(void) { return laef() + leff(); }]],
   "-Wl,--no-as-needed " .. leaf))

local function named (text)
   for name, path in pairs { ROOT = root, LEAF = leaf, BROKEN = broken } do
      text = text:gsub(name, function () return path end)
   end
   return text
end

local SHOW <const> = [[
   static int show_reason(void *data, const e64_reason *reason)
   {
       printf("%s: %s\n", reason->name, reason->message);
       return 0;
   }
   static int show_binding(void *data, const e64_binding *binding)
   {
       printf("%s, %s: %s\n", binding->symbol, binding->how,
              binding->message);
       for (size_t i = 0; binding->others[i]; i++)
           printf("other %s\n", binding->others[i]);
       return 0;
   }
   static int stop(void *data, const e64_binding *binding)
   {
       ++*(int *)data;
       return 5;
   }
   static int stop_reason(void *data, const e64_reason *reason)
   {
       return 6;
   }
   static long given(void) { return 10; }]]

describe("A C program", function ()
   it("asks why a plugin is mapped and what its imports are bound to", function ()
      local out = policy.program(SHOW .. [[
         static int find_leaf(void *data, e64_plugin *plugin)
         {
             if (strcmp(path_of(plugin), (const char *)data) == 0)
                 e64_why(plugin, show_reason, NULL);
             return 0;
         }
         int main(int argc, char **argv)
         {
             const e64_definition definition = { sizeof definition, "given",
                                                 NULL, given, 0,
                                                 E64_KIND_FUNCTION };
             int count = 0;
             begin();
             e64_define(runtime, &definition, NULL);
             e64_plugin *plugin = opens(argv[1]);
             printf("%ld\n", call(plugin, "root"));
             e64_plugins(runtime, find_leaf, (void *)base(argv[2]));
             e64_bindings(plugin, "leaf", show_binding, NULL);
             e64_bindings(plugin, "given", show_binding, NULL);
             e64_bindings(plugin, "gone", show_binding, NULL);
             int answer = e64_bindings(plugin, NULL, stop, &count);
             printf("stopped %d %d %d\n", answer, count,
                    e64_why(plugin, stop_reason, NULL));
             e64_close(plugin, NULL);
         }]], { root, leaf })
      assert.equal(named [[
open: ok
17
asked: ROOT needs 'LEAF', which is LEAF
asked: 'ROOT' was opened, which is ROOT
probe: LEAF was taken (the path)
dependent: ROOT needs it as 'LEAF'
leaf, scope: ROOT gets 'leaf' from LEAF
given, defined: ROOT gets what the runtime defines as 'given'
gone, nothing: ROOT gets no 'gone', which is weak and which nothing defines
stopped 5 1 6
]], out)
   end)

   it("is said to have what it does not export", function ()
      local wanting = assert(cc.shared [[
         extern long engine_log(void);
         long wants(void) { return engine_log(); }]])
      local source = [[
         __attribute__((used)) long engine_log(void) { return 5; }
         int main(int argc, char **argv)
         {
             begin();
             e64_plugin *plugin = opens(argv[1]);
             printf("%s\n", plugin ? "" : error.advice);
         }]]
      local out = policy.program(source, { wanting })
      assert.is_not_nil(out:find("\n[^\n ]+ has it and does not export it: link "
         .. "that with %-rdynamic, or define it in the runtime\n$"), out)
      assert.is_nil(policy.program(source:gsub("long engine_log", "static %0"),
         { wanting }):find("rdynamic", 1, true))
   end)

   it("finds all that is missing in the parts of an error", function ()
      local out = policy.program([[
         int main(int argc, char **argv)
         {
             begin();
             e64_plugin *plugin;
             e64_status status = e64_open(runtime, argv[1], NULL, &plugin, &error);
             printf("%s %s %s\n", e64_status_name(status), error.symbol,
                    error.near[0]);
             printf("%s\n", error.advice);
             for (size_t i = 0; error.missing[i]; i++)
                 printf("%s of '%s' for %s\n", error.missing[i],
                        error.missing_versions[i], error.missing_wanters[i]);
             printf("%d\n", error.used < sizeof error.storage);
         }]], { broken })
      local lines = {}
      for line in out:gmatch "[^\n]+" do lines[#lines + 1] = line end
      assert.is_not_nil(lines[1]:find "^undefined le?a?[ef]f leaf$", out)
      assert.equal(named "did you mean 'leaf' of LEAF?", lines[2])
      table.sort(lines)
      assert.is_not_nil(table.concat(lines, "\n"):find(named
         "laef of '' for BROKEN\nleff of '' for BROKEN", 1, true), out)
   end)
end)
