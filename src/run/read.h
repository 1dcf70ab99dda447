// Makes plugins of files that were found.

#ifndef RUN_READ_H
#define RUN_READ_H

#include "run.h"

// Reads a file, and adds its plugin to those that are new. Takes it over in any
// case.
e64_status read_plugin(struct discovery *discovery, const char *name,
                       e64_plugin *wanter, struct elf_file *file,
                       bool isolated, e64_plugin **made);

// A file of another name may turn out to be one of the host family.
bool read_is_family(const e64_plugin *plugin);
// Refuses that.
e64_status read_refuse_family(const e64_plugin *plugin);

#endif
