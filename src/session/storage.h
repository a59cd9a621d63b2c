#pragma once

#include <string>

#include "models/model.h"

namespace lithe::session {

/// How weights are held, as OpenOptions::weights says it. Throws Error{bad_request}.
models::WeightStorage storage_named(const std::string& name);

/// How keys and values are cached, as OpenOptions::kv says it. Throws Error{bad_request}.
ops::KeyValueKind kv_named(const std::string& name);

/// How products are computed, as OpenOptions::compute says it. Throws Error{bad_request}.
ops::Compute compute_named(const std::string& name);

/// How a session caches and computes, as OpenOptions::kv, ::compute and ::device say it.
struct Arithmetic {
  ops::KeyValueKind cache = ops::KeyValueKind::float32;
  ops::Compute compute = ops::Compute::float32;
  bool on_gpu = false;

  void give_to(models::Model& model) const;
};

/// Throws Error{bad_request} for an unknown name, and for a cache of int8 on a GPU.
Arithmetic arithmetic_of(const std::string& kv, const std::string& compute, const std::string& device);

}  // namespace lithe::session
