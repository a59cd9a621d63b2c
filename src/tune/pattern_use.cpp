#include "tune/pattern_use.h"

#include "base/error.h"
#include "base/printable.h"
#include "tune/name_pattern.h"

namespace lithe::tune {

PatternUse::PatternUse(const Recipe& recipe) {
  if (recipe.train) unused_ = *recipe.train;
}

void PatternUse::see(std::string_view name) {
  std::erase_if(unused_, [&](std::string_view pattern) {
    if (pattern.starts_with('!')) pattern.remove_prefix(1);
    return matches(pattern, name);
  });
}

void PatternUse::check(const std::string& model, std::string_view example) const {
  if (unused_.empty()) return;
  fail(Fault::bad_request, model, ": train has ", in_quotes(unused_.front()), ", which fits no weight; names are as \"",
       example, "\"");
}

}  // namespace lithe::tune
