-- Plans in a C program without Lua.

local assert = require "luassert"
local cc = require "elf64load.cc"
local policy = require "spec.support.policy"

local leaf = assert(cc.shared "long leaf(void) { return 7; }")
local root = assert(cc.shared([[
   extern long leaf(void), gone(void) __attribute__((weak));
   extern int puts(const char *);
   __attribute__((constructor)) static void begin(void) { puts("begin"); }
   long root(void) { return leaf() + (gone ? 1 : 0); }]],
   "-Wl,--no-as-needed " .. leaf))
local broken = assert(cc.shared([[
   extern long leaf(void), gone(void);
   long broken(void) { return leaf() + gone(); }]],
   "-Wl,--no-as-needed " .. leaf))

local SHOW = [[
   static int show_object(void *data, const e64_plan_object *object)
   {
       if (object->state == E64_PLAN_NEW)
           printf("object %s, %s, of %s\n", base(object->path), object->why,
                  object->wanter ? base(object->wanter->path) : "nobody");
       return 0;
   }
   static int show_binding(void *data, const e64_plan_binding *binding)
   {
       if (strcmp(binding->symbol, "leaf") == 0)
           printf("leaf of %s for %s, kind %d\n", base(binding->provider->path),
                  base(binding->wanter->path), binding->kind);
       return 0;
   }
   static int show_missing(void *data, const e64_missing *missing)
   {
       printf("missing %s: %s, wanted by %zu, %s\n",
              e64_status_name(missing->status), missing->symbol,
              missing->wanter_count, base(missing->wanters[0]->path));
       return 0;
   }
   static int show_start(void *data, const e64_plan_object *object)
   {
       printf("start %s\n", base(object->path));
       return 0;
   }
   static int stop(void *data, const e64_plan_binding *binding)
   {
       return 5;
   }
   static void show(const struct e64_plan *plan)
   {
       e64_plan_info info;
       e64_plan_describe(plan, &info);
       e64_plan_objects(plan, show_object, NULL);
       e64_plan_bindings(plan, show_binding, NULL);
       e64_plan_missing(plan, show_missing, NULL);
       e64_plan_starts(plan, show_start, NULL);
       printf("stopped %d, %s, fails %d\n",
              e64_plan_bindings(plan, stop, NULL), base(info.root->path),
              info.status);
   }]]

local function base (path) return path:match "[^/]*$" end

local function named (text)
   return (text:gsub("ROOT", base(root)):gsub("LEAF", base(leaf))
      :gsub("BROKEN", base(broken)))
end

describe("A C program", function ()
   it("plans, walks the plan, commits and frees it", function ()
      local out = policy.program(SHOW .. [[
         int main(int argc, char **argv)
         {
             struct e64_plan *plan;
             e64_plugin *plugin;
             begin();
             if (e64_plan(runtime, argv[1], NULL, &plan, NULL) != E64_OK)
                 return 3;
             show(plan);
             if (e64_plan_commit(plan, &plugin, NULL) != E64_OK)
                 return 4;
             printf("%ld\n", call(plugin, "root"));
             e64_plugin *again = plugin;
             e64_status status = e64_plan_commit(plan, &again, NULL);
             printf("%s %d\n", e64_status_name(status), again == NULL);
             e64_plan_free(plan);
             e64_plan_free(NULL);
             e64_close(plugin, NULL);
         }]], { root })
      assert.equal(named [[
object ROOT, by the path, of nobody
object LEAF, by the path, of ROOT
leaf of LEAF for ROOT, kind 2
start LEAF
start ROOT
stopped 5, ROOT, fails 0
begin
7
changed 1
]], out)
   end)

   it("learns what is missing without a failure, and the failure of a commit",
      function ()
         local out = policy.program(SHOW .. [[
            int main(int argc, char **argv)
            {
                struct e64_plan *plan;
                e64_plugin *plugin;
                e64_error error;
                e64_plan_info info;
                begin();
                printf("%d\n", e64_plan(runtime, argv[1], NULL, &plan, &error));
                show(plan);
                printf("%s\n", e64_status_name(e64_plan_commit(plan, &plugin,
                       &error)));
                e64_plan_describe(plan, &info);
                printf("the same: %d\n", !strcmp(info.message, error.message));
                e64_plan_free(plan);
            }]], { broken })
         assert.equal(named [[
0
object BROKEN, by the path, of nobody
object LEAF, by the path, of BROKEN
leaf of LEAF for BROKEN, kind 2
missing undefined: gone, wanted by 1, BROKEN
start LEAF
start BROKEN
stopped 5, BROKEN, fails 5
undefined
the same: 1
]], out)
      end)

   it("is told of its own mistakes", function ()
      local out = policy.program [[
         int main(int argc, char **argv)
         {
             e64_open_options small = { .struct_size = 1 };
             struct e64_plan *plan = (struct e64_plan *)argv;
             e64_plugin *plugin;
             begin();
             printf("%s ", e64_status_name(e64_plan(NULL, "x", NULL, &plan,
                    NULL)));
             printf("%s ", e64_status_name(e64_plan(runtime, "", NULL, &plan,
                    NULL)));
             printf("%d ", plan == NULL);
             printf("%s ", e64_status_name(e64_plan(runtime, "x", &small, &plan,
                    NULL)));
             printf("%s ", e64_status_name(e64_plan(runtime, "x", NULL, NULL,
                    NULL)));
             printf("%s ", e64_status_name(e64_plan_commit(NULL, &plugin,
                    NULL)));
             printf("%s\n", e64_status_name(e64_plan(runtime, "./none", NULL,
                    &plan, NULL)));
         }]]
      assert.equal("invalid invalid 1 invalid invalid invalid notfound\n", out)
   end)

   it("lists what the policy denies, and knows what it replaces", function ()
      local out = policy.program(SHOW .. [[
         static long mine(void) { return 70; }
         static int look(void *data, const e64_plan_binding *binding)
         {
             if (binding->denied || binding->intercepted || binding->resolved)
                 printf("%s: denied %d, intercepted %d, resolved %d\n",
                        binding->symbol, binding->denied, binding->intercepted,
                        binding->resolved);
             return 0;
         }
         static e64_status resolve(void *data, e64_runtime *asked,
                                   const e64_import *import, e64_symbol *symbol,
                                   e64_error *error)
         {
             symbol->address = mine;
             return E64_OK;
         }
         int main(int argc, char **argv)
         {
             const char *const names[] = { "puts", NULL };
             const e64_intercept leafs = { .struct_size = sizeof leafs,
                                           .name = "leaf", .address = mine };
             const e64_rules rules = { .struct_size = sizeof rules,
                                       .deny = names, .intercept = &leafs,
                                       .intercept_count = 1 };
             struct e64_plan *plan;
             e64_plugin *plugin;
             options.rules = &rules;
             options.resolve = resolve;
             begin();
             if (e64_plan(runtime, argv[1], NULL, &plan, NULL) != E64_OK)
                 return 3;
             e64_plan_bindings(plan, look, NULL);
             e64_plan_missing(plan, show_missing, NULL);
             printf("%s\n", e64_status_name(e64_plan_commit(plan, &plugin,
                    NULL)));
             e64_plan_free(plan);
             e64_plan(runtime, argv[2], NULL, &plan, NULL);
             e64_plan_bindings(plan, look, NULL);
             if (e64_plan_commit(plan, &plugin, NULL) != E64_OK)
                 return 4;
             printf("%ld\n", call(plugin, "broken"));
             e64_plan_free(plan);
         }]], { root, broken })
      assert.matches("puts: denied 1, intercepted 0, resolved 0\n", out)
      assert.matches("leaf: denied 0, intercepted 1, resolved 0\n", out)
      assert.matches("gone: denied 0, intercepted 0, resolved 1\n", out)
      assert.truthy(out:find(named
         "missing denied: puts, wanted by 1, ROOT\ndenied\n", 1, true), out)
      assert.matches("\n140\n$", out)
   end)
end)
