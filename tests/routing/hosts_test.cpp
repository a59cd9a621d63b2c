#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/gelu.h>
#include <ATen/ops/softmax.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include <cmath>
#include <numeric>

#include "base/error.h"
#include "routing/twin.h"

// The hosts of EAS through the one executor: METER's two post-norm streams, LaVIN's modality token and the taps of its
// tower.
namespace lithe::routing {
namespace {

using test::expect_close;
using test::leaf;
using Positions = std::vector<int64_t>;

const TinyShape kMeter{.layers = 2, .hidden = 16, .heads = 4, .kv_heads = 4, .head_dim = 4, .inner = 24};

Positions range(int64_t begin, int64_t end) {
  Positions positions(static_cast<size_t>(end - begin));
  std::iota(positions.begin(), positions.end(), begin);
  return positions;
}

nn::Attention meter_attention(Dice& dice) {
  nn::Attention attention = random_attention(dice, kMeter);
  for (nn::Linear* linear : {&attention.query, &attention.key, &attention.value, &attention.output})
    linear->bias = dice.normal({16}, 0.2);
  attention.causal = false;
  attention.rotary = false;
  return attention;
}

Block meter_block(Dice& dice) {
  const auto site = [&](Site::Kind kind, auto branch) {
    Site s{.kind = kind,
           .join = Site::Join::post_norm,
           .norm = random_norm(dice, 16, nn::Norm::Kind::layer),
           .branch = std::move(branch)};
    s.adapter = random_rep_adapter(dice, 16, 4);
    return s;
  };
  const nn::Mlp mlp{std::nullopt, random_linear(dice, 16, 24, true), random_linear(dice, 24, 16, true),
                    ops::Activation::gelu};
  return {{site(Site::Kind::self, meter_attention(dice)), site(Site::Kind::cross, meter_attention(dice)),
           site(Site::Kind::feed_forward, mlp)},
          std::nullopt};
}

void stand_in(Dice& dice, Site& site) {
  nn::Pia pia = random_pia(dice, 16, 4, false);
  pia.residual = false;
  site.branch = pia;
  site.adapter.reset();
}

// One pair of samples in METER, written down plainly: [rows, hidden] each, `real` marks rows that are not padding.
struct MeterSide {
  Tensor x, real;
};

Tensor plain_layer_norm(const nn::Norm& norm, const Tensor& x) {
  const Tensor centred = x - x.mean(-1, true);
  return centred / (centred.square().mean(-1, true) + norm.eps).sqrt() * norm.gain + *norm.bias;
}

Tensor plain_up(const nn::GatedUp& up, const Tensor& u) {
  const int64_t half = u.size(1) / 2, rows = up.b_weight.size(0) / 2;
  const Tensor first = u.narrow(1, 0, half).matmul(up.b_weight.narrow(0, 0, rows).t()),
               second = u.narrow(1, half, half).matmul(up.b_weight.narrow(0, rows, rows).t());
  return up.scale * (at::cat({first, second}, 1) + *up.b_bias);
}

Tensor adapted(const Site& site, const Tensor& x) {
  return site.adapter ? x + plain_up(site.adapter->up, plain_linear(site.adapter->down, x)) : x;
}

/// x: the rows that form queries, entry: the layer's input, read: the rows that offer keys and values.
Tensor meter_branch(const Site& site, const Tensor& x, const Tensor& entry, const MeterSide& read) {
  if (const auto* pia = std::get_if<nn::Pia>(&site.branch)) {
    return plain_up(pia->up, 0.5 * (plain_linear(pia->own, entry) + plain_linear(pia->shared, read.x).mean(0, true)));
  }
  const auto& attention = std::get<nn::Attention>(site.branch);
  const Tensor keyed =
      site.kind == Site::Kind::self ? adapted(site, read.x) : read.x;  // cross: only the query side is adapted
  const Tensor q = plain_linear(attention.query, adapted(site, x)), k = plain_linear(attention.key, keyed),
               v = plain_linear(attention.value, keyed);
  std::vector<Tensor> heads;
  for (int64_t head = 0; head < 4; ++head) {
    const auto slice = [&](const Tensor& t) { return t.narrow(1, 4 * head, 4); };
    const Tensor scores = slice(q).matmul(slice(k).t()) / 2.0 - (1.0 - read.real).unsqueeze(0) * 10000.0;
    heads.push_back(at::softmax(scores, -1).matmul(slice(v)));
  }
  return plain_linear(attention.output, at::cat(heads, 1));
}

Tensor meter_layer(const Block& block, const MeterSide& own, const MeterSide& other) {
  const Site &self = block.sites[0], &cross = block.sites[1], &feed = block.sites[2];
  const Tensor h1 = plain_layer_norm(self.norm, own.x + meter_branch(self, own.x, own.x, own));
  const Tensor h2 = plain_layer_norm(cross.norm, h1 + meter_branch(cross, h1, own.x, other));
  const auto& mlp = std::get<nn::Mlp>(feed.branch);
  return plain_layer_norm(feed.norm, h2 + plain_linear(mlp.down, at::gelu(plain_linear(mlp.up, adapted(feed, h2)))));
}

/// Two samples: texts of 5 rows (the second with two rows of padding), pictures of 4 and 3 rows.
class Meter : public ::testing::Test {
 protected:
  Meter() {
    for (int layer = 0; layer < 2; ++layer) {
      text_.push_back(meter_block(dice_));
      image_.push_back(meter_block(dice_));
    }
    visit(text_, [](Tensor& t) { t = leaf(t); });
    visit(image_, [](Tensor& t) { t = leaf(t); });
    kinds_ = std::vector<RowKind>(10, RowKind::text);
    kinds_[8] = kinds_[9] = RowKind::padding;
  }

  void expect_equals_plain(const plan::Plan& text_plan, const plan::Plan& image_plan) {
    Tensor xt = text0_, xi = image0_;
    const Positions text_offsets{0, 5, 10}, image_offsets{0, 4, 7};
    Executor text({.sequences = {{.plan = &text_plan}, {.plan = &text_plan}},
                   .offsets = text_offsets,
                   .order = {0, 1, 2, 3, 4, 0, 1, 2, 3, 4},
                   .kinds = kinds_},
                  "text", 2);
    Executor image({.sequences = {{.plan = &image_plan}, {.plan = &image_plan}},
                    .offsets = image_offsets,
                    .order = {0, 1, 2, 3, 0, 1, 2},
                    .kinds = std::vector<RowKind>(7, RowKind::vision)},
                   "image", 2);
    for (int64_t layer = 0; layer < 2; ++layer) {
      const Tensor before = xt;
      xt = text.run(text_[static_cast<size_t>(layer)], layer, xt, OtherStream{xi, image_offsets, {}});
      xi = image.run(image_[static_cast<size_t>(layer)], layer, xi, OtherStream{before, text_offsets, kinds_});
    }
    const auto [yt, yi] = plain();
    expect_close(xt, yt, 1e-9, "text");
    expect_close(xi, yi, 1e-9, "image");
    expect_same_gradients(at::cat({xt, xi}), at::cat({yt, yi}));
  }

  std::vector<Block> text_, image_;

 private:
  std::pair<Tensor, Tensor> plain() const {
    std::vector<Tensor> texts, images;
    for (int sample = 0; sample < 2; ++sample) {
      const std::vector<double> mask =
          sample == 0 ? std::vector<double>{1, 1, 1, 1, 1} : std::vector<double>{1, 1, 1, 0, 0};
      MeterSide t{text0_.narrow(0, 5 * sample, 5), at::tensor(at::ArrayRef<double>(mask), at::kDouble)};
      MeterSide i{image0_.narrow(0, 4 * sample, 4 - sample), at::zeros({4 - sample}, at::kDouble) + 1.0};
      for (size_t layer = 0; layer < 2; ++layer) {
        const Tensor next = meter_layer(text_[layer], t, i);
        i.x = meter_layer(image_[layer], i, t);
        t.x = next;
      }
      texts.push_back(t.x);
      images.push_back(i.x);
    }
    return {at::cat(texts), at::cat(images)};
  }

  void expect_same_gradients(const Tensor& actual, const Tensor& expected) {
    const Tensor cotangent = Dice(9).normal(actual.sizes());
    std::vector<std::vector<Tensor>> gradients;
    for (const Tensor& y : {actual, expected}) {
      (y * cotangent).sum().backward();
      gradients.emplace_back();
      for (std::vector<Block>* blocks : {&text_, &image_}) {
        visit(*blocks, [&](Tensor& t) {
          gradients.back().push_back(t.grad().defined() ? t.grad().clone() : at::zeros(t.sizes(), at::kDouble));
          t.mutable_grad().reset();
        });
      }
    }
    for (size_t i = 0; i < gradients[0].size(); ++i)
      expect_close(gradients[0][i], gradients[1][i], 1e-9, concat("gradient ", i));
  }

  Dice dice_{51};
  Tensor text0_ = dice_.normal({10, 16}), image0_ = dice_.normal({7, 16});
  std::vector<RowKind> kinds_;
};

TEST_F(Meter, TwoPostNormStreamsWithThreeSites) {
  expect_equals_plain({}, {});
}

TEST_F(Meter, PiasStandForSelfAndCrossAttention) {
  Dice dice(52);
  stand_in(dice, text_[0].sites[0]);
  stand_in(dice, text_[1].sites[1]);
  stand_in(dice, image_[0].sites[1]);
  stand_in(dice, image_[0].sites[0]);
  expect_equals_plain(plan_of({{.stream = "text", .layer = 0, .self_attention = false},
                               {.stream = "text", .layer = 1, .cross_attention = false}}),
                      plan_of({{.stream = "image", .layer = 0, .self_attention = false, .cross_attention = false}}));
}

TEST_F(Meter, ThePlanOfEachSequencePicksAttentionOrPia) {
  Dice dice(56);
  Block both = image_[0], pias = image_[0];
  for (const size_t site : {0, 1}) {
    both.sites[site].stand_in = StandIn{std::nullopt, random_pia(dice, 16, 4, false)};
    both.sites[site].stand_in->pia->residual = false;
    pias.sites[site].branch = *both.sites[site].stand_in->pia;
    pias.sites[site].adapter.reset();
  }
  const plan::Plan on,
      off = plan_of({{.stream = "image", .layer = 0, .self_attention = false, .cross_attention = false}});
  const Tensor x = dice.normal({9, 16}), read = dice.normal({7, 16});
  const auto run = [](const Block& block, const std::vector<const plan::Plan*>& plans, const Tensor& rows,
                      const OtherStream& other, int64_t each) {
    Batch batch;
    for (const plan::Plan* plan : plans)
      batch.add({.plan = plan}, std::vector(static_cast<size_t>(each), RowKind::vision));
    Executor executor(std::move(batch), "image", 1);
    return executor.run(block, 0, rows, other);
  };
  const Tensor together = run(both, {&off, &on, &off}, x, {read, {0, 3, 5, 7}, {}}, 3);
  const auto alone = [&](const Block& block, int64_t i, int64_t first, int64_t count) {
    return run(block, {i == 1 ? &on : &off}, x.narrow(0, 3 * i, 3), {read.narrow(0, first, count), {0, count}, {}}, 3);
  };
  const Tensor expected = at::cat({alone(pias, 0, 0, 3), alone(image_[0], 1, 3, 2), alone(pias, 2, 5, 2)});
  expect_close(together, expected, 1e-12, "attention and PIAs in one batch");
}

TEST_F(Meter, ASiteThatIsOffLeavesTheOthersOn) {
  // Off without anything in its place: the same block without the site.
  const plan::Plan no_self = plan_of({{.stream = "image", .layer = 0, .self_attention = false}}),
                   no_cross = plan_of({{.stream = "image", .layer = 0, .cross_attention = false}});
  const Positions offsets{0, 4};
  Dice dice(53);
  const Tensor x = dice.normal({4, 16}), read = dice.normal({3, 16});
  const auto run = [&](const Block& block, const plan::Plan* plan) {
    Executor executor({.sequences = {{.plan = plan}},
                       .offsets = offsets,
                       .order = range(0, 4),
                       .kinds = std::vector<RowKind>(4, RowKind::vision)},
                      "image", 1);
    return executor.run(block, 0, x, OtherStream{read, {0, 3}, {}});
  };
  for (const auto& [plan, site] : std::vector<std::pair<const plan::Plan*, int64_t>>{{&no_self, 0}, {&no_cross, 1}}) {
    Block less = image_[0];
    less.sites.erase(less.sites.begin() + site);
    expect_close(run(image_[0], plan), run(less, nullptr), 1e-12, concat("site ", site));
  }
}

TEST(Lavin, TheModalityTokenIsASequenceOfItsOwn) {
  // It sees itself, no later row sees it, and it is not cached: one row in a sequence beside the text, whose positions
  // begin at 1. What is decoded first repeats the last position of the prompt, as published.
  const at::NoGradGuard no_gradient;
  const TinyShape shape{.layers = 3};
  Dice dice(54);
  const std::vector<Block> blocks = random_blocks(dice, shape);
  const Tensor token = dice.normal({1, 16}), text = dice.normal({6, 16}), next = dice.normal({1, 16});
  std::vector<nn::LayerState> beside(3), main(3);
  const auto pass = [&](const Tensor& rows, Batch batch) {
    batch.angles = ops::rope_angles({.head_dim = 4}, batch.order);
    Executor executor(std::move(batch), "decoder", 3);
    Tensor x = rows;
    for (int64_t layer = 0; layer < 3; ++layer) x = executor.run(blocks[static_cast<size_t>(layer)], layer, x);
    return x;
  };
  const Tensor prompt = pass(at::cat({token, text}), {.sequences = {{.states = beside}, {.states = main}},
                                                      .offsets = {0, 1, 7},
                                                      .order = range(0, 7),
                                                      .kinds = std::vector<RowKind>(7, RowKind::text)});
  const Tensor decoded = pass(
      next,
      {.sequences = {{.states = main, .prompt_end = 0}}, .offsets = {0, 1}, .order = {6}, .kinds = {RowKind::text}});
  for (const nn::LayerState& state : main) EXPECT_EQ(state.positions(), (Positions{1, 2, 3, 4, 5, 6, 6}));

  // The same with the published mask over all eight rows.
  Prompt all{.x = at::cat({text, next}),
             .positions = {1, 2, 3, 4, 5, 6, 6},
             .kinds = std::vector<RowKind>(7, RowKind::text),
             .plan = {},
             .prompt_rows = 6};
  Prompt lone{.x = token, .positions = {0}, .kinds = {RowKind::text}, .plan = {}, .prompt_rows = 1};
  expect_close(prompt.narrow(0, 0, 1), twin(blocks, shape, lone).hidden, 1e-9, "modality token");
  all.x = text, all.positions = range(1, 7), all.kinds.resize(6);
  expect_close(prompt.narrow(0, 1, 6), twin(blocks, shape, all).hidden, 1e-9, "text");
  all.x = at::cat({text, next}), all.positions.push_back(7), all.kinds.push_back(RowKind::text);
  EXPECT_GT(test::largest_difference(decoded, twin(blocks, shape, all).hidden.narrow(0, 6, 1)),
            1e-6);  // position 7 would be another answer
  all.positions.back() = 6;
  all.prompt_rows = 6;
  expect_close(decoded, twin(blocks, shape, all).hidden.narrow(0, 6, 1), 1e-9, "decoded");
}

TEST(Lavin, TapsOfTheTowerAreAnObserver) {
  // Class tokens after some blocks, of a tower that runs several pictures without a mask.
  Dice dice(55);
  std::vector<Block> blocks;
  for (int layer = 0; layer < 4; ++layer) {
    Block block;
    block.sites.push_back({.kind = Site::Kind::self,
                           .norm = random_norm(dice, 16, nn::Norm::Kind::layer),
                           .branch = meter_attention(dice)});
    const nn::Mlp mlp{std::nullopt, random_linear(dice, 16, 24, true), random_linear(dice, 24, 16, true),
                      ops::Activation::quick_gelu};
    block.sites.push_back(
        {.kind = Site::Kind::feed_forward, .norm = random_norm(dice, 16, nn::Norm::Kind::layer), .branch = mlp});
    blocks.push_back(std::move(block));
  }
  const Tensor pictures = dice.normal({10, 16});  // two of five rows
  const auto run = [&](const Tensor& x, Positions offsets, Positions order, int64_t layers, std::vector<Tensor>* taps) {
    Batch batch{.offsets = std::move(offsets), .order = std::move(order)};
    batch.sequences.resize(batch.offsets.size() - 1);
    batch.kinds.assign(batch.order.size(), RowKind::vision);
    Executor executor(std::move(batch), "vision_tower", layers);
    if (taps) {
      executor.observe([&](const LayerReport& report) {
        const Tensor first =
            at::tensor(at::ArrayRef<int64_t>(report.batch->offsets.data(), report.batch->sequences.size()), at::kLong);
        if (report.layer % 2 == 1) taps->push_back(report.hidden.index_select(0, first));
      });
    }
    Tensor y = x;
    for (int64_t layer = 0; layer < layers; ++layer) y = executor.run(blocks[static_cast<size_t>(layer)], layer, y);
    return y;
  };
  std::vector<Tensor> taps;
  run(pictures, {0, 5, 10}, {0, 1, 2, 3, 4, 0, 1, 2, 3, 4}, 4, &taps);
  ASSERT_EQ(taps.size(), 2u);
  for (int64_t picture = 0; picture < 2; ++picture) {
    for (const int64_t layers : {2, 4}) {
      const Tensor alone = run(pictures.narrow(0, 5 * picture, 5), {0, 5}, range(0, 5), layers, nullptr);
      expect_close(taps[static_cast<size_t>(layers / 2 - 1)][picture], alone[0], 1e-9,
                   concat("picture ", picture, " after ", layers));
    }
  }
}

}  // namespace
}  // namespace lithe::routing
