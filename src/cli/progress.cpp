#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include "base/printable.h"
#include "cli/standard_output.h"

namespace lithe::cli {

Progress::Progress(std::string what) : what_(printable(what)), terminal_(isatty(STDERR_FILENO) == 1) {}

Progress::~Progress() {
  if (!shown_.empty()) write_err("\r\033[K");
}

void Progress::show(int64_t done, int64_t total) {
  const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1.0;
  show(fmt::format("{:.0f} %", 100.0 * share));
}

void Progress::show(const std::string& state) {
  if (!terminal_ || state == shown_) return;
  write_err(fmt::format("\r\033[K{}: {}", what_, printable(state)));
  shown_ = state;
}

}  // namespace lithe::cli
