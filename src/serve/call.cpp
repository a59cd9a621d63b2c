#include "serve/call.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/error.h"
#include "base/json_limits.h"
#include "base/mixed.h"
#include "base/printable.h"
#include "plan/parse.h"
#include "serve/answer_fields.h"
#include "serve/fields.h"
#include "serve/loras.h"
#include "serve/messages.h"
#include "serve/picture_url.h"
#include "serve/refusal.h"
#include "serve/response_input.h"
#include "session/tokens.h"

namespace lithe::serve {
namespace {

constexpr JsonLimits kBodyLimits{.max_depth = 64, .unique_keys = false, .max_values = 500'000};
constexpr std::size_t kMostSaltBytes = 1024;

struct Unsupported {
  const char* field;
  bool (*asks)(const Json& value);  ///< Whether this value asks for what there is not.
  const char* sentence;
};

bool is_not_empty(const Json& value) {
  return !(value.is_array() || value.is_object()) || !value.empty();
}
bool is_not_empty_text(const Json& value) {
  return value != Json("");
}
bool is_not_false(const Json& value) {
  return value != Json(false);
}
bool is_not_none(const Json& value) {
  return value != Json("none") && value != Json("auto");
}

constexpr const char* kNoTools = "This server has no tools; leave the field out.";

constexpr Unsupported kUnsupported[] = {
    {"tools", is_not_empty, kNoTools},
    {"functions", is_not_empty, kNoTools},
    {"tool_choice", is_not_none, kNoTools},
    {"function_call", is_not_none, kNoTools},
    {"prompt_logprobs", is_not_false, "This server gives no log probabilities of the prompt; leave the field out."},
    {"echo", is_not_false, "This server does not repeat the prompt; leave the field out."},
    {"suffix", is_not_empty_text, "This server writes no text before a suffix; leave the field out."},
};

void refuse_unsupported(const Fields& body) {
  for (const Unsupported& one : kUnsupported) {
    const Json* const value = body.find(one.field);
    if (value && one.asks(*value)) throw Refusal(400, one.sentence, one.field, "unsupported_parameter");
  }
}

/// By name or as JSON. A name is never a file: those are the server's own.
std::optional<plan::Plan> read_plan(const Fields& body, const CallRules& rules) {
  const Json* const value = body.find("plan");
  if (!value) return std::nullopt;
  try {
    return plan::parse_plan(*value, "plan", rules.session.facts());
  } catch (const Error& error) {
    blame_field(error, "plan");
  }
}

/// vLLM's field: requests share cached rows only with those of the same salt.
std::string read_salt(const Fields& body) {
  const std::optional<std::string> salt = body.text("cache_salt");
  require_field(!salt || (!salt->empty() && salt->size() <= kMostSaltBytes), "cache_salt",
                concat("cache_salt has ", salt.value_or("").size(), " bytes; it must have 1 to ", kMostSaltBytes, "."));
  return salt.value_or("");
}

/// Pictures that must be fetched are only noted.
std::vector<image::Source> read_pictures(const Conversation& chat, const CallRules& rules,
                                         std::vector<RemotePicture>& remote) {
  rules.session.check_pictures(chat.urls.size());
  const PictureRules how{.root = rules.image_root, .decode = rules.session.decode_options()};
  std::vector<image::Source> pictures;
  for (std::size_t i = 0; i < chat.urls.size(); ++i) {
    if (rules.remote_pictures && is_remote(chat.urls[i])) {
      remote.push_back({.index = i, .url = chat.urls[i], .field = chat.fields[i]});
      continue;
    }
    try {
      pictures.push_back(picture_of_url(chat.urls[i], chat.fields[i], how));
    } catch (const Error& error) {
      blame_field(error, chat.fields[i]);
    }
  }
  return pictures;
}

/// Texts of a prompt that are far too long are refused before the template and the pictures around them are looked at.
void check_length(const std::vector<const std::string*>& texts, const std::string& field, const CallRules& rules) {
  constexpr int64_t kUsualBytes = 8;  // of a token, at most
  const int64_t longest = session::longest_sequence(rules.session);
  int64_t bytes = 0, tokens = 0;
  for (const std::string* text : texts) bytes += static_cast<int64_t>(text->size());
  if (bytes <= kUsualBytes * longest) return;
  for (const std::string* text : texts) {
    tokens += static_cast<int64_t>(session::token_ids(rules.session, *text, false).size());
    if (tokens <= longest + static_cast<int64_t>(texts.size())) continue;
    throw Refusal(
        400, concat("The text has more than ", longest, " tokens, which the model takes with the answer; shorten it."),
        field, "context_length_exceeded");
  }
}

void take_conversation(Conversation chat, const CallRules& rules, Call& call) {
  call.request.images = read_pictures(chat, rules, call.remote);
  call.request.messages = std::move(chat.messages);
  call.picture_fields = std::move(chat.fields);
  std::vector<const std::string*> texts;
  for (const text::Message& message : call.request.messages) {
    for (const text::Part& part : message.parts) texts.push_back(&part.text);
  }
  check_length(texts, call.prompt_field(), rules);
}

void read_stream(const Fields& body, Call& call) {
  call.stream = body.boolean("stream").value_or(false);
  call.token_ids = body.boolean("return_token_ids").value_or(false);
  const Json* const options = body.find("stream_options");
  if (options) call.usage_at_end = Fields(*options, "stream_options").boolean("include_usage").value_or(false);
}

void read_show(const Fields& body, Call& call) {
  const Json* const value = body.find("show");
  if (!value) return;
  const auto is_known = [](const Json& one) { return one == Json("kept_patches"); };
  require_field(value->is_array() && std::all_of(value->begin(), value->end(), is_known), "show",
                "show is not a list of what this server shows, which is \"kept_patches\".");
  call.kept_patches = !value->empty();
}

/// The model itself, or a LoRA over it.
void read_model(const Fields& body, const CallRules& rules, Call& call) {
  const std::vector<std::string>& names = rules.model_names;
  const std::optional<std::string> name = body.text("model");
  if (!name || std::find(names.begin(), names.end(), *name) != names.end()) return;
  if (rules.loras) call.request.lora = rules.loras->find(*name);
  call.lora = name;
  if (call.request.lora) return;
  throw Refusal(404,
                concat("The model ", in_quotes(*name), " is not served here; ask for ", in_quotes(names.front()), "."),
                "model", "model_not_found");
}

/// What all kinds of calls have in common.
Call read_common(const Fields& body, const CallRules& rules, Api api, uint64_t seed) {
  Call call;
  read_model(body, rules, call);
  refuse_unsupported(body);
  read_stream(body, call);
  read_show(body, call);
  call.options = read_options(body, rules, api, seed);
  call.answers = read_count(body, rules, api);
  call.seeded = body.has("seed");
  call.priority = body.whole("priority").value_or(0);
  call.request.plan = read_plan(body, rules);
  call.request.cache_salt = read_salt(body);
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

Call read_chat_call(const Json& json, const CallRules& rules, uint64_t seed) {
  const Fields body(json);
  Call call = read_common(body, rules, Api::chat, seed);
  take_conversation(read_messages(body.needed("messages")), rules, call);
  return call;
}

Call read_completion_call(const Json& json, const CallRules& rules, uint64_t seed) {
  const Fields body(json);
  Call call = read_common(body, rules, Api::completion, seed);
  call.chat = false;
  call.request.raw = true;
  call.raw = read_raw_prompts(body.needed("prompt"), "prompt", rules.most_prompts);
  const int64_t choices = call.answers * std::ssize(call.raw);
  require_field(choices <= kMostChoices, "prompt",
                concat(call.raw.size(), " prompts with n ", call.answers, " ask for ", choices,
                       " answers; ask for at most ", kMostChoices, " in one request."));
  for (std::size_t i = 0; i < call.raw.size(); ++i) {
    if (const auto* const text = std::get_if<std::string>(&call.raw[i]))
      check_length({text}, call.prompt_field(i), rules);
  }
  return call;
}

Call read_response_call(const Json& json, const CallRules& rules, uint64_t seed) {
  const Fields body(json);
  refuse_state(body);
  Call call = read_common(body, rules, Api::responses, seed);
  call.response = repeated_fields(body, call.options);
  take_conversation(read_input(body), rules, call);
  return call;
}

std::vector<session::AnswerOptions> options_of_answers(const Call& call, std::size_t prompt) {
  std::vector<session::AnswerOptions> answers(static_cast<std::size_t>(call.answers), call.options);
  const std::size_t first = call.seeded ? 0 : prompt * answers.size();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    std::optional<session::SamplingPolicy>& sampling = answers[i].sampling;
    if (sampling && first + i > 0) sampling->seed = mixed(sampling->seed, first + i);
  }
  return answers;
}

}  // namespace lithe::serve
