// A member of an archive that nothing needs, and that would be noticed.

#include <iostream>

static struct Unused {
    Unused() { std::cout << "nobody needs this\n"; }
} unused;

const char *nobody_asks() { return "for this"; }
