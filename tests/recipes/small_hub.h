#pragma once

#include <filesystem>

namespace lithe::test {

/// What docs/reproduce-p-mod.md downloads, small: folder/models/OWNER/NAME and folder/datasets/OWNER/NAME with files as
/// the Hugging Face hub has them. Models are narrow and have all 32 layers; sets have a few records.
void make_small_hub(const std::filesystem::path& folder);

/// The pictures of LLaVA's 665k records, as that page says where to put them.
void make_llava_pictures(const std::filesystem::path& folder);

/// A program `hf` in `tools` that copies from $STAND_INS, which is such a folder: `hf download NAME [FILE] [--repo-type
/// dataset] [--include PATTERN] --local-dir DIR`. It fails if that is not there.
void write_hf(const std::filesystem::path& tools);

}  // namespace lithe::test
