// Reads the objects on the list, and of archives the members that are needed,
// in ld's order.

#include "../elf/symbols.h"
#include "../error.h"
#include "../memory.h"
#include "editor.h"

e64_status edit_add_unit(struct edit *edit, struct view file, char *name,
                         bool ours, struct unit **added)
{
    struct unit *unit = edit_new(edit, sizeof *unit);
    e64_status status = unit ? memory_grow(&edit->units, edit->unit_count,
                                           &edit->unit_room, sizeof unit)
                             : fail_memory(sizeof *unit);
    if (status != E64_OK) {
        memory_free(name);
        return status;
    }
    unit->name = name;
    unit->ours = ours;
    edit->units[edit->unit_count++] = unit;
    status = elf_relocatable_read(file, name, &unit->read);
    if (status != E64_OK)
        return status;
    unit->pieces = edit_new(edit, unit->read.section_count
                                  * sizeof *unit->pieces);
    unit->symbols = edit_new(edit, (unit->read.symbol_count + 1)
                                   * sizeof *unit->symbols);
    if (!unit->pieces || !unit->symbols)
        return fail_memory(unit->read.section_count * sizeof *unit->pieces);
    *added = unit;
    status = edit_drop_groups(edit, unit);
    if (status == E64_OK)
        status = edit_classify(edit, unit);
    if (status == E64_OK)
        status = edit_read_properties(edit, unit);
    if (status == E64_OK)
        status = edit_add_symbols(edit, unit);
    return status;
}

// An archive while its members are pulled.
struct pulling {
    struct edit *edit;
    const struct object_input *input;
    const char *name; // of the archive
    struct elf_archive archive;
    bool *pulled; // by member
};

static bool is_same(const struct elf_file *one, const struct elf_file *other)
{
    return one->identified && other->identified
        && one->device == other->device && one->inode == other->inode;
}

// The number of a file among those that are open. It is one's own, if no other
// name of the same file was opened before.
static e64_status enter(struct edit *edit, struct elf_file *file,
                        uint32_t *number)
{
    struct object_image *image = edit->image;
    uint32_t count = image->opened_count;
    for (*number = 0; *number < count; ++*number) {
        if (is_same(&image->opened[*number], file)) {
            elf_file_close(file);
            return E64_OK;
        }
    }
    struct elf_file *all = memory_resize(image->opened,
                                         (count + 1) * sizeof *all);
    if (all)
        image->opened = all;
    e64_status status = !all ? fail_memory((count + 1) * sizeof *all)
                      : memory_grow(&edit->opened, count, &edit->opened_room,
                                    sizeof *edit->opened);
    if (status != E64_OK) {
        elf_file_close(file);
        return status;
    }
    // There may be more members than a process may have descriptors.
    elf_file_forget(file);
    all[count] = *file;
    edit->opened[count] = (struct opened){ .linked = false };
    image->opened_count++;
    return E64_OK;
}

// Opens the file of a thin archive's member.
static e64_status open_member(struct pulling *pulling, uint32_t member,
                              uint32_t *number)
{
    const struct object_input *input = pulling->input;
    struct object_image *image = pulling->edit->image;
    struct elf_file file;
    char *path = elf_archive_path(&pulling->archive, pulling->name, member);
    if (!path)
        return fail_memory(strlen(pulling->name));
    for (*number = 0; *number < image->opened_count; ++*number) {
        if (strcmp(image->opened[*number].name, path) == 0) {
            memory_free(path);
            return E64_OK;
        }
    }
    e64_status status = input->open ? input->open(input->data, path, &file)
                                    : elf_file_open_path(path, &file);
    memory_free(path);
    return status == E64_OK ? enter(pulling->edit, &file, number) : status;
}

// The bytes in which names are looked for: none of a file that the archive has
// under another name before.
static e64_status bytes_of(void *data, uint32_t member, struct view *bytes)
{
    struct pulling *pulling = data;
    struct edit *edit = pulling->edit;
    const uint32_t archive = (uint32_t)(pulling->input - edit->inputs) + 1;
    uint32_t number;
    e64_status status = open_member(pulling, member, &number);
    if (status != E64_OK)
        return status;
    bool seen = edit->opened[number].archive == archive;
    edit->opened[number].archive = archive;
    *bytes = seen ? (struct view){ .size = 0 }
                  : edit->image->opened[number].view;
    return E64_OK;
}

// The bytes that are linked. Of a file that is linked already each name would
// be there twice; where it has none, its sections.
static e64_status take_bytes(struct pulling *pulling, uint32_t member,
                             struct view *bytes)
{
    struct edit *edit = pulling->edit;
    uint32_t number;
    *bytes = pulling->archive.members[member].bytes;
    if (!pulling->archive.thin)
        return E64_OK;
    e64_status status = open_member(pulling, member, &number);
    if (status != E64_OK)
        return status;
    *bytes = edit->image->opened[number].view;
    if (edit->opened[number].linked && elf_is_relocatable(*bytes)) {
        fail(E64_DUPLICATE, "%s: its member '%s' is a file that is linked "
             "already, as a thin archive's member; take it off one of them",
             pulling->name, pulling->archive.members[member].name);
        error_path(pulling->name);
        return E64_DUPLICATE;
    }
    edit->opened[number].linked = true;
    return E64_OK;
}

// Links one member, for the symbol that it defines or for all.
static e64_status pull(struct pulling *pulling, uint32_t member,
                       const char *symbol)
{
    struct view bytes;
    struct unit *unit;
    e64_status status = take_bytes(pulling, member, &bytes);
    pulling->pulled[member] = true;
    if (status != E64_OK || (!symbol && !elf_is_relocatable(bytes)))
        return status;
    char *label = elf_archive_label(&pulling->archive, pulling->name, member);
    if (!label)
        return fail_memory(strlen(pulling->name));
    status = edit_add_unit(pulling->edit, bytes, label, false, &unit);
    if (status == E64_OK && symbol)
        status = elf_archive_confirm(&pulling->archive, pulling->name, member,
                                     &unit->read, symbol);
    return status;
}

// What is undefined when it is first wanted is on edit->wanted; what members
// want comes behind it, so that one way along the list does what ld does in
// several rounds.
static e64_status pull_wanted(struct pulling *pulling)
{
    struct edit *edit = pulling->edit;
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK && i < edit->wanted_count; i++) {
        const struct symbol *symbol = edit->wanted[i];
        if (symbol->place != PLACE_NONE)
            continue;
        uint32_t member = elf_archive_find(&pulling->archive, symbol->name,
                                           symbol->hash);
        if (member != ELF_NO_MEMBER && !pulling->pulled[member])
            status = pull(pulling, member, symbol->name);
    }
    return status;
}

static e64_status pull_all(struct pulling *pulling)
{
    e64_status status = E64_OK;
    for (uint32_t i = 0; status == E64_OK
                         && i < pulling->archive.member_count; i++)
        status = pull(pulling, i, NULL);
    return status;
}

static e64_status read_archive(struct edit *edit,
                               const struct object_input *input, bool whole)
{
    const struct elf_file *file = input->file;
    struct pulling pulling = { .edit = edit, .input = input,
                               .name = file->name };
    struct elf_archive *archive = &pulling.archive;
    e64_status status = elf_archive_read(file->view, file->name, archive);
    if (status != E64_OK)
        return status;
    pulling.pulled = edit_new(edit, archive->member_count + 1);
    if (!pulling.pulled)
        status = fail_memory(archive->member_count);
    if (status == E64_OK && !archive->indexed && !whole)
        status = elf_archive_collect(archive, file->name, archive->thin
                                     ? bytes_of : NULL, &pulling);
    if (status == E64_OK)
        status = whole ? pull_all(&pulling) : pull_wanted(&pulling);
    elf_archive_free(archive);
    return status;
}

static e64_status read_object(struct edit *edit, const struct elf_file *file)
{
    struct unit *unit;
    char *name = memory_copy(file->name);
    return name ? edit_add_unit(edit, file->view, name, false, &unit)
                : fail_memory(strlen(file->name) + 1);
}

e64_status edit_read_inputs(struct edit *edit)
{
    bool archives_only = true;
    for (uint32_t i = 0; i < edit->input_count; i++)
        archives_only &= elf_is_archive(edit->inputs[i].file->view);
    e64_status status = edit_begin(edit);
    for (uint32_t i = 0; status == E64_OK && i < edit->input_count; i++) {
        const struct object_input *input = &edit->inputs[i];
        if (elf_is_archive(input->file->view))
            status = read_archive(edit, input, input->whole || archives_only);
        else
            status = read_object(edit, input->file);
    }
    if (status == E64_OK && edit->unit_count < 2)
        status = fail(E64_BADFORMAT, "%s: there is no object in it to link",
                      edit->name);
    return status;
}
