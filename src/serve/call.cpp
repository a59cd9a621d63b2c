#include "serve/call.h"

#include <algorithm>
#include <utility>

#include "base/error.h"
#include "base/json_limits.h"
#include "base/printable.h"
#include "plan/parse.h"
#include "serve/fields.h"
#include "serve/messages.h"
#include "serve/picture_url.h"
#include "serve/refusal.h"
#include "session/request.h"
#include "session/tokens.h"

namespace lithe::serve {
namespace {

constexpr JsonLimits kBodyLimits{.max_depth = 64, .unique_keys = false, .max_values = 500'000};
constexpr std::size_t kMostStops = 16, kMostStopBytes = 1024;

struct Unsupported {
  const char* field;
  bool (*asks)(const Json& value);  ///< Whether this value asks for what there is not.
  const char* sentence;
};

bool is_not_empty(const Json& value) {
  return !(value.is_array() || value.is_object()) || !value.empty();
}
bool is_not_zero(const Json& value) {
  return !value.is_number() || value.get<double>() != 0;
}
bool is_not_one(const Json& value) {
  return !value.is_number() || value.get<double>() != 1;
}
bool is_not_false(const Json& value) {
  return value != Json(false);
}
bool is_log_probabilities(const Json& value) {
  return value.is_number() || is_not_false(value);  // of a text completion: a number, also 0
}
bool is_not_none(const Json& value) {
  return value != Json("none") && value != Json("auto");
}
bool is_not_text(const Json& value) {
  return !value.is_object() || value.value("type", Json()) != Json("text");
}
bool is_anything(const Json&) {
  return true;
}

constexpr const char* kNoTools = "This server has no tools; leave the field out.";
constexpr const char* kNoPenalty = "This server has no such penalty; leave the field out, or use repetition_penalty.";

constexpr Unsupported kUnsupported[] = {
    {"tools", is_not_empty, kNoTools},
    {"functions", is_not_empty, kNoTools},
    {"tool_choice", is_not_none, kNoTools},
    {"function_call", is_not_none, kNoTools},
    {"n", is_not_one, "This server gives one answer to a request: n must be 1. Send the request several times."},
    {"best_of", is_not_one, "This server gives one answer to a request: best_of must be 1."},
    {"logprobs", is_log_probabilities, "This server gives no log probabilities; leave the field out."},
    {"top_logprobs", is_not_zero, "This server gives no log probabilities; leave the field out."},
    {"prompt_logprobs", is_not_false, "This server gives no log probabilities; leave the field out."},
    {"presence_penalty", is_not_zero, kNoPenalty},
    {"frequency_penalty", is_not_zero, kNoPenalty},
    {"logit_bias", is_not_empty, "This server does not change the logits of single tokens; leave the field out."},
    {"response_format", is_not_text, "This server can't force a format: response_format must be {\"type\": \"text\"}."},
    {"echo", is_not_false, "This server does not repeat the prompt; leave the field out."},
    {"suffix", is_anything, "This server writes no text before a suffix; leave the field out."},
};

void refuse_unsupported(const Fields& body) {
  for (const Unsupported& one : kUnsupported) {
    const Json* const value = body.find(one.field);
    if (value && one.asks(*value)) throw Refusal(400, one.sentence, one.field, "unsupported_parameter");
  }
}

std::vector<std::string> read_stops(const Fields& body) {
  const Json* const value = body.find("stop");
  if (!value) return {};
  const Json list = value->is_string() ? Json::array({*value}) : *value;
  const std::string sentence = concat("stop is neither a string nor a list of at most ", kMostStops,
                                      " strings, each of 1 to ", kMostStopBytes, " bytes.");
  require_field(list.is_array() && list.size() <= kMostStops, "stop", sentence);
  std::vector<std::string> stops;
  for (const Json& one : list) {
    require_field(one.is_string(), "stop", sentence);
    stops.push_back(one.get<std::string>());
    require_field(!stops.back().empty() && stops.back().size() <= kMostStopBytes, "stop", sentence);
  }
  return stops;
}

std::optional<int64_t> read_max_tokens(const Fields& body) {
  for (const char* key : {"max_completion_tokens", "max_tokens"}) {
    const std::optional<int64_t> value = body.whole(key);
    require_field(!value || *value >= 1, key, concat(key, " is ", value.value_or(0), "; it must be at least 1."));
    if (value) return value;
  }
  return std::nullopt;
}

session::AnswerOptions read_options(const Fields& body, const CallRules& rules) {
  session::Question question;
  question.max_tokens = read_max_tokens(body);
  question.stop = read_stops(body);
  session::SamplingWish& wish = question.sampling;
  wish.temperature = body.number("temperature");
  wish.top_p = body.number("top_p");
  wish.min_p = body.number("min_p");
  wish.repetition_penalty = body.number("repetition_penalty");
  wish.top_k = body.whole("top_k");
  if (wish.top_k == -1) wish.top_k = 0;  // vLLM's way to say "all"
  const std::optional<int64_t> seed = body.whole("seed");
  wish.seed = seed ? static_cast<uint64_t>(*seed) : rules.seed();
  session::AnswerOptions options = session::RequestBuilder(rules.session).options(question);
  options.ignore_eos = body.boolean("ignore_eos").value_or(false);
  return options;
}

/// By name or as JSON. A name is never a file: those are the server's own.
std::optional<plan::Plan> read_plan(const Fields& body, const CallRules& rules) {
  const Json* const value = body.find("plan");
  if (!value) return std::nullopt;
  try {
    return plan::parse_plan(*value, "plan", rules.session.facts());
  } catch (const Error& error) {
    throw Refusal(400, error.what(), "plan");
  }
}

std::vector<image::Source> read_pictures(const Conversation& chat, const CallRules& rules) {
  rules.session.check_pictures(chat.urls.size());
  const PictureRules how{.root = rules.image_root, .decode = rules.session.decode_options()};
  std::vector<image::Source> pictures;
  for (std::size_t i = 0; i < chat.urls.size(); ++i) {
    try {
      pictures.push_back(picture_of_url(chat.urls[i], chat.fields[i], how));
    } catch (const Error& error) {
      if (error.fault() == Fault::no_memory) throw;
      throw Refusal(400, error.what(), chat.fields[i]);
    }
  }
  return pictures;
}

/// A text that is far too long is counted here, as the engine's thread has no time for it. Texts that may fit are
/// counted there, with the template around them.
void check_length(const Call& call, const CallRules& rules) {
  constexpr int64_t kUsualBytes = 8;  // of a token, at most
  std::vector<const std::string*> texts{&call.request.text};
  for (const text::Message& message : call.request.messages) {
    for (const text::Part& part : message.parts) texts.push_back(&part.text);
  }
  const int64_t longest = session::longest_sequence(rules.session);
  int64_t bytes = 0, tokens = 0;
  for (const std::string* text : texts) bytes += static_cast<int64_t>(text->size());
  if (bytes <= kUsualBytes * longest) return;
  for (const std::string* text : texts) {
    tokens += static_cast<int64_t>(session::token_ids(rules.session, *text, false).size());
    if (tokens <= longest + static_cast<int64_t>(texts.size())) continue;
    throw Refusal(
        400, concat("The text has more than ", longest, " tokens, which the model takes with the answer; shorten it."),
        call.chat ? "messages" : "prompt", "context_length_exceeded");
  }
}

void read_stream(const Fields& body, Call& call) {
  call.stream = body.boolean("stream").value_or(false);
  call.token_ids = body.boolean("return_token_ids").value_or(false);
  const Json* const options = body.find("stream_options");
  if (options) call.usage_at_end = Fields(*options, "stream_options").boolean("include_usage").value_or(false);
}

void check_model(const Fields& body, const std::vector<std::string>& names) {
  const std::optional<std::string> name = body.text("model");
  if (!name || std::find(names.begin(), names.end(), *name) != names.end()) return;
  throw Refusal(404,
                concat("The model ", in_quotes(*name), " is not served here; ask for ", in_quotes(names.front()), "."),
                "model", "model_not_found");
}

/// What both kinds of calls have in common.
Call read_common(const Fields& body, const CallRules& rules) {
  check_model(body, rules.model_names);
  refuse_unsupported(body);
  Call call;
  read_stream(body, call);
  call.options = read_options(body, rules);
  call.request.plan = read_plan(body, rules);
  return call;
}

}  // namespace

Json read_body(const std::string& text) {
  try {
    return parse_json(text, "the body", kBodyLimits);
  } catch (const Error& error) {
    throw Refusal(400, error.what());
  }
}

Call read_chat_call(const Json& json, const CallRules& rules) {
  const Fields body(json);
  Call call = read_common(body, rules);
  Conversation chat = read_messages(body.needed("messages"));
  call.request.images = read_pictures(chat, rules);
  call.request.messages = std::move(chat.messages);
  check_length(call, rules);
  return call;
}

Call read_completion_call(const Json& json, const CallRules& rules) {
  const Fields body(json);
  Call call = read_common(body, rules);
  call.chat = false;
  call.request.raw = true;
  const Json& prompt = body.needed("prompt");
  const bool one_in_list = prompt.is_array() && prompt.size() == 1 && prompt[0].is_string();
  require_field(prompt.is_string() || one_in_list, "prompt",
                "prompt is not a string; give one prompt in each request.");
  call.request.text = (one_in_list ? prompt[0] : prompt).get<std::string>();
  check_length(call, rules);
  return call;
}

}  // namespace lithe::serve
