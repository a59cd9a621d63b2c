#pragma once

#include "models/model.h"

namespace lithe::models {

/// From now on, the products of the layers, of the projector and of the tower are computed in this way, if they have
/// many rows. The residual stream, norms, attention, softmax, routers, adapters, LoRA and the head stay in float32, and
/// no weight changes. Throws Error{bad_request} for int8 if no weight is held as codes.
void compute_in(Model& model, ops::Compute compute);

/// From now on, nothing is rounded to float16 between products (nn::Weight). For training on a GPU.
void round_within_products(Model& model);

/// From now on, the products of the layers and of the projector are computed in bfloat16 (nn::Weight), and so is the
/// decoder's attention in passes that cache nothing. The residual stream, norms, softmax, routers, adapters, LoRA and
/// the head stay in float32, and no weight changes. For training.
void compute_in_bfloat16(Model& model);

}  // namespace lithe::models
