#include "models/joined_products.h"

#include <ATen/ops/cat.h>

#include <algorithm>
#include <optional>
#include <variant>
#include <vector>

namespace lithe::models {
namespace {

using Products = std::vector<nn::Linear*>;

bool can_join(const Products& products) {
  const nn::Linear& first = *products.front();
  return std::all_of(products.begin(), products.end(), [&](const nn::Linear* one) {
    return !one->weight.has_codes() && !one->weight.learning() && !one->low_rank &&
           one->weight.type() == first.weight.type() && one->bias.has_value() == first.bias.has_value();
  });
}

/// All as one, of which they become views; absent if they can't be joined.
std::optional<nn::Linear> joined(const Products& products) {
  if (!can_join(products)) return std::nullopt;
  std::vector<Tensor> weights, biases;
  for (const nn::Linear* one : products) {
    weights.push_back(one->weight.widened(one->weight.type()));
    if (one->bias) biases.push_back(*one->bias);
  }
  const Tensor weight = at::cat(weights);
  const std::optional<Tensor> bias = biases.empty() ? std::nullopt : std::optional(at::cat(biases));
  int64_t first = 0;
  for (nn::Linear* one : products) {
    const int64_t count = one->out();
    const ops::Compute compute = one->weight.compute();
    one->weight = nn::Weight(weight.narrow(0, first, count));
    one->weight.compute_in(compute);
    if (bias) one->bias = bias->narrow(0, first, count);
    first += count;
  }
  nn::Linear all{weight, bias, std::nullopt};
  all.weight.compute_in(products.front()->weight.compute());
  return all;
}

void join(std::vector<routing::Block>& blocks) {
  for (routing::Block& block : blocks) {
    for (routing::Site& site : block.sites) {
      if (auto* attention = std::get_if<nn::Attention>(&site.branch)) {
        if (site.kind == routing::Site::Kind::self)
          attention->joined = joined({&attention->query, &attention->key, &attention->value});
      } else if (auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
        if (mlp->gate) mlp->joined = joined({&*mlp->gate, &mlp->up});
      }
    }
  }
}

}  // namespace

void join_products(Model& model) {
  join(model.decoder.blocks);
  if (model.vision) join(model.vision->tower.blocks);
}

}  // namespace lithe::models
