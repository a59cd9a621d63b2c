#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <torch/csrc/distributed/c10d/Store.hpp>

#include "tune/launch.h"

namespace lithe::tune {

using Store = c10::intrusive_ptr<c10d::Store>;

/// Hears a sentence.
using Told = std::function<void(const std::string&)>;

/// A store of small values that all ranks see. Rank 0 holds it, or torchrun. It returns when every rank has come. After
/// a third of the patience of `launch`, `told` hears who has not. Throws Error{internal} that names them after all of
/// it.
Store meet_ranks(const Launch& launch, const std::filesystem::path& folder, const Told& told);

}  // namespace lithe::tune
