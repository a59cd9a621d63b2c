#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>

#include "base/json.h"
#include "io/appended_lines.h"
#include "plan/plan.h"

namespace lithe::tune {

/// The nll of every plan that a search tried, a line for each as it is measured. A file that is there is continued.
class MeasuredFile {
 public:
  /// `settings`: whatever makes the numbers other ones. Throws Error{bad_request} if the file has others,
  /// Error{bad_file}.
  MeasuredFile(const std::filesystem::path& path, const Json& settings);

  /// What was measured of a plan, whatever its name.
  std::optional<double> find(const plan::Plan& plan) const;
  /// Throws Error{bad_file}.
  void add(const plan::Plan& plan, double nll);

 private:
  io::AppendedLines lines_;
  std::map<std::string, double> nll_;  ///< By the layers of the plan.
};

}  // namespace lithe::tune
