#pragma once

#include <filesystem>
#include <string_view>

#include "base/json.h"

namespace lithe::io {

/// Writes a whole file at once, as an OutputFile. Throws Error{bad_file}.
void write_text_atomic(const std::filesystem::path& path, std::string_view text);

/// The same for JSON, with an indent of two. What is not UTF-8, as names of folders may be, is replaced.
void write_json_atomic(const std::filesystem::path& path, const Json& json);

/// Creates a folder and those above it; a folder that is there is fine. Throws Error{bad_file}.
void make_folder(const std::filesystem::path& path);

/// Makes a rename in this folder durable; a file system that cannot do that still has the whole file.
void sync_folder(const std::filesystem::path& path);

}  // namespace lithe::io
