// Links objects with the link editor, writes the image to a file, and says where
// it has put each section of each object:
//
//     placed IMAGE OBJECT...
//
// "place OBJECT SECTION VADDR" counts both from 0; "far VADDR STUB" is a word that
// may turn out to be too narrow for what it refers to, and where its stub is.

#include <err.h>
#include <stdio.h>

#include "error.h"
#include "object/object.h"

enum { MOST = 256 };

int main(int argc, char **argv)
{
    static struct elf_file files[MOST];
    static struct object_input inputs[MOST];
    struct object_image image;
    uint32_t count = (uint32_t)argc - 2;
    if (argc < 3 || count > MOST)
        errx(2, "usage: placed IMAGE OBJECT...");
    for (uint32_t i = 0; i < count; i++) {
        if (elf_file_open_path(argv[i + 2], &files[i]) != E64_OK)
            errx(1, "%s", error_pending()->message);
        inputs[i] = (struct object_input){ &files[i], false };
    }
    if (object_link(inputs, count, "the image", &image) != E64_OK)
        errx(1, "%s", error_pending()->message);
    for (uint32_t i = 0; i < image.part_count; i++)
        for (uint32_t j = 0; j < image.parts[i].section_count; j++)
            if (image.parts[i].sections[j] != OBJECT_NOWHERE)
                printf("place %u %u %llx\n", i, j,
                       (unsigned long long)image.parts[i].sections[j]);
    for (uint32_t i = 0; i < image.far_count; i++)
        printf("far %llx %llx\n", (unsigned long long)image.fars[i].place,
               (unsigned long long)image.fars[i].stub);
    FILE *file = fopen(argv[1], "wb");
    struct view bytes = image.file.view;
    if (!file || fwrite(bytes.data, 1, bytes.size, file) != bytes.size
        || fclose(file) != 0)
        err(1, "%s", argv[1]);
    elf_file_close(&image.file);
    object_image_free(&image);
    for (uint32_t i = 0; i < count; i++)
        elf_file_close(&files[i]);
    return 0;
}
