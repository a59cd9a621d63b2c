#pragma once

#include "ops/few_rows_kernels.h"

namespace lithe::ops {

/// The kernels of AVX-512; `add_codes` needs AVX512-VNNI.
const FewRowsKernel& few_rows_avx512();

}  // namespace lithe::ops
