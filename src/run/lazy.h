// Functions of others that a plugin finds when it first calls them.
//
// Such a call is looked up without locks, so that it may come from a signal
// handler or from a thread that holds a lock of the program's: in what was
// global to the process at its start, in what the runtime has made global, in
// the scopes that the plugin was opened for. These stand in lists that are
// never changed, only replaced. What cannot be told by them is looked up again
// with locks: names that none of them defines, all names once the runtime has
// defined some by itself, and all that comes after modules of the host which
// the host could close.

#ifndef RUN_LAZY_H
#define RUN_LAZY_H

#include "addresses.h"

// Objects, in order. Readers may be looking at it without a lock.
struct lazy_list {
    struct address_retired retired;
    uint32_t count;
    bool partial; // something is left out
    const struct elf_object *objects[];
};

// Is a plugin's binding to wait? LD_BIND_NOW at the start of the process
// says no.
e64_status lazy_wanted(const e64_runtime *runtime,
                       const e64_open_options *options, bool *wanted);

// Before a plugin that is new is bound: it may wait, and finds what the root of
// the open finds.
void lazy_prepare(e64_plugin *plugin, e64_plugin *root);

// With the runtime's lock held. Without the memory for a list more is looked up
// with locks; nothing else is wrong.

// What was open before finds what this one needs, too.
void lazy_add_root(e64_plugin *root);
// These will be unmapped, and are found no more.
void lazy_forget(e64_runtime *runtime, e64_plugin *const *plugins,
                 uint32_t count);
// The runtime's globals have changed.
void lazy_globals_changed(e64_runtime *runtime);

// When nobody can be reading it.
void lazy_list_free(struct lazy_list *list);

// lazy_x86_64.c: what slots lead to, by way of the PLT.
void lazy_entry_x86_64(void);

#endif
