#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cli/cli11.h"
#include "session/session.h"

namespace lithe::cli {

/// The flags that say how tokens are drawn and where an answer ends.
struct SamplingOptions {
  std::optional<double> temperature, top_p, min_p, repeat_penalty;
  std::optional<int64_t> top_k, max_tokens;
  std::vector<std::string> stop;
};

/// Declares --temp, --top-k, --top-p, --min-p, --repeat-penalty, --max-tokens and --stop.
void add_sampling(CLI::App& app, SamplingOptions& options);

/// What the flags mean for a model; what they leave open comes from its generation_config.json. Throws
/// Error{bad_request} for values out of range.
session::AnswerOptions answer_options(const SamplingOptions& options, uint64_t seed, const session::Session& session);

}  // namespace lithe::cli
