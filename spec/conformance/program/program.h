// What the files of a C++ program share: accounts, and commands that say of
// themselves, before main, that they exist. It is linked by ld and in a process.

#ifndef PROGRAM_H
#define PROGRAM_H

#include <functional>
#include <iosfwd>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

// Its destructor, and with it its type information, is in bank.cc alone.
class Refused : public std::runtime_error {
public:
    Refused(const std::string &what, long amount);
    ~Refused() override;
    long amount;
};

class Bank {
public:
    long &account(const std::string &name); // std::out_of_range
    void open(const std::string &name);
    void withdraw(const std::string &name, long amount); // Refused
    void transfer(const std::string &from, const std::string &to, long amount);
    void each(const std::function<void(const std::string &, long)> &visit) const;

private:
    std::map<std::string, long> accounts;
};

class Command {
public:
    virtual ~Command();
    virtual void run(Bank &bank, std::istream &words) const = 0;
};

using Commands = std::map<std::string, std::unique_ptr<Command>>;
Commands &commands();

// A static object of this type makes a command known.
template <class Kind> struct Known {
    explicit Known(const char *name) { commands()[name].reset(new Kind); }
};

// One variable for all files that have this function.
inline int &counted()
{
    static int count = 0;
    return count;
}

// In an archive.
std::string framed(const std::vector<std::string> &lines);

#endif
