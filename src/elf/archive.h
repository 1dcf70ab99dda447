// ar archives as GNU and LLVM write them on Linux, thin ones too: their members
// and which of them defines a name. There is no specification; ar(5) and the
// files themselves show the format.

#ifndef ELF_ARCHIVE_H
#define ELF_ARCHIVE_H

#include "../elf64load.h"
#include "view.h"

enum { ELF_NO_MEMBER = 0xffffffff };

struct elf_member {
    const char *name;  // lives as long as the archive; of a thin archive's a
                       // path, see elf_archive_path
    struct view bytes; // none in a thin archive
    uint64_t size;     // what its header says; a thin member's file may differ
    uint64_t offset;   // of its header, which the archive's index names it by
    char brief[17];    // a name that needs no table
};

// A name that a member defines.
struct elf_definer {
    const char *symbol;
    uint32_t hash; // elf_gnu_hash
    uint32_t member;
};

struct elf_archive {
    struct view file;
    struct elf_member *members; // in file order, without the tables of ar
    uint32_t member_count;
    bool thin;    // members are files of their own
    bool indexed; // false: ar made no index; see elf_archive_collect

    char *names;                  // long ones, and nothing else of ar's table
    struct elf_definer *definers; // by hash and name
    uint32_t definer_count;
};

// Is it an archive by its first eight bytes?
bool elf_is_archive(struct view file);

// Reads and checks an archive: E64_BADFORMAT or E64_UNSUPPORTED (BSD's format,
// members of archives in thin archives) with what is wrong, or E64_NOMEMORY.
// Members are not looked into. `name` is for messages. Names of members and of
// symbols, and members' bytes, live as long as the archive and the file's
// bytes. What it allocates is no more than a small multiple of the file.
//
// A thin archive's member is refused as E64_BADFORMAT when its name is no
// relative path that ar would write: an absolute one, one that goes up (`..`)
// after it went down, one that ends in a folder. Leading `..` are right: the
// objects of lib/x.a are often ../obj/x.o.
e64_status elf_archive_read(struct view file, const char *name,
                            struct elf_archive *archive);

// For an archive without an index (ar rcS): reads all members and enters what
// they define, as ranlib would (global, weak, unique and common symbols). A
// member that is no ELF file, nor bitcode, defines nothing; a bad one fails.
// `bytes_of` gives the bytes of a thin archive's member, which must stay until
// elf_archive_free as the names lie in them; NULL: the archive is not thin.
e64_status elf_archive_collect(struct elf_archive *archive, const char *name,
                               e64_status (*bytes_of)(void *data,
                                                      uint32_t member,
                                                      struct view *bytes),
                               void *data);

// The first member that defines a name, or ELF_NO_MEMBER.
// `hash` is the name's elf_gnu_hash.
uint32_t elf_archive_find(const struct elf_archive *archive, const char *symbol,
                          uint32_t hash);

// What the index says is to be believed only when the member has been read: a
// linker that pulls a member for a name calls this, and E64_BADFORMAT says that
// the index lies (or is older than the member), by `name`, member and symbol.
struct elf_relocatable;
e64_status elf_archive_confirm(const struct elf_archive *archive,
                               const char *name, uint32_t member,
                               const struct elf_relocatable *object,
                               const char *symbol);

// "libx.a(a.o)", which messages, debuggers and errors name a member by; or, for
// a thin archive, the path of the member's file: its name after the folder of
// `path`, the archive's own. memory_free; NULL without memory.
char *elf_archive_label(const struct elf_archive *archive, const char *name,
                        uint32_t member);
char *elf_archive_path(const struct elf_archive *archive, const char *path,
                       uint32_t member);

// A zeroed struct may be freed.
void elf_archive_free(struct elf_archive *archive);

#endif
