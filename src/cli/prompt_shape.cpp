#include "cli/prompt_shape.h"

#include "cli/number.h"

namespace lithe::cli {

void add_prompt_shape(CLI::App& app, PromptShapeOptions& options) {
  add_count(app, options.vision_tokens,
            {.names = "--vision-tokens",
             .what = "Vision tokens of the prompt (default: one picture)",
             .highest = plan::kMaxRows});
  add_count(app, options.high_res_tokens,
            {.names = "--high-res-tokens",
             .what = "How many of the vision tokens come from LLaVA-NeXT's tiles (default: all but the first tile's)",
             .highest = plan::kMaxRows});
  add_count(app, options.text_tokens,
            {.names = "--text-tokens", .what = "Text tokens of the prompt (default: 40)", .highest = plan::kMaxRows});
}

plan::PromptShape prompt_shape(const PromptShapeOptions& options, const plan::ModelFacts& facts) {
  const auto patches_of = [](const plan::TowerFacts& tower) {
    return tower.rows_out() * tower.kept_tiles.value_or(tower.max_tiles);
  };
  const int64_t one_picture = facts.tower ? patches_of(*facts.tower) : 0;
  plan::PromptShape prompt = plan::prompt_of(facts, options.vision_tokens.value_or(one_picture), options.text_tokens);
  prompt.high_res_tokens = options.high_res_tokens.value_or(prompt.high_res_tokens);
  return prompt;
}

}  // namespace lithe::cli
