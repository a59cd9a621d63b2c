#pragma once

#include <ATen/ops/cat.h>

#include <map>
#include <optional>
#include <vector>

#include "models/model.h"
#include "models/parts/decoder.h"
#include "ops/tensor_support.h"
#include "session/generation.h"

// A tiny decoder with random weights, and prompts that are rows of numbers.
namespace lithe::session {

using routing::RowKind;
using Kinds = std::vector<RowKind>;

inline constexpr int64_t kLayers = 4;

/// A tiny model with random float64 weights, of which only the decoder is there.
inline models::Model tiny_model(uint64_t seed, std::optional<int64_t> window,
                                const std::map<int64_t, models::EasLayer>& eas) {
  test::Dice dice(seed);
  models::DecoderConfig config{
      .layers = kLayers, .hidden = 16, .intermediate = 24, .heads = 4, .kv_heads = 2, .head_dim = 4, .vocab = 8};
  config.rope.head_dim = 4;
  config.window = window;
  config.eas = eas;
  for (int64_t layer = 0; layer < kLayers; ++layer) config.routers.push_back(layer);
  models::Model model;
  model.decoder = models::shaped_decoder(config);
  visit(model.decoder, [&](const models::WeightSlot& slot) {
    models::put(slot.place, dice.normal(slot.shape, slot.shape.size() == 2 ? 0.3 : 1.0));
  });
  return model;
}

/// A conversation without text: rows of numbers, and which kind each is.
struct Rows {
  Tensor x;  // [rows, hidden]
  Kinds kinds;

  void add(test::Dice& dice, RowKind kind, int64_t count) {
    if (count == 0) return;
    const Tensor more = dice.normal({count, 16});
    x = x.defined() ? at::cat({x, more}) : more;
    kinds.insert(kinds.end(), static_cast<size_t>(count), kind);
  }
  int64_t count() const { return static_cast<int64_t>(kinds.size()); }
};

/// A prompt pass over the rows after those that are held -> [1, hidden], the last row.
inline Tensor prefill(const models::Model& model, Generation& generation, const Rows& rows) {
  const int64_t held = generation.next_position();
  routing::Batch batch;
  generation.enter_prompt(batch, std::span(rows.kinds).subspan(static_cast<size_t>(held)));
  const Tensor hidden = model.decoder.forward(std::move(batch), rows.x.narrow(0, held, rows.count() - held));
  return hidden.narrow(0, hidden.size(0) - 1, 1);
}

inline Tensor decode(const models::Model& model, Generation& generation, const Tensor& x) {
  routing::Batch batch;
  generation.enter_tokens(batch);
  return model.decoder.forward(std::move(batch), x);
}

}  // namespace lithe::session
