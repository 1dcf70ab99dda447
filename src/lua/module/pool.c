// The pool of the module that lua5.4 opens by dlopen. glibc has 1,664 bytes for
// all that is opened late, and others need some of it.

#include "elf64load.h"

E64_TLS_POOL(1024)
