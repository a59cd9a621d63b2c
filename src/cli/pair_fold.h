#pragma once

#include <string>

#include "cli/options.h"
#include "session/request.h"

namespace lithe::cli {

/// `lithe fold` over a METER model.
int fold_pair_model(const std::string& model, const std::string& out, const CommonOptions& options,
                    const session::Question& question);

}  // namespace lithe::cli
