#pragma once

#include <string>
#include <vector>

namespace lithe::plan {

/// What a reader wants to know of a built-in plan before using it.
struct About {
  const char* name;
  const char* skips;     ///< A sentence: which tokens skip what.
  const char* needs;     ///< Which weights it needs.
  const char* source;    ///< The method's full name and paper, or what it is for.
  bool trained = false;  ///< Only for weights that were trained with the method.
  bool router = false;   ///< Those weights have routers.
  bool exact = false;    ///< The answers are those of the dense model.
};

/// One entry for each file in plans/, ascending by name.
const std::vector<About>& builtin_plans();

/// The entry of a name, or null.
const About* about(const std::string& name);

}  // namespace lithe::plan
