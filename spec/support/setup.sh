# What spec/run and examples/run share: installing what is missing, building.
# Sourced by a POSIX shell whose working directory is the top of the project.

say() {
    printf '%s\n' "$*"
}

stop() {
    printf '%s\n' "$*" >&2
    exit 1
}

# A package of Debian 12 a line, and by what its absence shows elsewhere: a
# command, a file, or a library that the compiler finds.
build_packages='
gcc            command gcc
make           command make
libc6-dev      file /usr/include/stdio.h
pkg-config     command pkg-config
premake4       command premake4 premake5
liblua5.4-dev  library liblua5.4.a
lua-lpeg-dev   library liblua5.4-lpeg.a
libffi-dev     library libffi_pic.a
libmd-dev      library libmd.a
'
example_packages='
libsqlite3-0   library libsqlite3.so.0
zlib1g         library libz.so.1
'
spec_packages='
g++            command g++
binutils       command readelf
xz-utils       command xz
lua5.4         command lua5.4
lua-lpeg       file /usr/lib/x86_64-linux-gnu/lua/5.4/lpeg.so
lua-cjson      file /usr/lib/x86_64-linux-gnu/lua/5.4/cjson.so
lua-luv        file /usr/lib/x86_64-linux-gnu/lua/5.4/luv.so
lua-zlib       file /usr/lib/x86_64-linux-gnu/lua/5.4/zlib.so
lua-sql-sqlite3 file /usr/lib/x86_64-linux-gnu/lua/5.4/luasql/sqlite3.so
lua-busted     command busted
luarocks       command luarocks
libsqlite3-0   library libsqlite3.so.0
zlib1g         library libz.so.1
libsqlite3-dev library libsqlite3.a
zlib1g-dev     library libz.a
libssl3        library libssl.so.3
libpython3.11  library libpython3.11.so.1.0
libgtk-3-0     library libgtk-3.so.0
libgomp1       library libgomp.so.1
libjemalloc2   library libjemalloc.so.2
libzydis-dev   library libZydis.so
'
full_packages='
lua-check      command luacheck
golang-go      command go
gdb            command gdb
lldb           command lldb
valgrind       command valgrind
linux-perf     command perf
dpkg-dev       command dpkg-source
llvm-14        command llvm-mc-14
libllvm15      library libLLVM-15.so.1
clang          command clang
libclang-rt-14-dev  file /usr/lib/llvm-14/lib/clang/14.0.6/lib/linux/libclang_rt.fuzzer-x86_64.a
libegl1        library libEGL.so.1
libegl-mesa0   library libEGL_mesa.so.0
libgl1-mesa-dri library dri/swrast_dri.so
'

# Whether a probe of the tables above finds its thing.
present() {
    kind=$1
    shift
    for thing in "$@"; do
        case $kind in
        command) command -v "$thing" >/dev/null 2>&1 && return 0 ;;
        file) [ -e "$thing" ] && return 0 ;;
        library)
            # The compiler answers a bare name for what it does not find.
            case $(gcc -print-file-name="$thing" 2>/dev/null) in
            */*) return 0 ;;
            esac
            for folder in /usr/lib/x86_64-linux-gnu /usr/lib64 /usr/lib; do
                [ ! -e "$folder/$thing" ] || return 0
            done ;;
        esac
    done
    return 1
}

debian12() {
    [ -r /etc/os-release ] || return 1
    (. /etc/os-release && [ "${ID:-}" = debian ] && [ "${VERSION_ID:-}" = 12 ])
}

# need TABLE: installs what is missing of it on Debian 12; elsewhere says what
# is missing and stops.
need() {
    names=$(printf '%s' "$1" | while read -r name _; do
        [ -z "$name" ] || printf '%s ' "$name"
    done)
    missing=
    if debian12; then
        # It also fails when there is one that it never heard of.
        have=" $(dpkg-query -W -f='${Package}:${db:Status-Status} ' $names \
            2>/dev/null || :)"
        for name in $names; do
            case $have in
            *" $name:installed "*) ;;
            *) missing="$missing $name" ;;
            esac
        done
        [ -n "$missing" ] || return 0
        if [ "$(id -u)" = 0 ]; then
            as_root=
        elif command -v sudo >/dev/null 2>&1; then
            as_root=sudo
        else
            stop "Missing:$missing
Neither root nor sudo here. As root: apt-get install --no-install-recommends$missing"
        fi
        say "Installing$missing"
        # An update that fails may have left lists that are good enough.
        $as_root apt-get -qq update </dev/null || :
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y \
            --no-install-recommends install $missing </dev/null ||
            stop "Installing$missing failed; see above."
        return 0
    fi
    missing=$(printf '%s' "$1" | while read -r name probe; do
        # shellcheck disable=SC2086 # the probe is words
        [ -z "$name" ] || present $probe || printf '\n    %s' "$name"
    done)
    [ -z "$missing" ] || stop "This is not Debian 12, so nothing is installed. \
Missing, by the names that Debian gives them:$missing"
}

# build CONFIG: makefiles and everything that they build. PREMAKE chooses the
# generator. Nothing is compiled whose input is unchanged.
build() {
    premake=${PREMAKE:-$(command -v premake4 || command -v premake5)}
    mkdir -p build
    "$premake" --file=premake5.lua gmake >build/premake.log 2>&1 || {
        cat build/premake.log >&2
        stop "$premake could not make the makefiles."
    }
    say "Building $1"
    make --no-print-directory -j"$(nproc)" -C build config="$1" ||
        stop "The build of $1 failed."
}
