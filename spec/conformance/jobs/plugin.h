// What the jobs in C++ have in common: checks that throw, and the function that
// the job's Lua half calls.

#include <cstdio>
#include <exception>
#include <stdexcept>
#include <string>

static void check(bool good, const char *what)
{
    if (!good)
        throw std::runtime_error(what);
}

// Says what it did, or throws.
static std::string run(const std::string &folder);

extern "C" int work(const char *folder, char *said, size_t size)
{
    try {
        snprintf(said, size, "%s", run(folder).c_str());
        return 0;
    } catch (const std::exception &error) {
        snprintf(said, size, "%s", error.what());
        return 1;
    }
}
