#include "cli/pair_fold.h"

#include <fmt/format.h>

#include "base/printable.h"
#include "cli/answer_report.h"
#include "cli/folder_writer.h"
#include "cli/pair.h"
#include "cli/standard_output.h"
#include "session/pair_fold.h"

namespace lithe::cli {
namespace {

Json to_json(const std::string& out, const session::PairFoldReport& report) {
  return {{"schema", "lithe-fold/1"},
          {"folder", out},
          {"folded", {{"adapters", report.adapters}}},
          {"adapters_left", report.adapters_left},
          {"weight_bytes", report.bytes_after},
          {"weight_bytes_before", report.bytes_before},
          {"largest_rounding_share", report.rounding},
          {"head", report.head},
          {"largest_deviation", report.largest_deviation}};
}

std::string to_text(const std::string& out, const session::PairFoldReport& report) {
  std::string text = fmt::format("folded     {} adapters\n", report.adapters);
  if (report.adapters_left > 0)
    text += fmt::format("not folded {} adapters, which depend on the pair\n", report.adapters_left);
  text += fmt::format("weights    {} -> {}\n", bytes_text(report.bytes_before), bytes_text(report.bytes_after));
  if (report.rounding > 0)
    text += fmt::format("rounding   to 16 bits changed a weight by at most {:.2g} of the largest in its matrix\n",
                        report.rounding);
  return text + fmt::format("deviation  of a score of the head {}: at most {:.3g}\nwrote      {}\n", report.head,
                            report.largest_deviation, printable(out));
}

}  // namespace

int fold_pair_model(const std::string& model, const std::string& out, const CommonOptions& options,
                    const session::Question& question) {
  check_pair_flags(question);
  session::PairFoldReport report;
  const auto fold = [&] { report = session::fold_pairs(open_pairs(model, options), read_question(question), out); };
  return write_folder(out, fold, [&] {
    if (options.json)
      write_json(to_json(out, report));
    else
      write_out(to_text(out, report));
  });
}

}  // namespace lithe::cli
