// Runs two programs with the same arguments, by turns, each time a fresh
// process, without a shell in between.
//
//     pairs COUNT FIRST SECOND ARGUMENT...
//
// One pair more than COUNT is run: the first one warms the page cache and is
// not shown. Who goes first changes with every pair. Each line that a program
// prints comes out with "FIRST " or "SECOND " before it, as "1 " or "2 ". Ends
// with the status of the first program that fails.

#include <err.h>
#include <errno.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static void run(char *program, char **arguments, int number, bool show)
{
    posix_spawn_file_actions_t actions;
    int pipes[2], status;
    pid_t child;
    char line[4096];

    if (pipe(pipes) != 0)
        err(3, "pipe");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], 1);
    posix_spawn_file_actions_addclose(&actions, pipes[0]);
    posix_spawn_file_actions_addclose(&actions, pipes[1]);
    // The word before the arguments is the program's own name; what stood
    // there has been read.
    arguments[-1] = program;
    errno = posix_spawn(&child, program, &actions, NULL, arguments - 1,
                        environ);
    if (errno)
        err(3, "%s", program);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    FILE *output = fdopen(pipes[0], "r");
    while (output && fgets(line, sizeof line, output))
        if (show)
            printf("%d %s", number, line);
    if (output)
        fclose(output);
    if (waitpid(child, &status, 0) != child)
        err(3, "waitpid");
    if (status == 0)
        return;
    fflush(stdout);
    if (WIFSIGNALED(status))
        errx(128 + WTERMSIG(status), "%s: ended by signal %d", program,
             WTERMSIG(status));
    exit(WEXITSTATUS(status));
}

int main(int count, char **words)
{
    if (count < 5)
        errx(2, "see the head of pairs.c");
    int pairs = atoi(words[1]);
    char *programs[] = { words[2], words[3] };
    for (int i = 0; i <= pairs; i++)
        for (int turn = 0; turn < 2; turn++) {
            int number = (i + turn) % 2;
            run(programs[number], words + 4, number + 1, i > 0);
            fflush(stdout);
        }
    return 0;
}
