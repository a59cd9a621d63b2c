#include "tune/kept_rows.h"

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <string>
#include <vector>

namespace lithe::tune {
namespace {

int64_t vision_rows(const std::vector<routing::RowKind>& kinds) {
  return std::count_if(kinds.begin(), kinds.end(),
                       [](routing::RowKind kind) { return plan::belongs(kind, plan::Group::vision); });
}

}  // namespace

routing::Observer KeptRows::observer() {
  return [this](const routing::LayerReport& report) {
    const routing::RowSets& sets = *report.rows;
    if (report.layer == 0) vision_ = vision_rows(report.batch->kinds);
    Layer& layer = layers_[report.layer];
    layer.entered += vision_;
    layer.ran += vision_rows(sets.feed_forward.of(sets.active.of(report.batch->kinds)));
    for (const auto& weight : sets.router_weight) {
      if (!weight || weight->numel() == 0) continue;
      layer.weight += weight->detach().sum().item<double>();
      layer.scored += weight->numel();
    }
  };
}

void KeptRows::sum_over(const Ranks& ranks, int64_t layers) {
  std::vector<double> sums;
  for (int64_t number = 0; number < layers; ++number) {
    const Layer& layer = layers_[number];
    for (const double sum : {static_cast<double>(layer.entered), static_cast<double>(layer.ran), layer.weight,
                             static_cast<double>(layer.scored)})
      sums.push_back(sum);
  }
  ranks.sum(sums);
  auto sum = sums.begin();
  for (int64_t number = 0; number < layers; ++number, sum += 4)
    layers_[number] = {static_cast<int64_t>(sum[0]), static_cast<int64_t>(sum[1]), sum[2],
                       static_cast<int64_t>(sum[3])};
}

double KeptRows::share() const {
  int64_t entered = 0, ran = 0;
  for (const auto& [number, layer] : layers_) {
    entered += layer.entered;
    ran += layer.ran;
  }
  return entered == 0 ? 1 : static_cast<double>(ran) / static_cast<double>(entered);
}

Json KeptRows::shares() const {
  Json shares = Json::object();
  for (const auto& [number, layer] : layers_) {
    if (layer.ran < layer.entered)
      shares[std::to_string(number)] = static_cast<double>(layer.ran) / static_cast<double>(layer.entered);
  }
  return shares;
}

Json KeptRows::router_weights() const {
  Json weights = Json::object();
  for (const auto& [number, layer] : layers_)
    if (layer.scored > 0) weights[std::to_string(number)] = layer.weight / static_cast<double>(layer.scored);
  return weights;
}

}  // namespace lithe::tune
