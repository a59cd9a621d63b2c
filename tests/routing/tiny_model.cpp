#include "routing/tiny_model.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>

#include <algorithm>
#include <cmath>

namespace lithe::routing {

nn::Linear random_linear(Dice& dice, int64_t in, int64_t out, bool bias) {
  nn::Linear linear{dice.normal({out, in}, 1.0 / std::sqrt(static_cast<double>(in))), std::nullopt};
  if (bias) linear.bias = dice.normal({out}, 0.3);
  return linear;
}

nn::Norm random_norm(Dice& dice, int64_t hidden, nn::Norm::Kind kind) {
  nn::Norm norm{.kind = kind, .gain = 1.0 + dice.normal({hidden}, 0.2), .bias = std::nullopt, .eps = 1e-5};
  if (kind == nn::Norm::Kind::layer) norm.bias = dice.normal({hidden}, 0.2);
  return norm;
}

nn::Attention random_attention(Dice& dice, const TinyShape& shape) {
  const int64_t wide = shape.heads * shape.head_dim, narrow = shape.kv_heads * shape.head_dim;
  nn::Attention attention{.query = random_linear(dice, shape.hidden, wide),
                          .key = random_linear(dice, shape.hidden, narrow),
                          .value = random_linear(dice, shape.hidden, narrow),
                          .output = random_linear(dice, wide, shape.hidden)};
  attention.heads = shape.heads;
  attention.kv_heads = shape.kv_heads;
  attention.head_dim = shape.head_dim;
  attention.window = shape.window;
  return attention;
}

nn::Mlp random_mlp(Dice& dice, const TinyShape& shape) {
  return {random_linear(dice, shape.hidden, shape.inner), random_linear(dice, shape.hidden, shape.inner),
          random_linear(dice, shape.inner, shape.hidden)};
}

nn::GatedUp random_up(Dice& dice, int64_t hidden, int64_t rank, bool two_paths) {
  const int64_t groups = 2;
  nn::GatedUp up{.b_weight = dice.normal({hidden, rank / groups}, 0.4), .b_bias = dice.normal({hidden}, 0.2)};
  if (two_paths) {
    up.d_weight = dice.normal({hidden, rank / groups}, 0.4);
    up.d_bias = dice.normal({hidden}, 0.2);
  }
  up.groups = groups;
  up.scale = 0.7;
  return up;
}

nn::Pia random_pia(Dice& dice, int64_t hidden, int64_t rank, bool gated) {
  nn::Pia pia{random_linear(dice, hidden, rank, true), random_linear(dice, hidden, rank, true),
              random_up(dice, hidden, rank, gated), std::nullopt, std::nullopt};
  if (gated) pia.gate = nn::AdapterGate{random_linear(dice, hidden, 2, true), 3.0};
  return pia;
}

nn::RepAdapter random_rep_adapter(Dice& dice, int64_t hidden, int64_t rank, bool gated) {
  nn::RepAdapter adapter{random_linear(dice, hidden, rank, true), random_up(dice, hidden, rank, gated), std::nullopt};
  if (gated) adapter.gate = nn::AdapterGate{random_linear(dice, hidden, 2, true), 3.0};
  return adapter;
}

std::vector<Block> random_blocks(Dice& dice, const TinyShape& shape) {
  std::vector<Block> blocks;
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    Block block;
    block.sites.push_back(
        {.kind = Site::Kind::self, .norm = random_norm(dice, shape.hidden), .branch = random_attention(dice, shape)});
    block.sites.push_back(
        {.kind = Site::Kind::feed_forward, .norm = random_norm(dice, shape.hidden), .branch = random_mlp(dice, shape)});
    block.router = nn::Router{dice.normal({1, shape.hidden}, 0.4), dice.normal({1}, 0.2)};
    blocks.push_back(std::move(block));
  }
  return blocks;
}

void replace_attention(Dice& dice, Block& block, bool gated) {
  Site feed = block.sites[1];
  feed.pia = random_pia(dice, feed.norm.gain.numel(), 4, gated);
  feed.pia->gain = feed.norm.gain;
  feed.norm = block.sites[0].norm;
  feed.stand_in.reset();
  block.sites = {feed};
}

void add_stand_in(Dice& dice, Block& block, bool gated) {
  Site& feed = block.sites[1];
  feed.stand_in = StandIn{block.sites[0].norm, random_pia(dice, feed.norm.gain.numel(), 4, gated)};
  feed.stand_in->pia->gain = feed.norm.gain;
}

Block without_attention(Block block) {
  Site feed = block.sites[1];
  feed.norm = *feed.stand_in->norm;
  feed.pia = feed.stand_in->pia;
  feed.stand_in.reset();
  block.sites = {feed};
  return block;
}

Prompt random_prompt(Dice& dice, const TinyShape& shape, const std::vector<RowKind>& kinds, bool gaps) {
  Prompt prompt{.x = dice.normal({static_cast<int64_t>(kinds.size()), shape.hidden}), .kinds = kinds};
  int64_t position = gaps ? dice.below(3) : 0;
  for (size_t i = 0; i < kinds.size(); ++i, position += 1 + (gaps ? dice.below(3) : 0))
    prompt.positions.push_back(position);
  prompt.prompt_rows = prompt.rows();
  return prompt;
}

std::vector<RowKind> kinds_of(int64_t before, int64_t vision, int64_t after, int64_t high_res) {
  std::vector<RowKind> kinds(static_cast<size_t>(before), RowKind::text);
  kinds.insert(kinds.end(), static_cast<size_t>(vision - high_res), RowKind::vision);
  kinds.insert(kinds.end(), static_cast<size_t>(high_res), RowKind::vision_high_res);
  kinds.insert(kinds.end(), static_cast<size_t>(after), RowKind::text);
  return kinds;
}

namespace {

using Visit = std::function<void(Tensor&)>;

void visit_weight(nn::Weight& weight, const Visit& visit) {
  Tensor stored = weight.widened(weight.type());
  visit(stored);
  weight = stored;
}

void visit_linear(nn::Linear& linear, const Visit& visit) {
  visit_weight(linear.weight, visit);
  if (linear.bias) visit(*linear.bias);
}

void visit_up(nn::GatedUp& up, const Visit& visit) {
  visit(up.b_weight);
  for (auto* optional : {&up.b_bias, &up.d_weight, &up.d_bias}) {
    if (*optional) visit(**optional);
  }
}

void visit_pia(nn::Pia& pia, const Visit& visit) {
  visit_linear(pia.shared, visit);
  visit_linear(pia.own, visit);
  visit_up(pia.up, visit);
  if (pia.gate) visit_linear(pia.gate->router, visit);
}

void visit_branch(Site& site, const Visit& visit) {
  if (auto* attention = std::get_if<nn::Attention>(&site.branch)) {
    for (nn::Linear* linear : {&attention->query, &attention->key, &attention->value, &attention->output})
      visit_linear(*linear, visit);
  } else if (auto* mlp = std::get_if<nn::Mlp>(&site.branch)) {
    if (mlp->gate) visit_linear(*mlp->gate, visit);
    visit_linear(mlp->up, visit);
    visit_linear(mlp->down, visit);
  } else {
    visit_pia(std::get<nn::Pia>(site.branch), visit);
  }
}

}  // namespace

void visit(std::vector<Block>& blocks, const Visit& visit) {
  for (Block& block : blocks) {
    for (Site& site : block.sites) {
      visit(site.norm.gain);
      if (site.norm.bias) visit(*site.norm.bias);
      visit_branch(site, visit);
      if (site.pia) visit_pia(*site.pia, visit);
      if (site.stand_in && site.stand_in->pia) visit_pia(*site.stand_in->pia, visit);
      if (site.adapter) {
        visit_linear(site.adapter->down, visit);
        visit_up(site.adapter->up, visit);
        if (site.adapter->gate) visit_linear(site.adapter->gate->router, visit);
      }
    }
    if (block.router) {
      visit_weight(block.router->weight, visit);
      visit(*block.router->bias);
    }
  }
}

namespace {

/// Where the prompt ends in the order of the rows.
int64_t prompt_end(const Prompt& prompt) {
  return prompt.prompt_rows < prompt.rows() ? prompt.positions[static_cast<size_t>(prompt.prompt_rows)]
                                            : Sequence::kEveryRow;
}

/// Appends rows [begin, end) of a prompt as one more sequence.
void append(Batch& batch, const Prompt& prompt, int64_t begin, int64_t end, std::span<nn::LayerState> states,
            bool is_prompt) {
  batch.add({.plan = &prompt.plan, .states = states, .prompt_end = is_prompt ? prompt_end(prompt) : 0},
            std::span(prompt.kinds).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)));
  std::copy(prompt.positions.begin() + begin, prompt.positions.begin() + end, batch.order.end() - (end - begin));
}

Outcome run(const std::vector<Block>& blocks, const TinyShape& shape, Batch batch, Tensor x) {
  batch.angles = ops::rope_angles({.head_dim = shape.head_dim}, batch.order);
  Executor executor(std::move(batch), "decoder", static_cast<int64_t>(blocks.size()));
  for (size_t layer = 0; layer < blocks.size(); ++layer)
    x = executor.run(blocks[layer], static_cast<int64_t>(layer), x);
  return {x, executor.batch()};
}

/// A prompt on its way: the rows before `next` have run.
struct Running {
  const Prompt& prompt;
  Served served{};
  std::vector<Tensor> decoded{};
  int64_t next = 0;

  bool done() const { return next == prompt.rows(); }
  Tensor enter(Batch& batch) {
    const int64_t begin = next;
    next = begin == 0 ? prompt.prompt_rows : begin + 1;
    append(batch, prompt, begin, next, served.states, begin == 0);
    return prompt.x.narrow(0, begin, next - begin);
  }
  void take(const Tensor& rows) {
    if (next == prompt.prompt_rows)
      served.prompt_hidden = rows;
    else
      decoded.push_back(rows);
    if (done() && !decoded.empty()) served.decoded_hidden = at::cat(decoded);
  }
};

}  // namespace

Batch batch_of(const std::vector<Prompt>& prompts, const TinyShape& shape, int64_t begin, int64_t end,
               std::vector<std::vector<nn::LayerState>>& states, bool prompt) {
  Batch batch;
  for (size_t i = 0; i < prompts.size(); ++i) {
    append(batch, prompts[i], begin, std::min(end, prompts[i].rows()),
           states.empty() ? std::span<nn::LayerState>() : std::span<nn::LayerState>(states[i]), prompt);
  }
  batch.angles = ops::rope_angles({.head_dim = shape.head_dim}, batch.order);
  return batch;
}

Outcome run_all(const std::vector<Block>& blocks, const TinyShape& shape, const std::vector<Prompt>& prompts) {
  std::vector<std::vector<nn::LayerState>> no_states;
  std::vector<Tensor> inputs;
  for (const Prompt& prompt : prompts) inputs.push_back(prompt.x);
  return run(blocks, shape, batch_of(prompts, shape, 0, INT64_MAX, no_states, true), at::cat(inputs));
}

std::vector<Served> serve_together(const std::vector<Block>& blocks, const TinyShape& shape,
                                   const std::vector<Prompt>& prompts, Dice& dice) {
  const at::NoGradGuard no_gradient;
  std::vector<Running> all;
  for (const Prompt& prompt : prompts) {
    all.push_back({.prompt = prompt});
    all.back().served.states.resize(blocks.size());
  }
  size_t joined = 0;
  while (std::any_of(all.begin(), all.end(), [](const Running& one) { return !one.done(); })) {
    if (joined < all.size()) joined += static_cast<size_t>(1 + dice.below(static_cast<int64_t>(all.size() - joined)));
    Batch batch;
    std::vector<Running*> in_pass;
    std::vector<Tensor> rows;
    for (size_t i = 0; i < joined; ++i) {
      if (all[i].done()) continue;
      in_pass.push_back(&all[i]);
      rows.push_back(all[i].enter(batch));
    }
    if (in_pass.empty()) continue;  // those that joined are done, others are yet to come
    const Outcome outcome = run(blocks, shape, std::move(batch), at::cat(rows));
    for (size_t i = 0; i < in_pass.size(); ++i) {
      const int64_t first = outcome.batch.offsets[i];
      in_pass[i]->take(outcome.hidden.narrow(0, first, outcome.batch.offsets[i + 1] - first));
    }
  }
  std::vector<Served> served;
  for (Running& one : all) served.push_back(std::move(one.served));
  return served;
}

Served serve(const std::vector<Block>& blocks, const TinyShape& shape, const Prompt& prompt) {
  Dice nothing_to_draw(0);
  return std::move(serve_together(blocks, shape, {prompt}, nothing_to_draw).front());
}

plan::Rule rule(double share, const std::string& by, plan::Switches others, bool others_return) {
  plan::Rule rule;
  rule.keep_share = share;
  rule.by = by;
  rule.others = others;
  rule.others_return = others_return;
  return rule;
}

plan::Plan plan_of(std::vector<plan::LayerPlan> layers) {
  return {.name = "test", .layers = std::move(layers)};
}

}  // namespace lithe::routing
