#include "serve/responses_form.h"

#include <span>
#include <utility>

#include "base/error.h"
#include "serve/answer_json.h"
#include "serve/log_probabilities.h"
#include "serve/response.h"

namespace lithe::serve {
namespace {

Json log_probs_of(const ReplyHead& head, std::span<const session::TokenRating> tokens) {
  return head.log_probs ? rated_tokens(*head.log_probs, tokens) : Json::array();
}

Json text_part(const std::string& text, Json log_probs) {
  return {{"type", "output_text"}, {"text", text}, {"annotations", Json::array()}, {"logprobs", std::move(log_probs)}};
}

Json message(const ReplyHead& head, const char* status, Json content) {
  return {{"id", "msg_" + head.id},
          {"type", "message"},
          {"status", status},
          {"role", "assistant"},
          {"content", std::move(content)}};
}

const char* status_of(const session::Answer& answer) {
  return answer.stop == session::StopReason::length ? "incomplete" : "completed";
}

Json usage_of(const ReplyForm::Outcomes& outcomes) {
  const Json usage = usage_json(outcomes);
  return {{"input_tokens", usage.at("prompt_tokens")},
          {"input_tokens_details", usage.at("prompt_tokens_details")},
          {"output_tokens", usage.at("completion_tokens")},
          {"output_tokens_details", {{"reasoning_tokens", 0}}},
          {"total_tokens", usage.at("total_tokens")}};
}

}  // namespace

Json ResponsesForm::response(const char* status) const {
  Json json;
  json["id"] = "resp_" + head_.id;
  json["object"] = "response";
  json["created_at"] = head_.created;
  json["status"] = status;
  json["error"] = nullptr;
  json["incomplete_details"] = nullptr;
  json["model"] = head_.model;
  json["output"] = Json::array();
  json.update(fields_);
  json["usage"] = nullptr;
  return json;
}

Json ResponsesForm::whole(const Outcomes& outcomes) const {
  const session::Answer& answer = outcomes.front().answer;
  const char* const status = status_of(answer);
  Json json = response(status);
  if (answer.stop == session::StopReason::length) json["incomplete_details"] = {{"reason", "max_output_tokens"}};
  Json content = Json::array({text_part(answer.text, log_probs_of(head_, answer.ratings))});
  json["output"].push_back(message(head_, status, std::move(content)));
  json["usage"] = usage_of(outcomes);
  json["timings"] = timings_json(answer);
  json["lithe"] = savings_json(head_.savings, answer);
  return json;
}

std::string ResponsesForm::event(const std::string& type, Json fields) {
  Json json;
  json["type"] = type;
  json["sequence_number"] = events_++;
  json.update(fields);
  return concat("event: ", type, "\n", event_of(json_text(json)));
}

/// Where the text is in the output.
Json ResponsesForm::place() const {
  return {{"item_id", "msg_" + head_.id}, {"output_index", 0}, {"content_index", 0}};
}

std::string ResponsesForm::begin() {
  const Json response = this->response("in_progress");
  std::string events = event("response.created", {{"response", response}});
  events += event("response.in_progress", {{"response", response}});
  events += event("response.output_item.added",
                  {{"output_index", 0}, {"item", message(head_, "in_progress", Json::array())}});
  Json part = place();
  part["part"] = text_part("", Json::array());
  return events + event("response.content_part.added", std::move(part));
}

std::string ResponsesForm::grown(std::size_t, const AnswerQueue::Piece& piece) {
  Json delta = place();
  delta["delta"] = piece.text;
  delta["logprobs"] = log_probs_of(head_, piece.ratings);
  return event("response.output_text.delta", std::move(delta));
}

std::string ResponsesForm::end(const Outcomes& outcomes) {
  const Json response = whole(outcomes);
  const Json& item = response.at("output").at(0);
  const Json& content = item.at("content").at(0);
  Json text = place(), part = place();
  text["text"] = content.at("text");
  text["logprobs"] = content.at("logprobs");
  part["part"] = content;
  std::string events = event("response.output_text.done", std::move(text));  // each takes the next number
  events += event("response.content_part.done", std::move(part));
  events += event("response.output_item.done", {{"output_index", 0}, {"item", item}});
  return events + event(concat("response.", status_of(outcomes.front().answer)), {{"response", response}});
}

std::string ResponsesForm::failed(const Refusal& refusal) {
  Json response = this->response("failed");
  response["error"] = {{"code", "server_error"}, {"message", refusal.what()}};
  return event("response.failed", {{"response", std::move(response)}});
}

}  // namespace lithe::serve
