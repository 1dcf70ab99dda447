// What is linked with libsqlite3.a, so that most of that is needed: asks it
// something. main answers 0 if the answer is right.

#include <stddef.h>
#include <string.h>

typedef struct sqlite3 sqlite3;
int sqlite3_open(const char *name, sqlite3 **base);
int sqlite3_exec(sqlite3 *base, const char *text,
                 int (*row)(void *data, int count, char **values, char **names),
                 void *data, char **message);
int sqlite3_close(sqlite3 *base);

static int row(void *data, int count, char **values, char **names)
{
    *(int *)data = count == 1 && strcmp(values[0], "42") == 0
                   && strcmp(names[0], "answer") == 0;
    return 0;
}

int main(void)
{
    sqlite3 *base;
    int right = 0;
    if (sqlite3_open(":memory:", &base) != 0
        || sqlite3_exec(base, "CREATE TABLE factor (n);"
                        "INSERT INTO factor VALUES (5), (2), (35);"
                        "SELECT sum(n) AS answer FROM factor", row, &right,
                        NULL) != 0
        || sqlite3_close(base) != 0)
        return 2;
    return !right;
}
