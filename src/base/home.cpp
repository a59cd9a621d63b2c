#include "base/home.h"

#include <cstdlib>

namespace lithe {

std::string below_home(std::string path) {
  const char* const home = std::getenv("HOME");
  if (home != nullptr && path.starts_with("~/")) path.replace(0, 1, home);
  return path;
}

}  // namespace lithe
