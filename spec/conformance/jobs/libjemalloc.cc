// Memory from jemalloc beside glibc's malloc: what it keeps for each thread lies
// at a fixed offset and does not begin as zeros. What of it is needed is
// declared here.

#include "plugin.h"

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

static void *(*mallocx)(size_t size, int flags);
static void *(*rallocx)(void *memory, size_t size, int flags);
static size_t (*sallocx)(const void *memory, int flags);
static void (*dallocx)(void *memory, int flags);
static size_t (*nallocx)(size_t size, int flags);
static int (*mallctl)(const char *name, void *old, size_t *old_size,
                      void *given, size_t given_size);

template <typename Type> static void find(Type &function, void *handle,
                                          const char *name)
{
    function = (Type)dlsym(handle, name);
    check(function, name);
}

// The flags: the logarithm of an alignment, and zeros.
static const int ALIGN_4096 = 12, ZERO = 0x40;

template <typename Type> static Type ask(const char *name)
{
    Type value;
    size_t size = sizeof value;
    check(mallctl(name, &value, &size, nullptr, 0) == 0 && size == sizeof value,
          name);
    return value;
}

// What is given out, without what this thread keeps for later.
static size_t allocated()
{
    uint64_t epoch = 1;
    check(mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0) == 0,
          "thread.tcache.flush");
    check(mallctl("epoch", nullptr, nullptr, &epoch, sizeof epoch) == 0, "epoch");
    return ask<size_t>("stats.allocated");
}

// Sizes of all classes, small and large.
static size_t size_of(int i)
{
    return (size_t)1 << (i % 21) | (i * 7 % 64);
}

static std::vector<char *> take(int count)
{
    std::vector<char *> blocks;
    for (int i = 0; i < count; i++) {
        const size_t size = size_of(i);
        char *block = (char *)mallocx(size, i % 3 ? 0 : ZERO);
        check(block, "memory");
        check(sallocx(block, 0) == nallocx(size, 0), "a usable size");
        if (i % 3 == 0)
            for (size_t at = 0; at < size; at += 61)
                check(!block[at], "zeros");
        memset(block, i, size);
        blocks.push_back(block);
    }
    return blocks;
}

static void give(const std::vector<char *> &blocks)
{
    for (size_t i = 0; i < blocks.size(); i++) {
        check(blocks[i][0] == (char)i && blocks[i][size_of(i) - 1] == (char)i,
              "what was written");
        dallocx(blocks[i], 0);
    }
}

static void one_thread()
{
    const size_t before = allocated();
    std::vector<char *> blocks = take(500);
    size_t sum = 0;
    for (size_t i = 0; i < blocks.size(); i++)
        sum += sallocx(blocks[i], 0);
    check(allocated() >= before + sum, "the statistics");
    give(blocks);
    check(allocated() <= before + 65536, "memory is given back");

    char *block = (char *)mallocx(10, ALIGN_4096);
    check((uintptr_t)block % 4096 == 0, "an alignment");
    strcpy(block, "contents");
    block = (char *)rallocx(block, 3000000, ALIGN_4096);
    check((uintptr_t)block % 4096 == 0 && !strcmp(block, "contents"),
          "a larger block");
    dallocx(block, 0);
}

// malloc as such is glibc's, which was there first; jemalloc's is found in its
// own file.
static void by_name(void *library)
{
    void *(*allocate)(size_t), *(*resize)(void *, size_t);
    void (*release)(void *);
    find(allocate, library, "malloc");
    find(resize, library, "realloc");
    find(release, library, "free");
    check(allocate != malloc && resize != realloc && release != free,
          "two mallocs");
    const uint64_t before = ask<uint64_t>("thread.allocated");
    const uint64_t freed = ask<uint64_t>("thread.deallocated");
    char *block = (char *)allocate(100);
    strcpy(block, "contents");
    block = (char *)resize(block, 100000);
    check(!strcmp(block, "contents"), "a larger block");
    check(ask<uint64_t>("thread.allocated") >= before + 100100,
          "a count of what is taken");
    release(block);
    check(ask<uint64_t>("thread.deallocated") >= freed + 100100,
          "a count of what is given back");
}

// What a thread has taken is counted from nothing, and another gives it back.
static std::vector<char *> fresh_thread()
{
    check(ask<uint64_t>("thread.allocated") == 0, "a new thread's count");
    std::vector<char *> blocks = take(300);
    check(ask<uint64_t>("thread.allocated") > 0, "the thread's count");
    return blocks;
}

// A thread that waits for its work.
struct waiting
{
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void()> job;
    std::thread thread { [this] {
        std::unique_lock<std::mutex> lock(mutex);
        changed.wait(lock, [this] { return (bool)job; });
        job();
    } };

    void run(std::function<void()> what)
    {
        {
            std::lock_guard<std::mutex> lock(mutex);
            job = what;
        }
        changed.notify_all();
        thread.join();
    }
};

static void threads(waiting &early)
{
    const size_t before = allocated();
    std::vector<std::vector<char *>> blocks(6);
    std::vector<std::string> wrong(6);
    const auto body = [&](int i) {
        try {
            blocks[i] = fresh_thread();
        } catch (const std::exception &error) {
            wrong[i] = error.what();
        }
    };
    early.run([&] { body(0); });
    std::vector<std::thread> others;
    for (int i = 1; i < 6; i++)
        others.emplace_back(body, i);
    for (std::thread &thread : others)
        thread.join();
    for (int i = 0; i < 6; i++) {
        check(wrong[i].empty(), wrong[i].c_str());
        give(blocks[i]);
    }
    check(allocated() <= before + 262144, "memory of other threads");
}

static std::string run(const std::string &)
{
    // It is there before the library is.
    waiting early;
    void *library = dlopen("libjemalloc.so.2", RTLD_NOW);
    if (!library) {
        const std::string why = dlerror();
        early.run([] {});
        throw std::runtime_error(why);
    }
    find(mallocx, library, "mallocx");
    find(rallocx, library, "rallocx");
    find(sallocx, library, "sallocx");
    find(dallocx, library, "dallocx");
    find(nallocx, library, "nallocx");
    find(mallctl, library, "mallctl");
    threads(early);
    one_thread();
    by_name(library);
    check(ask<unsigned>("arenas.narenas") > 0, "arenas");
    return std::string("2,300 blocks in seven threads by jemalloc ")
         + ask<const char *>("version");
}
