#include <fmt/format.h>
#include <cmath>

#include "golden/cases.h"
#include "plan/rows.h"
#include "plan/schedule.h"

namespace lithe::golden {
namespace {

void check_schedule(const Json& entry, Check& check) {
  const std::string name = entry.at("mod_target_layers");
  const double factor = entry.at("mod_router_factor");
  const int64_t layers = entry.at("num_hidden_layers");
  const std::string label = fmt::format("{} {} {}", name, factor, layers);
  const auto shares = plan::shares(plan::parse_schedule(name, factor, 31, "schedule.json"), layers);
  std::vector<int64_t> touched;
  for (std::size_t l = 0; l < shares.size(); ++l) {
    if (shares[l]) touched.push_back(static_cast<int64_t>(l));
    const Json& ratio = entry.at("ratio").at(l);
    const bool equal =
        shares[l] ? ratio.is_number() && std::abs(*shares[l] - ratio.get<double>()) < 1e-12 : ratio.is_null();
    if (!equal) check.fault(fmt::format("{} layer {} ratio differs from {}", label, l, ratio.dump()));
  }
  check.integers(label + " layers", entry.at("mod_target_layer_indices"), touched);
  for (const auto& [n, kept] : entry.at("k").items()) {
    std::vector<int64_t> expected, actual;
    for (std::size_t l = 0; l < shares.size(); ++l) {
      expected.push_back(kept.at(l).is_null() ? -1 : kept.at(l).get<int64_t>());
      actual.push_back(shares[l] ? plan::kept_rows({.keep_share = *shares[l]}, std::stoll(n)) : -1);
    }
    check.integers(label + " k of " + n, expected, actual);
  }
}

}  // namespace

Check run_schedules(const Json& json) {
  Check check;
  for (const Json& entry : json.at("schedules")) check_schedule(entry, check);
  if (!json.contains("k_rounding")) return check;
  for (const Json& example : json.at("k_rounding").at("examples_where_double_differs")) {
    const double ratio = example.at("ratio");
    const int64_t n = example.at("n");
    check.integers(fmt::format("k of {} at {}", n, ratio), {example.at("k").get<int64_t>()},
                   {plan::kept_rows({.keep_share = ratio}, n)});
  }
  return check;
}

}  // namespace lithe::golden
