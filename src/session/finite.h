#pragma once

#include <ATen/core/Tensor.h>

#include <span>
#include <string>

#include "base/error.h"
#include "models/model.h"

namespace lithe::session {

bool all_finite(std::span<const float> values);

/// Error{bad_file} of a request whose `what` ("the logits of token 3") are not finite numbers. It names the first
/// weight that is not finite either, if there is one.
Error not_finite(const models::Model& model, const std::string& what);

/// Throws not_finite() unless every value is finite. Sees only what it is given.
void require_finite(const models::Model& model, const at::Tensor& values, const std::string& what);

}  // namespace lithe::session
