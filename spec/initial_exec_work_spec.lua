-- Libraries of others whose thread-local storage lies at fixed offsets, and which
-- other loaders than glibc's refuse: they do real work, in hosts of each kind.

local assert = require "spec.support.assert"
local campaign = require "spec.support.campaign"
local child = require "spec.support.child"
local elfedit = require "spec.support.elfedit"
local threads = require "spec.support.threads"
local working = require "spec.conformance.working"

-- Under lua5.4 the loader is a library that glibc has opened late.
local LATE <const> = child.host:find("lua5.4", 1, true) ~= nil

local function job (name)
   return ("spec/conformance/jobs/%s.lua"):format(name)
end

-- Runs one of the jobs in this host; `env` goes to its process.
local function work (name, env)
   local task = { name = name, path = assert(campaign.locate(name)),
      job = job(name) }
   return working.run(task, function (arguments, limits)
      for variable, value in pairs(env or {}) do limits.env[variable] = value end
      return child.lua([[assert(loadfile "spec/conformance/job.lua")(...)]],
         arguments, limits)
   end, false)
end

-- A C program that the loader is linked into does what a job's C++ does.
local function linked (name, flags)
   return threads.program([[
      int main(int argc, char **argv)
      {
          static char said[4096];
          e64_plugin *plugin = open_plugin(argv[1]);
          int (*work)(const char *, char *, size_t)
              = (int (*)(const char *, char *, size_t))e64_entry(plugin, "work");
          int code = work("", said, sizeof said);
          printf("%s\n", said);
          return code;
      }
   ]], { working.compile(job(name), flags) },
      { env = { LIBGL_ALWAYS_SOFTWARE = "1", MESA_SHADER_CACHE_DISABLE = "1" } })
end

-- Not under sanitizers: theirs of __cxa_throw wants libstdc++ to be there when the
-- process starts.
describe("Storage at fixed offsets is no obstacle to #build", function ()
   it("libgomp", function ()
      local result = work "libgomp"
      assert.is_true(result.ok, result.text)
   end)

   it("libgomp in a C program", function ()
      assert.matches("^teams of ", linked("libgomp", "-fopenmp"))
   end)

   it("libjemalloc in a C program, whose pool is large enough", function ()
      assert.matches("^2,300 blocks ", linked("libjemalloc", "-pthread"))
   end)

   it(LATE and "libjemalloc, once the remedy that the error names is applied"
      or "libjemalloc", function ()
      local result = work "libjemalloc"
      if LATE then
         local text = result.text
         assert.is_false(result.ok)
         local need = elfedit.read(assert(campaign.locate "libjemalloc"))
            :segment "PT_TLS".p_memsz
         for _, words in ipairs { ("needs %d bytes"):format(need),
            "of the pool's 1024 bytes are left", "use the command elf64load" } do
            assert.truthy(text:find(words, 1, true), text)
         end
         local name, value = text:match "start the program with (%w+_%w+)=(%S+),"
         result = work("libjemalloc", { [name] = value })
      end
      assert.is_true(result.ok, result.text)
   end)

   it("Mesa's software driver #full", function ()
      local result = work "libEGL_mesa"
      assert.is_true(result.ok, result.text)
   end)

   it("Mesa's software driver in a C program #full", function ()
      assert.matches("^eight triangles ", linked("libEGL_mesa", "-l:libEGL.so.1"))
   end)
end)
