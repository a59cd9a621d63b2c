#pragma once

#include <filesystem>
#include <optional>

#include "base/json.h"
#include "checkpoints/write/layout_configs.h"

namespace lithe::models {

/// The files beside a model whose contents change with the layout: tokenizer.json, tokenizer_config.json,
/// generation_config.json. Writes those that `from` has, changed as told, into `to`.
struct TokenizerChange {
  std::filesystem::path from, to;
};

/// Teaches a tokenizer "<image>", and generation that no answer holds the rows from `vocab` on.
/// Throws Error{bad_file} for files that are not what their names say.
void add_image_mark(const TokenizerChange& change, const ImageMark& mark, int64_t vocab);

/// The inverse: `added` is the id that add_image_mark gave, or negative if it added none; `vocab` says that there were
/// rows from there on.
void drop_image_mark(const TokenizerChange& change, int64_t added, std::optional<int64_t> vocab);

}  // namespace lithe::models
