// Threads of OpenMP, and variables of each: the plugin's own, which are
// threadprivate, and libgomp's, which lie at a fixed offset.

#include "plugin.h"

#include <cmath>
#include <omp.h>
#include <thread>
#include <vector>

// One for each thread, and not zero when it begins.
static long own = 1000;
#pragma omp threadprivate(own)

static void team()
{
    std::vector<int> seen(4);
    int level = 0;
    check(!omp_in_parallel() && omp_get_num_threads() == 1, "alone at first");
#pragma omp parallel num_threads(4) reduction(max : level)
    {
        const int number = omp_get_thread_num();
        if (omp_get_num_threads() == 4 && omp_in_parallel())
            seen[number]++;
        own += number;
        level = omp_get_level();
    }
    for (int count : seen)
        check(count == 1, "four threads of a team");
    check(level == 1, "the level of a team");
    // The same threads again: what they wrote is there.
    long sum = 0;
#pragma omp parallel num_threads(4) reduction(+ : sum)
    sum += own;
    check(sum == 4 * 1000 + 0 + 1 + 2 + 3, "variables of each thread");
    check(own == 1000, "the first thread's variable");
}

static void loops()
{
    const int count = 2000000;
    std::vector<double> values(count);
    double sum = 0;
#pragma omp parallel for num_threads(4) schedule(dynamic, 1000)
    for (int i = 0; i < count; i++)
        values[i] = 1.0 / ((i + 0.5) * (i + 0.5) / count / count + 1);
#pragma omp parallel for num_threads(3) schedule(guided) reduction(+ : sum)
    for (int i = 0; i < count; i++)
        sum += values[i];
    check(std::abs(sum * 4 / count - M_PI) < 1e-9, "pi");

    std::string order;
#pragma omp parallel for num_threads(4) ordered
    for (int i = 0; i < 26; i++) {
#pragma omp ordered
        order += (char)('a' + i);
    }
    check(order == "abcdefghijklmnopqrstuvwxyz", "iterations in order");
}

static long fibonacci(int n)
{
    long a, b;
    if (n < 2)
        return n;
#pragma omp task shared(a) if (n > 15)
    a = fibonacci(n - 1);
    b = fibonacci(n - 2);
#pragma omp taskwait
    return a + b;
}

static void tasks()
{
    long answer = 0;
#pragma omp parallel num_threads(4)
#pragma omp single
    answer = fibonacci(25);
    check(answer == 75025, "tasks");
}

static void locks()
{
    long plain = 0, guarded = 0;
    omp_lock_t lock;
    omp_init_lock(&lock);
#pragma omp parallel num_threads(4)
    for (int i = 0; i < 10000; i++) {
#pragma omp critical
        plain++;
        omp_set_lock(&lock);
        guarded++;
        omp_unset_lock(&lock);
    }
    omp_destroy_lock(&lock);
    check(plain == 40000 && guarded == 40000, "locks");
}

// A team of its own for each of several threads, and teams within a team.
static void nested()
{
    std::vector<std::thread> threads;
    std::vector<int> sizes(3);
    for (int i = 0; i < 3; i++)
        threads.emplace_back([i, &sizes] {
            omp_set_num_threads(i + 2);
#pragma omp parallel
#pragma omp atomic
            sizes[i]++;
        });
    for (std::thread &thread : threads)
        thread.join();
    check(sizes == std::vector<int>({ 2, 3, 4 }), "teams of several threads");

    int inner = 0;
    omp_set_max_active_levels(2);
#pragma omp parallel num_threads(2)
#pragma omp parallel num_threads(3)
#pragma omp atomic
    inner += omp_get_ancestor_thread_num(1) + 1;
    check(inner == 3 * 1 + 3 * 2, "teams within a team");
}

// Across the call into libgomp, which knows nothing of exceptions.
static void errors()
{
    int caught = 0;
#pragma omp parallel num_threads(4)
    try {
        throw omp_get_thread_num();
    } catch (int number) {
#pragma omp atomic
        caught += number + 1;
    }
    check(caught == 1 + 2 + 3 + 4, "an error in each thread is not caught");
}

static std::string run(const std::string &)
{
    team();
    loops();
    tasks();
    locks();
    nested();
    errors();
    return "teams of up to four threads sum up pi, order letters, share tasks";
}
