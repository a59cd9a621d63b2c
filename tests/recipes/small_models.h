#pragma once

#include <filesystem>

// Models as recipes name them, but narrow: the golden cases with as many layers as the published models have, so that
// lists of layers hold as they are.
namespace lithe::test {

/// Vicuna of 32 layers with CLIP and a projector, as LLaVA publishes them.
void make_small_llava(const std::filesystem::path& folder);

/// LLaMA of 32 layers with CLIP, in Meta's and OpenAI's files, without an adapter.
void make_small_lavin(const std::filesystem::path& folder);

/// METER of six layers a stream that has only seen pre-training: its heads are itm and masked language modelling.
void make_small_meter(const std::filesystem::path& folder);

}  // namespace lithe::test
