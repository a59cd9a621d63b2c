#include "routing/twin.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/diag.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sigmoid.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"
#include "routing/plain_choices.h"
#include "routing/selector.h"

namespace lithe::routing {
Tensor plain_norm(const nn::Norm& norm, const Tensor& x) {
  return x / (x.square().mean(-1, true) + norm.eps).sqrt() * norm.gain;
}

Tensor plain_linear(const nn::Linear& linear, const Tensor& x) {
  const Tensor y = x.matmul(linear.weight.widened(at::kDouble).t());
  return linear.bias ? y + *linear.bias : y;
}

Tensor written_out(const Tensor& weight) {
  const int64_t half = weight.size(0) / 2, rank = weight.size(1);
  const Tensor nothing = at::zeros({half, rank}, weight.options().requires_grad(false));
  return at::cat(
      {at::cat({weight.narrow(0, 0, half), nothing}, 1), at::cat({nothing, weight.narrow(0, half, half)}, 1)}, 0);
}

namespace {

using test::expect_close;
using test::leaf;

constexpr double kAllowed = 1e-9;

Tensor plain_mlp(const nn::Mlp& mlp, const Tensor& x) {
  const Tensor gate = plain_linear(*mlp.gate, x);
  return plain_linear(mlp.down, gate * at::sigmoid(gate) * plain_linear(mlp.up, x));
}

Tensor flags(const std::vector<bool>& values) {
  Tensor t = at::zeros({static_cast<int64_t>(values.size())}, at::kDouble);
  for (size_t i = 0; i < values.size(); ++i) t.mutable_data_ptr<double>()[i] = values[i] ? 1.0 : 0.0;
  return t;
}

struct RowPlan {
  plan::Switches runs;
  bool governed = false, leaves = false, weighed = false;
};

using Parts = std::vector<bool plan::Switches::*>;
const Parts kAnything{&plan::Switches::query, &plan::Switches::key_value, &plan::Switches::feed_forward};

class Twin {
 public:
  Twin(const TinyShape& shape, const Prompt& prompt)
      : shape_(shape),
        prompt_(prompt),
        x_(prompt.x),
        angles_(ops::rope_angles({.head_dim = shape.head_dim}, prompt.positions)),
        alive_(count(), true) {
    raters_ = raters();
  }

  void layer(const Block& block, int64_t layer) {
    const Tensor input = x_.detach();
    rows_.assign(count(), {});
    for (size_t i = 0; i < count(); ++i) {  // no row sees padding, unless a rule says so
      plan::Switches& runs = rows_[i].runs;
      runs.key_value = runs.cache = prompt_.kinds[i] != RowKind::padding;
    }
    weight_ = at::full({prompt_.rows()}, 1.0, at::kDouble);
    const plan::LayerPlan* entry = prompt_.plan.find("decoder", layer);
    if (entry) {
      for (const plan::Rule& rule : entry->rules) apply(rule, block, layer);
    }
    const bool attends = block.sites.size() == 2 && (!entry || entry->self_attention);
    const bool stands_in = !attends && block.sites.back().stand_in;
    if (!attends) {
      for (RowPlan& row : rows_) row.runs.query = row.runs.key_value = row.runs.cache = false;
    }
    note(attends);
    const Tensor h = attends ? x_ + column(&plan::Switches::query) * attention(block.sites[0]) : x_;
    const Site& feed = block.sites.back();
    const std::optional<nn::Pia>& before = stands_in ? feed.stand_in->pia : feed.pia;
    const Tensor normed = plain_norm(stands_in ? *feed.stand_in->norm : feed.norm, h),
                 read = before ? pia(*before, normed) : normed,
                 m = plain_mlp(std::get<nn::Mlp>(feed.branch),
                               feed.adapter ? adapted(*feed.adapter, read, {&plan::Switches::feed_forward}) : read);
    const Tensor fed = column(&plan::Switches::feed_forward), w = weight_.unsqueeze(1);
    x_ = fed * (h + w * m) + (1.0 - fed) * (w * h);
    for (size_t i = 0; i < count(); ++i) alive_[i] = alive_[i] && !rows_[i].leaves;
    before_ = input;
  }

  TwinOutcome finish() {
    outcome_.hidden = x_;
    for (size_t i = 0; i < count(); ++i) {
      if (alive_[i]) outcome_.alive.push_back(static_cast<int64_t>(i));
    }
    return std::move(outcome_);
  }

 private:
  size_t count() const { return prompt_.positions.size(); }

  bool in_group(size_t row, plan::Group group) const {
    const RowKind kind = prompt_.kinds[row];
    if (group == plan::Group::all) return kind != RowKind::padding;
    if (group == plan::Group::vision) return kind == RowKind::vision || kind == RowKind::vision_high_res;
    if (group == plan::Group::vision_high_res) return kind == RowKind::vision_high_res;
    return kind == (group == plan::Group::text ? RowKind::text : RowKind::padding);
  }

  void apply(const plan::Rule& rule, const Block& block, int64_t layer) {
    std::vector<int64_t> group;
    for (size_t i = 0; i < static_cast<size_t>(prompt_.prompt_rows); ++i) {
      if (!alive_[i] || rows_[i].governed || !in_group(i, rule.group)) continue;
      rows_[i].governed = true;
      group.push_back(static_cast<int64_t>(i));
    }
    if (group.empty()) return;
    const int64_t n = static_cast<int64_t>(group.size());
    const int64_t wanted = rule.keep_share
                               ? static_cast<int64_t>(static_cast<float>(n) * static_cast<float>(*rule.keep_share))
                               : *rule.keep_count;
    std::vector<bool> chosen(count(), false);
    for (const int64_t i : choose(rule, block, layer, group, std::clamp<int64_t>(wanted, 0, n)))
      chosen[static_cast<size_t>(group[static_cast<size_t>(i)])] = true;
    for (const int64_t i : group) {
      rows_[static_cast<size_t>(i)].runs = plan::Switches{};
      if (chosen[static_cast<size_t>(i)]) continue;
      rows_[static_cast<size_t>(i)].runs = rule.others;
      rows_[static_cast<size_t>(i)].leaves = !rule.others_return;
    }
  }

  /// Indices into `group`.
  std::vector<int64_t> choose(const plan::Rule& rule, const Block& block, int64_t layer,
                              const std::vector<int64_t>& group, int64_t keep) {
    const int64_t n = static_cast<int64_t>(group.size());
    const Tensor index = at::tensor(at::ArrayRef<int64_t>(group), at::kLong), own = x_.index_select(0, index);
    std::vector<double> score(group.size(), 0.0);
    if (rule.gate || rule.by == "router") {
      Tensor z = own.matmul(block.router->weight.widened(at::kDouble).t()).squeeze(-1) + *block.router->bias;
      if (rule.gate) {
        z = weigh(*rule.gate, z);
        weight_ = weight_.index_copy(0, index, z);
      }
      if (rule.by == "router")
        for (int64_t i = 0; i < n; ++i) score[static_cast<size_t>(i)] = z[i].item<double>();
    }
    if (rule.by == "random") {
      const Tensor& hidden = x_;
      return find_selector("random")->choose(
          {.hidden = hidden, .rows = group, .keep = keep, .layer = layer, .seed = rule.seed});
    }
    if (rule.by == "uniform") {
      std::vector<int64_t> even;
      for (int64_t j = 0; j < keep; ++j)
        even.push_back(static_cast<int64_t>(
            std::floor((static_cast<double>(j) + 0.5) * static_cast<double>(n) / static_cast<double>(keep) + 1e-12)));
      return even;
    }
    if (rule.by == "attention" || rule.by == "text_attention") {
      const std::vector<double>& given = rule.by == "attention" ? given_ : text_given_;
      for (int64_t i = 0; i < n; ++i)
        score[static_cast<size_t>(i)] = given.at(static_cast<size_t>(group[static_cast<size_t>(i)]));
    }
    if (const auto chosen = choose_by_paper(rule.by, group, keep)) return *chosen;
    if (rule.by == "similarity") {
      score[0] = 1e9;
      for (int64_t i = 1; i < n; ++i)
        score[static_cast<size_t>(i)] = -(own[i].dot(own[i - 1]) / own[i].norm() / own[i - 1].norm()).item<double>();
    }
    std::vector<int64_t> order(group.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return score[static_cast<size_t>(a)] > score[static_cast<size_t>(b)];
    });
    order.resize(static_cast<size_t>(keep));
    return order;
  }

  /// Alive text rows of the prompt after this row.
  std::vector<int64_t> text_after(int64_t row) const {
    std::vector<int64_t> text;
    for (int64_t i = row + 1; i < prompt_.prompt_rows; ++i) {
      if (alive_[static_cast<size_t>(i)] && prompt_.kinds[static_cast<size_t>(i)] == RowKind::text) text.push_back(i);
    }
    return text;
  }

  /// What the definitions in plain_choices.h choose, if one has this name.
  std::optional<std::vector<int64_t>> choose_by_paper(const std::string& by, const std::vector<int64_t>& group,
                                                      int64_t keep) const {
    const auto some = [](const Tensor& x, const std::vector<int64_t>& rows) {
      return x.index_select(0, at::tensor(at::ArrayRef<int64_t>(rows), at::kLong));
    };
    const Tensor now = x_.detach();
    const std::vector<int64_t> text = text_after(group.front());
    const Matrix own = matrix_of(some(now, group)), words = matrix_of(some(now, text));
    if (by == "key_norm") return plain_key_norm(some(keys_, group), keep);
    if (by == "variation") return plain_variation(own, matrix_of(some(before_, group)), keep);
    if (by == "diversity") return plain_diversity(own, keep);
    if (by == "relevance") return plain_relevance(own, words, keep);
    if (by == "duplication") return PlainDart{own, words, some(keys_, group), some(keys_, text)}.choose(keep);
    return std::nullopt;
  }

  static Tensor weigh(const plan::Gate& gate, const Tensor& z) {
    Tensor f = z;
    if (gate.norm == plan::WeightNorm::tanh) f = at::tanh(z);
    if (gate.norm == plan::WeightNorm::sigmoid) f = 1.0 / (1.0 + (-z).exp());
    if (gate.norm == plan::WeightNorm::softmax) f = z.exp() / z.exp().sum();
    return gate.scale * f + gate.bias;
  }

  /// Column of 0 and 1: alive rows that run this.  [rows, 1]
  Tensor column(bool plan::Switches::*part) const {
    std::vector<bool> values;
    for (size_t i = 0; i < count(); ++i) values.push_back(alive_[i] && rows_[i].runs.*part);
    return flags(values).unsqueeze(1);
  }

  void note(bool attends) {
    std::vector<int64_t> cached, ran;
    for (size_t i = 0; i < count(); ++i) {
      if (!alive_[i]) continue;
      const plan::Switches& runs = rows_[i].runs;
      if (attends && runs.cache) cached.push_back(prompt_.positions[i]);
      if (runs.query || runs.key_value || runs.feed_forward) ran.push_back(static_cast<int64_t>(i));
    }
    outcome_.cached.push_back(std::move(cached));
    outcome_.ran.push_back(std::move(ran));
  }

  bool sees(size_t query, size_t key) const {
    const int64_t q = prompt_.positions[query], k = prompt_.positions[key];
    const bool from_before =
        static_cast<int64_t>(query) >= prompt_.prompt_rows && key != query;  // decoding reads the cache only
    if (key > query) return false;  // a decoded row may repeat a position (LaVIN), but it comes later
    return alive_[key] && rows_[key].runs.key_value && (!from_before || rows_[key].runs.cache) && k <= q &&
           (!shape_.window || k > q - *shape_.window);
  }

  Tensor turned(const Tensor& x) const {
    const int64_t half = shape_.head_dim / 2;
    const Tensor a = x.narrow(-1, 0, half), b = x.narrow(-1, half, half), c = angles_.cosine.to(at::kDouble),
                 s = angles_.sine.to(at::kDouble);
    return at::cat({a * c - b * s, b * c + a * s}, -1);
  }

  Tensor attention(const Site& site) {
    const auto& attention = std::get<nn::Attention>(site.branch);
    const Tensor normed = plain_norm(site.norm, x_),
                 input = site.adapter ? adapted(*site.adapter, normed, kAnything) : normed,
                 q = plain_linear(attention.query, input), k = plain_linear(attention.key, input),
                 v = plain_linear(attention.value, input);
    std::vector<bool> seen;
    for (size_t i = 0; i < count(); ++i)
      for (size_t j = 0; j < count(); ++j) seen.push_back(sees(i, j));
    const Tensor mask = flags(seen).view({prompt_.rows(), prompt_.rows()});
    std::vector<Tensor> heads;
    Tensor mean = at::zeros({prompt_.rows(), prompt_.rows()}, at::kDouble);
    for (int64_t head = 0; head < shape_.heads; ++head) {
      const int64_t shared = head / (shape_.heads / shape_.kv_heads);
      const auto slice = [&](const Tensor& t, int64_t h) { return t.narrow(1, h * shape_.head_dim, shape_.head_dim); };
      const Tensor weights = (turned(slice(q, head)).matmul(turned(slice(k, shared)).t()) /
                              std::sqrt(static_cast<double>(shape_.head_dim)))
                                 .exp() *
                             mask;
      const Tensor share = weights / weights.sum(1, true).clamp_min(1e-300);
      heads.push_back(share.matmul(slice(v, shared)));
      mean = mean + share.detach() / static_cast<double>(shape_.heads);
    }
    remember_scores(mean);
    remember_keys(turned(k.detach().unflatten(1, {shape_.kv_heads, shape_.head_dim}).transpose(0, 1)).transpose(0, 1));
    return plain_linear(attention.output, at::cat(heads, 1));
  }

  /// The attention weights on every row: of the last prompt row that formed a query, and the mean of the raters that
  /// did.
  void remember_scores(const Tensor& mean) {
    std::vector<int64_t> asking;
    for (int64_t row = 0; row < prompt_.prompt_rows; ++row) {
      if (alive_[static_cast<size_t>(row)] && rows_[static_cast<size_t>(row)].runs.query) asking.push_back(row);
    }
    if (asking.empty()) return;
    given_ = mean_of(mean, {asking.back()});
    std::vector<int64_t> raters;
    for (const int64_t row : asking) {
      if (std::find(raters_.begin(), raters_.end(), row) != raters_.end()) raters.push_back(row);
    }
    text_given_ = raters.empty() ? given_ : mean_of(mean, raters);
  }

  std::vector<double> mean_of(const Tensor& mean, const std::vector<int64_t>& rows) const {
    std::vector<double> weights(count(), 0.0);
    for (const int64_t row : rows) {
      for (size_t j = 0; j < count(); ++j)
        weights[j] += mean[row][static_cast<int64_t>(j)].item<double>() / static_cast<double>(rows.size());
    }
    return weights;
  }

  /// keys: [rows, kv_heads, head_dim]; NaN for rows that offer none.
  void remember_keys(Tensor keys) {
    keys = keys.clone();
    for (size_t i = 0; i < count(); ++i) {
      if (!alive_[i] || !rows_[i].runs.key_value) keys[static_cast<int64_t>(i)].fill_(std::nan(""));
    }
    keys_ = keys;
  }

  /// SparseVLM's raters: text rows t whose mean over vision rows v of softmax over t (x_v . x_t) reaches the mean.
  std::vector<int64_t> raters() const {
    std::vector<int64_t> vision, text;
    for (int64_t i = 0; i < prompt_.prompt_rows; ++i) {
      if (in_group(static_cast<size_t>(i), plan::Group::vision)) vision.push_back(i);
    }
    if (!vision.empty()) text = text_after(vision.front());
    std::vector<double> match(text.size(), 0.0);
    for (const int64_t v : vision) {
      std::vector<double> products;
      double sum = 0;
      for (const int64_t t : text) {
        products.push_back(std::exp(prompt_.x[v].dot(prompt_.x[t]).item<double>()));
        sum += products.back();
      }
      for (size_t i = 0; i < text.size(); ++i) match[i] += products[i] / sum;
    }
    const double mean = std::accumulate(match.begin(), match.end(), 0.0) / static_cast<double>(text.size());
    std::vector<int64_t> rows;
    for (size_t i = 0; i < text.size(); ++i) {
      if (match[i] >= mean - 1e-12) rows.push_back(text[i]);
    }
    return rows;
  }

  /// What makes a mean of the prompt's rows that run one of these; of none: 0.  [1, rows]
  Tensor mean_over(const Parts& parts) const {
    std::vector<bool> counted;
    for (size_t i = 0; i < count(); ++i) {
      const bool runs = std::any_of(parts.begin(), parts.end(), [&](auto part) { return rows_[i].runs.*part; });
      counted.push_back(alive_[i] && runs && static_cast<int64_t>(i) < prompt_.prompt_rows);
    }
    return flags(counted).unsqueeze(0) / std::max(1.0, flags(counted).sum().item<double>());
  }

  static Tensor up_again(const nn::GatedUp& up, const std::optional<nn::AdapterGate>& gate, const Tensor& u,
                         const Tensor& mean) {
    const Tensor first = u.matmul(written_out(up.b_weight).t()) + *up.b_bias;
    if (!gate) return up.scale * first;
    const Tensor w = at::softmax(plain_linear(gate->router, mean) / gate->temperature, -1)[0];
    return up.scale * (w[0] * first + w[1] * (u.matmul(written_out(*up.d_weight).t()) + *up.d_bias));
  }

  Tensor pia(const nn::Pia& pia, const Tensor& x) const {
    const Tensor mean = mean_over({&plan::Switches::feed_forward}).matmul(x);
    const Tensor u = 0.5 * (plain_linear(pia.own, x) + plain_linear(pia.shared, mean));
    return (x + up_again(pia.up, pia.gate, u, mean)) * *pia.gain;
  }

  Tensor adapted(const nn::RepAdapter& adapter, const Tensor& x, const Parts& parts) const {
    const Tensor mean = mean_over(parts).matmul(x);
    return x + up_again(adapter.up, adapter.gate, plain_linear(adapter.down, x), mean);
  }

  const TinyShape& shape_;
  const Prompt& prompt_;
  Tensor x_;
  ops::RopeAngles angles_;
  std::vector<bool> alive_;
  std::vector<RowPlan> rows_;
  Tensor weight_;
  std::vector<double> given_, text_given_;
  std::vector<int64_t> raters_;
  Tensor keys_, before_;
  TwinOutcome outcome_;
};

std::vector<Tensor> gradients_of(std::vector<Block>& blocks, const std::vector<Prompt>& prompts) {
  std::vector<Tensor> gradients;
  const auto take = [&](const Tensor& t) {
    gradients.push_back(t.grad().defined() ? t.grad().clone() : at::zeros(t.sizes(), at::kDouble));
  };
  for (const Prompt& prompt : prompts) take(prompt.x);
  visit(blocks, take);
  return gradients;
}

void forget_gradients(std::vector<Block>& blocks, std::vector<Prompt>& prompts) {
  for (Prompt& prompt : prompts) prompt.x.mutable_grad().reset();
  visit(blocks, [](Tensor& t) { t.mutable_grad().reset(); });
}

Tensor select(const Tensor& x, const std::vector<int64_t>& rows) {
  return x.index_select(0, at::tensor(at::ArrayRef<int64_t>(rows), at::kLong));
}

}  // namespace

TwinOutcome twin(const std::vector<Block>& blocks, const TinyShape& shape, const Prompt& prompt) {
  Twin twin(shape, prompt);
  for (size_t layer = 0; layer < blocks.size(); ++layer) twin.layer(blocks[layer], static_cast<int64_t>(layer));
  return twin.finish();
}

void expect_equals_twin(std::vector<Block> blocks, const TinyShape& shape, std::vector<Prompt> prompts,
                        const std::string& what) {
  visit(blocks, [](Tensor& t) { t = leaf(t); });
  for (Prompt& prompt : prompts) prompt.x = leaf(prompt.x);
  const Outcome outcome = run_all(blocks, shape, prompts);
  const Tensor cotangent = Dice(99).normal(outcome.hidden.sizes());
  (outcome.hidden * cotangent).sum().backward();
  const std::vector<Tensor> actual = gradients_of(blocks, prompts);
  forget_gradients(blocks, prompts);

  std::vector<Tensor> rows;
  std::vector<int64_t> positions;
  for (const Prompt& prompt : prompts) {
    const TwinOutcome expected = twin(blocks, shape, prompt);
    rows.push_back(select(expected.hidden, expected.alive));
    for (const int64_t row : expected.alive) positions.push_back(prompt.positions[static_cast<size_t>(row)]);
  }
  const Tensor expected = at::cat(rows);
  EXPECT_EQ(outcome.batch.order, positions) << what;
  expect_close(outcome.hidden, expected, kAllowed, what + ": values");
  if (::testing::Test::HasFailure()) return;
  (expected * cotangent).sum().backward();
  const std::vector<Tensor> wanted = gradients_of(blocks, prompts);
  for (size_t i = 0; i < actual.size(); ++i)
    expect_close(actual[i], wanted[i], kAllowed, concat(what, ": gradient ", i));
}

namespace {

void expect_same(const Served& served, const std::vector<Block>& blocks, const TinyShape& shape, const Prompt& prompt,
                 const std::string& what) {
  const TwinOutcome expected = twin(blocks, shape, prompt);
  std::vector<int64_t> in_prompt, decoded;
  for (const int64_t row : expected.alive) (row < prompt.prompt_rows ? in_prompt : decoded).push_back(row);
  expect_close(served.prompt_hidden, select(expected.hidden, in_prompt), kAllowed, what + ": prompt");
  if (!decoded.empty())
    expect_close(served.decoded_hidden, select(expected.hidden, decoded), kAllowed, what + ": decoded");
  for (size_t layer = 0; layer < blocks.size(); ++layer) {
    EXPECT_EQ(served.states[layer].positions(), expected.cached[layer]) << what << ": cache of layer " << layer;
    const int64_t bytes = 2 * static_cast<int64_t>(expected.cached[layer].size()) * shape.kv_heads * shape.head_dim * 8;
    EXPECT_EQ(served.states[layer].bytes(), bytes) << what << ": bytes of layer " << layer;
  }
}

}  // namespace

void expect_served_equals_twin(const std::vector<Block>& blocks, const TinyShape& shape, const Prompt& prompt,
                               const std::string& what) {
  const at::NoGradGuard no_gradient;
  expect_same(serve(blocks, shape, prompt), blocks, shape, prompt, what);
}

void expect_served_together_equals_twin(const std::vector<Block>& blocks, const TinyShape& shape,
                                        const std::vector<Prompt>& prompts, Dice& dice, const std::string& what) {
  const at::NoGradGuard no_gradient;
  const std::vector<Served> served = serve_together(blocks, shape, prompts, dice);
  for (size_t i = 0; i < prompts.size(); ++i)
    expect_same(served[i], blocks, shape, prompts[i], concat(what, ", prompt ", i));
}

}  // namespace lithe::routing
