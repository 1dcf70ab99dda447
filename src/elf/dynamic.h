// The dynamic section (gABI "Dynamic Section") of an image.

#ifndef ELF_DYNAMIC_H
#define ELF_DYNAMIC_H

#include "image.h"

// Reads it and all the tables that it names. The segments have been read.
// Answers what is wrong, or NULL; memory that ran out is an answer too.
const char *elf_read_dynamic(struct elf_image *image);

#endif
