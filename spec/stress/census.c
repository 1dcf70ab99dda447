// What the process has when nothing is open.

#include "loaders.h"

#include <dirent.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static atomic_long blocks;

static void *resize(void *data, void *block, size_t size)
{
    (void)data;
    if (!size) {
        if (block)
            atomic_fetch_sub(&blocks, 1);
        free(block);
        return NULL;
    }
    void *other = realloc(block, size);
    if (other && !block)
        atomic_fetch_add(&blocks, 1);
    return other;
}

void census_begin(void)
{
    const e64_allocator allocator = { .struct_size = sizeof allocator,
                                      .resize = resize };
    if (e64_set_allocator(&allocator, NULL) != E64_OK)
        wrong(0, "e64_set_allocator: %s", e64_last_error()->message);
}

static void count_mappings(struct census *census)
{
    char line[4096];
    FILE *maps = fopen("/proc/self/maps", "r");
    while (maps && fgets(line, sizeof line, maps)) {
        char *path = strchr(line, '/');
        if (!path)
            continue;
        path[strcspn(path, "\n")] = 0;
        for (int i = 0; i < FILES; i++)
            if (files[i].path && strcmp(files[i].path, path) == 0)
                *(files[i].stays ? &census->staying : &census->mappings) += 1;
    }
    if (maps)
        fclose(maps);
}

static long count_descriptors(void)
{
    long count = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder))
        count++;
    if (folder)
        closedir(folder);
    return count;
}

static long count_resident(void)
{
    long size = 0, resident = 0;
    malloc_trim(0);
    FILE *file = fopen("/proc/self/statm", "r");
    if (file && fscanf(file, "%ld %ld", &size, &resident) != 2)
        resident = 0;
    if (file)
        fclose(file);
    return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

void census_take(struct census *census)
{
    *census = (struct census){ .descriptors = count_descriptors(),
                               .blocks = atomic_load(&blocks) };
    count_mappings(census);
    census->resident = count_resident();
}
