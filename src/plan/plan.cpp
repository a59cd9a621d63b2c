#include "plan/plan.h"

#include <algorithm>
#include <tuple>

namespace lithe::plan {

const LayerPlan* Plan::find(const std::string& stream, int64_t layer) const {
  const auto before = [](const LayerPlan& entry, const std::pair<const std::string&, int64_t>& site) {
    return std::tie(entry.stream, entry.layer) < std::tie(site.first, site.second);
  };
  const auto found =
      std::lower_bound(layers.begin(), layers.end(), std::pair<const std::string&, int64_t>(stream, layer), before);
  const bool here = found != layers.end() && found->stream == stream && found->layer == layer;
  return here ? &*found : nullptr;
}

int64_t kept_rows(const Rule& rule, int64_t rows_in_group) {
  if (rule.keep_count) return std::clamp<int64_t>(*rule.keep_count, 0, rows_in_group);
  const float share = static_cast<float>(rule.keep_share.value_or(1.0));
  // The published code multiplies an int32 tensor by a number, so the product is rounded to float32 before it is cut.
  const float product = static_cast<float>(rows_in_group) * share;
  if (!(product > 0)) return 0;
  if (product >= static_cast<float>(rows_in_group)) return rows_in_group;
  return static_cast<int64_t>(product);
}

std::vector<int64_t> spread_rows(int64_t n, int64_t k) {
  std::vector<int64_t> rows(static_cast<std::size_t>(k));
  for (int64_t j = 0; j < k; ++j) rows[static_cast<std::size_t>(j)] = (2 * j + 1) * n / (2 * k);
  return rows;
}

const char* to_string(Group group) {
  switch (group) {
    case Group::vision:
      return "vision";
    case Group::vision_high_res:
      return "vision_high_res";
    case Group::text:
      return "text";
    case Group::padding:
      return "padding";
    case Group::all:
      return "all";
  }
  return "all";
}

const char* to_string(WeightNorm norm) {
  switch (norm) {
    case WeightNorm::tanh:
      return "tanh";
    case WeightNorm::softmax:
      return "softmax";
    case WeightNorm::sigmoid:
      return "sigmoid";
    case WeightNorm::identity:
      return "identity";
  }
  return "identity";
}

}  // namespace lithe::plan
