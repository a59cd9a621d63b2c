#include "cli/standard_output.h"

#include <cstdio>

namespace lithe::cli {

bool write_out(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

}  // namespace lithe::cli
