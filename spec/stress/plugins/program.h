// What the program of the stress gives its plugins and the host's libraries.
// ID is the number of the file that includes this.

#ifndef PLUGINS_PROGRAM_H
#define PLUGINS_PROGRAM_H

#ifdef __cplusplus
extern "C" {
#endif

// A constructor or a destructor of the file has run. The first answers a number
// that no other call has got.
long stress_begun(int id);
void stress_ended(int id);
// An object of the file has been made (1) or destroyed (-1).
void stress_made(int id, int more);

// Counts what is not as it must be.
void stress_expect(int id, int good, const char *what);
// The same for what holds only when the constructors have run.
void stress_started(int id, int good);

const char *stress_path(int id);
// Opens in the other runtime; in one of the two; and by glibc.
void *stress_abroad(int id);
void *stress_any(int id);
void stress_close(int id, void *plugin);
void stress_host(int id);

#ifdef __cplusplus
}
#endif

#define BEGIN __attribute__((constructor)) static void begin(void)
#define END __attribute__((destructor)) static void end(void)

// What a file needs of others: NEED(function, the number of its file)...
#ifndef NEEDS
#define NEEDS
#endif

#endif
