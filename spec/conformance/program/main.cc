// Reads commands and runs them; what they throw is told by its type.

#include "program.h"

#include <exception>
#include <iostream>
#include <sstream>
#include <typeinfo>

static thread_local int line_number = 0;

static std::exception_ptr attempt(Bank &bank, const std::string &line)
{
    std::istringstream words(line);
    std::string name;
    words >> name;
    auto command = commands().find(name);
    if (command == commands().end())
        return std::make_exception_ptr(std::string("no command " + name));
    try {
        command->second->run(bank, words);
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

int main()
{
    Bank bank;
    int failures = 0;
    for (const auto &entry : commands())
        std::cout << entry.first << ' ';
    std::cout << '\n';
    for (std::string line; std::getline(std::cin, line);) {
        line_number++;
        std::exception_ptr thrown = attempt(bank, line);
        if (!thrown)
            continue;
        failures++;
        try {
            std::rethrow_exception(thrown);
        } catch (const Refused &refused) {
            std::cout << line_number << ": " << refused.what() << " by "
                      << refused.amount << '\n';
        } catch (const std::logic_error &error) {
            const void *base = dynamic_cast<const void *>(&error);
            std::cout << line_number << ": " << typeid(error).name() << ' '
                      << (base == &error) << '\n';
        } catch (const std::string &text) {
            std::cout << line_number << ": " << text << '\n';
        }
    }
    std::cout << failures << " of " << line_number << " failed\n";
    return failures;
}
