#pragma once

#include <functional>
#include <vector>

#include "ops/tensor_support.h"
#include "plan/plan.h"
#include "routing/executor.h"

// Tiny random blocks and prompts, and the executor run over them.
namespace lithe::routing {

using test::Dice;

struct TinyShape {
  int64_t layers = 3, hidden = 16, heads = 4, kv_heads = 2, head_dim = 4, inner = 24;
  std::optional<int64_t> window;
};
inline const TinyShape kFourLayers{.layers = 4};

/// Rows that go in; `prompt_rows` of them are the prompt, the rest are decoded one by one, or the answer in training.
struct Prompt {
  Tensor x;  // [rows, hidden], float64
  std::vector<int64_t> positions;
  std::vector<RowKind> kinds;
  plan::Plan plan;
  int64_t prompt_rows = 0;
  int64_t rows() const { return static_cast<int64_t>(positions.size()); }
};

nn::Linear random_linear(Dice& dice, int64_t in, int64_t out, bool bias = false);
nn::Norm random_norm(Dice& dice, int64_t hidden, nn::Norm::Kind kind = nn::Norm::Kind::rms);
nn::Attention random_attention(Dice& dice, const TinyShape& shape);
nn::Mlp random_mlp(Dice& dice, const TinyShape& shape);
nn::GatedUp random_up(Dice& dice, int64_t hidden, int64_t rank, bool two_paths);
nn::Pia random_pia(Dice& dice, int64_t hidden, int64_t rank, bool gated);
nn::RepAdapter random_rep_adapter(Dice& dice, int64_t hidden, int64_t rank, bool gated = false);

/// Pre-norm decoder layers as LLaMA's, each with a router.
std::vector<Block> random_blocks(Dice& dice, const TinyShape& shape);

/// EAS: takes the attention out; the feed-forward network reads norm1 through a PIA whose gain is that of norm2.
void replace_attention(Dice& dice, Block& block, bool gated);

/// EAS while it searches: the block keeps its attention, and a PIA may stand in its place.
void add_stand_in(Dice& dice, Block& block, bool gated);

/// Such a block after its attention is taken out: only the PIA is left.
Block without_attention(Block block);

/// Rows of these kinds. Positions ascend, with gaps if `gaps`, so that no test mistakes a row for a position.
Prompt random_prompt(Dice& dice, const TinyShape& shape, const std::vector<RowKind>& kinds, bool gaps = false);

/// `before` text rows, `vision` vision rows of which the last `high_res` are of tiles, `after` text rows.
std::vector<RowKind> kinds_of(int64_t before, int64_t vision, int64_t after, int64_t high_res = 0);

/// Calls `visit` with every weight.
void visit(std::vector<Block>& blocks, const std::function<void(Tensor&)>& visit);

/// Rows [begin, end) of every prompt as one packed batch. states: one list of layers per prompt, or empty.
Batch batch_of(const std::vector<Prompt>& prompts, const TinyShape& shape, int64_t begin, int64_t end,
               std::vector<std::vector<nn::LayerState>>& states, bool prompt);

/// Every layer over the whole prompts, without states: as training does.
struct Outcome {
  Tensor hidden;  // [rows alive at the end, hidden]
  Batch batch;    // as it is at the end
};
Outcome run_all(const std::vector<Block>& blocks, const TinyShape& shape, const std::vector<Prompt>& prompts);

/// One prompt with states: the prompt rows in one pass, then every further row alone.
struct Served {
  Tensor prompt_hidden;   // [prompt rows alive at the end, hidden]
  Tensor decoded_hidden;  // [rows - prompt_rows, hidden]
  std::vector<nn::LayerState> states;
};
Served serve(const std::vector<Block>& blocks, const TinyShape& shape, const Prompt& prompt);

/// Prompts that join at drawn passes and decode beside each other, prefill and decode mixed in one packed batch; each
/// leaves when its rows are done.
std::vector<Served> serve_together(const std::vector<Block>& blocks, const TinyShape& shape,
                                   const std::vector<Prompt>& prompts, Dice& dice);

/// Plans by hand.
plan::Rule rule(double share, const std::string& by, plan::Switches others, bool others_return = true);
plan::Plan plan_of(std::vector<plan::LayerPlan> layers);

constexpr plan::Switches kNothing{false, false, false, false};
constexpr plan::Gate kTanhNorm{plan::WeightNorm::tanh, 0.2, 1.0};

}  // namespace lithe::routing
