// Links objects and archives and writes the image to a file:
//
//     linking IMAGE INPUT...
//
// Before an input "whole" has all of its members taken. What is printed are the
// facts beside the image. A failure is one line, "failed: KIND: message", and
// what is left behind is a line of its own.

#include <stdio.h>
#include <string.h>

#include "counting.h"
#include "error.h"
#include "object/object.h"

static void show(const struct object_image *image)
{
    struct object_where where;
    if (image->low)
        puts("low");
    if (image->relocates_text)
        puts("relocates text");
    for (uint32_t i = 0; i < image->far_count; i++) {
        const struct object_far *far = &image->fars[i];
        if (object_find(image, far->place, &where))
            printf("far: %s %s+0x%llx from +0x%llx\n", where.part->name,
                   where.section, (unsigned long long)where.offset,
                   (unsigned long long)(far->place - far->code));
    }
    for (uint32_t i = 0; i < image->part_count; i++)
        printf("part: %s\n", image->parts[i].name);
}

static void put(const char *path, struct view bytes)
{
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes.data, 1, bytes.size, file) != bytes.size
        || fclose(file) != 0)
        puts("cannot write");
}

int main(int argc, char **argv)
{
    static struct elf_file files[512];
    static struct object_input inputs[512];
    const e64_allocator allocator = { sizeof allocator, count, NULL };
    struct object_image image;
    uint32_t number = 0;
    bool whole = false;
    e64_set_allocator(&allocator, NULL);
    for (int i = 2; i < argc && number < 512; i++) {
        if (strcmp(argv[i], "whole") == 0) {
            whole = true;
            continue;
        }
        if (elf_file_open_path(argv[i], &files[number]) != E64_OK) {
            printf("cannot open: %s\n", error_pending()->message);
            return 1;
        }
        inputs[number] = (struct object_input){ &files[number], whole };
        whole = false;
        number++;
    }
    long before = live;
    e64_status status = object_link(inputs, number, "the image", &image);
    if (status == E64_OK) {
        show(&image);
        put(argv[1], image.file.view);
        elf_file_close(&image.file);
        object_image_free(&image);
    } else {
        printf("failed: %s: %s\n", e64_status_name(status),
               error_pending()->message);
    }
    if (live != before)
        printf("left behind: %ld blocks\n", live - before);
    for (uint32_t i = 0; i < number; i++)
        elf_file_close(&files[i]);
    return 0;
}
