// backtrace_symbols and backtrace_symbols_fd, as plugins see them: glibc's form
// of a line, with plugins' frames named. glibc's two differ in form: one writes
// "FILE(SYMBOL+0) [0xADDRESS]", the other "FILE(SYMBOL+0x0)[0xADDRESS]".

#include "dl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Writes a frame's line and answers its length, as snprintf does.
static int print(char *line, size_t room, const void *frame, bool to_file,
                 e64_plugin *caller)
{
    Dl_info info;
    struct link_map *map = NULL;
    if (!dl_addr1(frame, &info, (void **)&map, RTLD_DL_LINKMAP, caller)
        || !info.dli_fname || !*info.dli_fname)
        return snprintf(line, room, "[%p]", frame);
    // Without a symbol the offset is that in the file.
    uintptr_t from = info.dli_sname ? (uintptr_t)info.dli_saddr : map->l_addr;
    const char *name = info.dli_sname ? info.dli_sname : "";
    uintptr_t at = (uintptr_t)frame;
    unsigned long offset = at >= from ? at - from : from - at;
    if (!from)
        return snprintf(line, room, to_file ? "%s[%p]" : "%s() [%p]",
                        info.dli_fname, frame);
    return snprintf(line, room, to_file ? "%s(%s%c0x%lx)[%p]"
                                        : "%s(%s%c%#lx) [%p]", info.dli_fname,
                    name, at >= from ? '+' : '-', offset, frame);
}

char **dl_backtrace_symbols(void *const *frames, int count,
                            e64_plugin *caller)
{
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += sizeof(char *) + (size_t)print(NULL, 0, frames[i], false,
                                                 caller) + 1;
    // One block, which the caller frees, from the malloc that it has.
    char **lines = malloc(size ? size : 1);
    char *end = lines ? (char *)lines + size : NULL;
    char *at = (char *)(lines + count);
    for (int i = 0; lines && i < count; i++) {
        // What lies there may have changed since it was measured.
        size_t room = (size_t)(end - at);
        int length = room ? print(at, room, frames[i], false, caller) : 0;
        lines[i] = room ? at : "";
        at += (size_t)length < room ? (size_t)length + 1 : room;
    }
    return lines;
}

void dl_backtrace_symbols_fd(void *const *frames, int count, int fd,
                             e64_plugin *caller)
{
    // No malloc: this is for handlers of signals.
    char line[4096];
    for (int i = 0; i < count; i++) {
        size_t length = (size_t)print(line, sizeof line - 1, frames[i], true,
                                      caller);
        if (length > sizeof line - 2)
            length = sizeof line - 2;
        line[length] = '\n';
        if (write(fd, line, length + 1) < 0)
            return;
    }
}
