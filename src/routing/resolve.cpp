#include "routing/resolve.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>

#include <algorithm>

#include "base/error.h"
#include "ops/gpu_rows.h"
#include "plan/rows.h"
#include "routing/index_tensor.h"
#include "routing/router_logits.h"
#include "routing/selector.h"
#include "routing/text_rows.h"
#include "routing/with_rows.h"

namespace lithe::routing {
namespace {

/// What one row runs, as bits.
enum : uint8_t {
  kQuery = 1,
  kKeyValue = 2,
  kCache = 4,
  kFeedForward = 8,
  kGone = 16,
  kCrossQuery = 32,
  kStandIn = 64,        // of `self`
  kCrossStandIn = 128,  // of `cross`
};
constexpr uint8_t kEverything = kQuery | kCrossQuery | kKeyValue | kCache | kFeedForward;
constexpr uint8_t kActive = kQuery | kCrossQuery | kKeyValue | kFeedForward | kStandIn | kCrossStandIn;

uint8_t bits_of(const plan::Switches& switches) {
  return static_cast<uint8_t>((switches.query ? kQuery | kCrossQuery : 0) | (switches.key_value ? kKeyValue : 0) |
                              (switches.cache ? kCache : 0) | (switches.feed_forward ? kFeedForward : 0));
}

/// w of the rows at `index`; other rows have 1 until they get one.
void put_weight(RowSets& sets, int64_t rows, const Tensor& index, const Tensor& weight) {
  if (!sets.weight) sets.weight = at::ones({rows}, weight.options().requires_grad(false));
  sets.weight = with_rows(std::move(*sets.weight), index, weight);
}

/// How the kernel computes a gate; absent: a softmax is taken over all rows together.
std::optional<ops::GateShape> kernel_shape(const plan::Gate& gate) {
  using Norm = ops::GateShape::Norm;
  switch (gate.norm) {
    case plan::WeightNorm::tanh:
      return ops::GateShape{Norm::tanh, gate.scale, gate.bias};
    case plan::WeightNorm::sigmoid:
      return ops::GateShape{Norm::sigmoid, gate.scale, gate.bias};
    case plan::WeightNorm::identity:
      return ops::GateShape{Norm::none, gate.scale, gate.bias};
    case plan::WeightNorm::softmax:
      break;
  }
  return std::nullopt;
}

bool takes_gate_kernel(const nn::Router& router, const Tensor& hidden) {
  const bool float32 = router.weight.type() == at::kFloat && ops::takes_float_kernels(hidden);
  return float32 && ops::takes_float_kernels(router.weight.widened(at::kFloat)) &&
         (!router.bias || ops::takes_float_kernels(*router.bias));
}

/// Builds one layer's sets. Host flags first, tensors last.
class Resolver {
 public:
  Resolver(const Batch& batch, const Block& block, const LayerStart& start, const Tensor& hidden)
      : batch_(batch),
        block_(block),
        start_(start),
        layer_(start.layer),
        hidden_(hidden),
        flags_(static_cast<size_t>(batch.rows())) {
    for (size_t row = 0; row < flags_.size(); ++row) flags_[row] = bits_of(plan::ungoverned(batch.kinds[row]));
    sets_.router_weight.resize(batch.sequences.size());
    sets_.self_off.resize(batch.sequences.size());
  }

  void apply(size_t sequence, const plan::LayerPlan& layer) {
    const int64_t begin = batch_.offsets[sequence], end = batch_.offsets[sequence + 1];
    if (!batch_.sequences[sequence].decodes()) {
      for (const plan::Rule& rule : layer.rules) apply_rule(sequence, layer, rule);
    }
    sets_.self_off[sequence] = !layer.self_attention;
    if (!layer.self_attention) switch_off(begin, end, kKeyValue | kCache);
    if (!layer.self_attention) stand_in(begin, end, Site::Kind::self, kQuery, kStandIn);
    if (!layer.cross_attention) stand_in(begin, end, Site::Kind::cross, kCrossQuery, kCrossStandIn);
  }

  RowSets finish() {
    // No row runs what the block has no site for, even if the plan leaves it on.
    const Site* self = block_.find(Site::Kind::self);
    uint8_t absent = 0;
    if (!self) absent |= kQuery;
    if (!self || has_pia(*self)) absent |= kKeyValue | kCache;
    if (!block_.find(Site::Kind::cross)) absent |= kCrossQuery;
    if (!block_.find(Site::Kind::feed_forward)) absent |= kFeedForward;
    if (absent) switch_off(0, batch_.rows(), absent);
    sets_.active = active_rows();
    std::vector<uint8_t> kept;  // flags of the active rows
    for (const uint8_t flag : flags_) {
      if (flag & kActive) kept.push_back(flag);
    }
    sets_.query = pick(kept, sets_.active.offsets, kQuery);
    sets_.cross_query = pick(kept, sets_.active.offsets, kCrossQuery);
    sets_.self_stand_in = pick(kept, sets_.active.offsets, kStandIn);
    sets_.cross_stand_in = pick(kept, sets_.active.offsets, kCrossStandIn);
    sets_.key_value = pick(kept, sets_.active.offsets, kKeyValue);
    sets_.cache = pick(kept, sets_.active.offsets, kCache);
    sets_.feed_forward = pick(kept, sets_.active.offsets, kFeedForward);
    for (uint8_t& flag : flags_) flag ^= kGone;  // now the bit says: goes on
    sets_.survivors = pick(flags_, batch_.offsets, kGone);
    return std::move(sets_);
  }

 private:
  /// The branch is always a PIA; it runs whether or not the plan has the attention on.
  static bool has_pia(const Site& site) { return std::holds_alternative<nn::Pia>(site.branch); }

  /// The attention of these rows is off. Their queries go to its stand-in, if the site has one.
  void stand_in(int64_t begin, int64_t end, Site::Kind kind, uint8_t query, uint8_t instead) {
    const Site* site = block_.find(kind);
    if (site && has_pia(*site)) return;
    const bool has_one = site && site->stand_in && site->stand_in->pia;
    for (int64_t row = begin; row < end; ++row) {
      uint8_t& flags = flags_[static_cast<size_t>(row)];
      if (has_one && (flags & query)) flags |= instead;
      flags &= static_cast<uint8_t>(~query);
    }
  }

  void switch_off(int64_t begin, int64_t end, uint8_t bits) {
    for (int64_t row = begin; row < end; ++row) flags_[static_cast<size_t>(row)] &= static_cast<uint8_t>(~bits);
  }

  void apply_rule(size_t sequence, const plan::LayerPlan& layer, const plan::Rule& rule) {
    std::vector<int64_t> rows;
    std::optional<RowKind> seen;  // neighbours are often of one kind
    bool governs = false;
    for (int64_t row = batch_.offsets[sequence]; row < batch_.offsets[sequence + 1]; ++row) {
      if (batch_.order[static_cast<size_t>(row)] >= batch_.sequences[sequence].prompt_end) break;
      const RowKind kind = batch_.kinds[static_cast<size_t>(row)];
      if (kind != seen) governs = plan::governing_rule(layer, kind) == &rule;
      seen = kind;
      if (governs) rows.push_back(row);
    }
    if (rows.empty()) return;
    std::vector<bool> chosen(rows.size(), false);
    for (const int64_t i : choose(sequence, rule, rows)) chosen[static_cast<size_t>(i)] = true;
    const uint8_t others = static_cast<uint8_t>(bits_of(rule.others) | (rule.others_return ? 0 : kGone));
    for (size_t i = 0; i < rows.size(); ++i) {
      flags_[static_cast<size_t>(rows[i])] = chosen[i] ? kEverything : others;
    }
  }

  std::vector<int64_t> choose(size_t sequence, const plan::Rule& rule, const std::vector<int64_t>& rows) {
    const int64_t keep = plan::kept_rows(rule, static_cast<int64_t>(rows.size()));
    const Selector* selector = find_selector(rule.by);
    require(selector != nullptr, Fault::bad_request, "layer ", layer_, ": there is no selector '", rule.by, "'");
    Candidates candidates{.hidden = hidden_, .rows = rows, .keep = keep, .layer = layer_, .seed = rule.seed};
    if (rule.gate || selector->facts->reads == plan::Reads::router) candidates.weight = weigh(sequence, rule, rows);
    std::vector<int64_t> text;
    if (selector->facts->scope == plan::Scope::prompt) text = text_after(batch_, sequence, rows.front());
    candidates.text = text;
    add_what_was_left(sequence, selector->facts->reads, candidates);
    return selector->choose(candidates);
  }

  std::vector<int64_t> order_of(std::span<const int64_t> rows) const {
    std::vector<int64_t> order;
    for (const int64_t row : rows) order.push_back(batch_.order[static_cast<size_t>(row)]);
    return order;
  }

  /// What the selector reads of earlier layers and of the vision side.
  void add_what_was_left(size_t sequence, plan::Reads reads, Candidates& candidates) const {
    const Recorded& recorded = start_.recorded[sequence];
    switch (reads) {
      case plan::Reads::nothing:
      case plan::Reads::router:
      case plan::Reads::text:
        break;
      case plan::Reads::attention:
        candidates.attention = some_of(recorded.attention, order_of(candidates.rows));
        break;
      case plan::Reads::text_attention:
        candidates.attention = some_of(recorded.text_attention, order_of(candidates.rows));
        break;
      case plan::Reads::keys:
        if (!recorded.keys) break;
        candidates.keys = keys_at(recorded, order_of(candidates.rows));
        candidates.text_keys = keys_at(recorded, order_of(candidates.text));
        break;
      case plan::Reads::change:
        candidates.before = some_of(start_.before, candidates.rows);
        break;
      case plan::Reads::picture:
      case plan::Reads::given:
        candidates.picture_scores = picture_scores(sequence, order_of(candidates.rows));
        break;
    }
  }

  static std::optional<Tensor> some_of(const std::optional<Tensor>& all, std::span<const int64_t> rows) {
    return all ? std::optional(all->index_select(0, index_tensor(rows, *all))) : std::nullopt;
  }

  std::optional<Tensor> picture_scores(size_t sequence, const std::vector<int64_t>& order) const {
    const auto& scores = batch_.sequences[sequence].picture_scores;
    if (!scores) return std::nullopt;
    std::vector<float> own;
    for (const int64_t position : order) {
      require(position < std::ssize(*scores), Fault::internal, "layer ", layer_, ": no picture score for row ",
              position);
      own.push_back((*scores)[static_cast<size_t>(position)]);
    }
    return at::tensor(own);
  }

  /// The rows' weights; written into the layer's weights if the rule has a gate.
  Tensor weigh(size_t sequence, const plan::Rule& rule, const std::vector<int64_t>& rows) {
    require(block_.router.has_value(), Fault::bad_request, "layer ", layer_,
            ": the plan asks for a router, but this layer has none");
    const Tensor index = index_tensor(rows, hidden_);
    const Tensor weight = rule.gate ? gated(*rule.gate, index) : router_logits(*block_.router, hidden_, index);
    sets_.router_weight[sequence] = weight;
    if (rule.gate) sets_.gated.push_back({*rule.gate, index});
    return weight;
  }

  /// w of the rows at `index`, also written into the layer's weights.
  Tensor gated(const plan::Gate& gate, const Tensor& index) {
    const nn::Router& router = *block_.router;
    const std::optional<ops::GateShape> shape = kernel_shape(gate);
    if (!shape || !takes_gate_kernel(router, hidden_)) {
      const Tensor weight = gate_weights(gate, router_logits(router, hidden_, index));
      put_weight(sets_, batch_.rows(), index, weight);
      return weight;
    }
    if (!sets_.weight) sets_.weight = at::ones({batch_.rows()}, hidden_.options());
    return ops::gpu_gate(hidden_, index, router.weight.widened(at::kFloat), router.bias, *shape, *sets_.weight);
  }

  /// The rows whose flags have any of `bits`, relative to the list that `offsets` cuts into sequences. Still without an
  /// index.
  static Rows listed(const std::vector<uint8_t>& flags, const std::vector<int64_t>& offsets, uint8_t bits) {
    const auto has = [bits](uint8_t flag) { return (flag & bits) != 0; };
    Rows rows;
    if (std::all_of(flags.begin(), flags.end(), has)) {
      rows.offsets = offsets;
      return rows;
    }
    rows.offsets.push_back(0);
    for (size_t sequence = 0; sequence + 1 < offsets.size(); ++sequence) {
      for (int64_t row = offsets[sequence]; row < offsets[sequence + 1]; ++row) {
        if (has(flags[static_cast<size_t>(row)])) rows.list.push_back(row);
      }
      rows.offsets.push_back(static_cast<int64_t>(rows.list.size()));
    }
    return rows;
  }

  Rows pick(const std::vector<uint8_t>& flags, const std::vector<int64_t>& offsets, uint8_t bits) const {
    Rows rows = listed(flags, offsets, bits);
    if (rows.offsets != offsets) rows.index = index_tensor(rows.list, hidden_);
    return rows;
  }

  /// Of a gated layer on a GPU also the places of all rows, in one transfer.
  Rows active_rows() const {
    if (!sets_.weight || hidden_.device().is_cpu()) return pick(flags_, batch_.offsets, kActive);
    Rows rows = listed(flags_, batch_.offsets, kActive);
    if (rows.offsets == batch_.offsets) return rows;
    const size_t count = rows.list.size();
    std::vector<int64_t> both = rows.list;
    both.resize(count + flags_.size(), -1);
    for (size_t i = 0; i < count; ++i) both[count + static_cast<size_t>(rows.list[i])] = static_cast<int64_t>(i);
    const Tensor sent = index_tensor(both, hidden_);
    rows.index = sent.narrow(0, 0, rows.count());
    rows.places = sent.narrow(0, rows.count(), batch_.rows());
    return rows;
  }

  const Batch& batch_;
  const Block& block_;
  const LayerStart& start_;
  const int64_t layer_;
  const Tensor& hidden_;
  std::vector<uint8_t> flags_;  // per row of the layer's input
  RowSets sets_;
};

}  // namespace

Tensor gate_weights(const plan::Gate& gate, const Tensor& logits) {
  Tensor normed = logits;
  switch (gate.norm) {
    case plan::WeightNorm::tanh:
      normed = at::tanh(logits);
      break;
    case plan::WeightNorm::softmax:
      normed = at::softmax(logits, 0);
      break;
    case plan::WeightNorm::sigmoid:
      normed = at::sigmoid(logits);
      break;
    case plan::WeightNorm::identity:
      break;
  }
  if (gate.scale != 1) normed = normed * gate.scale;
  return gate.bias == 0 ? normed : normed + gate.bias;
}

void weigh_again(const Block& block, const Tensor& hidden, RowSets& sets) {
  sets.weight.reset();
  for (const GatedRows& rows : sets.gated) {
    const Tensor logits = router_logits(*block.router, hidden, rows.index);
    put_weight(sets, hidden.size(0), rows.index, gate_weights(rows.gate, logits));
  }
}

RowSets resolve(const Batch& batch, const Block& block, const LayerStart& start, const Tensor& hidden) {
  Resolver resolver(batch, block, start, hidden);
  for (size_t i = 0; i < batch.sequences.size(); ++i) {
    const plan::Plan* plan = batch.sequences[i].plan;
    const plan::LayerPlan* entry = plan ? plan->find(start.stream, start.layer) : nullptr;
    if (entry) resolver.apply(i, *entry);
  }
  return resolver.finish();
}

}  // namespace lithe::routing
