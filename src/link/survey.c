// What relocating and mapping will come to, told before it is done.

#include <unistd.h>

#include "reloc.h"
#include "storage.h"

static void survey_table(struct link_unit *unit, struct view table,
                         void (*places)(void *data,
                                        const struct elf_object *definer),
                         void *data)
{
    for (uint64_t at = 0; at < table.size; at += sizeof(Elf64_Rela)) {
        uint64_t info = load64(table.data + at + 8);
        uint32_t type = ELF64_R_TYPE(info);
        enum reloc_kind kind = reloc_kind(type);
        if (kind == RELOC_NONE || kind == RELOC_UNKNOWN)
            continue;
        unit->counts[type]++;
        if (kind != RELOC_STATIC_TLS)
            continue;
        const struct elf_object *definer
            = storage_definer(unit, (uint32_t)ELF64_R_SYM(info));
        if (definer)
            places(data, definer);
    }
}

void link_survey(struct link_unit *unit,
                 void (*places)(void *data, const struct elf_object *definer),
                 void *data)
{
    const struct elf_relocations *tables = &unit->image.relocations;
    for (uint64_t at = 0; at < tables->relr.size; at += 8) {
        uint64_t entry = load64(tables->relr.data + at);
        unit->relr_count += entry & 1
            ? (uint64_t)__builtin_popcountll(entry >> 1) : 1;
    }
    survey_table(unit, tables->rela, places, data);
    survey_table(unit, tables->jmprel, places, data);
}

void link_measure(const struct link_unit *unit, struct link_memory *memory)
{
    const struct elf_image *image = &unit->image;
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE), after = image->start;
    *memory = (struct link_memory){ .all = image->end - image->start };
    for (uint32_t i = 0; i < image->load_count; i++) {
        const struct elf_load *load = &image->loads[i];
        // A page that two segments share counts once.
        uint64_t start = load->vaddr & ~(page - 1);
        uint64_t end = (load->vaddr + load->memsz + page - 1) & ~(page - 1);
        if (start < after)
            start = after;
        if (end <= start)
            continue;
        after = end;
        if (load->flags & PF_X)
            memory->code += end - start;
        if (load->flags & PF_W)
            memory->data += end - start;
    }
    uint64_t sealed = image->relro.vaddr & ~(page - 1);
    memory->sealed = ((image->relro.vaddr + image->relro.size) & ~(page - 1))
                   - sealed;
}
