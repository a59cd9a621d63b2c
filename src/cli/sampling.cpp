#include "cli/sampling.h"

#include "base/error.h"
#include "cli/number.h"

namespace lithe::cli {

void add_sampling(CLI::App& app, session::Question& question) {
  session::SamplingWish& sampling = question.sampling;
  const std::string group = "Sampling";
  const DecimalFlag temperature{.names = "--temp",
                                .what =
                                    "Temperature. 0: take the best token (default: that of generation_config.json, "
                                    "else 0)",
                                .highest = 1000,
                                .type_name = "T"};
  const DecimalFlag top_p{.names = "--top-p",
                          .what = "Draw only from the best tokens that together have probability P",
                          .above_lowest = true,
                          .type_name = "P"};
  const DecimalFlag min_p{.names = "--min-p",
                          .what = "Draw only from tokens with at least P times the probability of the best",
                          .type_name = "P"};
  const DecimalFlag penalty{
      .names = "--repeat-penalty",
      .what = "Make tokens that are already in the text less likely, by the factor R. 1: no change",
      .highest = 1000,
      .above_lowest = true,
      .type_name = "R"};
  const WholeFlag<int64_t> top_k{
      .names = "--top-k", .what = "Draw only from the K best tokens. 0: from all", .type_name = "K"};
  const WholeFlag<int64_t> max_tokens{
      .names = "-n,--max-tokens",
      .what = "Largest number of new tokens (default: that of generation_config.json, else 512)",
      .lowest = 1};
  add_decimal(app, sampling.temperature, temperature)->group(group);
  add_count(app, sampling.top_k, top_k)->group(group);
  add_decimal(app, sampling.top_p, top_p)->group(group);
  add_decimal(app, sampling.min_p, min_p)->group(group);
  add_decimal(app, sampling.repetition_penalty, penalty)->group(group);
  add_count(app, question.max_tokens, max_tokens)->group(group);
  app.add_option("--stop", question.stop, "End the answer before this text; may be repeated")
      ->type_name("TEXT")
      ->allow_extra_args(false)
      ->group(group);
}

void refuse_generation_flags(const session::Question& question, const char* whom) {
  const session::SamplingWish& sampling = question.sampling;
  const char* const flag =
      question.raw             ? "--raw-prompt"
      : question.system        ? "--system"
      : question.max_tokens    ? "--max-tokens"
      : !question.stop.empty() ? "--stop"
      : sampling.temperature || sampling.top_k || sampling.top_p || sampling.min_p || sampling.repetition_penalty
          ? "A flag of sampling"
          : nullptr;
  if (flag) fail(Fault::bad_request, flag, " is for ", whom, ", so leave it out.");
}

}  // namespace lithe::cli
