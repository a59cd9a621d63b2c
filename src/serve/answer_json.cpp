#include "serve/answer_json.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <numeric>
#include <span>
#include <utility>
#include <vector>

#include "serve/log_probabilities.h"
#include "session/kept_per_layer.h"

namespace lithe::serve {
namespace {

Json frame(const AnswerHead& head, const char* object, Json choices) {
  Json json;
  json["id"] = head.id;
  json["object"] = object;
  json["created"] = head.created;
  json["model"] = head.model;
  json["choices"] = std::move(choices);
  return json;
}

Json chunk(const AnswerHead& head, Json choices) {
  return frame(head, head.chat ? "chat.completion.chunk" : "text_completion", std::move(choices));
}

/// Null if they were not asked for.
Json log_probabilities(const AnswerHead& head, std::span<const session::TokenRating> tokens) {
  if (!head.log_probs) return nullptr;
  return head.chat ? chat_log_probabilities(*head.log_probs, tokens)
                   : completion_log_probabilities(*head.log_probs, tokens);
}

/// `key`: where the text of a chat is, "message" or "delta".
Json choice(const AnswerHead& head, std::size_t index, const char* key, Json message, const std::string& text) {
  Json json;
  json["index"] = index;
  if (head.chat) {
    json[key] = std::move(message);
  } else {
    json["text"] = text;
  }
  json["logprobs"] = nullptr;
  json["finish_reason"] = nullptr;
  return json;
}

}  // namespace

Json timings_json(const session::Answer& answer) {
  const session::Timings& timings = answer.timings;
  const auto tokens = static_cast<double>(answer.tokens.size());
  const double prompt_ms = timings.image_ms + timings.prefill_ms;
  const int64_t rows_run = timings.prompt_rows - timings.reused_rows;
  const auto prompt = static_cast<double>(rows_run);
  const auto ratio = [](double a, double b) { return b > 0 ? a / b : 0.0; };
  return {{"cache_n", timings.reused_rows},
          {"prompt_n", rows_run},
          {"prompt_ms", prompt_ms},
          {"prompt_per_token_ms", ratio(prompt_ms, prompt)},
          {"prompt_per_second", ratio(1e3 * prompt, prompt_ms)},
          {"predicted_n", answer.tokens.size()},
          {"predicted_ms", timings.decode_ms},
          {"predicted_per_token_ms", ratio(timings.decode_ms, tokens)},
          {"predicted_per_second", ratio(1e3 * tokens, timings.decode_ms)},
          {"image_ms", timings.image_ms}};
}

int64_t kept_image_tokens(const session::Answer& answer) {
  const std::vector<int64_t> kept = session::kept_per_layer(answer);
  if (kept.empty()) return 0;
  return std::llround(std::accumulate(kept.begin(), kept.end(), 0.0) / static_cast<double>(kept.size()));
}

std::string finish_reason(const session::Answer& answer) {
  return answer.stop == session::StopReason::length ? "length" : "stop";
}

int64_t new_tokens(const session::Outcome& outcome) {
  const auto count = [](int64_t sum, const session::Answer& answer) { return sum + std::ssize(answer.tokens); };
  return std::accumulate(outcome.more.begin(), outcome.more.end(), count(0, outcome.answer), count);
}

Json usage_json(const std::vector<session::Outcome>& outcomes) {
  int64_t prompt = 0, made = 0, cached = 0, image = 0, kept = 0;
  for (const session::Outcome& outcome : outcomes) {
    const session::Timings& timings = outcome.answer.timings;
    prompt += timings.prompt_rows;
    made += new_tokens(outcome);
    cached += timings.reused_rows;
    image += timings.vision_rows;
    kept += kept_image_tokens(outcome.answer);
  }
  return {{"prompt_tokens", prompt},
          {"completion_tokens", made},
          {"total_tokens", prompt + made},
          {"prompt_tokens_details", {{"cached_tokens", cached}, {"image_tokens", image}, {"kept_tokens", kept}}}};
}

Json answer_json(const AnswerHead& head, const std::vector<session::Outcome>& outcomes) {
  Json choices = Json::array();
  const auto add = [&](const session::Answer& answer) {
    Json one = choice(head, choices.size(), "message", {{"role", "assistant"}, {"content", answer.text}}, answer.text);
    one["logprobs"] = log_probabilities(head, answer.ratings);
    one["finish_reason"] = finish_reason(answer);
    if (head.token_ids) one["token_ids"] = answer.tokens;
    choices.push_back(std::move(one));
  };
  for (const session::Outcome& outcome : outcomes) {
    add(outcome.answer);
    std::for_each(outcome.more.begin(), outcome.more.end(), add);
  }
  const session::Answer& first = outcomes.front().answer;
  Json json = frame(head, head.chat ? "chat.completion" : "text_completion", std::move(choices));
  json["usage"] = usage_json(outcomes);
  json["timings"] = timings_json(first);
  json["lithe"] = savings_json(head.savings, first);
  return json;
}

Json first_chunk(const AnswerHead& head, std::size_t index) {
  return chunk(head, Json::array({choice(head, index, "delta", {{"role", "assistant"}, {"content", ""}}, "")}));
}

Json text_chunk(const AnswerHead& head, std::size_t index, const AnswerQueue::Piece& piece) {
  Json one = choice(head, index, "delta", {{"content", piece.text}}, piece.text);
  one["logprobs"] = log_probabilities(head, piece.ratings);
  return chunk(head, Json::array({std::move(one)}));
}

Json last_chunk(const AnswerHead& head, std::size_t index, const session::Answer& answer) {
  Json one = choice(head, index, "delta", Json::object(), "");
  one["finish_reason"] = finish_reason(answer);
  if (head.token_ids) one["token_ids"] = answer.tokens;
  Json json = chunk(head, Json::array({std::move(one)}));
  if (index == 0) {
    json["timings"] = timings_json(answer);
    json["lithe"] = savings_json(head.savings, answer);
  }
  return json;
}

Json usage_chunk(const AnswerHead& head, const std::vector<session::Outcome>& outcomes) {
  Json json = chunk(head, Json::array());
  json["usage"] = usage_json(outcomes);
  return json;
}

}  // namespace lithe::serve
