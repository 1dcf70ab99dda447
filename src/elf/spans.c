// Finds the symbol that an address belongs to: by going through all of them the
// first time, and from the second time on by an index. It is sorted by where
// symbols begin; what begins at the same place stands there with the first one
// last, so that whoever looks from the end comes to that one first.
//
// A signal handler may be the one that makes it. So its memory is the kernel's,
// there is no lock, and who finds it being made goes through all symbols.

#include "spans.h"

#include <stdatomic.h>
#include <sys/mman.h>

struct span {
    uint32_t index; // of the symbol
    // The last one before this that ends after it, as a place in the list plus
    // one; 0: there is none. Nothing in between reaches what this does not.
    uint32_t outer;
};

struct elf_spans {
    size_t size; // of its mapping
    uint32_t count;
    uint32_t point_count;
    uint32_t *starts; // vaddrs, by themselves: they are what is looked through
    // Of those without a size, which may be taken to reach to the next.
    uint32_t *points;
    struct span all[];
};

// What stands for an index that there is not: it has been asked once; it is
// being made; it cannot be.
static struct elf_spans asked, made, none;

enum { FEWEST = 32 }; // symbols for which it is made

static bool lies(const Elf64_Sym *symbol)
{
    return ELF64_ST_TYPE(symbol->st_info) != STT_TLS
        && symbol->st_shndx != SHN_ABS;
}

static bool reaches(const Elf64_Sym *symbol, uint64_t vaddr, bool open)
{
    uint64_t distance = vaddr - symbol->st_value;
    return symbol->st_size ? distance < symbol->st_size
                           : open || distance == 0;
}

// --------------------------------------------------------- going through ---

struct finding {
    uint64_t vaddr;
    bool open;
    uint32_t index;
    Elf64_Sym symbol;
};

static int consider(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct finding *finding = data;
    if (lies(symbol) && symbol->st_value <= finding->vaddr
        && reaches(symbol, finding->vaddr, finding->open)
        && (!finding->index
            || symbol->st_value > finding->symbol.st_value)) {
        finding->index = index;
        finding->symbol = *symbol;
    }
    return 0;
}

static uint32_t go_through(const struct elf_symbols *symbols, elf_each *each,
                           uint64_t vaddr, bool open, Elf64_Sym *symbol)
{
    struct finding finding = { .vaddr = vaddr, .open = open };
    each(symbols, consider, &finding);
    *symbol = finding.symbol;
    return finding.index;
}

// ---------------------------------------------------------------- making ---

static void *get_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

// A symbol while they are sorted.
struct item {
    uint32_t start, index;
    uint64_t end;
};

// While one is made: what it is made of, and how far it has come.
struct making {
    struct item *items, *others; // room for `count` each
    uint32_t count, points, at;
};

// Those below 4 GB, which all are but in a file that lies; nobody who asks for
// an address below has use for the others.
static bool is_low(const Elf64_Sym *symbol)
{
    return lies(symbol) && symbol->st_value <= UINT32_MAX;
}

static int tally(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct making *making = data;
    (void)index;
    if (is_low(symbol)) {
        making->count++;
        making->points += !symbol->st_size;
    }
    return 0;
}

// From the last place to the first: see above.
static int place(void *data, uint32_t index, const Elf64_Sym *symbol)
{
    struct making *making = data;
    uint64_t end = symbol->st_value + symbol->st_size;
    if (is_low(symbol) && making->at)
        making->items[--making->at] = (struct item){
            (uint32_t)symbol->st_value, index,
            end < symbol->st_value ? UINT64_MAX : end };
    return 0;
}

// By eight bits of the starts; equal ones stay as they stand.
static void sort_by(struct making *making, unsigned shift)
{
    uint32_t places[256] = { 0 }, sum = 0;
    for (uint32_t i = 0; i < making->count; i++)
        places[making->items[i].start >> shift & 255]++;
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t count = places[i];
        places[i] = sum;
        sum += count;
    }
    for (uint32_t i = 0; i < making->count; i++)
        making->others[places[making->items[i].start >> shift & 255]++]
            = making->items[i];
    struct item *sorted = making->others;
    making->others = making->items;
    making->items = sorted;
}

static void fill(struct elf_spans *spans, const struct making *making)
{
    const struct item *items = making->items;
    for (uint32_t i = 0; i < making->count; i++) {
        uint32_t outer = i;
        while (outer && items[outer - 1].end <= items[i].end)
            outer = spans->all[outer - 1].outer;
        spans->starts[i] = items[i].start;
        spans->all[i] = (struct span){ items[i].index, outer };
        if (items[i].end == items[i].start
            && spans->point_count < making->points)
            spans->points[spans->point_count++] = i;
    }
}

// The index, or `none`.
static struct elf_spans *make(const struct elf_symbols *symbols, elf_each *each)
{
    struct making making = { 0 };
    each(symbols, tally, &making);
    const size_t count = making.count;
    if (count < FEWEST)
        return &none;
    size_t size = sizeof(struct elf_spans) + count * sizeof(struct span)
                + (count + making.points) * sizeof(uint32_t);
    size_t used_size = 2 * count * sizeof(struct item);
    struct elf_spans *spans = get_memory(size);
    struct item *used = spans ? get_memory(used_size) : NULL;
    if (!used) {
        if (spans)
            munmap(spans, size);
        return &none;
    }
    spans->size = size;
    spans->count = making.at = making.count;
    spans->starts = (uint32_t *)(void *)(spans->all + count);
    spans->points = spans->starts + count;
    making.items = used;
    making.others = used + count;
    each(symbols, place, &making);
    for (unsigned shift = 0; shift < 32; shift += 8)
        sort_by(&making, shift);
    fill(spans, &making);
    munmap(used, used_size);
    return spans;
}

// --------------------------------------------------------------- looking ---

// How many begin at the address or before it.
static uint32_t count_begun(const struct elf_spans *spans, uint64_t vaddr)
{
    uint32_t low = 0, count = spans->count;
    while (count > 0) {
        uint32_t half = count / 2;
        bool begun = spans->starts[low + half] <= vaddr;
        low = begun ? low + half + 1 : low;
        count = begun ? count - half - 1 : half;
    }
    return low;
}

// The last point among the first so many, as a place plus one; or 0.
static uint32_t last_point(const struct elf_spans *spans, uint32_t before)
{
    uint32_t low = 0, high = spans->point_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (spans->points[middle] < before)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? spans->points[low - 1] + 1 : 0;
}

static uint32_t look(const struct elf_symbols *symbols,
                     const struct elf_spans *spans, uint64_t vaddr, bool open,
                     Elf64_Sym *symbol)
{
    uint32_t at = count_begun(spans, vaddr);
    uint32_t point = open ? last_point(spans, at) : 0;
    for (; at > point; at = spans->all[at - 1].outer) {
        uint32_t index = spans->all[at - 1].index;
        elf_symbol(symbols, index, symbol);
        if (reaches(symbol, vaddr, open))
            return index;
    }
    if (!point)
        return 0;
    elf_symbol(symbols, spans->all[point - 1].index, symbol);
    return spans->all[point - 1].index;
}

uint32_t elf_symbol_at(const struct elf_symbols *symbols, elf_each *each,
                       uint64_t vaddr, bool open, Elf64_Sym *symbol)
{
    // The one thing about a table that changes.
    struct elf_spans *_Atomic *at
        = (struct elf_spans *_Atomic *)&symbols->spans;
    struct elf_spans *spans = atomic_load_explicit(at, memory_order_acquire);
    if (!spans) {
        atomic_compare_exchange_strong(at, &spans, &asked);
    } else if (spans == &asked
               && atomic_compare_exchange_strong(at, &spans, &made)) {
        spans = make(symbols, each);
        atomic_store_explicit(at, spans, memory_order_release);
    }
    return spans && spans->count && vaddr <= UINT32_MAX
         ? look(symbols, spans, vaddr, open, symbol)
         : go_through(symbols, each, vaddr, open, symbol);
}

void elf_spans_free(struct elf_symbols *symbols)
{
    struct elf_spans *spans = atomic_load(&symbols->spans);
    atomic_store(&symbols->spans, NULL);
    if (spans && spans->count)
        munmap(spans, spans->size);
}
