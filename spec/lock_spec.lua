--- What builds with assertions check of locks.

local child = require "spec.support.child"
local threads = require "spec.support.threads"

local checked = os.getenv "ELF64LOAD_CONFIG" ~= "release"

-- An allocator is called under locks, and this one asks what lies at an address
-- of the host, which glibc's loader must say.
local DRIVER = [[
static int asking, asked;
static void *resize(void *data, void *block, size_t size)
{
    if (asking && !asked) {
        e64_place place;
        asked = 1;
        e64_whence(stdout, &place, NULL);
    }
    if (size)
        return realloc(block, size);
    free(block);
    return data;
}
static const e64_allocator allocator = { sizeof allocator, resize, NULL };
static int none(void *data, e64_plugin *plugin)
{
    return data || !plugin;
}
int main(void)
{
    e64_plugin *host;
    if (e64_set_allocator(&allocator, NULL) != E64_OK
        || e64_runtime_new(NULL, &runtime, NULL) != E64_OK
        || e64_host(runtime, &host, NULL) != E64_OK)
        return 2;
    asking = 1;
    e64_plugins(runtime, none, NULL); // copies its list under its lock
    puts(asked ? "asked" : "was not called");
}
]]

describe("A call of glibc's loader under a lock of ours", function ()
   it("ends a build with assertions, and says what it is", function ()
      local result = child.run { threads.build(DRIVER) }
      if checked then
         assert.equal(6, result.signal) -- SIGABRT
         assert.matches("under a lock of elf64load", result.err, 1, true)
      else
         assert.equal("asked\n", result.out)
      end
   end)
end)
