// What the commands show, and what happens at the end.

#include "program.h"

#include <algorithm>
#include <iomanip>
#include <iostream>
#include <sstream>

namespace {

struct Show : Command {
    void run(Bank &bank, std::istream &) const override
    {
        std::vector<std::string> lines;
        bank.each([&lines](const std::string &name, long amount) {
            std::ostringstream line;
            line << std::left << std::setw(8) << name << std::right
                 << std::setw(10) << std::fixed << std::setprecision(2)
                 << amount / 100.0;
            lines.push_back(line.str());
        });
        std::cout << framed(lines);
    }
};

// Throws through the standard library's frames, and on from a catch.
struct Sort : Command {
    void run(Bank &bank, std::istream &words) const override
    {
        std::vector<std::string> names;
        for (std::string name; words >> name;)
            names.push_back(name);
        try {
            std::sort(names.begin(), names.end(),
                      [&bank](const std::string &a, const std::string &b) {
                          return bank.account(a) > bank.account(b);
                      });
        } catch (const std::out_of_range &) {
            std::cout << "one of " << names.size() << " is not there\n";
            throw;
        }
        for (const auto &name : names)
            std::cout << name << '\n';
    }
};

const Known<Show> known_show("show");
const Known<Sort> known_sort("sort");

// What is made first is taken down last.
struct Farewell {
    Farewell() { std::cout << "before main\n"; }
    ~Farewell() { std::cout << "after main: " << counted() << std::endl; }
} farewell;

} // namespace

Commands &commands()
{
    static Commands all;
    return all;
}
