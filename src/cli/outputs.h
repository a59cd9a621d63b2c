#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "cli/options.h"
#include "session/request.h"

namespace lithe::cli {

/// What a command reads: the folders of the model and of LoRA, the pictures, the plan. Throws Error{bad_file} if the
/// model is not there.
std::vector<std::filesystem::path> inputs_of(const std::string& model, const CommonOptions& common,
                                             const session::Question& question);

/// io::check_output for each file: before a command computes what it then could not write.
void check_outputs(const std::vector<std::string>& files, const std::vector<std::filesystem::path>& inputs);

}  // namespace lithe::cli
