// Plugins made of what a compiler has just written: object files and archives,
// linked in the process. Part of elf64load.h, which includes it.
//
// Wherever a file is opened that turns out to be an object (ET_REL), it is
// linked first: e64_open (runtime, "./a.o", ...) is the simple case.

#ifndef ELF64LOAD_OBJECT_H
#define ELF64LOAD_OBJECT_H

#ifndef ELF64LOAD_H
#error "include elf64load.h"
#endif

// Makes one plugin of object files and archives, by the static linker's rules,
// and opens it. What the objects define binds to itself; what none of them
// defines they import, as a shared object does. Of archives the members that
// something needs are taken, or all when there are archives only. A path is
// taken as it stands, as on a linker's command line.
//
// Its name is `name` of the options, else that of the first source. It is a new
// plugin each time. E64_DUPLICATE when two objects define the same.
E64_API e64_status e64_link(e64_runtime *runtime, const e64_source *sources,
                            size_t count, const e64_open_options *options,
                            e64_plugin **plugin, e64_error *error);

// Links a plugin again that is made of objects and was opened with `hold`, with
// another file in the place of the one that is called `name`: by its name or,
// if only one has it, the last part of its path. Then *plugin is the new one,
// with the options of the old one, whose handle ends: what was looked up in it
// is void. E64_INUSE when it has been started, or somebody else has a handle of
// it or is bound to it. On failure all is as it was.
E64_API e64_status e64_replace(e64_plugin **plugin, const char *name,
                               const e64_source *source, e64_error *error);

#endif
