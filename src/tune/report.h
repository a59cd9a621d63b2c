#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/json.h"
#include "tune/chart.h"
#include "tune/step_log.h"

namespace lithe::tune {

/// What the tuned model answered to a held-out sample.
struct ReportedAnswer {
  std::string name;  ///< Of the sample.
  std::string question, expected, answer;
  std::optional<bool> right;  ///< Absent: the metric has no such verdict.
};

struct Report {
  std::string title;
  std::vector<std::pair<std::string, std::string>>
      facts;                      ///< Above the charts: weights that learn, time, best step, ..
  std::vector<StepRecord> steps;  ///< The whole log, that of the steps before a resume too.
  std::vector<ReportedAnswer> answers;
  Json settings;                       ///< settings_of() of the recipe.
  std::optional<BarChart> redundancy;  ///< Of attentions, if a search ranked them.
};

/// A page that opens offline: charts of the log, sample answers, settings. Text from files and models is escaped and
/// cut, and long runs are thinned, so its size is bounded.
std::string html_of(const Report& report);

}  // namespace lithe::tune
