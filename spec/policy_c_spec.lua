-- The hooks of a runtime, driven from C programs without Lua.

local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local policy = require "spec.support.policy"

local group = fixtures.group {
   inner = { source = [[
      extern int puts(const char *);
      __attribute__((constructor)) static void begin(void) { puts("inner"); }
      __attribute__((destructor)) static void end(void) { puts("inner ends"); }
      long inner(void) { return 7; }]] },
   outer = { needs = { "inner" }, source = [[
      extern int puts(const char *);
      extern long inner(void);
      __attribute__((constructor)) static void begin(void) { puts("outer"); }
      __attribute__((destructor)) static void end(void) { puts("outer ends"); }
      long outer(void) { return inner() + 1; }]] },
}

describe("Options of a runtime in C", function ()
   it("may be as short as they were, and longer than they are", function ()
      local out = policy.program([[
         int main(void)
         {
             struct { e64_runtime_options known; char more[64]; } longer
                 = { .known.struct_size = sizeof longer };
             options.struct_size = offsetof(e64_runtime_options, accept);
             options.accept = (e64_accept_hook)(void *)1; // must not be read
             begin();
             printf("%ld\n", call(open_plugin(INNER), "inner"));
             e64_runtime_free(runtime, NULL);
             options = longer.known;
             begin();
             options.struct_size = offsetof(e64_runtime_options, unload);
             begin();
         }]], nil, { flags = ("-DINNER='\"%s\"'"):format(group.inner) })
      assert.equal("inner\n7\ninner ends\nno runtime: invalid: "
         .. "e64_runtime_new: struct_size of the options is 48, less than 52; "
         .. "set it to sizeof(e64_runtime_options)\n", out)
   end)
end)

describe("The accept hook", function ()
   local HOOK = [[
      static e64_status answer;
      static const char *refused, *said;
      static e64_status accept(void *data, e64_runtime *asked,
                               e64_plugin *plugin, e64_error *error)
      {
          e64_symbol symbol;
          e64_plugin_info info;
          e64_plugin_describe(plugin, &info);
          printf("accept %s, %d, %d, %s\n", base(info.path), asked == runtime,
                 info.state == E64_STATE_MAPPED, (char *)data);
          printf("can look up: %d\n", e64_lookup(plugin, "inner", NULL, &symbol,
                                                 NULL) == E64_OK);
          snprintf(error->storage, sizeof error->storage, "%s of %s",
                   said ? said : "", base(info.path));
          if (said)
              error->message = error->storage;
          return strcmp(base(info.path), refused) == 0 ? answer : E64_OK;
      }
      static void accepting(const char *what)
      {
          refused = what;
          options.accept = accept;
          options.accept_data = "data";
          begin();
      }]]

   local function run (body)
      return policy.program(HOOK .. body, { group.outer })
   end

   it("is asked of each that is bound, dependencies first, before it starts",
      function ()
         assert.equal([[
accept inner.so, 1, 1, data
can look up: 1
accept outer.so, 1, 1, data
can look up: 1
inner
outer
open: ok
8
open: ok
outer ends
inner ends
]], run [[
            int main(int argc, char **argv)
            {
                accepting("");
                printf("%ld\n", call(opens(argv[1]), "outer"));
                opens(argv[1]); // has been asked of already
                e64_runtime_free(runtime, NULL);
            }]])
      end)

   it("refuses with its own kind and words, and nothing stays", function ()
      local out = run [[
         int main(int argc, char **argv)
         {
             answer = E64_DENIED;
             said = "not on the list:";
             accepting("outer.so");
             opens(argv[1]);
             printf("mapped: %d\n", mapped("outer.so") + mapped("inner.so"));
             refused = "";
             said = NULL;
             printf("%ld\n", call(opens(argv[1]), "outer"));
         }]]
      assert.truthy(out:find("open: denied\nmessage: not on the list: of "
         .. "outer.so\nmapped: 0\n", 1, true), out)
      assert.truthy(out:find("inner\nouter\nopen: ok\n8\n", 1, true), out)
   end)

   it("fails the open as hook for an answer that is no kind of failure",
      function ()
         for _, answer in ipairs { "E64_CHANGED", "(e64_status)99",
            "(e64_status)-1", "E64_HOOK" } do
            local out = run(([[
               int main(int argc, char **argv)
               {
                   answer = %s;
                   accepting("inner.so");
                   opens(argv[1]);
               }]]):format(answer))
            assert.truthy(out:find("open: hook\nmessage: %S*/inner%.so: the "
               .. "accept hook failed, and gave no reason\n"), out)
            assert.is_nil(out:find("\ninner\n", 1, true))
            assert.is_nil(out:find("accept outer", 1, true))
         end
      end)
end)

describe("The search hook", function ()
   -- Answers `answer` for what has no slash.
   local SEARCH = [[
      static e64_source answer = { .struct_size = sizeof answer };
      static e64_status search(void *data, e64_runtime *asked,
                               const char *name, e64_plugin *wanter,
                               e64_source *source, e64_error *error)
      {
          if (strchr(name, '/'))
              return E64_NOTFOUND;
          *source = answer;
          return E64_OK;
      }
      int main(int argc, char **argv)
      {
          options.search = search;
          begin();
   ]]

   it("fails the open as hook when it has filled no source", function ()
      local before = "open: hook\nmessage: plug: the search hook answered E64_OK "
         .. "and filled no source that can be opened: "
      assert.equal(before .. "e64_source: a path source without a path\n"
         .. before .. "e64_source: unknown kind 77\n"
         .. before .. "(reader): a reader needs its read function and the size "
         .. "of what it reads\n"
         .. before .. "e64_source: struct_size is not set\npath plug\n",
         policy.program(SEARCH .. [[
          opens("plug");
          answer.kind = 77;
          opens("plug");
          answer.kind = E64_SOURCE_READER;
          opens("plug");
          answer.struct_size = 0;
          opens("plug");
          printf("path %s\n", error.path);
      }]]))
   end)

   it("is named with what it was asked for where its answer will not do",
      function ()
         local text = fixtures.text(("no ELF "):rep(20), ".txt")
         local needed = assert(cc.shared("long f(void) { return 1; }",
            "-Wl,-soname,libdd.so"))
         local wanting = fixtures.needing(needed, "long g(void) { return 2; }")
         local out = policy.program(SEARCH .. [[
             answer.path = "./nope.so";
             opens("plug");
             answer.path = argv[1];
             opens("plug");
             opens(argv[2]);
             answer.path = "./nope.so";
             opens(argv[2]);
             printf("%s %s\n", error.path, base(error.wanter));
         }]], { text, wanting })
         local lines = {}
         for line in out:gmatch "message: (.-)\n" do lines[#lines + 1] = line end
         local told = "; it is what the search hook answered for "
         local needs = "'libdd.so', which " .. wanting .. " needs"
         assert.equal("./nope.so: no such file" .. told .. "'plug'", lines[1])
         assert.truthy(lines[2]:find("^" .. text:gsub("%p", "%%%0") .. ": "),
            out)
         assert.truthy(lines[2]:find(told .. "'plug'", 1, true), out)
         assert.truthy(lines[3]:find(told .. needs, 1, true), out)
         assert.equal("./nope.so: no such file" .. told .. needs, lines[4])
         assert.truthy(out:find("\n./nope.so " .. wanting:match "[^/]*$" .. "\n",
            1, true), out)
      end)
end)

describe("All hooks and rules", function ()
   it("are asked by threads that open and close the same and others #threads",
      function ()
         local out = policy.program("\n" .. [[
            #include <pthread.h>
            static _Atomic long asked[4], events[6], wrong;
            static e64_status verify(void *data, e64_runtime *from,
                                     const e64_image *image, e64_error *error)
            {
                asked[0]++;
                wrong += memcmp(image->bytes, "\177ELF", 4) != 0;
                return E64_OK;
            }
            static e64_status accept(void *data, e64_runtime *from,
                                     e64_plugin *plugin, e64_error *error)
            {
                e64_plugin_info info;
                e64_plugin_describe(plugin, &info);
                wrong += info.state != E64_STATE_MAPPED;
                // One in eight is refused.
                return ++asked[1] % 8 ? E64_OK : E64_DENIED;
            }
            static e64_status order(void *data, e64_runtime *from,
                                    e64_plugin **plugins, size_t count,
                                    e64_error *error)
            {
                asked[2]++;
                return E64_OK;
            }
            static e64_status scope(void *data, e64_runtime *from,
                                    e64_plugin *plugin,
                                    const e64_provider *providers, size_t count,
                                    e64_scope *made, e64_error *error)
            {
                asked[3]++;
                for (size_t i = 0; i < count; i++)
                    wrong += e64_scope_add(made, &providers[i], error) != E64_OK;
                return E64_OK;
            }
            static void event(void *data, e64_runtime *from,
                              const e64_event *event)
            {
                events[event->kind]++;
            }
            static void *work(void *path)
            {
                for (int i = 0; i < 60; i++) {
                    e64_open_options how = { .struct_size = sizeof how,
                                             .private_ = i % 3 == 0 };
                    e64_plugin *plugin;
                    e64_status status = e64_open(runtime, path, &how, &plugin,
                                                 NULL);
                    wrong += status != E64_OK && status != E64_DENIED;
                    if (status != E64_OK)
                        continue;
                    wrong += call(plugin, "outer") != 8;
                    wrong += e64_close(plugin, NULL) != E64_OK;
                }
                return NULL;
            }
            int main(int argc, char **argv)
            {
                static const char *const allow[] = { "p*", "inner", "_*", NULL };
                const e64_rules rules = { .struct_size = sizeof rules,
                                          .allow = allow };
                pthread_t threads[3];
                options.verify = verify;
                options.accept = accept;
                options.order = order;
                options.scope = scope;
                options.event = event;
                options.rules = &rules;
                begin();
                freopen("/dev/null", "w", stdout);
                for (int i = 0; i < 3; i++)
                    pthread_create(&threads[i], NULL, work, argv[1]);
                for (int i = 0; i < 3; i++)
                    pthread_join(threads[i], NULL);
                wrong += e64_runtime_free(runtime, NULL) != E64_OK;
                fprintf(stderr, "%ld %d %d %d\n", wrong, asked[0] >= asked[1],
                        asked[2] > 0 && asked[3] >= asked[1],
                        events[E64_EVENT_MAPPED] == events[E64_EVENT_UNMAPPED]
                        && events[E64_EVENT_STARTED]
                           == events[E64_EVENT_STOPPED]);
            }]], { group.outer }, { merge = true })
         assert.equal("0 1 1 1\n", out)
      end)
end)

describe("A hook that meddles", function ()
   -- Asks each hook something.
   local asking = fixtures.group {
      asking = { needs = { "needed" }, source = [[
         extern int puts(const char *);
         extern long needed(void);
         extern long nowhere(void) __attribute__((weak));
         long all(void) { return puts("") + needed() + (nowhere != 0); }]] },
      needed = { source = "long needed(void) { return 7; }" },
   }

   -- `plugin` is the one that the hook is shown, if it is.
   local MEDDLER = [[
      static const char *meddles, *other;
      static e64_plugin *earlier;
      static e64_status meddle(e64_plugin *plugin, e64_status answer)
      {
          e64_plugin *got = NULL;
          e64_status status = E64_OK;
          struct e64_plan *plan;
          if (!meddles)
              return answer;
          if (!plugin)
              plugin = earlier;
          if (strcmp(meddles, "open") == 0)
              status = e64_open(runtime, other, NULL, &got, &error);
          else if (strcmp(meddles, "plan") == 0)
              status = e64_plan(runtime, other, NULL, &plan, &error);
          else if (strcmp(meddles, "close") == 0)
              status = e64_close(plugin, &error);
          else if (strcmp(meddles, "start") == 0)
              status = e64_start(plugin, &error);
          else if (strcmp(meddles, "free") == 0)
              status = e64_runtime_free(runtime, &error);
          printf("told: %s\n%s: %s\n", status ? error.message : "",
                 meddles, e64_status_name(status));
          return answer;
      }
      static e64_status search(void *data, e64_runtime *asked,
                               const char *name, e64_plugin *wanter,
                               e64_source *source, e64_error *error)
      {
          return meddle(wanter, E64_NOTFOUND);
      }
      static e64_status verify(void *data, e64_runtime *asked,
                               const e64_image *image, e64_error *error)
      {
          return meddle(NULL, E64_OK);
      }
      static e64_status scope(void *data, e64_runtime *asked,
                              e64_plugin *plugin,
                              const e64_provider *providers, size_t count,
                              e64_scope *scope, e64_error *error)
      {
          return meddle(plugin, E64_NOTFOUND);
      }
      static e64_status resolve(void *data, e64_runtime *asked,
                                const e64_import *import, e64_symbol *symbol,
                                e64_error *error)
      {
          return meddle(import->wanter, E64_NOTFOUND);
      }
      static e64_status intercept(void *data, e64_runtime *asked,
                                  const e64_import *import,
                                  const e64_symbol *original, void **address,
                                  e64_error *error)
      {
          return meddle(import->wanter, E64_OK);
      }
      static e64_status accept(void *data, e64_runtime *asked,
                               e64_plugin *plugin, e64_error *error)
      {
          return meddle(plugin, E64_OK);
      }
      static e64_status order(void *data, e64_runtime *asked,
                              e64_plugin **plugins, size_t count,
                              e64_error *error)
      {
          return meddle(plugins[0], E64_OK);
      }
      static void event(void *data, e64_runtime *asked, const e64_event *event)
      {
          if (event->plugin)
              meddle(event->plugin, E64_OK);
      }
      int main(int argc, char **argv)
      {
          static const e64_intercept list[] = {
              { .struct_size = sizeof *list, .name = "puts",
                .choose = intercept },
          };
          static e64_rules rules = { .struct_size = sizeof rules,
                                     .intercept = list, .intercept_count = 1 };
          const char *hook = argv[1];
          if (strcmp(hook, "search") == 0)
              options.search = search;
          else if (strcmp(hook, "verify") == 0)
              options.verify = verify;
          else if (strcmp(hook, "scope") == 0)
              options.scope = scope;
          else if (strcmp(hook, "resolve") == 0)
              options.resolve = resolve;
          else if (strcmp(hook, "intercept") == 0)
              options.rules = &rules;
          else if (strcmp(hook, "accept") == 0)
              options.accept = accept;
          else if (strcmp(hook, "order") == 0)
              options.order = order;
          else
              options.event = event;
          begin();
          earlier = open_plugin(argv[4]);
          meddles = argv[2];
          other = argv[4];
          opens(argv[3]);
          printf("mapped: %d\n", mapped("asking.so") + mapped("needed.so"));
          meddles = NULL;
          printf("%s\n", e64_status_name(e64_runtime_free(runtime, NULL)));
          return 0;
      }]]

   local function run (which, what)
      return policy.program(MEDDLER, { which, what, asking.asking,
         group.inner })
   end

   for what, answer in pairs {
      open = "hook", plan = "hook", close = "inuse", start = "hook",
      free = "inuse",
   } do
      local deed = ({ open = "opens a plugin in", plan = "plans an open in",
         close = "closes a plugin in", start = "starts a plugin in",
         free = "frees" })[what]

      for _, hook in ipairs { "search", "verify", "scope", "resolve",
         "intercept", "accept", "order" } do
         it(("gets no %s from %s, and the open fails"):format(what, hook),
            function ()
               local out = run(hook, what)
               assert.truthy(out:find(("told: the %s hook %s the runtime that "
                  .. "waits for its answer: use another runtime, or do it when "
                  .. "the open has returned\n"):format(hook, deed), 1, true), out)
               assert.truthy(out:find(("%s: %s\nopen: hook\nmessage: "):format(
                  what, answer), 1, true), out)
               assert.truthy(out:find(("the %s hook %s the runtime that asks "
                  .. "it"):format(hook, deed), 1, true), out)
               assert.truthy(out:find("mapped: 0\ninner ends\nok\n", 1, true),
                  out)
            end)
      end

      it(("gets no %s from an event, and nothing else happens"):format(what),
         function ()
            local out = run("event", what)
            assert.truthy(out:find(("%s: %s\n"):format(what, answer), 1, true),
               out)
            assert.truthy(out:find("open: ok\n", 1, true), out)
            assert.truthy(out:find("inner ends\n", 1, true), out)
         end)
   end

   it("may say in error->storage why search leaves a name to the loader",
   function ()
      local out = policy.program([[
         static e64_status search(void *data, e64_runtime *asked,
                                  const char *name, e64_plugin *wanter,
                                  e64_source *source, e64_error *error)
         {
             char *end = error->storage + sizeof error->storage - 64;
             (void)data, (void)asked, (void)wanter, (void)source;
             snprintf(end, 64, "no mod is called %s", name);
             error->message = end;
             return E64_NOTFOUND;
         }
         int main(void)
         {
             options.search = search;
             begin();
             opens("libnowhere.so");
         }]])
      assert.is_truthy(out:find("no mod is called libnowhere.so", 1, true), out)
   end)

   it("may open in another runtime", function ()
      local out = policy.program([[
         static e64_runtime *helper;
         static e64_status accept(void *data, e64_runtime *asked,
                                  e64_plugin *plugin, e64_error *error)
         {
             e64_plugin *got = NULL;
             e64_status status = e64_open(helper, data, NULL, &got, error);
             printf("helper: %s\n", e64_status_name(status));
             return status;
         }
         int main(int argc, char **argv)
         {
             e64_runtime_new(NULL, &helper, NULL);
             options.accept = accept;
             options.accept_data = argv[2];
             begin();
             printf("%ld\n", call(opens(argv[1]), "inner"));
             fflush(stdout);
             _exit(0);
         }]], { group.inner, group.outer })
      assert.equal("inner\nouter\nhelper: ok\ninner\nopen: ok\n7\n", out)
   end)
end)
