// Accounts, and what is thrown about them.

#include "program.h"

#include <iostream>

Refused::Refused(const std::string &what, long amount)
    : std::runtime_error(what), amount(amount)
{
    counted()++;
}

Refused::~Refused() = default;

namespace {

// Undoes what was done, unless it is told that all went well.
struct Undo {
    long &value;
    long before;
    bool done = false;
    ~Undo()
    {
        if (done)
            return;
        value = before;
        std::cout << "undone, " << before << " again\n";
    }
};

} // namespace

void Bank::open(const std::string &name)
{
    if (!accounts.emplace(name, 0).second)
        throw std::logic_error(name + " is there");
}

long &Bank::account(const std::string &name)
{
    return accounts.at(name);
}

void Bank::withdraw(const std::string &name, long amount)
{
    long &value = account(name);
    if (value < amount)
        throw Refused(name + " has too little", amount - value);
    value -= amount;
}

void Bank::transfer(const std::string &from, const std::string &to, long amount)
{
    long &value = account(to);
    Undo undo{ value, value };
    value += amount;
    withdraw(from, amount);
    undo.done = true;
}

void Bank::each(const std::function<void(const std::string &, long)> &visit)
    const
{
    for (const auto &entry : accounts)
        visit(entry.first, entry.second);
}
