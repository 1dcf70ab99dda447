// What glibc opens for us: the host family, and nothing else. And how what we
// are bound to is kept from being closed.

#include "host.h"

#include <errno.h>
#include <libintl.h>
#include <string.h>

#include "../error.h"
#include "glibc.h"

static const char *base_of(const char *name)
{
    const char *slash = strrchr(name, '/');
    return slash ? slash + 1 : name;
}

// Is it NAME.so.VERSION? NAME.so alone is for the linker: an ld script, or a
// link to what has the DT_SONAME to go by.
static bool is_library(const char *base, const char *name)
{
    size_t length = strlen(name);
    return strncmp(base, name, length) == 0
        && strncmp(base + length, ".so.", 4) == 0;
}

bool host_is_compiler_family(const char *name)
{
    const char *base = base_of(name);
    return is_library(base, "libgcc_s") || is_library(base, "libstdc++");
}

bool host_is_family(const char *name)
{
    static const char *const family[] = {
        "libc", "libm", "libdl", "libpthread", "librt", "libresolv", "libanl",
        "libutil", "libmvec", "libthread_db", "ld-linux-x86-64",
    };
    const char *base = base_of(name);
    // libnsl.so.2 is no part of glibc any more, and would bring it half a dozen
    // libraries that are none either.
    if (strcmp(base, "libnsl.so.1") == 0)
        return true;
    for (size_t i = 0; i < sizeof family / sizeof *family; i++)
        if (is_library(base, family[i]))
            return true;
    return strncmp(base, "libnss_", 7) == 0 || host_is_compiler_family(name);
}

// What the process has run out of, by what ld.so says, which has an errno of
// its own; 0 for other reasons.
int host_shortage(const char *reason)
{
    static const char *const memory[] = {
        "failed to map segment from shared object",
        "cannot map zero-fill pages",
        "cannot allocate memory for program header",
        "cannot create shared object descriptor",
    };
    static const int numbers[] = { EMFILE, ENFILE, ENOMEM, EIO, EINTR,
                                   EAGAIN };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strstr(reason, strerror(numbers[i])))
            return numbers[i];
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++)
        if (strstr(reason, dgettext("libc", memory[i])))
            return ENOMEM;
    return 0;
}

e64_status host_open(const char *path)
{
    static const char text[] = "%s: belongs to the host, and glibc cannot open "
                               "it: %.*s";
    if (glibc_dlopen(path, RTLD_NOW | RTLD_LOCAL))
        return E64_OK;
    const char *reason = glibc_dlerror();
    if (!reason)
        reason = "no reason given";
    errno = host_shortage(reason);
    // Said once.
    const char *said = strstr(reason, strerror(errno));
    int length = (int)(errno && said && said - reason > 2
                       ? (size_t)(said - reason) - 2 : strlen(reason));
    e64_status status = errno ? fail_system(text, path, length, reason)
                              : fail(E64_NOTFOUND, text, path, length, reason);
    error_path(path);
    return status;
}

e64_status host_reopen(const struct host_module *module, void **handle)
{
    *handle = glibc_dlopen(module->path, RTLD_LAZY | RTLD_NOLOAD);
    const char *reason = *handle ? NULL : glibc_dlerror();
    if (!reason || host_shortage(reason) != ENOMEM)
        return E64_OK;
    errno = ENOMEM;
    return fail_system("%s: cannot be kept open", module->path);
}

e64_status host_keep(struct host_module *module)
{
    if (!module->startup && !module->vdso) {
        void *handle;
        e64_status status = host_reopen(module, &handle);
        if (status != E64_OK)
            return status;
        if (handle) {
            atomic_store(&module->handle, handle);
        } else {
            fail(E64_CHANGED, "%s: the host closed it while something was "
                 "being bound to it", module->path);
            error_path(module->path);
            return E64_CHANGED;
        }
    }
    atomic_fetch_add(&module->count, 1);
    return E64_OK;
}

void host_unkeep(struct host_module *module)
{
    if (!module->startup && !module->vdso)
        glibc_dlclose(atomic_load(&module->handle));
    host_module_release(module);
}

void *host_unique(const struct host_module *module, const char *name)
{
    void *handle = module == NULL || !module->path[0] ? NULL
                 : glibc_dlopen(module->path, RTLD_LAZY | RTLD_NOLOAD);
    if (!handle) {
        glibc_dlerror();
        return NULL;
    }
    void *address = glibc_dlsym(handle, name);
    if (!address)
        glibc_dlerror();
    glibc_dlclose(handle);
    return address;
}
