#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tune/recipe.h"

namespace lithe::tune {

/// Takes note of the patterns of `train` that fit a weight.
class PatternUse {
 public:
  explicit PatternUse(const Recipe& recipe);

  /// `name`: of a weight, as patterns are written.
  void see(std::string_view name);

  /// Throws Error{bad_request} for a pattern that fits no weight: most likely a name is misspelt. `example`: a name as
  /// this model has them.
  void check(const std::string& model, std::string_view example) const;

 private:
  std::vector<std::string> unused_;
};

}  // namespace lithe::tune
