#!/bin/sh
# Installs a copy of elf64load, builds the engine from that, its mods, and a pack
# of them, under build/examples/engine.
set -e
here=$(dirname "$0")
out=$PWD/build/examples/engine
premake=$(command -v premake4 || command -v premake5)
mkdir -p "$out/mods"

make -s -C build config=release >"$out/make.log"
"$premake" --file=premake5.lua --prefix="$out/copy" install >"$out/install.log"

PKG_CONFIG_PATH=$out/copy/lib/pkgconfig
export PKG_CONFIG_PATH
cc -O2 -Wall -Wextra -o "$out/engine" "$here/engine.c" \
   $(pkg-config --cflags --libs elf64load-lua lua5.4) \
   -l:liblua5.4-lpeg.a -Wl,--export-dynamic-symbol='engine_*'

mod ()
{
   name=$1
   shift
   cc -O2 -fPIC -shared -o "$out/mods/$name.so" -Wl,-soname,"$name.so" \
      "$here/mods/$name.c" "$@"
}
mod ranks
mod score "-L$out/mods" -l:ranks.so
mod weather
mod cheat
mod relic

"$out/copy/bin/elf64load" "$here/pack.lua" "$out/mods.pack" "$here/boot.lua" \
   "$out"/mods/*.so
