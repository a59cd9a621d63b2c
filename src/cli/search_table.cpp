#include "cli/search_table.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>

#include "cli/progress.h"
#include "cli/standard_output.h"
#include "cli/tune_progress.h"

namespace lithe::cli {
namespace {

using std::chrono::steady_clock;

constexpr auto kPause = std::chrono::milliseconds(100);

/// Rows and columns; a terminal that does not say has the usual ones.
winsize size_of_terminal() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    size.ws_row = 24;
    size.ws_col = 80;
  }
  return size;
}

std::string comparisons_text(int64_t count) {
  return fmt::format("{} comparison{}", count, count == 1 ? "" : "s");
}

}  // namespace

std::string ranking_text(const std::vector<tune::RankedAttention>& ranking, std::size_t most) {
  std::string text = fmt::format("{:>5} {:>10} {:>12} {:>6}\n", "layer", "score", "probability", "drawn");
  for (std::size_t i = 0; i < std::min(most, ranking.size()); ++i) {
    const tune::RankedAttention& one = ranking[i];
    text += fmt::format("{:>5} {:>10.5f} {:>12.4f} {:>6}{}\n", one.layer, one.score, one.probability, one.drawn,
                        one.skipped ? "  skipped" : "");
  }
  return text;
}

std::string progress_text(const tune::SearchReport& report) {
  const double share = static_cast<double>(report.step) / static_cast<double>(std::max<int64_t>(1, report.steps));
  std::string text = fmt::format("{}/{} ({:.0f} %), loss {:.3f}, {}", report.step, report.steps, 100 * share,
                                 report.loss, comparisons_text(report.comparisons));
  const double left = share > 0 ? report.seconds * (1 - share) / share : 0;
  return left > 0 ? text + ", " + duration_text(left) + " left" : text;
}

std::string line_of(const tune::SearchReport& report) {
  std::string layers;
  for (const tune::RankedAttention& one : report.ranking)
    if (one.skipped) layers += fmt::format("{}{} ({:.4g})", layers.empty() ? "" : ", ", one.layer, one.score);
  return fmt::format("step {}/{}: loss {:.3f}, {}; most redundant: {}\n", report.step, report.steps, report.loss,
                     comparisons_text(report.comparisons), layers);
}

LiveText::LiveText() : terminal_(can_rewrite_stderr()) {}

LiveText::~LiveText() {
  wipe();
}

std::size_t LiveText::most_lines() const {
  return size_of_terminal().ws_row - std::size_t{1};  // the cursor stands below them
}

bool LiveText::is_due() const {
  return terminal_ && steady_clock::now() - last_ >= kPause;
}

void LiveText::show(const std::string& text) {
  if (!terminal_) return;
  const std::size_t width = size_of_terminal().ws_col, most = most_lines();
  std::istringstream in(text);
  std::string lines, line;
  std::size_t count = 0;
  while (count < most && std::getline(in, line)) {
    lines += line.substr(0, width) + "\n";
    ++count;
  }
  wipe();
  write_err(lines);
  lines_ = count;
  last_ = steady_clock::now();
}

void LiveText::wipe() {
  if (lines_ > 0) write_err(fmt::format("\r\033[{}A\033[J", lines_));
  lines_ = 0;
}

}  // namespace lithe::cli
