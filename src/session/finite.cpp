#include "session/finite.h"

#include <ATen/ops/aminmax.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace lithe::session {
namespace {

std::optional<double> bad_value(const std::pair<double, double>& extremes) {
  for (const double value : {extremes.first, extremes.second}) {
    if (!std::isfinite(value)) return value;
  }
  return std::nullopt;
}

/// A value that is not finite, if the tensor holds one. Makes no copy of it.
std::optional<double> bad_value(const at::Tensor& values) {
  if (values.numel() == 0) return std::nullopt;
  const auto [least, most] = at::aminmax(values);  // NaN if any value is NaN
  return bad_value({least.item<double>(), most.item<double>()});
}

}  // namespace

bool all_finite(std::span<const float> values) {
  return std::all_of(values.begin(), values.end(), [](float value) { return std::isfinite(value); });
}

Error not_finite(const models::Model& model, const std::string& what) {
  const std::string where = model.folder.empty() ? model.name : model.folder.string();
  std::optional<Error> error;
  models::visit(model, [&](const models::HeldWeight& held) {
    if (error || !held.weight.defined()) return;
    const std::optional<double> value = bad_value(held.weight.extremes());
    if (!value) return;
    const auto origin = model.loaded.origins.find(held.name);
    const std::string name = origin == model.loaded.origins.end() ? text_of(held.name) : origin->second.in_file;
    error.emplace(Fault::bad_file, concat(where, ": ", what, " are not finite numbers, because the weight ", name,
                                          " holds ", std::isnan(*value) ? "NaN" : "infinity",
                                          "; the file is damaged, so fetch or export the model again."));
  });
  return error.value_or(
      Error(Fault::bad_file, concat(where, ": ", what,
                                    " are not finite numbers, though every weight is; the weights are "
                                    "damaged or do not belong to this config.json.")));
}

void require_finite(const models::Model& model, const at::Tensor& values, const std::string& what) {
  if (bad_value(values)) throw not_finite(model, what);
}

}  // namespace lithe::session
