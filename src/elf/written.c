// Writes a shared object that has nothing but symbols: its header, a segment
// that holds the whole file, and the tables that DT_GNU_HASH, DT_SYMTAB,
// DT_STRTAB, DT_VERSYM and DT_VERDEF point to.

#include "written.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "../error.h"
#include "../mapping.h"
#include "../memory.h"
#include "symbols.h"

enum { FIRST_VERSION = 2, BLOOM_SHIFT = 6 }; // 1 is the file's own version

// One definition on its way to its place in the symbol table.
struct row {
    const struct elf_written *definition;
    uint32_t hash, bucket;
    uint16_t version; // 1: none
};

struct writing {
    struct row *rows;
    uint32_t count, buckets, words;
    const char **versions; // those that are used, each once
    uint32_t version_count;
    const char *soname;

    uint8_t *bytes; // NULL while sizes are found out
    uint64_t size, strings_size;
    uint64_t hash, symbols, strings, versym, verdef, dynamic;
};

// Takes room at the end, aligned to eight bytes.
static uint64_t take(struct writing *writing, uint64_t size)
{
    uint64_t at = (writing->size + 7) & ~(uint64_t)7;
    writing->size = at + size;
    return at;
}

static void *at(const struct writing *writing, uint64_t offset)
{
    return writing->bytes + offset;
}

static uint32_t add_string(struct writing *writing, const char *text)
{
    uint32_t offset = (uint32_t)writing->strings_size;
    if (writing->bytes)
        strcpy(at(writing, writing->strings + offset), text);
    writing->strings_size += strlen(text) + 1;
    return offset;
}

static int by_bucket(const void *a, const void *b)
{
    const struct row *one = a, *other = b;
    return one->bucket < other->bucket ? -1 : one->bucket > other->bucket;
}

static uint16_t number_version(struct writing *writing, const char *version)
{
    uint32_t i = 0;
    if (!version)
        return 1;
    while (i < writing->version_count
           && strcmp(writing->versions[i], version) != 0)
        i++;
    if (i == writing->version_count)
        writing->versions[writing->version_count++] = version;
    return (uint16_t)(i + FIRST_VERSION);
}

// A version's number has 15 bits.
static e64_status make_rows(struct writing *writing,
                            const struct elf_written *definitions)
{
    uint32_t count = writing->count;
    writing->rows = memory_array(count ? count : 1, sizeof *writing->rows);
    writing->versions = memory_array(count ? count : 1,
                                     sizeof *writing->versions);
    if (!writing->rows || !writing->versions)
        return fail_memory(count * sizeof *writing->rows);
    writing->buckets = count / 2 + 1;
    for (writing->words = 1; writing->words * 8 < count; )
        writing->words *= 2;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t hash = elf_gnu_hash(definitions[i].name);
        writing->rows[i] = (struct row){
            &definitions[i], hash, hash % writing->buckets,
            number_version(writing, definitions[i].version),
        };
        if (writing->version_count > 0x7000)
            return fail(E64_INVALID, "more than %u versions are defined",
                        0x7000);
    }
    qsort(writing->rows, count, sizeof *writing->rows, by_bucket);
    return E64_OK;
}

// The GNU hash table; its layout stands at elf_read_gnu_hash.
static void write_hash(const struct writing *writing)
{
    uint32_t *header = at(writing, writing->hash);
    uint64_t *bloom = (uint64_t *)(void *)(header + 4);
    uint32_t *buckets = (uint32_t *)(bloom + writing->words);
    uint32_t *chain = buckets + writing->buckets;
    header[0] = writing->buckets;
    header[1] = 1;
    header[2] = writing->words;
    header[3] = BLOOM_SHIFT;
    for (uint32_t i = 0; i < writing->count; i++) {
        const struct row *row = &writing->rows[i];
        bool last = i + 1 == writing->count || row[1].bucket != row->bucket;
        bloom[row->hash / 64 % writing->words]
            |= 1ull << row->hash % 64
             | 1ull << (row->hash >> BLOOM_SHIFT) % 64;
        if (!buckets[row->bucket])
            buckets[row->bucket] = i + 1;
        chain[i] = (row->hash & ~1u) | last;
    }
}

static unsigned char type_of(e64_kind kind)
{
    return kind == E64_KIND_FUNCTION ? STT_FUNC
         : kind == E64_KIND_OBJECT ? STT_OBJECT : STT_NOTYPE;
}

static void write_symbols(struct writing *writing)
{
    for (uint32_t i = 0; i < writing->count; i++) {
        const struct row *row = &writing->rows[i];
        uint32_t name = add_string(writing, row->definition->name);
        if (!writing->bytes)
            continue;
        Elf64_Sym *symbols = at(writing, writing->symbols);
        symbols[i + 1] = (Elf64_Sym){
            .st_name = name,
            .st_info = ELF64_ST_INFO(STB_GLOBAL,
                                     type_of(row->definition->kind)),
            .st_shndx = SHN_ABS,
            .st_value = row->definition->address,
            .st_size = row->definition->size,
        };
        if (writing->version_count)
            ((uint16_t *)at(writing, writing->versym))[i + 1] = row->version;
    }
}

struct version {
    Elf64_Verdef definition;
    Elf64_Verdaux name;
};

// LSB, "Version Definition Section". The first is the file's own.
static void write_versions(struct writing *writing)
{
    for (uint32_t i = 0; writing->version_count
                         && i <= writing->version_count; i++) {
        const char *text = i ? writing->versions[i - 1] : writing->soname;
        uint32_t name = add_string(writing, text);
        if (!writing->bytes)
            continue;
        struct version *versions = at(writing, writing->verdef);
        versions[i] = (struct version){
            { .vd_version = VER_DEF_CURRENT,
              .vd_flags = i ? 0 : VER_FLG_BASE,
              .vd_ndx = (Elf64_Half)(i + 1), .vd_cnt = 1,
              .vd_hash = elf_sysv_hash(text),
              .vd_aux = offsetof(struct version, name),
              .vd_next = i < writing->version_count ? sizeof *versions : 0 },
            { .vda_name = name },
        };
    }
}

static void write_dynamic(const struct writing *writing, uint32_t soname)
{
    Elf64_Dyn *dynamic = at(writing, writing->dynamic);
    const Elf64_Dyn all[] = {
        { DT_SONAME, { soname } },
        { DT_GNU_HASH, { writing->hash } },
        { DT_SYMTAB, { writing->symbols } },
        { DT_SYMENT, { sizeof(Elf64_Sym) } },
        { DT_STRTAB, { writing->strings } },
        { DT_STRSZ, { writing->strings_size } },
        { writing->version_count ? DT_VERSYM : DT_NULL, { writing->versym } },
        { writing->version_count ? DT_VERDEF : DT_NULL, { writing->verdef } },
        { writing->version_count ? DT_VERDEFNUM : DT_NULL,
          { writing->version_count + 1 } },
        { DT_NULL, { 0 } },
    };
    memcpy(dynamic, all, sizeof all);
}

enum { DYNAMICS = 10, SEGMENTS = 2 };

static void write_header(const struct writing *writing)
{
    Elf64_Ehdr *header = at(writing, 0);
    Elf64_Phdr *segments = at(writing, sizeof *header);
    *header = (Elf64_Ehdr){
        .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64,
                     ELFDATA2LSB, EV_CURRENT },
        .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
        .e_phoff = sizeof *header, .e_ehsize = sizeof *header,
        .e_phentsize = sizeof *segments, .e_phnum = SEGMENTS,
    };
    segments[0] = (Elf64_Phdr){
        .p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = writing->size,
        .p_memsz = writing->size, .p_align = 4096,
    };
    segments[1] = (Elf64_Phdr){
        .p_type = PT_DYNAMIC, .p_flags = PF_R, .p_offset = writing->dynamic,
        .p_vaddr = writing->dynamic, .p_paddr = writing->dynamic,
        .p_filesz = DYNAMICS * sizeof(Elf64_Dyn),
        .p_memsz = DYNAMICS * sizeof(Elf64_Dyn), .p_align = 8,
    };
}

// Once to find out the sizes, and once more into memory.
static void write_all(struct writing *writing)
{
    uint64_t count = writing->count;
    writing->size = sizeof(Elf64_Ehdr) + SEGMENTS * sizeof(Elf64_Phdr);
    writing->hash = take(writing, 16 + 8 * (uint64_t)writing->words
                                  + 4 * (writing->buckets + count));
    writing->symbols = take(writing, (count + 1) * sizeof(Elf64_Sym));
    writing->versym = take(writing, (count + 1) * 2);
    writing->verdef = take(writing, (writing->version_count + 1)
                                    * sizeof(struct version));
    writing->dynamic = take(writing, DYNAMICS * sizeof(Elf64_Dyn));
    writing->strings = take(writing, 0);
    writing->strings_size = 1;
    uint32_t soname = add_string(writing, writing->soname);
    write_symbols(writing);
    write_versions(writing);
    writing->size += writing->strings_size;
    if (!writing->bytes)
        return;
    write_hash(writing);
    write_dynamic(writing, soname);
    write_header(writing);
}

static e64_status write(struct writing *writing,
                        const struct elf_written *definitions)
{
    e64_status status = make_rows(writing, definitions);
    if (status != E64_OK)
        return status;
    write_all(writing);
    void *bytes = mmap(NULL, writing->size, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (bytes == MAP_FAILED)
        return fail_system("cannot get memory for a table of %u definitions",
                           writing->count);
    writing->bytes = bytes;
    write_all(writing);
    return E64_OK;
}

e64_status elf_write(const struct elf_written *definitions, uint32_t count,
                     const char *soname, void **bytes, size_t *size)
{
    struct writing writing = { .count = count, .soname = soname };
    e64_status status = write(&writing, definitions);
    memory_free(writing.rows);
    memory_free(writing.versions);
    *bytes = writing.bytes;
    *size = writing.size;
    return status;
}
