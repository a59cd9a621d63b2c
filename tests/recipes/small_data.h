#pragma once

#include <filesystem>

namespace lithe::test {

/// The benchmarks that recipes name, as they are downloaded, with a few records in each split: scienceqa, slake, aid,
/// and vqav2, nlvr2, flickr30k and snli_ve as METER's Arrow files.
void make_small_data(const std::filesystem::path& folder);

}  // namespace lithe::test
