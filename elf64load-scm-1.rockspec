rockspec_format = "3.0"
package = "elf64load"
version = "scm-1"

-- The tree that this file lies in: luarocks --lua-version 5.4 make
source = { url = "." }

description = {
   summary = "A dynamic linker that a program carries inside itself",
   detailed = [[
      Opens ELF64 plugins on x86-64 Linux beside glibc's own loader, and leaves
      the decisions to Lua. Needs gcc, make, premake 4.3 or 5, and libffi.
   ]],
   license = "MIT",
}

supported_platforms = { "linux" }
dependencies = { "lua ~> 5.4", "lpeg >= 1.0" }

build = {
   type = "command",
   build_command = [[
      premake=`command -v premake4 || command -v premake5` &&
      "$premake" --file=premake5.lua --lua-include="$(LUA_INCDIR)" \
         --module-only gmake &&
      make -C build config=release]],
   install_command = [[
      premake=`command -v premake4 || command -v premake5` &&
      "$premake" --file=premake5.lua --luadir="$(LUADIR)" \
         --libdir="$(LIBDIR)" install]],
}
