#pragma once

#include <filesystem>
#include <string>

// What a user may call a model, on the command line and in the API.
namespace lithe::models {

/// The folder with the demo models, their pictures and reference answers: $LITHE_MODELS, or share/lithe/models below
/// the prefix that the program or the library is installed under, or models/ of the source tree. Throws Error{bad_file}
/// if there is none.
std::filesystem::path demo_folder();

/// The folder that a name means, in this order: "demo" (p-MoD) and "demo-dense", the shipped models; a GGUF file; a
/// folder; a name on the Hugging Face hub ("llava-hf/llava-1.5-7b-hf", "owner/name@revision") whose files are in the
/// hub's cache. Nothing is downloaded. Throws Error{bad_file}, which says what to give or to download.
std::filesystem::path model_folder(const std::string& name);

/// The same of an adapter's folder, where "demo" is a name like others.
std::filesystem::path adapter_folder(const std::string& name);

}  // namespace lithe::models
