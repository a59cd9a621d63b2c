#pragma once

#include <string>

namespace lithe {

/// A path that no shell has seen, with the home folder for a leading "~/".
std::string below_home(std::string path);

}  // namespace lithe
