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
