#include "text/engine.h"

#include <algorithm>

namespace lithe::text {

void Vocabulary::add(int64_t id, const std::string& token) {
  tokens[id] = token;
  ids[token] = id;
  size = std::max(size, id + 1);
}

std::optional<int64_t> Vocabulary::find(const std::string& token) const {
  const auto found = ids.find(token);
  return found == ids.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace lithe::text
