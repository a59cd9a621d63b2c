#pragma once

namespace lithe::ops {

/// How products of more rows than decoding has (ops/weight_kernels.h) are computed.
enum class Compute {
  float32,   ///< In float32. Of weights that are codes, rows may be rounded to 16 bits (ops/code_gemm.h).
  bfloat16,  ///< Rows, weights and results are rounded to bfloat16; codes: as float32.
  int8,      ///< Of weights that are codes, rows are rounded to 8 bits; other weights: as float32.
};

}  // namespace lithe::ops
