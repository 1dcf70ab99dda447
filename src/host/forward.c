// glibc's own functions for those that plugins get from us.

#include "forward.h"

#include <execinfo.h>
#include <stddef.h>

#define PLACED(member, place) \
    _Static_assert(offsetof(struct host_forward, member) == (place), #member)

PLACED(dlopen, FORWARD_DLOPEN);
PLACED(dlmopen, FORWARD_DLMOPEN);
PLACED(dlclose, FORWARD_DLCLOSE);
PLACED(dlsym, FORWARD_DLSYM);
PLACED(dlvsym, FORWARD_DLVSYM);
PLACED(dlerror, FORWARD_DLERROR);
PLACED(dladdr, FORWARD_DLADDR);
PLACED(dladdr1, FORWARD_DLADDR1);
PLACED(dlinfo, FORWARD_DLINFO);
PLACED(backtrace_symbols, FORWARD_BACKTRACE_SYMBOLS);
PLACED(backtrace_symbols_fd, FORWARD_BACKTRACE_SYMBOLS_FD);

const struct host_forward host_forward = {
    .dlopen = dlopen,
    .dlmopen = dlmopen,
    .dlclose = dlclose,
    .dlsym = dlsym,
    .dlvsym = dlvsym,
    .dlerror = dlerror,
    .dladdr = dladdr,
    .dladdr1 = dladdr1,
    .dlinfo = dlinfo,
    .backtrace_symbols = backtrace_symbols,
    .backtrace_symbols_fd = backtrace_symbols_fd,
};
