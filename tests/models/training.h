#pragma once

#include <ATen/core/grad_mode.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/tensor.h>

#include <variant>
#include <vector>

#include "models/support.h"
#include "ops/tensor_support.h"
#include "plan/parse.h"

// Models whose weights changed in memory, as after training.
namespace lithe::models {

inline const fs::path kHf = golden_folder("hf_llava15") / "checkpoint",
                      kOriginal = golden_folder("liuhaotian_llava15") / "checkpoint",
                      kPmod = golden_folder("pmod_llava15") / "checkpoint";

/// What decoder, tower and projector make of rows and pixels that are the same for every model.
struct Outputs {
  Tensor logits, projected;
  bool operator==(const Outputs& other) const {
    return at::equal(logits, other.logits) && at::equal(projected, other.projected);
  }
};
inline Outputs outputs_of(const Model& model) {
  const at::NoGradGuard no_gradients;
  test::Dice dice(11);
  const int64_t rows = 24, side = model.vision->tower.config.image.width;
  std::vector<routing::RowKind> kinds(static_cast<size_t>(rows), routing::RowKind::text);
  for (size_t i = 2; i < kinds.size() / 2; ++i) kinds[i] = routing::RowKind::vision;
  const Tensor x = dice.normal({rows, model.decoder.config.hidden}).to(at::kFloat);
  const Tensor pixels = dice.normal({1, 3, side, side}).to(at::kFloat);
  const Tensor features = model.vision->tower.features(pixels, &model.plan).flatten(0, 1);
  return {prefill(model, x, kinds).logits, model.vision->projector(features)};
}

inline Tensor logits_of_text(const Model& model) {
  const std::vector<routing::RowKind> kinds(6, routing::RowKind::text);
  return prefill(model, model.decoder.embed(at::tensor({5, 17, 3, 9, 200, 41}, at::kLong)), kinds).logits;
}

inline plan::Plan parsed(const Model& model, const std::string& json) {
  return plan::parse_plan(parse_json(json, "test"), "test", model.facts);
}

/// Moves everything that learns, as steps of training would.
inline void train(Model& model, double size = 0.02) {
  const at::NoGradGuard no_gradients;
  test::Dice dice(5);
  const auto move = [&](const WeightSlot& slot) {
    if (auto* const* matrix = std::get_if<nn::Weight*>(&slot.place)) {
      if (auto values = (*matrix)->learning()) values->add_(dice.normal(values->sizes().vec()).to(at::kFloat), size);
    } else if (Tensor& values = *std::get<Tensor*>(slot.place); values.requires_grad()) {
      values.add_(dice.normal(values.sizes().vec()).to(at::kFloat), size);
    }
  };
  visit(model.decoder, move);
  visit(*model.vision, move);
}

}  // namespace lithe::models
