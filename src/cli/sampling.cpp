#include "cli/sampling.h"

namespace lithe::cli {

void add_sampling(CLI::App& app, SamplingOptions& options) {
  const std::string group = "Sampling";
  app.add_option("--temp", options.temperature,
                 "Temperature; 0 is greedy (default: the folder's generation_config.json, else 0)")
      ->type_name("T")
      ->group(group);
  app.add_option("--top-k", options.top_k, "Only the K best tokens; 0: all")->type_name("K")->group(group);
  app.add_option("--top-p", options.top_p, "Only the best tokens that hold P of the probability")
      ->type_name("P")
      ->group(group);
  app.add_option("--min-p", options.min_p, "Only tokens with P of the best token's probability")
      ->type_name("P")
      ->group(group);
  app.add_option("--repeat-penalty", options.repeat_penalty, "Penalty of tokens that were there already; 1: none")
      ->type_name("R")
      ->group(group);
  app.add_option("-n,--max-tokens", options.max_tokens, "Most new tokens (default: the folder's, else 512)")
      ->type_name("N")
      ->group(group);
  app.add_option("--stop", options.stop, "End the answer in front of this text; may be repeated")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group(group);
}

session::AnswerOptions answer_options(const SamplingOptions& options, uint64_t seed, const session::Session& session) {
  session::SamplingPolicy policy = session.default_sampling();
  policy.temperature = options.temperature.value_or(policy.temperature);
  policy.top_k = options.top_k.value_or(policy.top_k);
  policy.top_p = options.top_p.value_or(policy.top_p);
  policy.min_p = options.min_p.value_or(policy.min_p);
  policy.repetition_penalty = options.repeat_penalty.value_or(policy.repetition_penalty);
  policy.seed = seed;
  session::check(policy);
  return {.max_new_tokens = options.max_tokens, .stop = options.stop, .sampling = policy};
}

}  // namespace lithe::cli
