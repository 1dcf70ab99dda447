-- The scope hook, driven from C programs without Lua.

local cc = require "elf64load.cc"
local policy = require "spec.support.policy"

local function definer (value)
   return assert(cc.shared(("long given(void) { return %d; }"):format(value)))
end

local first, second, third = definer(1), definer(2), definer(3)
local user = assert(cc.shared([[
   extern long given(void);
   long own(void) { return 40; }
   long calls(void) { return given() + own(); }]],
   ("-Wl,--no-as-needed %s %s"):format(first, second)))

local HEAD = [[
   // What the hook does: keeps all, turns the plugins round, leaves out the
   // host or a file, adds another plugin, answers nonsense.
   static const char *does, *without;
   static e64_plugin *other;
   static e64_status answer;
   static e64_status scope(void *data, e64_runtime *asked, e64_plugin *plugin,
                           const e64_provider *providers, size_t count,
                           e64_scope *scope, e64_error *error)
   {
       e64_status status = E64_OK;
       if (strcmp(path_of(plugin), base(data)) != 0)
           return E64_NOTFOUND;
       printf("scope of %d\n", (int)(count > 3));
       if (other) {
           const e64_provider one = { .plugin = other };
           status = e64_scope_add(scope, &one, error);
       }
       for (size_t i = 0; i < count; i++) {
           const e64_provider *at = &providers[strcmp(does, "turn") == 0
                                               ? count - 1 - i : i];
           if (strcmp(does, "none") != 0
               && (strcmp(does, "plugins") != 0 || at->plugin)
               && (!without || strcmp(base(at->path), base(without)) != 0))
               status = status ? status : e64_scope_add(scope, at, error);
       }
       if (strcmp(does, "nonsense") == 0) {
           const e64_provider one = { .path = "/x", .object = &does };
           status = e64_scope_add(scope, &one, error);
       }
       return status != E64_OK ? status : answer;
   }
   static void scoping(const char *what, const char *path)
   {
       does = what;
       options.scope = scope;
       options.scope_data = (void *)path;
       begin();
   }
]]

local function run (body, ...)
   return policy.program(HEAD .. "int main(int argc, char **argv)\n{\n" .. body
      .. "\ne64_runtime_free(runtime, NULL);\n}", { ... })
end

describe("The scope hook", function ()
   it("may leave the scope, keep it, or turn it round", function ()
      assert.equal("scope of 1\nopen: ok\n41\nscope of 1\nopen: ok\n41\n"
         .. "scope of 1\nopen: ok\n42\n", run([[
         scoping("none", argv[1]);
         answer = E64_NOTFOUND;
         printf("%ld\n", call(opens(argv[1]), "calls"));
         answer = E64_OK;
         scoping("all", argv[1]);
         printf("%ld\n", call(opens(argv[1]), "calls"));
         scoping("turn", argv[1]);
         printf("%ld\n", call(opens(argv[1]), "calls"));]], user))
   end)

   it("may leave things out, which are not found then", function ()
      assert.equal("scope of 1\nopen: ok\n42\nscope of 1\nopen: undefined\n"
         .. "mapped 0\n", (run([[
         without = argv[2];
         scoping("all", argv[1]);
         printf("%ld\n", call(opens(argv[1]), "calls"));
         scoping("none", argv[1]);
         opens(argv[1]);
         e64_runtime_free(runtime, NULL);
         options.scope = NULL;
         begin();
         printf("mapped %d\n", mapped(base(argv[1])) > 8);]], user, first)
         :gsub("message: [^\n]*\n", "")))
   end)

   it("is the one that a failure tells of", function ()
      local function scopes (does, ...)
         return run(([[
            scoping("%s", argv[1]);
            opens(argv[1]);
            for (int i = 0; error.scopes && error.scopes[i]; i++)
                printf("%%s\n", error.scopes[i]);]]):format(does), ...)
      end
      local lacking = assert(cc.shared [[
         extern long gone(void);
         long lacks(void) { return gone(); }]])
      local out = scopes("plugins", lacking)
      assert.truthy(out:find(": not in " .. lacking, 1, true), out)
      assert.equal(lacking .. "\n", out:match "([^\n]*\n)$")
      assert.is_nil(out:find("the process", 1, true), out)
      out = scopes("none", lacking)
      assert.truthy(out:find(": not in an empty scope", 1, true), out)
   end)

   it("may add another plugin, which then stays open", function ()
      assert.equal("open: ok\nscope of 1\nopen: ok\n43\nok\n43\nok\nleft 0\n",
         run([[
            scoping("all", argv[1]);
            other = opens(argv[2]);
            e64_plugin *plugin = opens(argv[1]);
            printf("%ld\n", call(plugin, "calls"));
            puts(e64_status_name(e64_close(other, NULL)));
            printf("%ld\n", call(plugin, "calls"));
            puts(e64_status_name(e64_close(plugin, NULL)));
            printf("left %d\n", mapped(base(argv[2])));]], user, third))
   end)

   it("may add nothing else, and fails the open by its answer", function ()
      local out = run([[
         scoping("nonsense", argv[1]);
         opens(argv[1]);
         answer = E64_DENIED;
         does = "all";
         opens(argv[1]);
         printf("mapped %d\n", mapped(base(argv[1])));]], user)
      assert.equal("scope of 1\nopen: hook\nmessage: " .. user .. ": the scope "
         .. "hook has added a provider that is neither one that it was given nor "
         .. "a plugin that is open in its runtime\nscope of 1\nopen: denied\nmessage: " .. user
         .. ": the scope hook refused it (denied), and gave no "
         .. "reason\nmapped 0\n", out)
   end)
end)
