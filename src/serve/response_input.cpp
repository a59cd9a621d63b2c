#include "serve/response_input.h"

#include <string>
#include <utility>

#include "base/error.h"
#include "base/printable.h"
#include "serve/refusal.h"

namespace lithe::serve {
namespace {

constexpr std::size_t kMostItems = 4096;

constexpr const char* kForgets = "This server remembers no responses: send the whole conversation as input";

void refuse(bool asks, const char* field, const std::string& sentence) {
  if (asks) throw Refusal(400, sentence, field, "unsupported_parameter");
}

void read_item(const Json& json, const std::string& path, Conversation& chat) {
  const Fields item(json, path);
  const std::string type = item.text("type").value_or("message");
  require_field(type == "message", item.name("type"),
                concat(item.name("type"), " is ", in_quotes(type), "; this server knows items of the type message."));
  read_message(json, path, chat);
}

Json given_or(const Fields& body, const char* key, Json otherwise) {
  const Json* const value = body.find(key);
  return value ? *value : std::move(otherwise);
}

}  // namespace

void refuse_state(const Fields& body) {
  for (const char* field : {"previous_response_id", "conversation"})
    refuse(body.has(field), field, concat(kForgets, ", and leave ", field, " out."));
  refuse(body.boolean("store").value_or(false), "store", concat(kForgets, ", and set store to false."));
  refuse(body.boolean("background").value_or(false), "background",
         "This server has no background responses; set background to false.");
  refuse(body.has("prompt"), "prompt", "This server keeps no prompts; write the prompt into input.");
  refuse(body.text("truncation").value_or("disabled") != "disabled", "truncation",
         "This server leaves out no part of the input: truncation must be \"disabled\".");
}

Conversation read_input(const Fields& body) {
  Conversation chat;
  if (const auto instructions = body.text("instructions"))
    chat.messages.push_back(text::text_message("system", *instructions));
  const Json& input = body.needed("input");
  if (input.is_string()) {
    chat.messages.push_back(text::text_message("user", input.get<std::string>()));
    return chat;
  }
  require_field(input.is_array() && !input.empty() && input.size() <= kMostItems, "input",
                concat("input is neither a string nor a list of 1 to ", kMostItems, " messages."));
  for (std::size_t i = 0; i < input.size(); ++i) read_item(input[i], place_in("input", i), chat);
  return chat;
}

Json repeated_fields(const Fields& body, const session::AnswerOptions& options) {
  const session::SamplingPolicy policy = options.sampling.value_or(session::SamplingPolicy{});
  Json fields;
  fields["background"] = false;
  for (const char* key : {"instructions", "max_output_tokens"}) fields[key] = given_or(body, key, nullptr);
  fields["metadata"] = given_or(body, "metadata", Json::object());
  fields["parallel_tool_calls"] = given_or(body, "parallel_tool_calls", true);
  fields["previous_response_id"] = nullptr;
  fields["reasoning"] = {{"effort", nullptr}, {"summary", nullptr}};
  fields["store"] = false;
  fields["temperature"] = policy.temperature;
  fields["text"] = given_or(body, "text", Json::object());
  if (!fields["text"].contains("format")) fields["text"]["format"] = {{"type", "text"}};
  fields["tool_choice"] = given_or(body, "tool_choice", "auto");
  fields["tools"] = Json::array();
  fields["top_logprobs"] = options.best_tokens.value_or(0);
  fields["top_p"] = policy.top_p;
  fields["truncation"] = "disabled";
  fields["user"] = given_or(body, "user", nullptr);
  return fields;
}

}  // namespace lithe::serve
