#include "models/low_bit_weights.h"

#include "base/error.h"

namespace lithe::models {

void require_cpu_for_codes(const std::string& device) {
  require(device == "cpu", Fault::bad_request, "weights can be held as int8 or int4 on the CPU only; use ",
          "--weights bfloat16 or float16 with --device ", device);
}

bool takes_codes(const WeightName& name) {
  if (name.adapter != Adapter::none || name.kind != Kind::weight) return false;
  switch (name.role) {
    case Role::embeddings:
    case Role::head:
    case Role::query:
    case Role::key:
    case Role::value:
    case Role::output:
    case Role::gate:
    case Role::up:
    case Role::down:
    case Role::product:
      return true;
    default:
      return false;
  }
}

std::optional<Codes> codes_for(const WeightName& name, const std::vector<int64_t>& shape, WeightStorage storage) {
  if (!is_codes(storage) || shape.size() != 2 || !takes_codes(name)) return std::nullopt;
  const int64_t width = shape[1];
  const bool fine = name.role == Role::embeddings || name.role == Role::head || width % ops::kCodeBlock != 0;
  if (storage == WeightStorage::int8 || fine) return Codes{ops::WeightKind::int8, width};
  return Codes{ops::WeightKind::int4, width % (2 * ops::kCodeBlock) == 0 ? 2 * ops::kCodeBlock : ops::kCodeBlock};
}

}  // namespace lithe::models
