// Compares the lengths of instructions, and where their operands lie, with what
// Zydis says, all through the code of the files that it is given.

#include <Zydis/Zydis.h>
#include <elf.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "link/length_x86_64.h"

static ZydisDecoder decoder;
static long seen, different;

static bool is_same(const ZydisDecodedInstruction *theirs,
                    const struct instruction *ours)
{
    uint8_t size = (uint8_t)((theirs->raw.imm[0].size + theirs->raw.imm[1].size)
                             / 8);
    // An address of 64 bits is a displacement there, and an immediate here.
    bool moved = ours->map == 0 && (ours->opcode & 0xfc) == 0xa0;
    return ours->length == theirs->length
        && (moved || ours->displacement_size == theirs->raw.disp.size / 8)
        && (!ours->displacement_size
            || ours->displacement_at == theirs->raw.disp.offset)
        && (moved || ours->immediate_size == size)
        && (moved || !size || ours->immediate_at == theirs->raw.imm[0].offset)
        && ours->modrm_at == theirs->raw.modrm.offset;
}

static void compare(const uint8_t *code, size_t size)
{
    for (size_t at = 0; at < size; ) {
        ZydisDecodedInstruction theirs;
        struct instruction ours;
        if (!ZYAN_SUCCESS(ZydisDecoderDecodeInstruction(
                &decoder, NULL, code + at, size - at, &theirs))) {
            at++;
            continue;
        }
        seen++;
        if (!instruction_read(code + at, size - at, &ours)
            || !is_same(&theirs, &ours)) {
            different++;
            for (int i = 0; i < theirs.length; i++)
                printf(" %02x", code[at + i]);
            printf("\n");
        }
        at += theirs.length;
    }
}

int main(int count, char **files)
{
    ZydisDecoderInit(&decoder, ZYDIS_MACHINE_MODE_LONG_64,
                     ZYDIS_STACK_WIDTH_64);
    for (int i = 1; i < count; i++) {
        struct stat stat;
        int fd = open(files[i], O_RDONLY);
        if (fd < 0 || fstat(fd, &stat) != 0)
            return 2;
        const uint8_t *file = mmap(NULL, stat.st_size, PROT_READ, MAP_PRIVATE,
                                   fd, 0);
        const Elf64_Ehdr *header = (const void *)file;
        const Elf64_Shdr *sections = (const void *)(file + header->e_shoff);
        for (int s = 0; s < header->e_shnum; s++)
            if (sections[s].sh_flags & SHF_EXECINSTR)
                compare(file + sections[s].sh_offset, sections[s].sh_size);
        close(fd);
    }
    printf("%d %ld\n", seen > 100000, different);
    return 0;
}
