// Which limit of the process or the system has been reached, in words.

#ifndef E64_LIMIT_H
#define E64_LIMIT_H

#include <stdbool.h>
#include <stddef.h>

// For the errno of a system call that failed: the limit that it stands for, as
// it is, and what to do, in parentheses after a blank; or an empty text. Makes
// system calls only, and leaves errno as it was.
void limit_explain(int number, char *text, size_t size);

// The same for a thread that could not be created (EAGAIN).
void limit_explain_threads(char *text, size_t size);

// Does an errno say that something ran out or went wrong just now, and nothing
// of the file, which may be there all the same?
bool limit_is_passing(int number);

#endif
