// One side of the comparison: opens a library, by glibc or by the loader under
// test, and prints what each of its relocated slots means. The same program is
// both sides, so that what glibc mapped at the start is the same on both.
//
//     side list LIB
//         what dlopen of LIB brings in besides LIB, a path a line
//     side SIDE MODE READER ALTER DROP LIB [DEPENDENCY...]
//         SIDE    theirs (dlopen), ours, or lazy: ours, in which all calls are
//                 bound as a first call binds them; or planned, which opens
//                 nothing: see planned.h
//                 Or unstarted: dlopen, and the report is made before any
//                 constructor has run. READER is then the library made from
//                 first.c
//         MODE    host: glibc opens the dependencies first; own: nobody does
//         READER  the library made from reader.c
//         ALTER   the number of a relocation of LIB whose slot is damaged
//                 before the report, or -1: how the harness is tested
//         DROP    the number of one to report as unknown, or -1
//
// Lines that it prints:
//
//     object \t MAPPER \t PATH        start, glibc or ours
//     wrong \t MESSAGE
//     file \t PATH \t COUNT           followed by COUNT lines of print_slot
//     end

#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "objects.h"
#include "ours.h"
#include "planned.h"

static void open_host(const char *path)
{
    if (!dlopen(path, RTLD_NOW | RTLD_LOCAL))
        errx(4, "dlopen: %s", dlerror());
}

static void list(const char *library)
{
    struct process process = { 0 };
    process_add_host(&process, MAPPER_START);
    open_host(library);
    char *own = canonical(library);
    process_add_host(&process, MAPPER_GLIBC);
    for (size_t i = 0; i < process.count; i++)
        if (process.objects[i].mapper == MAPPER_GLIBC
            && strcmp(process.objects[i].path, own) != 0)
            puts(process.objects[i].path);
}

// The same file at two places would give slots that look equal and are not.
static void check_twice(const struct process *process, FILE *out)
{
    for (size_t i = 1; i < process->count; i++)
        if (strcmp(process->objects[i - 1].path, process->objects[i].path) == 0)
            fprintf(out, "wrong\t%s is mapped twice\n",
                    process->objects[i].path);
}

// Adds one to the last byte that a relocation wrote, past any protection.
static void damage(const struct object *object,
                   const struct relocation *relocation)
{
    int memory = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
    // The second word of a TLS descriptor: the first one is called.
    off_t address = object->base + relocation->offset
                    + (relocation->type == R_X86_64_TLSDESC ? 8 : 0);
    unsigned char byte;
    if (memory < 0 || pread(memory, &byte, 1, address) != 1)
        err(3, "/proc/self/mem");
    byte++;
    if (pwrite(memory, &byte, 1, address) != 1)
        err(3, "/proc/self/mem");
    close(memory);
}

struct report {
    FILE *out;
    const struct process *process;
    const char *library;
    long alter;
    long drop;
};

static void report_file(const struct report *report,
                        const struct object *object)
{
    struct elf elf;
    elf_read(&elf, object->path);
    if (strcmp(object->path, report->library) == 0) {
        if (report->alter >= 0 && (size_t)report->alter < elf.count)
            damage(object, &elf.relocations[report->alter]);
        if (report->drop >= 0 && (size_t)report->drop < elf.count)
            elf.relocations[report->drop].type = UINT32_MAX;
    }
    fprintf(report->out, "file\t%s\t%zu\n", object->path, elf.count);
    for (size_t i = 0; i < elf.count; i++)
        print_slot(report->out, report->process, object, &elf.relocations[i]);
    elf_free(&elf);
}

static void *host_tls_address(uint64_t module, uint64_t offset)
{
    extern void *__tls_get_addr(uint64_t *index);
    uint64_t index[2] = { module, offset };
    return __tls_get_addr(index);
}

static int finish(FILE *out)
{
    fputs("end\n", out);
    if (fflush(out) != 0)
        err(3, "report");
    // Destructors are not what this is about.
    _exit(0);
}

// What the first constructor of an unstarted side does in main's place.
static struct report *unstarted;

static void report_all(struct report *report, bool ours, bool alone,
                       const char *but)
{
    static const char *const mappers[] = { "start", "glibc", "ours" };
    const struct process *process = report->process;
    for (size_t i = 0; i < process->count; i++)
        fprintf(report->out, "object\t%s\t%s\n",
                mappers[process->objects[i].mapper],
                process->objects[i].path);
    for (size_t i = 0; i < process->count; i++) {
        const struct object *object = &process->objects[i];
        // Our side must have opened it: glibc's slots equal glibc's.
        bool wanted = object->mapper == (ours ? MAPPER_US : MAPPER_GLIBC)
                   && !(but && strcmp(object->path, but) == 0);
        if (wanted && (!alone || strcmp(object->path, report->library) == 0))
            report_file(report, object);
    }
}

static void report_unstarted(void)
{
    struct process *process = (struct process *)unstarted->process;
    char *but = canonical(getenv("SIDE_FIRST"));
    process_add_host(process, MAPPER_GLIBC);
    process_read_regions(process);
    process_sort(process);
    process->tls_address = host_tls_address;
    report_all(unstarted, false, getenv("SIDE_ALONE") != NULL, but);
    finish(unstarted->out);
}

// first.c calls this, and comes before all other constructors.
static void open_unstarted(struct report *report, const char *first, bool alone)
{
    char address[32];
    unstarted = report;
    snprintf(address, sizeof address, "%lx", (unsigned long)report_unstarted);
    setenv("SIDE_REPORT", address, 1);
    setenv("SIDE_FIRST", first, 1);
    if (alone)
        setenv("SIDE_ALONE", "1", 1);
    open_host(first);
    errx(4, "%s: its constructor was not the first", first);
}

int main(int count, char **words)
{

    // The program's file has a digest for a name.
    program_invocation_short_name = words[1];
    if (count == 3 && strcmp(words[1], "list") == 0) {
        list(words[2]);
        fflush(stdout);
        _exit(0);
    }
    if (count < 7)
        errx(2, "see the head of side.c");
    bool lazy = strcmp(words[1], "lazy") == 0;
    bool ours = lazy || strcmp(words[1], "ours") == 0;
    bool host = strcmp(words[2], "host") == 0;
    // What libraries print is not the report.
    FILE *out = fdopen(fcntl(1, F_DUPFD_CLOEXEC, 10), "w");
    if (!out || dup2(2, 1) < 0)
        err(3, "standard output");
    setvbuf(out, NULL, _IOFBF, 1 << 16);

    struct process process = { 0 };
    process_add_host(&process, MAPPER_START);
    for (int i = 7; host && i < count; i++)
        open_host(words[i]);
    if (strcmp(words[1], "planned") == 0) {
        planned_report(out, words[6], host, atol(words[4]));
        return finish(out);
    }
    if (strcmp(words[1], "unstarted") == 0)
        open_unstarted(&(struct report){ out, &process, canonical(words[6]),
                                         -1, -1 }, words[3], host);
    if (ours)
        ours_open(words[6], lazy);
    else
        open_host(words[6]);
    if (lazy)
        ours_bind_calls();
    process_add_host(&process, MAPPER_GLIBC);
    process_read_regions(&process);
    if (ours)
        ours_find(&process, out);
    process_sort(&process);
    check_twice(&process, out);
    process.tls_address = ours ? ours_tls_address(words[3]) : host_tls_address;

    struct report report = { out, &process, canonical(words[6]),
                             atol(words[4]), atol(words[5]) };
    report_all(&report, ours, host, NULL);
    return finish(out);
}
