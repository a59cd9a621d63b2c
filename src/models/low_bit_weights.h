#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "models/loading.h"
#include "models/parts/weight_name.h"
#include "ops/weight_view.h"

namespace lithe::models {

/// Codes that weights are rounded to (ops/low_bit.h).
struct Codes {
  ops::WeightKind kind = ops::WeightKind::int8;
  int64_t group = 0;  ///< Columns that share a scale.
};

/// Whether the weights are to be rounded to codes.
inline bool is_codes(WeightStorage storage) {
  return storage == WeightStorage::int8 || storage == WeightStorage::int4;
}

/// Throws Error{bad_request} on another device, whose products read no codes.
void require_cpu_for_codes(const std::string& device);

/// Whether a weight may be held as codes: that of a product outside adapters, or embeddings.
bool takes_codes(const WeightName& name);

/// Which codes a weight gets under WeightStorage int8 or int4; absent: it is held as its file has it.  shape: [out,
/// in]. Products and embeddings have codes: int8 with a scale for each row, int4 in groups of 64 or 32 columns.
/// Embeddings, head, and products whose width is not a multiple of 32 have int8 in place of int4. Norms, biases,
/// positions, patches, routers and adapters have none.
std::optional<Codes> codes_for(const WeightName& name, const std::vector<int64_t>& shape, WeightStorage storage);

}  // namespace lithe::models
