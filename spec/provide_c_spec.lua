-- What stands for a library by the policy, driven from C programs.

local cc = require "elf64load.cc"
local fixtures = require "spec.support.fixtures"
local policy = require "spec.support.policy"

local real = assert(cc.shared("long given(long x) { return -x; }",
   "-Wl,-soname,libgiven.so.1"))
local other = assert(cc.shared("long given(long x) { return 1000 * x; }",
   "-Wl,-soname,libother.so"))
local user = assert(cc.shared([[
   extern long given(long);
   long calls(void) { return given(1); }]], "-Wl,--no-as-needed " .. real))
local versions = fixtures.text("ONE { global: given; };", ".map")
local versioned = assert(cc.shared("long given(long x) { return -x; }",
   "-Wl,--version-script=" .. versions .. " -Wl,-soname,libversioned.so.1"))
local wants = assert(cc.shared([[
   extern long given(long);
   long calls(void) { return given(1); }]], "-Wl,--no-as-needed " .. versioned))
local opener = assert(cc.shared [[
   #include <dlfcn.h>
   long calls(void)
   {
       void *handle = dlopen("libgiven.so.1", RTLD_NOW);
       long (*given)(long) = handle ? dlsym(handle, "given") : 0;
       return given ? given(1) : -77;
   }]])

local HEAD = [[
   #include <fcntl.h>
   static long given(long x) { return 10 * x; }
   static void providing(e64_provide provide)
   {
       static e64_rules rules = { .struct_size = sizeof rules };
       static e64_provide one;
       provide.struct_size = sizeof provide;
       one = provide;
       rules.provide = &one;
       rules.provide_count = 1;
       options.rules = &rules;
       begin();
   }
   static int table(void *data, e64_plugin *plugin)
   {
       e64_plugin_info info;
       e64_plugin_describe(plugin, &info);
       printf("%s, %s\n", base(info.name), base(info.path));
       return 0;
   }
   static const e64_definition definitions[] = {
       { sizeof *definitions, "given", NULL, given, 0, E64_KIND_FUNCTION },
       { sizeof *definitions, "more", NULL, &error, sizeof error,
         E64_KIND_OBJECT },
   };
   static const e64_provide TABLE = { .name = "libgiven.so.1",
       .kind = E64_PROVIDE_TABLE, .definitions = definitions,
       .definition_count = 2 };
]]

local function run (body, ...)
   return (policy.program(HEAD .. "int main(int argc, char **argv)\n{\n" .. body
      .. "\ne64_runtime_free(runtime, NULL);\n}", { ... }))
end

describe("What is provided", function ()
   it("may be a table of definitions, and nothing else is looked for",
      function ()
         assert.equal("open: ok\n10\nopen: ok\n10\n" .. user:match "[^/]*$"
            .. ", " .. user:match "[^/]*$"
            .. "\nlibgiven.so.1, libgiven.so.1\nmore: 1\nundefined\nleft 0\n",
            run([[
               providing(TABLE);
               e64_plugin *plugin = opens(argv[1]), *stand;
               e64_symbol symbol;
               printf("%ld\n", call(plugin, "calls"));
               stand = opens("libgiven.so.1");
               printf("%ld\n", ((long (*)(long))e64_entry(stand, "given"))(1));
               e64_plugins(runtime, table, NULL);
               e64_lookup(stand, "more", NULL, &symbol, NULL);
               printf("more: %d\n", symbol.address == &error
                      && symbol.size == sizeof error && symbol.plugin == stand);
               puts(e64_status_name(e64_lookup(stand, "less", NULL, &symbol,
                                               NULL)));
               e64_close(stand, NULL);
               e64_close(plugin, NULL);
               int left = 0;
               printf("left %d\n", e64_plugins(runtime, (int (*)(void *,
                      e64_plugin *))puts, &left));]], user))
      end)

   it("may be that in a version that is wanted, or in none", function ()
      for _, version in ipairs { '"ONE"', "NULL" } do
         assert.equal("open: ok\n10\n", run(([[
            const e64_definition one = { sizeof one, "given", %s, given };
            providing((e64_provide){ .name = "libversioned.so.1",
                .kind = E64_PROVIDE_TABLE, .definitions = &one,
                .definition_count = 1 });
            printf("%%ld\n", call(opens(argv[1]), "calls"));]]):format(version),
            wants))
      end
      local out = run([[
         const e64_definition one = { sizeof one, "given", "TWO", given };
         providing((e64_provide){ .name = "libversioned.so.1",
             .kind = E64_PROVIDE_TABLE, .definitions = &one,
             .definition_count = 1 });
         opens(argv[1]);]], wants)
      assert.truthy(out:find("open: version\n", 1, true), out)
   end)

   it("may be a path, which is then open by its own names", function ()
      assert.equal("open: ok\n1000\nopen: ok\nthe same: 1\n", run([[
         providing((e64_provide){ .name = "libgiven.so.1",
             .kind = E64_PROVIDE_PATH, .path = argv[2] });
         printf("%ld\n", call(opens(argv[1]), "calls"));
         e64_plugin *plugin = opens(argv[2]), *again;
         e64_open_options noload = { .struct_size = sizeof noload, .noload = 1 };
         e64_open(runtime, "libgiven.so.1", &noload, &again, NULL);
         printf("the same: %d\n", plugin == again);]], user, other))
   end)

   it("is named as such when it cannot be had", function ()
      local out = run([[
         providing((e64_provide){ .name = "libgiven.so.1",
             .kind = E64_PROVIDE_PATH, .path = "./nope.so" });
         opens(argv[1]);
         opens("libgiven.so.1");
         e64_source source = { .struct_size = sizeof source,
                               .path = "./nope.so" };
         providing((e64_provide){ .name = "libgiven.so.1",
             .kind = E64_PROVIDE_SOURCE, .source = &source });
         opens(argv[1]);
         opens("libgiven.so.1");]], user)
      local told = "; it is what `provide` of the policy has for 'libgiven.so.1'"
      local needs = ", which " .. user .. " needs"
      local lines = {}
      for line in out:gmatch "message: (.-)\n" do lines[#lines + 1] = line end
      assert.same({
         "./nope.so: no such file, needed by " .. user .. told,
         "./nope.so: no such file" .. told,
         "./nope.so: no such file" .. told .. needs,
         "./nope.so: no such file" .. told,
      }, lines)
   end)

   it("may be a source, which is read once", function ()
      assert.equal("open: ok\n1000\nopen: ok\nopen: ok\n0 1\n", run([[
         static char bytes[65536];
         e64_source source = { .struct_size = sizeof source,
                               .kind = E64_SOURCE_BYTES, .bytes = bytes };
         int file = open(argv[2], O_RDONLY);
         source.size = read(file, bytes, sizeof bytes);
         providing((e64_provide){ .name = "libgiven.so.1",
             .kind = E64_PROVIDE_SOURCE, .source = &source });
         printf("%ld\n", call(opens(argv[1]), "calls"));
         e64_plugin *one = opens("libgiven.so.1"), *two = opens("libgiven.so.1");
         e64_open_options copy = { .struct_size = sizeof copy, .private_ = 1 };
         e64_plugin *three;
         e64_open(runtime, "libgiven.so.1", &copy, &three, NULL);
         printf("%d %d\n", one != two, one != three && three);]], user, other))
   end)

   it("may be the host's, opened by glibc and searched by ours", function ()
      assert.equal("open: ok\n1 1\nopen: notfound\n", (run([[
         providing((e64_provide){ .name = "libz.so.1",
                                  .kind = E64_PROVIDE_HOST });
         e64_plugin *plugin = opens("libz.so.1");
         e64_plugin_info info;
         e64_plugin_describe(plugin, &info);
         printf("%d %d\n", info.state == E64_STATE_HOST,
                e64_address(plugin, "crc32") != NULL);
         providing((e64_provide){ .name = "libnowhere.so.1",
                                  .kind = E64_PROVIDE_HOST });
         opens("libnowhere.so.1");]]):gsub("message: [^\n]*\n", "")))
   end)

   it("is what a plugin's dlopen gets", function ()
      assert.equal("open: ok\n10\n", run([[
         providing(TABLE);
         printf("%ld\n", call(opens(argv[1]), "calls"));]], opener))
   end)

   it("is for those plugins that an override names", function ()
      -- The search answers with the real one for all others.
      assert.equal("open: ok\n10\nopen: ok\n-1\n", run([[
         static char copy[] = "/tmp/provided-XXXXXX";
         char bytes[65536];
         int from = open(argv[1], O_RDONLY), to = mkstemp(copy);
         write(to, bytes, read(from, bytes, sizeof bytes));
         const e64_rules rules = { .struct_size = sizeof rules,
                                   .provide = &TABLE, .provide_count = 1 };
         e64_provide provide = TABLE;
         provide.struct_size = sizeof provide;
         ((e64_rules *)&rules)->provide = &provide;
         const e64_override override = { sizeof override, "provided-*", &rules };
         options.overrides = &override;
         options.override_count = 1;
         options.path = argv[2];
         begin();
         printf("%ld\n", call(opens(copy), "calls"));
         printf("%ld\n", call(opens(argv[1]), "calls"));
         unlink(copy);]], user, (function ()
            -- A folder where the real one lies under its name.
            local folder = real:gsub("%.so$", "")
            os.execute(("mkdir -p %s; cp %s %s/libgiven.so.1"):format(folder,
               real, folder))
            return folder .. "/?"
         end)()))
   end)

   it("is verified as a source, but not as a table", function ()
      local body = [[
         options.verify = verify;
         providing(%s);
         opens("libgiven.so.1");]]
      local head = [[
         static e64_status verify(void *data, e64_runtime *asked,
                                  const e64_image *image, e64_error *error)
         {
             printf("verify %s\n", base(image->path));
             return E64_DENIED;
         }]]
      local function program (provide, ...)
         return policy.program(HEAD .. head .. "int main(int argc, "
            .. "char **argv)\n{\n" .. body:format(provide) .. "\n}", { ... })
      end
      assert.equal("open: ok\n", program "TABLE")
      assert.truthy(program("((e64_provide){ .name = \"libgiven.so.1\", "
         .. ".kind = E64_PROVIDE_SOURCE, .source = &(e64_source){ "
         .. ".struct_size = sizeof(e64_source), .path = argv[1] } })", other)
         :find("verify " .. other:match "[^/]*$" .. "\nopen: denied\n", 1, true))
   end)

   it("is checked when a runtime is made", function ()
      local function fails (provide)
         return policy.program(HEAD .. "int main(void)\n{\nproviding("
            .. "((e64_provide){ " .. provide .. " }));\n}")
      end
      assert.equal("no runtime: invalid: e64_runtime_new: nothing is given to "
         .. "stand for 'a': its source is NULL\n",
         fails '.name = "a", .kind = E64_PROVIDE_SOURCE')
      assert.equal("no runtime: invalid: e64_runtime_new: nothing is given to "
         .. "stand for 'a': its path is NULL\n",
         fails '.name = "a", .kind = E64_PROVIDE_PATH')
      assert.equal("no runtime: invalid: e64_runtime_new: what is provided with "
         .. "index 0 has no name, by which it is asked for\n",
         fails '.kind = E64_PROVIDE_HOST')
      assert.equal("no runtime: invalid: e64_runtime_new: 'a' is provided in a "
         .. "way that there is not (kind 9)\n", fails '.name = "a", .kind = 9')
      assert.equal("no runtime: invalid: e64_runtime_new: what stands for 'a' "
         .. "cannot define 'b' like that: each needs a name and an address, is "
         .. "a function or an object, and has no cell\n", fails [[.name = "a",
            .kind = E64_PROVIDE_TABLE, .definition_count = 1, .definitions =
            &(e64_definition){ sizeof(e64_definition), "b" }]])
   end)

   it("is opened once by threads that ask at the same time #threads",
      function ()
         assert.equal("1 0\n", policy.program(HEAD .. "\n" .. [[
            #include <pthread.h>
            static int count(void *data, e64_plugin *plugin)
            {
                *(int *)data += strcmp(path_of(plugin), "libgiven.so.1") == 0;
                return 0;
            }
            static pthread_barrier_t barrier;
            static void *ask(void *path)
            {
                e64_plugin *plugin;
                pthread_barrier_wait(&barrier);
                return (void *)(long)e64_open(runtime, "libgiven.so.1", NULL,
                                              &plugin, NULL);
            }
            int main(int argc, char **argv)
            {
                pthread_t threads[4];
                int most = 0, failed = 0;
                pthread_barrier_init(&barrier, NULL, 4);
                for (int round = 0; round < 50; round++) {
                    int found = 0;
                    providing(TABLE);
                    for (int i = 0; i < 4; i++)
                        pthread_create(&threads[i], NULL, ask, NULL);
                    for (int i = 0; i < 4; i++) {
                        void *status;
                        pthread_join(threads[i], &status);
                        failed += status != NULL;
                    }
                    e64_plugins(runtime, count, &found);
                    most = found > most ? found : most;
                    e64_runtime_free(runtime, NULL);
                }
                printf("%d %d\n", most, failed);
            }]]))
      end)
end)
