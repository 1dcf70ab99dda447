// What is done while faults are made.

#ifndef FAULTS_SCENARIOS_H
#define FAULTS_SCENARIOS_H

#include <elf64load.h>
#include <stdbool.h>

struct scenario {
    const char *name;
    const char *key;       // of the plugin that it is about
    const char *before[4]; // keys of what is open already
    const char *host;      // key of what the host has opened, for all to see
    e64_open_options options;
    const e64_runtime_options *(*policy)(void); // of the runtime, or NULL
    e64_status expected; // without a fault
    bool unnamed; // it is about no file that a message could name
    bool steps;   // when it fails, what was done of it stays done

    // What must be there each time before it is done, if anything.
    void (*ready)(const struct scenario *scenario);
    // While faults are made. By default e64_open.
    e64_status (*operate)(const struct scenario *scenario, e64_error *error);
    // Is what it did right? By default "check" of the plugin is called.
    bool (*works)(const struct scenario *scenario);
    // Makes all as it was. By default e64_close.
    void (*undo)(const struct scenario *scenario);
};

extern const struct scenario scenarios[];
extern e64_runtime *scenario_runtime;

// The file of a plugin, as the command line names it.
void scenario_path(const char *key, const char *path);
const char *scenario_file(const char *key);
// Where the plugin is kept that it opens; NULL there: none.
e64_plugin **scenario_plugin(void);
// Its base name: what messages must name.
const char *scenario_subject(const struct scenario *scenario);

// Some of the steps of a scenario, for other lists of them.
e64_status scenario_load(const struct scenario *scenario, e64_error *error);
e64_status scenario_close(const struct scenario *scenario, e64_error *error);
bool scenario_yes(const struct scenario *scenario);
void scenario_leave(const struct scenario *scenario);

void scenario_prepare(const struct scenario *scenario);
void scenario_ready(const struct scenario *scenario);
e64_status scenario_operate(const struct scenario *scenario, e64_error *error);
bool scenario_works(const struct scenario *scenario);
void scenario_undo(const struct scenario *scenario);
// Opens and closes something, along with which what was put off is done.
void scenario_settle(void);
// Ends it; false when the host cannot get rid of what it has opened.
bool scenario_finish(const struct scenario *scenario);

#endif
