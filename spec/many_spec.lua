--- Many plugins in one process: found among each other, and gone without a trace.

local many = require "spec.bench.many"
local elf = require "elf64load"
local lfs = require "lfs"
local threads = require "spec.support.threads"

local COUNT <const> = 300

-- Opens all, closes all, in one order and in the other, and says what is there
-- then and was not before.
local PROGRAM <const> = [[
#include <dirent.h>
#include <limits.h>
#include <malloc.h>

static long blocks, bytes;

static void *count(void *data, void *block, size_t size)
{
    if (block) {
        blocks--;
        bytes -= malloc_usable_size(block);
    }
    void *result = NULL;
    if (size)
        result = realloc(block, size);
    else
        free(block);
    if (result) {
        blocks++;
        bytes += malloc_usable_size(result);
    }
    return result;
}

struct state { long mappings, descriptors, blocks, bytes; };

static struct state look(void)
{
    static char buffer[1 << 16];
    struct state state = { 0, 0, blocks, bytes };
    FILE *maps = fopen("/proc/self/maps", "re");
    setvbuf(maps, buffer, _IOFBF, sizeof buffer);
    // Of files: how malloc's own change is not of interest.
    char line[PATH_MAX + 200];
    while (fgets(line, sizeof line, maps))
        state.mappings += strchr(line, '/') != NULL;
    fclose(maps);
    DIR *directory = opendir("/proc/self/fd");
    while (readdir(directory))
        state.descriptors++;
    closedir(directory);
    return state;
}

static e64_plugin *open_number(const char *folder, int number)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%d.so", folder, number);
    return open_plugin(path);
}

int main(int argc, char **argv)
{
    e64_allocator allocator = { sizeof allocator, count };
    e64_set_allocator(&allocator, NULL);
    int plugins = atoi(argv[2]);
    e64_plugin **opened = calloc(plugins, sizeof *opened);
    e64_close(open_number(argv[1], 0), NULL);
    look();
    struct state before = look(), there;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < plugins; i++)
            opened[i] = open_number(argv[1], i);
        there = look();
        for (int i = 0; i < plugins; i++)
            e64_close(opened[round ? plugins - 1 - i : i], NULL);
    }
    struct state after = look();
    printf("%d more mappings, then %ld; %d more blocks, then %ld; "
           "%ld bytes, %ld descriptors\n",
           there.mappings >= before.mappings + 4 * plugins,
           after.mappings - before.mappings,
           there.blocks >= before.blocks + plugins,
           after.blocks - before.blocks, after.bytes - before.bytes,
           after.descriptors - before.descriptors);
    free(opened);
    return 0;
}
]]

-- A thread-local variable that is used.
local LOCAL <const> = [[
static __thread long times = 1;
__attribute__((constructor)) static void use(void) { state += ++times; }
]]

describe("Of many plugins", function ()
   local folder

   lazy_setup(function () folder = many.plugins(COUNT) end)
   lazy_teardown(function () os.execute("rm -r " .. folder) end)

   local function path (number)
      return ("%s/%d.so"):format(folder, number)
   end

   local function leave_nothing (where)
      assert.equal("1 more mappings, then 0; 1 more blocks, then 0; 0 bytes, "
         .. "0 descriptors\n",
         threads.program(PROGRAM, { where, tostring(COUNT) },
            { flags = "-include string.h" }))
   end

   it("nothing is left when they are closed", function ()
      leave_nothing(folder)
   end)

   it("nothing is left of their thread-local variables either", function ()
      local other = many.plugins(COUNT, LOCAL)
      local ok, why = pcall(leave_nothing, other)
      os.execute("rm -r " .. other)
      assert(ok, why)
   end)

   it("each is found by its names, its file and its addresses, and no more when "
      .. "it is closed", function ()
         local runtime <close> = elf.runtime {}
         local opened = {}
         for i = 0, COUNT - 1 do
            opened[i] = assert(runtime:open(path(i)))
         end
         for i = 0, COUNT - 1, 3 do
            local other = ("%s/./%d.so"):format(folder, i)
            local same <close> = assert(runtime:open(path(i)))
            assert.equal(opened[i], same)
            local by_file <close> = assert(runtime:open(other))
            assert.equal(opened[i], by_file)
            -- By that name, too, from now on.
            local by_name <close> = assert(runtime:open(other,
               { noload = true }))
            assert.equal(opened[i], by_name)
            assert.equal(path(i), elf.whence(opened[i]:lookup "number").path)
         end
         for i = 0, COUNT - 1 do
            if i % 2 == 0 then opened[i]:close() end
         end
         for i = 0, COUNT - 1 do
            local found <close> = runtime:open(path(i), { noload = true })
            if i % 2 == 0 then
               assert.is_nil(found, path(i))
            else
               assert.equal(opened[i], found)
               assert.equal(path(i), elf.whence(found:lookup "number").path)
            end
         end
         -- The number of the file may be another's by now.
         assert(os.remove(path(0)))
         assert(os.rename(path(1), path(0)))
         local again = assert(runtime:open(path(0)))
         assert.equal(opened[1], again)
         assert.is_nil(lfs.attributes(path(1)))
      end)

   it("the first counts where several have a name", function ()
      local runtime <close> = elf.runtime {}
      local bytes = assert(io.open(path(2), "rb")):read "a"
      local first = assert(runtime:load(bytes, "same"))
      local others = {}
      for i = 1, 40 do
         others[i] = assert(runtime:load(bytes, "same"))
      end
      local found = assert(runtime:open("same", { noload = true }))
      assert.equal(first, found)
      found:close()
      first:close()
      assert.equal(others[1], assert(runtime:open("same", { noload = true })))
   end)
end)
