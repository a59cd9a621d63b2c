#pragma once

#include <filesystem>
#include <vector>

namespace lithe::data {

/// The files that a path means: the file itself, those that fit a glob ("data/train-*.parquet"), or a folder's files of
/// one format, in the order of their names. Throws Error{bad_file} if there is none, or if a folder holds several data
/// formats.
std::vector<std::filesystem::path> shards_of(const std::filesystem::path& path);

}  // namespace lithe::data
