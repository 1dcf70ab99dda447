// A library that asks for thread-local storage as every library does: by the
// `__tls_get_addr` that its loader binds it to (psABI, ELF TLS, "general
// dynamic").

#include <stdint.h>

struct index {
    uint64_t module;
    uint64_t offset;
};

extern void *__tls_get_addr(struct index *index);

void *tls_address(uint64_t module, uint64_t offset)
{
    struct index index = { module, offset };
    return __tls_get_addr(&index);
}
