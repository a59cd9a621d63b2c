#pragma once

#include <filesystem>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "tune/launch.h"

namespace lithe::tune {

using Store = c10::intrusive_ptr<c10d::Store>;

/// A store of small values that all ranks see. Rank 0 holds it, or torchrun. It returns when every rank has come.
/// Throws Error{internal} that names those who have not come within minutes.
Store meet_ranks(const Launch& launch, const std::filesystem::path& folder);

}  // namespace lithe::tune
