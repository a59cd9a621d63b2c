#include "tune/training_step.h"

namespace lithe::tune {

std::string some_names(const std::vector<std::string>& names) {
  std::string text;
  const size_t named = std::min(names.size(), kNamed);
  for (size_t i = 0; i < named; ++i) text += (i == 0 ? "" : ", ") + names[i];
  return names.size() > named ? concat(text, " and ", names.size() - named, " more") : text;
}

}  // namespace lithe::tune
