#pragma once

#include <filesystem>
#include <string>

namespace lithe::cli {

/// The folder with the demo models, their pictures and reference answers: $LITHE_MODELS, or share/lithe/models below
/// the prefix the program is installed under, or models/ of the source tree. Throws Error{bad_file} where there is
/// none.
std::filesystem::path demo_folder();

/// The folder that a MODEL argument means: "demo" (p-MoD) and "demo-dense" are the shipped models, anything else is a
/// folder. Throws Error{bad_file} where it does not exist.
std::filesystem::path model_folder(const std::string& model);

}  // namespace lithe::cli
