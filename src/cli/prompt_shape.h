#pragma once

#include <cstdint>
#include <optional>

#include "cli/cli11.h"
#include "plan/cost.h"

namespace lithe::cli {

/// The flags that describe a prompt by its numbers of tokens.
struct PromptShapeOptions {
  std::optional<int64_t> vision_tokens, high_res_tokens;
  int64_t text_tokens = 40;
};

/// Declares --vision-tokens, --high-res-tokens and --text-tokens.
void add_prompt_shape(CLI::App& app, PromptShapeOptions& options);

/// The prompt that the flags mean; without them one picture and 40 text tokens.
plan::PromptShape prompt_shape(const PromptShapeOptions& options, const plan::ModelFacts& facts);

}  // namespace lithe::cli
