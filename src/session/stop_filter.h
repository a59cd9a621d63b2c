#pragma once

#include <string>
#include <vector>

namespace lithe::session {

/// Holds back streamed text that may be the beginning of a stop string, and ends the text before the first whole one.
class StopFilter {
 public:
  explicit StopFilter(std::vector<std::string> stops);

  /// Text that is certain to come before any stop string; may be empty.
  std::string push(const std::string& piece);
  /// What was held back, once nothing more comes.
  std::string finish();
  bool stopped() const { return stopped_; }

 private:
  std::vector<std::string> stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace lithe::session
