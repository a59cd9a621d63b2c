#pragma once

#include "ops/few_rows_kernels.h"

namespace lithe::ops {

/// The kernels of AVX2, for codes of 16 bits.
const FewRowsKernel& few_rows_avx2();

}  // namespace lithe::ops
