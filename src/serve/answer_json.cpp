#include "serve/answer_json.h"

#include <cmath>
#include <numeric>
#include <utility>
#include <vector>

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

/// `key`: where the text of a chat is, "message" or "delta".
Json choice(const AnswerHead& head, const char* key, Json message, const std::string& text) {
  Json json;
  json["index"] = 0;
  if (head.chat) {
    json[key] = std::move(message);
  } else {
    json["text"] = text;
  }
  json["logprobs"] = nullptr;
  json["finish_reason"] = nullptr;
  return json;
}

/// As llama.cpp's server has them.
Json timings_json(const session::Answer& answer) {
  const session::Timings& timings = answer.timings;
  const auto tokens = static_cast<double>(answer.tokens.size());
  const double prompt_ms = timings.image_ms + timings.prefill_ms;
  const auto prompt = static_cast<double>(timings.prompt_rows);
  const auto ratio = [](double a, double b) { return b > 0 ? a / b : 0.0; };
  return {{"prompt_n", timings.prompt_rows},
          {"prompt_ms", prompt_ms},
          {"prompt_per_token_ms", ratio(prompt_ms, prompt)},
          {"prompt_per_second", ratio(1e3 * prompt, prompt_ms)},
          {"predicted_n", answer.tokens.size()},
          {"predicted_ms", timings.decode_ms},
          {"predicted_per_token_ms", ratio(timings.decode_ms, tokens)},
          {"predicted_per_second", ratio(1e3 * tokens, timings.decode_ms)},
          {"image_ms", timings.image_ms}};
}

}  // namespace

int64_t kept_image_tokens(const session::Answer& answer) {
  const std::vector<int64_t> kept = session::kept_per_layer(answer);
  if (kept.empty()) return 0;
  return std::llround(std::accumulate(kept.begin(), kept.end(), 0.0) / static_cast<double>(kept.size()));
}

std::string finish_reason(const session::Answer& answer) {
  return answer.stop == session::StopReason::length ? "length" : "stop";
}

Json usage_json(const session::Answer& answer) {
  const int64_t prompt = answer.timings.prompt_rows;
  const auto made = static_cast<int64_t>(answer.tokens.size());
  return {{"prompt_tokens", prompt},
          {"completion_tokens", made},
          {"total_tokens", prompt + made},
          {"prompt_tokens_details",
           {{"cached_tokens", answer.timings.reused_rows},
            {"image_tokens", answer.timings.vision_rows},
            {"kept_tokens", kept_image_tokens(answer)}}}};
}

Json answer_json(const AnswerHead& head, const session::Answer& answer, bool token_ids) {
  Json one = choice(head, "message", {{"role", "assistant"}, {"content", answer.text}}, answer.text);
  one["finish_reason"] = finish_reason(answer);
  if (token_ids) one["token_ids"] = answer.tokens;
  Json json = frame(head, head.chat ? "chat.completion" : "text_completion", Json::array({std::move(one)}));
  json["usage"] = usage_json(answer);
  json["timings"] = timings_json(answer);
  return json;
}

Json first_chunk(const AnswerHead& head) {
  return chunk(head, Json::array({choice(head, "delta", {{"role", "assistant"}, {"content", ""}}, "")}));
}

Json text_chunk(const AnswerHead& head, const std::string& text) {
  return chunk(head, Json::array({choice(head, "delta", {{"content", text}}, text)}));
}

Json last_chunk(const AnswerHead& head, const session::Answer& answer, bool token_ids) {
  Json one = choice(head, "delta", Json::object(), "");
  one["finish_reason"] = finish_reason(answer);
  if (token_ids) one["token_ids"] = answer.tokens;
  Json json = chunk(head, Json::array({std::move(one)}));
  json["timings"] = timings_json(answer);
  return json;
}

Json usage_chunk(const AnswerHead& head, const session::Answer& answer) {
  Json json = chunk(head, Json::array());
  json["usage"] = usage_json(answer);
  return json;
}

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace lithe::serve
