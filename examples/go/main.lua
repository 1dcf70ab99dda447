-- Opens a Go plugin in a program that is not Go, sets its variable and calls its
-- function.

local elf = require "elf64load"

local folder = arg[0]:gsub("[^/]*$", "")
local build = "build/examples"

if not os.execute "command -v go >/dev/null" then
   io.stderr:write([[
This example needs the Go toolchain: there is no command 'go'. Install it, on
Debian by

    apt-get install --no-install-recommends golang-go
]])
   os.exit(1)
end

local function compile (source, object)
   local command = ("mkdir -p %s && { [ %s -nt %s ] || go build "
      .. "-buildmode=plugin -o %s %s; }"):format(build, object, source, object,
      source)
   assert(os.execute(command), "the plugin could not be compiled")
   return object
end

local plugin = assert(elf.open(compile(folder .. "plugin.go",
   "./" .. build .. "/go-plugin.so")))
local C = plugin:cdef [[ extern int V; void F(void); ]]
C.V = 7
C.F()
