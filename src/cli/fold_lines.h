#pragma once

#include <fmt/format.h>

#include <string>

#include "base/json.h"
#include "cli/answer_report.h"
#include "session/fold.h"
#include "session/pair_fold.h"

// What `lithe fold` tells of every kind of model. A Report is a session::FoldReport or a session::PairFoldReport.
namespace lithe::cli {

/// The keys that do not depend on the kind of the model.
template <class Report>
Json folded_json(const std::string& out, const Report& report) {
  return {{"schema", "lithe-fold/1"},
          {"folder", out},
          {"folded", {{"adapters", report.adapters}}},
          {"adapters_left", report.adapters_left},
          {"weight_bytes", report.bytes_after},
          {"weight_bytes_before", report.bytes_before},
          {"largest_rounding_share", report.rounding},
          {"largest_deviation", report.largest_deviation}};
}

/// Lines about adapters that stay, and about the weights. `asked`: what adapters depend on.
template <class Report>
std::string weights_text(const Report& report, const char* asked) {
  std::string text;
  if (report.adapters_left > 0)
    text += fmt::format("not folded {} adapters, which depend on the {}\n", report.adapters_left, asked);
  text += fmt::format("weights    {} -> {}\n", bytes_text(report.bytes_before), bytes_text(report.bytes_after));
  if (report.rounding > 0)
    text +=
        fmt::format("rounding   to 16 bits changed a weight by at most {:.2g} of the largest weight in its matrix\n",
                    report.rounding);
  return text;
}

}  // namespace lithe::cli
