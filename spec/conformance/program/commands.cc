// The commands that change something.

#include "program.h"

#include <istream>

namespace {

struct Open : Command {
    void run(Bank &bank, std::istream &words) const override
    {
        std::string name;
        words >> name;
        bank.open(name);
    }
};

struct Pay : Command {
    void run(Bank &bank, std::istream &words) const override
    {
        std::string name, amount;
        words >> name >> amount;
        bank.account(name) += std::stol(amount); // std::invalid_argument
    }
};

struct Move : Command {
    void run(Bank &bank, std::istream &words) const override
    {
        std::string from, to;
        long amount;
        words >> from >> to >> amount;
        bank.transfer(from, to, amount);
    }
};

const Known<Open> known_open("open");
const Known<Pay> known_pay("pay");
const Known<Move> known_move("move");

} // namespace

Command::~Command() { counted()++; }
