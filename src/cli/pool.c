// The pool of the command: scripts open whatever there is, and the command's
// own threads are few.

#include "elf64load.h"

E64_TLS_POOL(65536)
