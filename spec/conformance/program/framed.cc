// A member of an archive: text in a frame. It has a static constructor, which
// counts only where something needs the member.

#include "program.h"

#include <algorithm>

namespace {

const std::string corner = [] {
    counted() += 100;
    return std::string("+");
}();

} // namespace

std::string framed(const std::vector<std::string> &lines)
{
    size_t width = 0;
    for (const auto &line : lines)
        width = std::max(width, line.size());
    std::string edge = corner + std::string(width, '-') + corner + '\n', out = edge;
    for (const auto &line : lines)
        out += '|' + line + std::string(width - line.size(), ' ') + "|\n";
    return out + edge;
}
