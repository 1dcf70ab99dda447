// The pool of a program that does not define one of its own: then this member
// of the archive is not linked.

#include "../elf64load.h"

E64_TLS_POOL(4096)
