// Reads the program header table (gABI chapter 5).

#include "image.h"

#include <stddef.h>
#include <unistd.h>

#include "../error.h"
#include "../memory.h"
#include "dynamic.h"
#include "go.h"
#include "header.h"
#include "notes.h"

static e64_status bad(const char *name, e64_status status, const char *what)
{
    fail(status, "%s: %s", name, what);
    error_path(name);
    return status;
}

static e64_status check_header(struct view file, const char *name,
                               Elf64_Ehdr *header)
{
    e64_status status = elf_header_read(file, name, header);
    if (status != E64_OK)
        return status;
    if (header->e_type != ET_DYN)
        return elf_refuse(E64_UNSUPPORTED, name, "is %s (e_type %u); only "
                          "shared objects (ET_DYN) can be opened",
                          elf_type_name(header->e_type), header->e_type);
    if (header->e_phentsize != sizeof(Elf64_Phdr))
        return elf_refuse(E64_BADFORMAT, name, "e_phentsize is %u, not %zu",
                          header->e_phentsize, sizeof(Elf64_Phdr));
    return E64_OK;
}

static bool is_power(uint64_t value)
{
    return (value & (value - 1)) == 0;
}

// Checks one PT_LOAD and adds it. Answers what is wrong with it, or NULL.
static const char *add_load(struct elf_image *image, const Elf64_Phdr *header)
{
    const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (header->p_filesz > header->p_memsz)
        return "p_filesz of a PT_LOAD exceeds its p_memsz";
    if (header->p_vaddr >= 1ull << 47 || header->p_memsz >= 1ull << 47)
        return "p_vaddr or p_memsz of a PT_LOAD exceeds the address space";
    if (!view_has(image->file, header->p_offset, header->p_filesz))
        return "p_offset and p_filesz of a PT_LOAD reach beyond the file";
    if (header->p_align > 1 && !is_power(header->p_align))
        return "p_align of a PT_LOAD is no power of two";
    if (header->p_align >= 1ull << 40)
        return "p_align of a PT_LOAD exceeds the address space";
    if ((header->p_vaddr - header->p_offset) % page)
        return "p_vaddr and p_offset of a PT_LOAD differ modulo the page size";
    if (header->p_align > page
        && (header->p_vaddr - header->p_offset) % header->p_align)
        return "p_vaddr and p_offset of a PT_LOAD differ modulo p_align";
    if (header->p_memsz == 0)
        return NULL;
    if (image->load_count) {
        const struct elf_load *before = &image->loads[image->load_count - 1];
        if (header->p_vaddr < before->vaddr + before->memsz)
            return "PT_LOAD segments overlap or do not ascend by p_vaddr";
    } else {
        image->start = header->p_vaddr & ~(page - 1);
        image->align = page;
    }
    if (header->p_align > image->align)
        image->align = header->p_align;
    image->end = (header->p_vaddr + header->p_memsz + page - 1) & ~(page - 1);
    image->loads[image->load_count++] = (struct elf_load){
        .vaddr = header->p_vaddr,
        .filesz = header->p_filesz,
        .memsz = header->p_memsz,
        .offset = header->p_offset,
        .flags = header->p_flags & (PF_R | PF_W | PF_X),
    };
    return NULL;
}

static const char *add_tls(struct elf_image *image, const Elf64_Phdr *header)
{
    if (header->p_filesz > header->p_memsz)
        return "p_filesz of PT_TLS exceeds its p_memsz";
    if (!is_power(header->p_align) || header->p_align >= 1ull << 32)
        return "p_align of PT_TLS is no usable power of two";
    if (header->p_memsz >= 1ull << 32)
        return "p_memsz of PT_TLS is absurd";
    if (header->p_memsz == 0)
        return NULL;
    image->tls = (struct elf_range){ header->p_vaddr, header->p_filesz };
    image->tls_size = header->p_memsz;
    image->tls_align = header->p_align ? header->p_align : 1;
    image->has_tls = true;
    return NULL;
}

// The headers whose ranges can be checked only when all PT_LOADs are known.
static const char *check_ranges(const struct elf_image *image)
{
    struct view view;
    if (image->relro.size
        && (image->relro.vaddr < image->start
            || image->relro.size > image->end - image->relro.vaddr
            || image->relro.vaddr > image->end))
        return "PT_GNU_RELRO lies outside the segments";
    if (image->has_tls && image->tls.size) {
        if (!elf_image_at(image, image->tls.vaddr, image->tls.size, &view))
            return "PT_TLS lies outside the segments";
        // Each thread's copy is made from there.
        if (!(elf_image_load(image, image->tls.vaddr, image->tls.size)->flags
              & PF_R))
            return "PT_TLS lies in a segment that may not be read (PF_R)";
    }
    if (!image->dynamic.size)
        return "no PT_DYNAMIC: not a shared object that can be loaded";
    return NULL;
}

static e64_status read_notes(struct elf_image *image, const char *name,
                             const Elf64_Phdr *notes)
{
    struct view view;
    uint32_t levels = 0;
    if (!view_part(image->file, notes->p_offset, notes->p_filesz, &view))
        return E64_OK;
    if (view.size > image->note_room)
        return bad(name, E64_BADFORMAT, "its PT_NOTE segments lie on one "
                   "another and would be read again and again");
    image->note_room -= view.size;
    if (notes->p_type == PT_NOTE && elf_has_go_note(view, notes->p_align))
        image->go = true;
    elf_read_isa_levels(view, notes->p_align, &levels);
    uint32_t lacking = elf_isa_lacking_x86_64(levels);
    if (!lacking)
        return E64_OK;
    fail(E64_UNSUPPORTED, "%s: needs a processor of ISA level %s, which this "
         "one is not (GNU_PROPERTY_X86_ISA_1_NEEDED)", name,
         elf_isa_name_x86_64(lacking));
    error_path(name);
    return E64_UNSUPPORTED;
}

static e64_status read_segment(struct elf_image *image, const char *name,
                               const Elf64_Phdr *header)
{
    const char *wrong = NULL;
    struct elf_range range = { header->p_vaddr, header->p_memsz };
    switch (header->p_type) {
    case PT_LOAD:
        wrong = add_load(image, header);
        break;
    case PT_DYNAMIC:
        if (header->p_filesz == 0)
            wrong = "PT_DYNAMIC is empty in the file, as in separate debug "
                    "information";
        image->dynamic = range;
        break;
    case PT_TLS:
        wrong = add_tls(image, header);
        break;
    case PT_GNU_RELRO:
        image->relro = range;
        break;
    case PT_GNU_EH_FRAME:
        image->unwind = range;
        break;
    case PT_GNU_STACK:
        if (header->p_flags & PF_X)
            return bad(name, E64_UNSUPPORTED, "wants an executable stack "
                       "(PT_GNU_STACK with PF_X), which is never granted; "
                       "link it with -z noexecstack");
        break;
    case PT_GNU_PROPERTY:
    case PT_NOTE:
        return read_notes(image, name, header);
    }
    return wrong ? bad(name, E64_BADFORMAT, wrong) : E64_OK;
}

static e64_status read_segments(struct elf_image *image, const char *name,
                                const Elf64_Ehdr *header)
{
    struct view table;
    uint64_t size = (uint64_t)header->e_phnum * sizeof(Elf64_Phdr);
    if (header->e_phnum == 0)
        return bad(name, E64_BADFORMAT, "e_phnum is 0: no program headers");
    if (!view_part(image->file, header->e_phoff, size, &table))
        return bad(name, E64_BADFORMAT, "e_phoff and e_phnum reach beyond the "
                   "file");
    image->loads = memory_array(header->e_phnum, sizeof *image->loads);
    if (!image->loads)
        return fail_memory(header->e_phnum * sizeof *image->loads);
    for (uint32_t i = 0; i < header->e_phnum; i++) {
        Elf64_Phdr segment;
        memcpy(&segment, table.data + i * sizeof segment, sizeof segment);
        e64_status status = read_segment(image, name, &segment);
        if (status != E64_OK)
            return status;
    }
    if (image->load_count == 0)
        return bad(name, E64_BADFORMAT, "no PT_LOAD segment");
    const char *wrong = check_ranges(image);
    if (wrong)
        return bad(name, E64_BADFORMAT, wrong);
    // The table as loaded and readable, for dl_iterate_phdr and debuggers.
    for (uint32_t i = 0; i < image->load_count; i++) {
        const struct elf_load *load = &image->loads[i];
        if (load->flags & PF_R && header->e_phoff >= load->offset
            && header->e_phoff - load->offset <= load->filesz
            && size <= load->filesz - (header->e_phoff - load->offset)) {
            image->headers = (struct elf_range){
                load->vaddr + header->e_phoff - load->offset, size };
            image->header_count = header->e_phnum;
            break;
        }
    }
    return E64_OK;
}

e64_status elf_image_read(struct view file, const char *name,
                          struct elf_image *image)
{
    // PT_GNU_PROPERTY is part of a PT_NOTE, so each byte may count twice.
    *image = (struct elf_image){ .file = file, .note_room = 2 * file.size };
    Elf64_Ehdr header;
    e64_status status = check_header(file, name, &header);
    if (status == E64_OK)
        status = read_segments(image, name, &header);
    if (status == E64_OK) {
        const char *wrong = elf_read_dynamic(image);
        if (wrong)
            status = bad(name, wrong == elf_no_memory ? E64_NOMEMORY
                                                      : E64_BADFORMAT, wrong);
    }
    if (status == E64_OK && !image->go)
        image->go = elf_has_go_entry(&image->symbols);
    if (status == E64_OK && image->flags_1 & DF_1_PIE)
        status = bad(name, E64_UNSUPPORTED, "is a position-independent "
                     "executable (DF_1_PIE), not a shared object");
    if (status != E64_OK)
        elf_image_free(image);
    return status;
}

// The last segment that begins at or below a vaddr, or NULL. There may be
// thousands, and a relocation for each of their bytes.
static const struct elf_load *load_below(const struct elf_image *image,
                                         uint64_t vaddr)
{
    uint32_t low = 0, high = image->load_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (image->loads[middle].vaddr <= vaddr)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? &image->loads[low - 1] : NULL;
}

const struct elf_load *elf_image_load(const struct elf_image *image,
                                      uint64_t vaddr, uint64_t size)
{
    const struct elf_load *load = load_below(image, vaddr);
    return load && vaddr - load->vaddr <= load->memsz
        && size <= load->memsz - (vaddr - load->vaddr) ? load : NULL;
}

bool elf_image_at(const struct elf_image *image, uint64_t vaddr, uint64_t size,
                  struct view *view)
{
    struct view from;
    return elf_image_from(image, vaddr, &from)
        && view_part(from, 0, size, view);
}

bool elf_image_from(const struct elf_image *image, uint64_t vaddr,
                    struct view *view)
{
    const struct elf_load *load = load_below(image, vaddr);
    if (!load || vaddr - load->vaddr >= load->filesz)
        return false;
    uint64_t skip = vaddr - load->vaddr;
    return view_part(image->file, load->offset + skip, load->filesz - skip,
                     view);
}

static bool is_in_file(const struct elf_image *image, const struct view *table)
{
    return table->size && image->file.size
        && table->data >= image->file.data
        && table->data < image->file.data + image->file.size;
}

// The segment that a table of the file may be read in as long as it is mapped;
// NULL when there is none.
static const struct elf_load *find_constant(const struct elf_image *image,
                                            const struct view *table)
{
    uint64_t offset = (uint64_t)(table->data - image->file.data);
    for (uint32_t i = 0; i < image->load_count; i++) {
        const struct elf_load *load = &image->loads[i];
        if (offset >= load->offset && offset - load->offset <= load->filesz
            && table->size <= load->filesz - (offset - load->offset)
            && !(load->flags & PF_W) && load->flags & PF_R
            && !image->text_relocations)
            return load;
    }
    return NULL;
}

enum { TABLES = 11 };

// The tables that are read after the plugin has been mapped.
static void list_tables(struct elf_image *image, struct view *tables[TABLES])
{
    struct elf_symbols *symbols = &image->symbols;
    struct elf_relocations *relocations = &image->relocations;
    struct view *const all[TABLES] = {
        &symbols->symtab, &symbols->strtab, &symbols->versym,
        &symbols->gnu_bloom, &symbols->gnu_bucket, &symbols->gnu_chain,
        &symbols->sysv_bucket, &symbols->sysv_chain,
        &relocations->rela, &relocations->jmprel, &relocations->relr,
    };
    memcpy(tables, all, sizeof all);
}

bool elf_image_is_constant(const struct elf_image *image)
{
    struct view *tables[TABLES];
    list_tables((struct elf_image *)image, tables);
    for (int i = 0; i < TABLES; i++)
        if (tables[i]->size && !find_constant(image, tables[i]))
            return false;
    return true;
}

void elf_image_move(struct elf_image *image, uintptr_t bias)
{
    struct view *tables[TABLES];
    list_tables(image, tables);
    for (int i = 0; i < TABLES; i++) {
        const struct elf_load *load = is_in_file(image, tables[i])
                                    ? find_constant(image, tables[i]) : NULL;
        if (load)
            tables[i]->data = (const uint8_t *)(bias + load->vaddr
                                                - load->offset)
                            + (tables[i]->data - image->file.data);
    }
}

static e64_status copy(struct elf_image *image, struct view *table)
{
    struct elf_copy *copy = memory_resize(NULL, sizeof *copy + table->size);
    if (!copy)
        return fail_memory(table->size);
    memcpy(copy->bytes, table->data, table->size);
    copy->next = image->copies;
    image->copies = copy;
    table->data = copy->bytes;
    return E64_OK;
}

e64_status elf_image_settle(struct elf_image *image, bool later)
{
    struct view *tables[TABLES];
    e64_status status = E64_OK;
    image->relocations = (struct elf_relocations){
        .jmprel = later ? image->relocations.jmprel : (struct view){ 0 } };
    list_tables(image, tables);
    for (int i = 0; status == E64_OK && i < TABLES; i++)
        if (is_in_file(image, tables[i]))
            status = copy(image, tables[i]);
    if (status == E64_OK)
        image->file = (struct view){ 0 };
    return status;
}

void elf_image_free(struct elf_image *image)
{
    elf_symbols_free(&image->symbols);
    memory_free(image->loads);
    memory_free(image->needed);
    memory_free(image->filters);
    while (image->copies) {
        struct elf_copy *copy = image->copies;
        image->copies = copy->next;
        memory_free(copy);
    }
    *image = (struct elf_image){ 0 };
}
