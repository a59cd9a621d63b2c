#include "session/stop_filter.h"

#include <algorithm>
#include <string_view>

namespace lithe::session {
namespace {

/// Bytes at the end of `text` that begin `stop` without being all of it.
size_t begun(std::string_view text, std::string_view stop) {
  for (size_t length = std::min(text.size(), stop.size() - 1); length > 0; --length) {
    if (text.ends_with(stop.substr(0, length))) return length;
  }
  return 0;
}

}  // namespace

StopFilter::StopFilter(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
}

std::string StopFilter::push(const std::string& piece) {
  if (stopped_) return "";
  held_ += piece;
  size_t first = std::string::npos, hold = 0;
  for (const std::string& stop : stops_) {
    first = std::min(first, held_.find(stop));
    hold = std::max(hold, begun(held_, stop));
  }
  stopped_ = first != std::string::npos;
  const size_t settled = stopped_ ? first : held_.size() - hold;
  std::string out = held_.substr(0, settled);
  held_.erase(0, settled);
  return out;
}

std::string StopFilter::finish() {
  std::string out = stopped_ ? std::string() : std::move(held_);
  held_.clear();
  return out;
}

}  // namespace lithe::session
