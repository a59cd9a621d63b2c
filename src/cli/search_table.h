#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "tune/search_report.h"

namespace lithe::cli {

/// The ranking of a search, a line per attention: layer, score, probability, how often it was drawn, whether it is
/// skipped. At most `most` lines after the head.
std::string ranking_text(const std::vector<tune::RankedAttention>& ranking, std::size_t most = SIZE_MAX);

/// "40/200 (20 %), loss 0.532, 3 comparisons, 2 min left"
std::string progress_text(const tune::SearchReport& report);

/// "step 40/200: loss 0.532, 3 comparisons; most redundant: 5 (0.0123), 3 (0.0101)": those that would be skipped now.
std::string line_of(const tune::SearchReport& report);

/// A few lines on stderr, rewritten in place. Nothing if stderr is not a terminal that can do that.
class LiveText {
 public:
  LiveText();
  ~LiveText();  ///< Wipes the lines.
  LiveText(const LiveText&) = delete;
  LiveText& operator=(const LiveText&) = delete;

  bool is_seen() const { return terminal_; }
  std::size_t most_lines() const;  ///< That fit the terminal.
  /// Whether the last lines are so old that new ones may be shown: a tenth of a second.
  bool is_due() const;
  /// Lines are cut at the terminal's width.
  void show(const std::string& text);
  void wipe();

 private:
  bool terminal_;
  std::size_t lines_ = 0;
  std::chrono::steady_clock::time_point last_;
};

}  // namespace lithe::cli
