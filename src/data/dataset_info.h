#pragma once

#include "data/data_set.h"

namespace lithe::data {

/// Whether the path is that of a LLaMA-Factory dataset_info.json.
bool is_dataset_info(const std::filesystem::path& path);

/// The options of the entry that `options` names, completed by what its file says. Throws Error{bad_file} for a file
/// that can't be used, Error{bad_request} for an entry that is not there.
SetOptions resolve_dataset_info(const SetOptions& options);

}  // namespace lithe::data
