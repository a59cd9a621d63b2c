#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <span>
#include <utility>

#include "nn/weight.h"
#include "ops/dropout.h"

namespace lithe::nn {

using ops::RowDraws;

/// What LoRA (arXiv 2106.09685) adds to a linear map: scale B A x, with thin matrices A and B.
struct LowRank {
  Weight a;  ///< [rank, in]
  Weight b;  ///< [out, rank]
  double scale = 1.0;
  ops::Dropout dropout;  ///< Of x, in training.

  int64_t rank() const { return a.out(); }
  int64_t count() const { return a.count() + b.count(); }  ///< Numbers.
  /// Adds the term to y, in place.  y: [rows, out], x: [rows, in], draws: [rows] or empty -> [rows, out]
  Tensor added_to(Tensor y, const Tensor& x, RowDraws draws) const;
};

class Lora;

/// Consecutive rows under one LoRA (nn/lora.h).
struct LoraRows {
  const Lora* lora;
  int64_t begin, end;
};

/// What a product is told of the rows that it gets.
struct RowNotes {
  RowDraws draws;                   ///< [rows] of dropout, or empty
  std::span<const LoraRows> loras;  ///< Ascending, without empty ones. Rows in none of them have no LoRA of their own.

  RowNotes() = default;
  RowNotes(RowDraws row_draws, std::span<const LoraRows> row_loras = {}) : draws(row_draws), loras(row_loras) {}
};

/// A linear map.
struct Linear {
  Weight weight;                    ///< [out, in]
  std::optional<Tensor> bias;       ///< [out]
  std::optional<LowRank> low_rank;  ///< LoRA of every row that is not folded into the weight.

  /// x: [rows, in] -> [rows, out]
  Tensor operator()(const Tensor& x, const RowNotes& notes = {}) const {
    Tensor y = weight.product(x, bias);
    if (low_rank) y = low_rank->added_to(std::move(y), x, notes.draws);
    if (!notes.loras.empty()) add_loras(y, x, notes.loras);
    return y;
  }
  int64_t in() const { return weight.in(); }
  int64_t out() const { return weight.out(); }

 private:
  void add_loras(Tensor& y, const Tensor& x, std::span<const LoraRows> loras) const;
};

}  // namespace lithe::nn
