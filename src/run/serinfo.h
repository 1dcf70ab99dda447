// The folders in which a plugin's dlopen looks, in glibc's form.

#ifndef RUN_SERINFO_H
#define RUN_SERINFO_H

#include <dlfcn.h>

#include "run.h"

// RTLD_DI_SERINFOSIZE (`count_only`) and RTLD_DI_SERINFO of dlinfo: the latter
// fills what the former has measured. E64_NOMEMORY; E64_INVALID when `info` was
// not measured, or for another plugin.
e64_status serinfo_fill(const e64_plugin *plugin, Dl_serinfo *info,
                        bool count_only);

#endif
