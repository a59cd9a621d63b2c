#pragma once

#include <cstdint>
#include <optional>

#include "ops/weight_view.h"

namespace lithe::ops {

/// How float32 rows are multiplied with weights as they are stored.
enum class Product {
  few_rows,        ///< One dot product after another; the weights are read once (ops/weight_kernels.h).
  row_gemm,        ///< ops/row_gemm.h
  few_float_rows,  ///< ops/few_float_rows.h, on weights of float types.
  few_code_rows,   ///< ops/few_code_rows.h, on weights that are codes.
  code_gemm,       ///< ops/code_gemm.h, on weights that are codes.
  tiles,           ///< ops/tile_gemm.h
  many_rows,       ///< Weights of 16 bits or less are widened, a panel at a time, for the library's product.
  library,         ///< LibTorch's product, on float32 weights.
};

/// The fastest product of `rows` rows with these weights, or the one that LITHE_PRODUCT or a test asks for. Throws
/// Error{bad_request} if LITHE_PRODUCT is neither "auto", "row_gemm" nor "tiles", or if this processor has no kernel
/// for it; tiles are emulated if it has none.
Product product_for(int64_t rows, const WeightView& weight);

/// With more rows than these, products of codes round rows (ops/code_gemm.h) if the processor has kernels for it.
constexpr int64_t kMostDotRowsOfCodes = 2;

/// Whether row_gemm is the product of so many rows if something learns, and of its gradients.
bool learns_by_row_gemm(int64_t rows);

/// For tests: from now on every product that can be is this one, also for sizes that it was not made for; absent: the
/// fastest.
void use_product(std::optional<Product> product);

}  // namespace lithe::ops
