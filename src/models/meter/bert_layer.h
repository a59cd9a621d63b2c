#pragma once

#include <optional>

#include "models/parts/adapters.h"
#include "models/parts/weight_slot.h"
#include "routing/block.h"

namespace lithe::models {

/// The shape of a layer of BERT (arXiv 1810.04805): norms after each site, products with biases, erf GELU. METER's
/// streams have a cross-attention between the two other sites.
struct BertLayerConfig {
  int64_t width = 0, mlp = 0, heads = 0;
  double norm_eps = 1e-12;
  bool cross_attention = false;
  /// EAS: a RepAdapter before every site, and a PIA that can stand in for every attention. Neither has a gate or a
  /// second path, and the PIA leaves the residual to the site.
  std::optional<AdapterShape> rep, pia;
};

/// A layer whose tensors are still to be filled.
routing::Block shaped_bert_layer(const BertLayerConfig& config);

/// Every weight. `layer` names the part and the layer.
void visit_bert_layer(const WeightName& layer, routing::Block& block, const BertLayerConfig& config,
                      const WeightVisitor& visitor);

}  // namespace lithe::models
