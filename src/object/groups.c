// Section groups (gABI "Section Groups"): of those of one signature that are
// COMDAT the first stays. The older .gnu.linkonce sections are groups of one.

#include "../error.h"
#include "../memory.h"
#include "editor.h"

// Puts the table into one of twice the size.
static e64_status grow(struct edit *edit)
{
    uint32_t room = edit->group_room ? 2 * edit->group_room : 64;
    const char **groups = memory_array(room, sizeof *groups);
    if (!groups)
        return fail_memory(room * sizeof *groups);
    for (uint32_t i = 0; i < edit->group_room; i++) {
        if (!edit->groups[i])
            continue;
        uint64_t at = edit_hash(edit, edit->groups[i]) & (room - 1);
        while (groups[at])
            at = (at + 1) & (room - 1);
        groups[at] = edit->groups[i];
    }
    memory_free(edit->groups);
    edit->groups = groups;
    edit->group_room = room;
    return E64_OK;
}

// Takes a signature, unless it is taken.
static e64_status take(struct edit *edit, const char *signature, bool *taken)
{
    if (2 * edit->group_count >= edit->group_room) {
        e64_status status = grow(edit);
        if (status != E64_OK)
            return status;
    }
    uint32_t mask = edit->group_room - 1;
    uint64_t at = edit_hash(edit, signature) & mask;
    while (edit->groups[at]) {
        if (strcmp(edit->groups[at], signature) == 0) {
            *taken = true;
            return E64_OK;
        }
        at = (at + 1) & mask;
    }
    edit->groups[at] = signature;
    edit->group_count++;
    *taken = false;
    return E64_OK;
}

e64_status edit_drop_groups(struct edit *edit, struct unit *unit)
{
    static const char once[] = ".gnu.linkonce.";
    const struct elf_relocatable *read = &unit->read;
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < read->group_count; i++) {
        const struct elf_group *group = &read->groups[i];
        bool taken = false;
        if (group->comdat)
            status = take(edit, group->signature, &taken);
        for (uint32_t j = 0; taken && j < group->count; j++)
            unit->pieces[elf_group_member(group, j)].dropped = true;
    }
    for (uint32_t i = 1; status == E64_OK && i < read->section_count; i++) {
        const struct elf_section *section = &read->sections[i];
        // What belongs to one section goes along with it.
        if (section->flags & SHF_LINK_ORDER
            && unit->pieces[section->link].dropped)
            unit->pieces[i].dropped = true;
        if (section->name[0] != '.' || section->group
            || strncmp(section->name, once, sizeof once - 1) != 0)
            continue;
        status = take(edit, section->name, &unit->pieces[i].dropped);
    }
    return status;
}
