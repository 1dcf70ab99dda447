// Runs one search of ours and, when told to, glibc's own in the same process:
//
//     driver NAME [wanter PATH] [rpath LIST] [runpath LIST] [nodeflib]
//            [loader PATH ...] [path TEMPLATES] [order PLACE...] [in PLACE]
//            [files N] [cd FOLDER] [setenv NAME VALUE] [cache FILE]
//            [starve] [dlopen FILE]
//
// `loader` begins the wanter's loader, to which rpath and the rest then apply.
// Prints "try KIND FILE" for each file that is tried, then "found FILE", or
// "failed KIND" with lines "message", "wanter", "path", "errno", "scope" and
// "near". `cache` searches once before, untold, and then makes FILE the cache.
// `starve` searches before with each allocation failing in turn, until none
// does, and prints "starved N". `dlopen` is done after it all.

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>

#include "src/error.h"
#include "src/memory.h"
#include "src/run/search.h"

static void probe(void *data, const struct search_probe *probe)
{
    printf("try %s %s\n", e64_status_name(probe->result), probe->path);
}

static void show(const char *what, const char *const *list)
{
    for (; list && *list; list++)
        printf("%s %s\n", what, *list);
}

static void show_failure(e64_status status)
{
    const e64_error *error = error_pending();
    printf("failed %s\n", e64_status_name(status));
    if (error->status != status)
        printf("the pending failure is %s\n", e64_status_name(error->status));
    printf("message %s\n", error->message);
    if (error->wanter)
        printf("wanter %s\n", error->wanter);
    if (error->path)
        printf("path %s\n", error->path);
    if (error->system_errno)
        printf("errno %d\n", error->system_errno);
    show("scope", error->scopes);
    show("near", error->near);
}

static unsigned countdown; // allocations that still work; 0: the next fails
static int blocks;

static void *resize(void *data, void *block, size_t size)
{
    (void)data;
    if (size && countdown-- == 0)
        return NULL;
    blocks += !block - !size;
    if (size)
        return realloc(block, size);
    free(block);
    return NULL;
}

// Whatever fails, the caller must learn it and nothing may stay.
static int starve(const struct search_request *request, int in)
{
    static const e64_allocator allocator = { sizeof allocator, resize, NULL };
    struct search_request silent = *request;
    e64_status status = e64_set_allocator(&allocator, NULL);
    silent.probe = NULL;
    for (unsigned most = 0; status == E64_OK; most++) {
        struct elf_file file = { .fd = -1 };
        char *path = NULL;
        countdown = most;
        status = in < 0 ? search_open(&silent, &file)
                        : search_in(in, &silent, &path);
        bool ended = (int)countdown >= 0;
        // Not all that fails matters, but what is answered must be there.
        if (status == E64_OK && !(in < 0 ? file.mapping : path))
            return 3;
        countdown = 1000;
        elf_file_close(&file);
        memory_free(path);
        if (blocks != 0)
            return 4;
        if (ended) {
            printf("starved %u\n", most);
            return 0;
        }
        status = E64_OK;
    }
    return 5;
}

int main(int argc, char **argv)
{
    struct search_wanter wanters[16] = { { 0 } };
    struct search_request request = { .name = argv[1], .probe = probe };
    struct search_order order = { 0 };
    struct elf_file file;
    const char *host = NULL;
    bool starving = false;
    int at = -1, in = -1;
    // Whoever reads it sees what was printed before a crash.
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("secure %d\n", getauxval(AT_SECURE) != 0);
    for (int i = 2; i < argc; i++) {
        const char *word = argv[i], *next = argv[i + 1];
        if (!strcmp(word, "wanter") || !strcmp(word, "loader")) {
            if (++at > 0)
                wanters[at - 1].loader = &wanters[at];
            wanters[at].path = *next ? next : NULL;
            request.wanter = wanters;
        } else if (!strcmp(word, "nodeflib")) {
            wanters[at].nodeflib = true;
            continue;
        } else if (!strcmp(word, "rpath")) {
            wanters[at].rpath = next;
        } else if (!strcmp(word, "runpath")) {
            wanters[at].runpath = next;
        } else if (!strcmp(word, "path")) {
            request.path = next;
        } else if (!strcmp(word, "order")) {
            order.places[order.count++] = atoi(next);
            request.order = &order;
        } else if (!strcmp(word, "in")) {
            in = atoi(next);
        } else if (!strcmp(word, "files")) {
            struct rlimit limit = { atoi(next), atoi(next) };
            setrlimit(RLIMIT_NOFILE, &limit);
        } else if (!strcmp(word, "cache")) {
            struct search_request before = { .name = request.name };
            if (search_open(&before, &file) == E64_OK)
                elf_file_close(&file);
            if (rename(next, "/etc/ld.so.cache") != 0)
                return 2;
        } else if (!strcmp(word, "cd")) {
            if (chdir(next) != 0)
                return 2;
        } else if (!strcmp(word, "setenv")) {
            setenv(next, argv[i + 2], 1);
            i++;
        } else if (!strcmp(word, "starve")) {
            starving = true;
            continue;
        } else if (!strcmp(word, "dlopen")) {
            host = next;
        } else {
            fprintf(stderr, "what is %s?\n", word);
            return 2;
        }
        i++;
    }
    if (starving && (at = starve(&request, in)) != 0)
        return at;
    countdown = -1;
    e64_status status = E64_OK;
    char *path = NULL;
    if (in >= 0)
        status = search_in(in, &request, &path);
    else
        status = search_open(&request, &file);
    if (status == E64_OK)
        printf("found %s\n", in >= 0 ? path : file.name);
    if (status != E64_OK)
        show_failure(status);
    if (in < 0)
        elf_file_close(&file);
    memory_free(path);
    if (host && !dlopen(host, RTLD_NOW))
        printf("dlerror %s\n", dlerror());
    return 0;
}
