// How libFuzzer changes an ELF file: mostly one field of a table that the file
// has, and now and then bytes anywhere. Without this nearly all changes would
// lie in code and padding, which the loader does not look at.

#include <elf.h>
#include <string.h>

#include "elf/view.h"
#include "target.h"

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t most);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most,
                               unsigned seed);

struct field_table {
    uint64_t offset, size;
    unsigned record; // bytes of an entry
    unsigned width;  // and of a field of it; all fields are aligned to that
};

enum { MOST_TABLES = 64 };

struct changing {
    uint8_t *data;
    size_t size;
    uint64_t state;
    struct field_table tables[MOST_TABLES];
    unsigned count;
};

// splitmix64
static uint64_t draw(struct changing *changing)
{
    uint64_t z = changing->state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static uint64_t below(struct changing *changing, uint64_t limit)
{
    return draw(changing) % limit;
}

static void add(struct changing *changing, uint64_t offset, uint64_t size,
                unsigned record, unsigned width)
{
    if (offset >= changing->size || changing->count == MOST_TABLES)
        return;
    if (size > changing->size - offset)
        size = changing->size - offset;
    if (size >= record)
        changing->tables[changing->count++]
            = (struct field_table){ offset, size, record, width };
}

// How a table that a dynamic entry points to is made up, and how much of it is
// worth a change when its size is not known here.
static void add_dynamic(struct changing *changing, int64_t tag, uint64_t at)
{
    switch (tag) {
    case DT_SYMTAB: add(changing, at, 64 * sizeof(Elf64_Sym), 8, 8);
                    add(changing, at, 64 * sizeof(Elf64_Sym), 8, 2); break;
    case DT_RELA:
    case DT_JMPREL: add(changing, at, 64 * sizeof(Elf64_Rela), 8, 8);
                    add(changing, at, 64 * sizeof(Elf64_Rela), 8, 4); break;
    case DT_RELR: add(changing, at, 256, 8, 8); break;
    case DT_GNU_HASH:
    case DT_HASH: add(changing, at, 256, 4, 4); break;
    case DT_VERSYM: add(changing, at, 128, 2, 2); break;
    case DT_VERNEED:
    case DT_VERDEF: add(changing, at, 256, 4, 4);
                    add(changing, at, 256, 4, 2); break;
    case DT_STRTAB: add(changing, at, 1024, 1, 1); break;
    }
}

static uint64_t offset_of(const struct changing *changing, uint64_t phoff,
                          unsigned phnum, uint64_t vaddr)
{
    struct view file = { changing->data, changing->size };
    for (unsigned i = 0; i < phnum; i++) {
        Elf64_Phdr header;
        if (view_read(file, phoff + i * sizeof header, &header, sizeof header)
            && header.p_type == PT_LOAD && vaddr >= header.p_vaddr
            && vaddr - header.p_vaddr < header.p_filesz)
            return vaddr - header.p_vaddr + header.p_offset;
    }
    return UINT64_MAX;
}

// The tables of an object file: those that its section headers tell of.
static void find_sections(struct changing *changing, const Elf64_Ehdr *elf)
{
    struct view file = { changing->data, changing->size };
    Elf64_Shdr header;
    unsigned count = elf->e_shnum < 48 ? elf->e_shnum : 48;
    for (int i = 0; i < 4; i++) // more often than others
        add(changing, elf->e_shoff, count * sizeof header, 8, i & 1 ? 4 : 8);
    for (unsigned i = 0; i < count; i++) {
        if (!view_read(file, elf->e_shoff + i * sizeof header, &header,
                       sizeof header))
            return;
        uint64_t at = header.sh_offset, size = header.sh_size;
        switch (header.sh_type) {
        case SHT_SYMTAB: add(changing, at, size, 8, 8);
                         add(changing, at, size, 8, 2); break;
        case SHT_RELA: add(changing, at, size, 8, 8);
                       add(changing, at, size, 8, 4); break;
        case SHT_GROUP:
        case SHT_NOTE:
        case SHT_X86_64_UNWIND:
        case SHT_SYMTAB_SHNDX: add(changing, at, size, 4, 4); break;
        case SHT_STRTAB: add(changing, at, size, 1, 1); break;
        case SHT_PROGBITS:
            // The parts that are merged or read: strings and unwind tables.
            if (header.sh_flags & SHF_MERGE)
                add(changing, at, size, 1, 1);
            else if (i % 3 == 0)
                add(changing, at, size, 4, 4);
            break;
        }
    }
}

static void find_tables(struct changing *changing)
{
    struct view file = { changing->data, changing->size };
    Elf64_Ehdr elf;
    Elf64_Phdr header;
    Elf64_Dyn entry;
    if (!view_read(file, 0, &elf, sizeof elf))
        return;
    if (elf.e_type == ET_REL) {
        add(changing, 0, sizeof elf, 2, 2);
        find_sections(changing, &elf);
        return;
    }
    unsigned phnum = elf.e_phnum < 32 ? elf.e_phnum : 32;
    add(changing, 0, sizeof elf, 2, 2);
    for (int i = 0; i < 3; i++) // more often than others
        add(changing, elf.e_phoff, phnum * sizeof header, 8, i == 0 ? 4 : 8);
    for (unsigned i = 0; i < phnum; i++) {
        if (!view_read(file, elf.e_phoff + i * sizeof header, &header,
                       sizeof header))
            return;
        if (header.p_type == PT_NOTE || header.p_type == PT_GNU_PROPERTY
            || header.p_type == PT_GNU_EH_FRAME)
            add(changing, header.p_offset, 64, 4, 4);
        if (header.p_type != PT_DYNAMIC)
            continue;
        for (int k = 0; k < 4; k++)
            add(changing, header.p_offset, 40 * sizeof entry, 8, 8);
        for (unsigned k = 0; k < 64; k++) {
            if (!view_read(file, header.p_offset + k * sizeof entry, &entry,
                           sizeof entry) || entry.d_tag == DT_NULL)
                break;
            add_dynamic(changing, entry.d_tag,
                        offset_of(changing, elf.e_phoff, phnum,
                                  entry.d_un.d_val));
        }
    }
}

// Another value for a field.
static uint64_t change(struct changing *changing,
                       const struct field_table *table, uint64_t old)
{
    static const uint64_t edges[] = {
        0, 1, 2, 3, 7, 8, 16, 23, 24, 63, 64, 0x7f, 0x80, 0xff, 0xfff, 0x1000,
        0x1001, 0x7fff, 0x8000, 0xffff, 0x10000, 0x7fffffff, 0x80000000,
        0xffffffff, 1ull << 32, 1ull << 46, 1ull << 47, 1ull << 62, 1ull << 63,
        ~0ull, ~0ull - 1, ~0ull - 7, ~0ull - 0xfff,
    };
    uint64_t other = 0;
    uint64_t at = below(changing, table->size / table->width) * table->width;
    switch (below(changing, 8)) {
    case 0:
    case 1: return old + below(changing, 65) - 32;
    case 2: return old ^ 1ull << below(changing, 8 * table->width);
    case 3:
    case 4: return edges[below(changing, sizeof edges / sizeof *edges)];
    case 5: return old + edges[below(changing, sizeof edges / sizeof *edges)];
    case 6: return draw(changing);
    default: // what stands elsewhere in the table
        memcpy(&other, changing->data + table->offset + at, table->width);
        return other;
    }
}

static void change_field(struct changing *changing)
{
    const struct field_table *table
        = &changing->tables[below(changing, changing->count)];
    uint64_t at = table->offset + below(changing, table->size / table->record)
                                * table->record;
    if (table->record > table->width)
        at += below(changing, table->record / table->width) * table->width;
    if (at + table->width > changing->size)
        return;
    uint64_t value = 0;
    memcpy(&value, changing->data + at, table->width);
    value = change(changing, table, value);
    memcpy(changing->data + at, &value, table->width);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t most,
                               unsigned seed)
{
    struct changing changing = { .data = data, .size = size, .state = seed };
    find_tables(&changing);
    if (changing.count == 0 || below(&changing, 4) == 0)
        return LLVMFuzzerMutate(data, size, most);
    for (uint64_t i = 1 + below(&changing, 3); i > 0; i--)
        change_field(&changing);
    return size;
}
