// A plugin that throws: what others catch if it has a FUNCTION, and what it
// throws or its NEEDS throw itself. One that KEEPS has an object in each thread
// that has called it.

#include <stdexcept>
#include <string>

#include "program.h"

namespace {

struct Object {
    std::string text = std::string(60, 'a' + ID % 20);
    Object() { stress_made(ID, 1); }
    Object(const Object &other) : text(other.text) { stress_made(ID, 1); }
    ~Object()
    {
        stress_expect(ID, good(), "an object when it is destroyed");
        stress_made(ID, -1);
    }
    bool good() const
    {
        return text.size() == 60 && text[59] == 'a' + ID % 20;
    }
};

#ifdef KEEPS
thread_local Object kept;
#endif

}

BEGIN { stress_begun(ID); }
END { stress_ended(ID); }

extern "C" {

#define NEED(function, id) long function(long);
NEEDS
#undef NEED

#ifdef FUNCTION
long FUNCTION(long x)
{
    Object local;
    if (x & 1)
        throw std::runtime_error(local.text + std::string(x + ID, 'x'));
    throw x + ID;
}
#endif

long value(long x)
{
    Object local;
#define NEED(function, id)                                                \
    try {                                                                 \
        function(x);                                                      \
        stress_expect(ID, 0, #function " has thrown nothing");            \
    } catch (long y) {                                                    \
        stress_expect(ID, y == x + id, "what " #function " has thrown");  \
    } catch (const std::runtime_error &error) {                           \
        stress_expect(ID, std::string(error.what()).size()             \
                      == size_t(60 + x + id),                             \
                      "the text that " #function " has thrown");          \
    }
    NEEDS
#undef NEED
#ifdef KEEPS
    stress_expect(ID, kept.good(), "the object of a thread");
#endif
    try {
        if (local.good())
            throw local;
    } catch (const Object &object) {
        stress_expect(ID, object.good(), "an object that was thrown");
        return x + ID;
    }
    return -1;
}

// Calls something through a frame that has an object to destroy.
void through(void (*function)(void *), void *data)
{
    Object local;
    function(data);
    stress_expect(ID, local.good(), "an object after a call");
}

}
