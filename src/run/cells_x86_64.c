// Functions that jump to where a word says: a page of such jumps, which is
// never written to again, and a page of words behind it.

#include "define.h"

#include <string.h>
#include <sys/mman.h>

#include "../error.h"
#include "../mapping.h"
#include "../memory.h"

// Bytes of a jump; how many there are, with as many words in the page behind.
enum { PAGE = 4096, JUMP = 16, CELLS = PAGE / JUMP };

struct cells {
    struct cells *next;
    uint8_t *pages;
    uint16_t used;       // how many were ever given out
    void *free_word;     // the first of those given back: a list by their words
};

static void *_Atomic *word_of(void *cell)
{
    uintptr_t jump = (uintptr_t)cell, page = jump & ~(uintptr_t)(PAGE - 1);
    return (void *_Atomic *)(page + PAGE) + (jump - page) / JUMP;
}

static void write_jumps(uint8_t *page)
{
    static const uint8_t jump[JUMP] = {
        0xf3, 0x0f, 0x1e, 0xfa,             // endbr64
        0xff, 0x25, 0x00, 0x00, 0x00, 0x00, // jmp *word(%rip)
        0xcc, 0xcc, 0xcc, 0xcc, 0xcc, 0xcc, // int3
    };
    enum { DISPLACEMENT = 6, END = 10 };
    for (uint32_t i = 0; i < CELLS; i++) {
        int32_t word = (int32_t)(PAGE + i * sizeof(void *) - i * JUMP - END);
        memcpy(page + i * JUMP, jump, JUMP);
        memcpy(page + i * JUMP + DISPLACEMENT, &word, sizeof word);
    }
}

static struct cells *add_pages(struct cells **cells)
{
    struct cells *made = memory_new(sizeof *made);
    if (!made) {
        fail_memory(sizeof *made);
        return NULL;
    }
    made->pages = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (made->pages == MAP_FAILED) {
        fail_system("cannot get memory for cells of functions");
        memory_free(made);
        return NULL;
    }
    write_jumps(made->pages);
    if (mprotect(made->pages, PAGE, PROT_READ | PROT_EXEC) != 0) {
        fail_system("cannot execute what had to be written first: cells of "
                    "functions");
        mapping_drop(made->pages, 2 * PAGE);
        memory_free(made);
        return NULL;
    }
    made->next = *cells;
    *cells = made;
    return made;
}

void *cell_new(struct cells **cells, void *target)
{
    struct cells *found = *cells;
    while (found && !found->free_word && found->used == CELLS)
        found = found->next;
    if (!found)
        found = add_pages(cells);
    if (!found)
        return NULL;
    void *cell = found->free_word;
    if (cell)
        found->free_word = atomic_load(word_of(cell));
    else
        cell = found->pages + JUMP * found->used++;
    atomic_store(word_of(cell), target);
    return cell;
}

void cell_set(void *cell, void *target)
{
    atomic_store(word_of(cell), target);
}

void cell_free(struct cells **cells, void *cell)
{
    struct cells *found = *cells;
    uintptr_t page = (uintptr_t)cell & ~(uintptr_t)(PAGE - 1);
    while ((uintptr_t)found->pages != page)
        found = found->next;
    atomic_store(word_of(cell), found->free_word);
    found->free_word = cell;
}

void cells_free(struct cells **cells)
{
    while (*cells) {
        struct cells *next = (*cells)->next;
        mapping_drop((*cells)->pages, 2 * PAGE);
        memory_free(*cells);
        *cells = next;
    }
}
