#include "cli/progress.h"

#include <fmt/format.h>
#include <unistd.h>
#include <csignal>
#include <cstdlib>
#include <string_view>

#include "base/printable.h"
#include "cli/answer_report.h"
#include "cli/standard_output.h"

namespace lithe::cli {
namespace {

using std::chrono::steady_clock;

constexpr auto kPause = std::chrono::milliseconds(100);
constexpr std::string_view kWipe = "\r\033[K";

volatile std::sig_atomic_t drawn = 0;

}  // namespace

bool can_rewrite_stderr() {
  const char* const kind = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && (kind == nullptr || std::string_view(kind) != "dumb");
}

Progress::Progress(std::string what)
    : what_(printable(what)), terminal_(can_rewrite_stderr()), last_(steady_clock::now()) {}

Progress::~Progress() {
  wipe();
}

void Progress::show(const std::string& state) {
  last_ = steady_clock::now();
  if (!terminal_ || state == shown_) return;
  drawn = 1;
  write_err(fmt::format("{}{}: {}", kWipe, what_, printable(state)));
  shown_ = state;
}

void Progress::update(const std::string& state) {
  if (steady_clock::now() - last_ >= kPause) show(state);
}

void Progress::update_bytes(int64_t done, int64_t total) {
  const double share = total > 0 ? static_cast<double>(done) / static_cast<double>(total) : 1.0;
  update(fmt::format("{} of {} ({:.0f} %)", bytes_text(done), bytes_text(total), 100.0 * share));
}

void Progress::wipe() {
  if (shown_.empty()) return;
  write_err(kWipe);
  shown_.clear();
  drawn = 0;
}

void Progress::wipe_in_handler() {
  if (drawn != 0) (void)!write(STDERR_FILENO, kWipe.data(), kWipe.size());
}

}  // namespace lithe::cli
