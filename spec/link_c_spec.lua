--- Objects linked, and replaced, from C programs without Lua.

local cc = require "elf64load.cc"
local policy = require "spec.support.policy"

local one = assert(cc.object
   "long two(void); long one(void) { return 1 + two(); }")
local two = assert(cc.object "long two(void) { return 20; }")
local other = assert(cc.object "long two(void) { return 30; }")

describe("Objects", function ()
   it("are linked and replaced", function ()
      local out = policy.program([[
         static e64_source path(const char *name)
         {
             return (e64_source){ .struct_size = sizeof(e64_source),
                                  .path = name };
         }
         int main(int argc, char **argv)
         {
             e64_source list[2] = { path(argv[1]), path(argv[2]) };
             e64_source other = path(argv[3]);
             e64_open_options how = { .struct_size = sizeof how, .hold = 1,
                                      .name = "game" };
             e64_plugin *plugin, *second;
             begin();
             printf("%d\n", e64_link(runtime, list, 2, &how, &plugin, &error));
             e64_plugin *before = plugin;
             printf("%s\n", e64_status_name(e64_replace(&plugin, argv[1],
                                                        &other, &error)));
             printf("same: %d, %s\n", plugin == before, path_of(plugin));
             printf("%s\n", e64_status_name(e64_replace(&plugin, "none.o",
                                                        &other, &error)));
             printf("%d\n", e64_replace(&plugin, argv[2], &other, &error));
             printf("same: %d, %s\n", plugin == before, path_of(plugin));
             e64_retain(plugin);
             printf("%s\n", e64_status_name(e64_replace(&plugin, argv[3],
                                                        &list[1], &error)));
             e64_close(plugin, NULL);
             printf("%d\n", e64_start(plugin, &error));
             printf("%ld\n", call(plugin, "one"));
             printf("%s\n", e64_status_name(e64_replace(&plugin, argv[3],
                                                        &list[1], &error)));
             printf("%d\n", e64_link(runtime, list, 2, NULL, &second, &error));
             printf("%s\n", path_of(second));
             printf("%ld\n", call(second, "one"));
             printf("%s\n", e64_status_name(e64_link(runtime, list, 0, NULL,
                                                     &second, &error)));
             printf("%d %d\n", e64_close(plugin, &error), second == NULL);
             printf("%d\n", e64_runtime_free(runtime, &error));
         }]], { one, two, other })
      assert.equal(([[
0
duplicate
same: 1, game
notfound
0
same: 0, game
inuse
0
31
inuse
0
ONE
21
invalid
0 1
0
]]):gsub("ONE", (one:match "[^/]*$")), out)
   end)
end)
