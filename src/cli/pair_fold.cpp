#include "cli/pair_fold.h"

#include <fmt/format.h>

#include "base/printable.h"
#include "cli/fold_lines.h"
#include "cli/folder_writer.h"
#include "cli/pair.h"
#include "cli/standard_output.h"

namespace lithe::cli {
namespace {

Json to_json(const std::string& out, const session::PairFoldReport& report) {
  Json json = folded_json(out, report);
  json["head"] = report.head;
  return json;
}

std::string to_text(const std::string& out, const session::PairFoldReport& report) {
  return fmt::format("folded     {} adapters\n", report.adapters) + weights_text(report, "pair") +
         fmt::format("deviation  of a score of the head {}: at most {:.3g}\nwrote      {}\n", report.head,
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
