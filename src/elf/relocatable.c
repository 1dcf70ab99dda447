// Reads an object file: its header and its sections (gABI chapter 4). All is
// checked once, here and in references.c, so that linking may go straight
// through the tables.

#include "../error.h"
#include "../memory.h"
#include "header.h"
#include "reading.h"

// Newer than elf.h: relocations as LLVM packs them.
enum { SHT_PACKED_RELOCATIONS = 0x40000014 };

static Elf64_Shdr header_of(const struct reading *reading, uint32_t index)
{
    Elf64_Shdr header;
    memcpy(&header, reading->headers.data + index * sizeof header,
           sizeof header);
    return header;
}

static e64_status bad(const struct reading *reading, const char *what)
{
    return elf_refuse(E64_BADFORMAT, reading->name, "%s", what);
}

e64_status reading_bad(const struct reading *reading, uint32_t section,
                       const char *what)
{
    const char *text = reading->object->sections[section].name;
    return elf_refuse(E64_BADFORMAT, reading->name, "section %u (%s): %s",
                      section, text ? text : "", what);
}

// LLVM's own file of a module, bare or in a wrapper.
static bool is_bitcode(struct view file)
{
    return view_has(file, 0, 4)
        && (memcmp(file.data, "BC\xc0\xde", 4) == 0
            || memcmp(file.data, "\xde\xc0\x17\x0b", 4) == 0);
}

bool elf_is_relocatable(struct view file)
{
    return is_bitcode(file)
        || (view_has(file, 0, sizeof(Elf64_Ehdr))
            && memcmp(file.data, ELFMAG, SELFMAG) == 0
            && load16(file.data + offsetof(Elf64_Ehdr, e_type)) == ET_REL);
}

// The table of section headers. A file with many sections has their number and
// the index of their names' section in the first header.
static e64_status find_headers(struct reading *reading,
                               const Elf64_Ehdr *header, uint32_t *names)
{
    struct elf_relocatable *object = reading->object;
    uint64_t count = header->e_shnum;
    Elf64_Shdr first;
    if (header->e_shoff == 0)
        return bad(reading, "e_shoff is 0: no section headers");
    if (header->e_shentsize != sizeof first)
        return elf_refuse(E64_BADFORMAT, reading->name, "e_shentsize is %u, "
                          "not %zu", header->e_shentsize, sizeof first);
    if (!view_read(object->file, header->e_shoff, &first, sizeof first))
        return bad(reading, "e_shoff points beyond the file");
    if (count == 0)
        count = first.sh_size;
    if (count == 0)
        return bad(reading, "e_shnum is 0, and so is the first section "
                   "header's sh_size: no section headers");
    if (count > object->file.size / sizeof first || count > INT32_MAX
        || !view_part(object->file, header->e_shoff, count * sizeof first,
                      &reading->headers))
        return bad(reading, header->e_shnum
                   ? "e_shoff and e_shnum reach beyond the file"
                   : "e_shoff and the first section header's sh_size (for "
                     "e_shnum) reach beyond the file");
    *names = header->e_shstrndx == SHN_XINDEX ? first.sh_link
                                              : header->e_shstrndx;
    if (*names >= count)
        return bad(reading, header->e_shstrndx == SHN_XINDEX
                   ? "the first section header's sh_link (for e_shstrndx) is "
                     "no section"
                   : "e_shstrndx is no section");
    object->section_count = (uint32_t)count;
    return E64_OK;
}

e64_status reading_strings(const struct reading *reading, uint32_t section,
                           struct view *strings)
{
    Elf64_Shdr header = header_of(reading, section);
    if (header.sh_type != SHT_STRTAB)
        return reading_bad(reading, section, "sh_type is not SHT_STRTAB, but "
                           "it is said to be a string table");
    if (!view_part(reading->object->file, header.sh_offset, header.sh_size,
                   strings))
        return reading_bad(reading, section, "sh_offset and sh_size reach "
                           "beyond the file");
    if (strings->size && strings->data[strings->size - 1] != 0)
        return reading_bad(reading, section, "the string table does not end "
                           "with a NUL");
    return E64_OK;
}

bool reading_count(struct reading *reading, const char *name)
{
    size_t length = strnlen(name, reading->text);
    reading->text -= length;
    return reading->text > 0;
}

// The bytes of a section, which are its own: where sections lay on one another,
// a small file could have gigabytes of them.
static e64_status claim(struct reading *reading, uint32_t index,
                        const Elf64_Shdr *header, struct view *bytes)
{
    if (!view_part(reading->object->file, header->sh_offset, header->sh_size,
                   bytes))
        return reading_bad(reading, index, "sh_offset and sh_size reach beyond "
                           "the file");
    if (header->sh_size > reading->room)
        return reading_bad(reading, index, "sections lie on one another "
                           "(sh_offset, sh_size): together they are larger "
                           "than the file");
    reading->room -= header->sh_size;
    return E64_OK;
}

static e64_status read_section(struct reading *reading, uint32_t index)
{
    struct elf_section *section = &reading->object->sections[index];
    Elf64_Shdr header = header_of(reading, index);
    section->name = "";
    section->align = 1;
    if (index == 0 || header.sh_type == SHT_NULL)
        return E64_OK;
    if (header.sh_name && header.sh_name >= reading->names.size)
        return reading_bad(reading, index, "sh_name lies outside the string "
                           "table of e_shstrndx");
    if (header.sh_name)
        section->name = (const char *)reading->names.data + header.sh_name;
    if (!reading_count(reading, section->name)) {
        section->name = "";
        return reading_bad(reading, index, READING_LONG_NAMES("sh_name"));
    }
    if (!reading_can_align(header.sh_addralign))
        return reading_bad(reading, index, "sh_addralign is no usable power of "
                           "two");
    if (header.sh_size >= READING_SPACE)
        return reading_bad(reading, index, "sh_size exceeds the address space");
    if (header.sh_flags & SHF_COMPRESSED && header.sh_flags & SHF_ALLOC)
        return reading_bad(reading, index, "sh_flags has SHF_COMPRESSED and "
                           "SHF_ALLOC, which exclude one another");
    if (header.sh_flags & SHF_LINK_ORDER
        && header.sh_link >= reading->object->section_count)
        return reading_bad(reading, index, "sh_link (SHF_LINK_ORDER) is no "
                           "section");
    section->type = header.sh_type;
    section->flags = header.sh_flags;
    section->size = header.sh_size;
    section->entsize = header.sh_entsize;
    section->link = header.sh_link;
    section->info = header.sh_info;
    if (header.sh_addralign)
        section->align = header.sh_addralign;
    return header.sh_type == SHT_NOBITS
         ? E64_OK : claim(reading, index, &header, &section->bytes);
}

static e64_status read_sections(struct reading *reading,
                                const Elf64_Ehdr *header)
{
    struct elf_relocatable *object = reading->object;
    uint32_t names = SHN_UNDEF;
    e64_status status = find_headers(reading, header, &names);
    if (status != E64_OK)
        return status;
    object->sections = memory_array(object->section_count,
                                    sizeof *object->sections);
    if (!object->sections)
        return fail_memory(object->section_count * sizeof *object->sections);
    if (names != SHN_UNDEF)
        status = reading_strings(reading, names, &reading->names);
    for (uint32_t i = 0; i < object->section_count && status == E64_OK; i++)
        status = read_section(reading, i);
    return status;
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

// gcc says in the first bytes of .gnu.lto_.lto.* (major, minor, slim) whether
// there is code beside its own representation; before it did, nothing told but
// that there is no code.
static e64_status refuse_slim(const struct reading *reading)
{
    bool lto = false, said = false, slim = false, code = false;
    for (uint32_t i = 1; i < reading->object->section_count; i++) {
        const struct elf_section *section = &reading->object->sections[i];
        if (begins(section->name, ".gnu.lto_"))
            lto = true;
        else if (section->flags & SHF_ALLOC && section->size
                 && section->type != SHT_NOTE)
            code = true;
        if (begins(section->name, ".gnu.lto_.lto.")
            && section->bytes.size > 4) {
            said = true;
            slim = section->bytes.data[4] != 0;
        }
    }
    if (lto && !code && (slim || !said))
        return elf_refuse(E64_UNSUPPORTED, reading->name, "holds no code but "
                          "only what gcc's link-time optimisation is to make "
                          "it from (.gnu.lto_ sections); compile it without "
                          "-flto, or with -ffat-lto-objects");
    return E64_OK;
}

static e64_status refuse_what_is_never_given(const struct reading *reading)
{
    for (uint32_t i = 1; i < reading->object->section_count; i++) {
        const struct elf_section *section = &reading->object->sections[i];
        if (section->flags & SHF_EXECINSTR
            && strcmp(section->name, ".note.GNU-stack") == 0)
            return elf_refuse(E64_UNSUPPORTED, reading->name, "wants an "
                              "executable stack (.note.GNU-stack with "
                              "SHF_EXECINSTR), which is never granted; nested "
                              "functions whose address is taken are the usual "
                              "reason, and assembly that says so");
        if (section->type == SHT_REL)
            return elf_refuse(E64_UNSUPPORTED, reading->name, "section %u (%s)"
                              ": sh_type is SHT_REL; on AMD64 relocations have "
                              "their addends with them (SHT_RELA)", i,
                              section->name);
        if (section->type == SHT_PACKED_RELOCATIONS)
            return elf_refuse(E64_UNSUPPORTED, reading->name, "section %u (%s)"
                              ": sh_type is SHT_CREL; assemble without --crel",
                              i, section->name);
    }
    return refuse_slim(reading);
}

static e64_status read_all(struct reading *reading)
{
    Elf64_Ehdr header;
    if (is_bitcode(reading->object->file))
        return elf_refuse(E64_UNSUPPORTED, reading->name, "is LLVM bitcode, "
                          "not machine code; compile it without -flto");
    e64_status status = elf_header_read(reading->object->file, reading->name,
                                        &header);
    if (status != E64_OK)
        return status;
    if (header.e_type != ET_REL)
        return elf_refuse(E64_UNSUPPORTED, reading->name, "is %s (e_type %u); "
                          "only object files (ET_REL) and archives of them can "
                          "be linked", elf_type_name(header.e_type),
                          header.e_type);
    status = read_sections(reading, &header);
    if (status == E64_OK)
        status = refuse_what_is_never_given(reading);
    if (status == E64_OK)
        status = reading_symbols(reading);
    if (status == E64_OK)
        status = reading_references(reading);
    return status;
}

e64_status elf_relocatable_read(struct view file, const char *name,
                                struct elf_relocatable *object)
{
    struct reading reading = {
        .object = object, .name = name, .room = file.size,
        .text = READING_NAMES * file.size + READING_MORE_NAMES,
    };
    *object = (struct elf_relocatable){ .file = file };
    e64_status status = read_all(&reading);
    if (status != E64_OK)
        elf_relocatable_free(object);
    return status;
}

void elf_relocatable_free(struct elf_relocatable *object)
{
    memory_free(object->sections);
    memory_free(object->groups);
    *object = (struct elf_relocatable){ 0 };
}
