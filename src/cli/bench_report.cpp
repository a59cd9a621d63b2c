#include "cli/bench_report.h"

#include <fmt/format.h>

#include "base/printable.h"
#include "cli/answer_report.h"
#include "cli/statistics.h"

namespace lithe::cli {
namespace {

/// The runs of one test under one plan.
struct Series {
  std::string plan, test;
  int64_t count = 0;  ///< Rows, tokens or pictures of one run.
  const std::vector<double>* ms = nullptr;
  const Phase* compared = nullptr;  ///< If the series is the plan's side of a phase.
};

std::vector<const Phase*> phases_of(const std::vector<Comparison>& comparisons) {
  std::vector<const Phase*> all;
  for (const Comparison& c : comparisons) {
    if (!c.prefill.reference.empty()) all.push_back(&c.prefill);
    all.push_back(&c.decode);
  }
  return all;
}

/// Pictures are encoded one by one, whatever the batch size.
std::vector<Series> series_of(const BenchSubject& subject, const std::vector<Comparison>& comparisons) {
  const Comparison& first = comparisons.front();
  std::vector<Series> all;
  if (!first.image_ms.empty()) {
    all.push_back({"-", fmt::format("image {}x{}px", subject.tiles, subject.tile_px), 1, &first.image_ms, nullptr});
  }
  for (const Phase* phase : phases_of(comparisons)) {
    all.push_back({first.reference, phase->test, phase->rows, &phase->reference, nullptr});
    all.push_back({first.reference + " again", phase->test, phase->rows, &phase->again, nullptr});
    all.push_back({first.plan, phase->test, phase->rows, &phase->skipped, phase});
  }
  return all;
}

std::vector<double> speeds(const Series& series) {
  std::vector<double> all;
  for (const double ms : *series.ms) all.push_back(1e3 * static_cast<double>(series.count) / ms);
  return all;
}

std::string plus_minus(const std::vector<double>& values) {
  return fmt::format("{:.2f} ± {:.2f}", mean(values), deviation(values));
}

}  // namespace

TextTable speed_table(const BenchSubject& subject, const std::vector<Comparison>& comparisons) {
  TextTable table{{"model", "size", "params", "threads", "plan", "test", "t/s", "ms"}, {}};
  for (const Series& series : series_of(subject, comparisons)) {
    table.rows.push_back({subject.model, bytes_text(subject.weight_bytes), count_text(subject.parameters),
                          std::to_string(subject.threads), printable(series.plan), series.test,
                          plus_minus(speeds(series)), plus_minus(*series.ms)});
  }
  return table;
}

TextTable ratio_table(const std::vector<Comparison>& comparisons) {
  TextTable table{{"test", "operations", "bytes read", "median ratio", "min ratio", "A/A spread", "measured / counted"},
                  {}};
  for (const Phase* phase : phases_of(comparisons)) {
    table.rows.push_back({phase->test, fmt::format("{:.3f}", phase->counted_share),
                          phase->read_share > 0 ? fmt::format("{:.3f}", phase->read_share) : "",
                          fmt::format("{:.3f}", phase->median_ratio()), fmt::format("{:.3f}", phase->minimum_ratio()),
                          fmt::format("{:.1f} %", 100 * phase->equal_spread()),
                          fmt::format("{:.2f}", phase->median_ratio() / phase->binding_share())});
  }
  return table;
}

Json report_json(const BenchSubject& subject, const std::vector<Comparison>& comparisons) {
  Json list = Json::array();
  for (const Series& series : series_of(subject, comparisons)) {
    const std::vector<double> rate = speeds(series);
    Json row = {{"model", subject.model},
                {"weight_bytes", subject.weight_bytes},
                {"parameters", subject.parameters},
                {"threads", subject.threads},
                {"plan", series.plan},
                {"test", series.test},
                {"count", series.count},
                {"rounds", series.ms->size()},
                {"mean_ms", mean(*series.ms)},
                {"sd_ms", deviation(*series.ms)},
                {"median_ms", median(*series.ms)},
                {"min_ms", minimum(*series.ms)},
                {"per_second", mean(rate)},
                {"per_second_sd", deviation(rate)}};
    if (series.compared != nullptr) {
      row["counted_share"] = series.compared->counted_share;
      row["read_share"] = series.compared->read_share;
      row["median_ratio"] = series.compared->median_ratio();
      row["min_ratio"] = series.compared->minimum_ratio();
      row["aa_spread_share"] = series.compared->equal_spread();
    }
    list.push_back(std::move(row));
  }
  return list;
}

TextTable flat_table(const BenchSubject& subject, const std::vector<Comparison>& comparisons) {
  const Json list = report_json(subject, comparisons);
  TextTable table;
  // The plan's rows have every column.
  for (const auto& item : list.back().items()) table.header.push_back(item.key());
  for (const Json& row : list) {
    std::vector<std::string> cells;
    for (const std::string& column : table.header) {
      const Json cell = row.value(column, Json());
      cells.push_back(cell.is_null() ? "" : cell.is_string() ? cell.get<std::string>() : cell.dump());
    }
    table.rows.push_back(std::move(cells));
  }
  return table;
}

std::string slower_lines(const std::vector<Comparison>& comparisons) {
  std::string text;
  for (const Phase* phase : phases_of(comparisons)) {
    const double ratio = phase->median_ratio();
    if (ratio <= 1 + phase->equal_spread()) continue;
    text += fmt::format("{} is slower under {} than {}: {:.3f} x; two equal runs differ by {:.1f} %.\n", phase->test,
                        printable(comparisons.front().plan), comparisons.front().reference, ratio,
                        100 * phase->equal_spread());
  }
  return text;
}

}  // namespace lithe::cli
