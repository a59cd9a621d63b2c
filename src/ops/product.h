#pragma once

#include <cstdint>
#include <optional>

#include "ops/weight_view.h"

namespace lithe::ops {

/// How float32 rows are multiplied with weights as they are stored.
enum class Product {
  few_rows,   ///< One dot product after another; the weights are read once (ops/weight_kernels.h).
  row_gemm,   ///< ops/row_gemm.h
  code_gemm,  ///< ops/code_gemm.h, on weights that are codes.
  tiles,      ///< ops/tile_gemm.h
  many_rows,  ///< Weights of 16 bits or less are widened, a panel at a time, for the library's product.
  library,    ///< LibTorch's product, on float32 weights.
};

/// The fastest product of `rows` rows with these weights, or the one that LITHE_PRODUCT or a test asks for. Throws
/// Error{bad_request} if LITHE_PRODUCT is neither "auto", "row_gemm" nor "tiles", or if this processor has no kernel
/// for it; tiles are emulated if it has none.
Product product_for(int64_t rows, const WeightView& weight);

/// With more rows than these, and a processor that is made for it, products of codes round rows (ops/code_gemm.h).
constexpr int64_t kMostDotRowsOfCodes = 4;

/// Whether row_gemm is the product of so many rows if something learns, and of its gradients.
bool learns_by_row_gemm(int64_t rows);

/// For tests: from now on every product that can be is this one, row_gemm, code_gemm or tiles, also for sizes that it
/// was not made for; absent: the fastest.
void use_product(std::optional<Product> product);

}  // namespace lithe::ops
