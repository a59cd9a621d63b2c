#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "image/source.h"
#include "plan/plan.h"
#include "session/session.h"

namespace lithe::session {

/// How tokens are to be drawn. What is absent is the model's own (generation_config.json), else greedy.
struct SamplingWish {
  std::optional<double> temperature;
  std::optional<int64_t> top_k;
  std::optional<double> top_p, min_p, repetition_penalty;
  double frequency_penalty = 0, presence_penalty = 0;
  std::vector<TokenBias> biases;
  uint64_t seed = 0;
};

/// What a front end is asked, as it was given: flags, a line of a file, a struct of the public face.
struct Question {
  std::string prompt;  ///< "<image>" marks where a picture goes; without a mark the pictures go before the text.
  std::vector<image::Given> pictures;
  std::optional<std::string> system;  ///< In place of the model's own system message.
  bool raw = false;                   ///< The prompt is taken as it is, without the chat template.
  std::optional<std::string> plan;    ///< As plan::load_plan takes it; absent: the model's own.
  std::optional<int64_t> max_tokens;
  std::vector<std::string> stop;
  SamplingWish sampling;
};

/// Makes of questions what a session runs. The command line, batch files and the API use it. The server and eval use
/// `options` alone.
class RequestBuilder {
 public:
  /// The session must outlive it.
  explicit RequestBuilder(const Session& session) : session_(session) {}

  /// Reads the plan and the headers of the pictures, which are decoded when the request runs. Throws Error.
  Request request(Question question);
  /// How many tokens, how they are drawn and where they end. Throws Error{bad_request} for values out of range.
  AnswerOptions options(const Question& question) const;

  /// The pictures alone, for a turn of a chat. Throws Error, also for more than a prompt has room for.
  std::vector<image::Source> pictures(std::vector<image::Given> given) const;
  /// A plan, which is read once for all questions that name it. Throws Error.
  const plan::Plan& plan(const std::string& name);

 private:
  const Session& session_;
  std::map<std::string, plan::Plan> plans_;
};

}  // namespace lithe::session
