// What throws: a function that libclang-cpp calls back, to its caller's caller.
// On the way are the frames of a library of 27 MB of code that has nothing to
// catch.

// clang::index::applyForEachSymbolRole, without its headers: calls once for
// each bit that is set. The callback is an llvm::function_ref, two words in two
// registers: what to call, and its first argument.
extern "C" void each_role(unsigned, void (*)(long, unsigned), long) __asm__(
    "_ZN5clang5index22applyForEachSymbolRoleEjN4llvm12function_refIFvNS0_"
    "10SymbolRoleEEEE");

static void thrower(long number, unsigned)
{
    throw number;
}

// How many of so many were caught.
extern "C" long thrown(long times)
{
    long caught = 0;
    for (long i = 0; i < times; i++)
        try {
            each_role(1, thrower, i);
        } catch (long number) {
            caught += number == i;
        }
    return caught;
}
