#include "serve/answer_fields.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/printable.h"
#include "serve/answer_json.h"
#include "serve/refusal.h"
#include "session/request.h"
#include "session/tokens.h"

namespace lithe::serve {
namespace {

constexpr std::size_t kMostStops = 16, kMostStopBytes = 1024;
constexpr std::size_t kMostBiases = 1024;
constexpr const char* kLogProbsOfResponses = "message.output_text.logprobs";

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

std::optional<int64_t> read_max_tokens(const Fields& body, Api api) {
  const std::vector<const char*> keys = api == Api::responses
                                            ? std::vector<const char*>{"max_output_tokens"}
                                            : std::vector<const char*>{"max_completion_tokens", "max_tokens"};
  for (const char* key : keys) {
    const std::optional<int64_t> value = body.whole(key);
    require_field(!value || *value >= 1, key, concat(key, " is ", value.value_or(0), "; it must be at least 1."));
    if (value) return value;
  }
  return std::nullopt;
}

/// {"50256": -100}
std::vector<session::TokenBias> read_biases(const Fields& body, const CallRules& rules) {
  const Json* const value = body.find("logit_bias");
  if (!value) return {};
  require_field(value->is_object() && value->size() <= kMostBiases, "logit_bias",
                concat("logit_bias is not an object of at most ", kMostBiases, " token ids and numbers."));
  const int64_t tokens = session::vocabulary_size(rules.session);
  std::vector<session::TokenBias> biases;
  for (const auto& [key, bias] : value->items()) {
    session::TokenBias one;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), one.id);
    const bool is_id = error == std::errc() && end == key.data() + key.size() && one.id >= 0 && one.id < tokens;
    require_field(is_id, "logit_bias",
                  concat("logit_bias names ", in_quotes(key), ", but ids of tokens go from 0 to ", tokens - 1, "."));
    require_field(bias.is_number() && std::abs(bias.get<double>()) <= 100, "logit_bias",
                  concat("logit_bias of token ", key, " is not a number from -100 to 100."));
    one.bias = bias.get<double>();
    biases.push_back(one);
  }
  return biases;
}

/// How many of the best tokens come with each token; absent: there are no log probabilities.
std::optional<int64_t> read_best_tokens(const Fields& body, Api api) {
  const char* const key = api == Api::completion ? "logprobs" : "top_logprobs";
  const Json* const value = body.find(key);
  const bool is_number = value && !(api == Api::completion && *value == Json(false));
  const std::optional<int64_t> best = is_number ? body.whole(key) : std::nullopt;
  require_field(!best || (*best >= 0 && *best <= session::kMostBestTokens), key,
                concat(key, " is ", best.value_or(0), "; it must be from 0 to ", session::kMostBestTokens, "."));
  if (api == Api::completion) return best;
  if (api == Api::responses) {
    const Json* const include = body.find("include");
    const bool wanted = include && include->is_array() &&
                        std::find(include->begin(), include->end(), kLogProbsOfResponses) != include->end();
    return wanted || best.value_or(0) > 0 ? std::optional(best.value_or(0)) : std::nullopt;
  }
  const bool wanted = body.boolean("logprobs").value_or(false);
  require_field(wanted || best.value_or(0) == 0, key, "top_logprobs needs \"logprobs\": true beside it.");
  return wanted ? std::optional(best.value_or(0)) : std::nullopt;
}

/// The schema of a format, as text; absent: any text will do. `place` has the fields of a JSON schema.
std::optional<std::string> schema_of(const Fields& format, const char* place) {
  const std::string type = format.needed_text("type");
  if (type == "text") return std::nullopt;
  if (type == "json_object") return R"({"type": "object"})";
  require_field(
      type == "json_schema", format.name("type"),
      concat(format.name("type"), " is ", in_quotes(type), "; this server knows text, json_object and json_schema."));
  const Fields fields = *place ? Fields(format.needed(place), format.name(place)) : format;
  const Json& schema = fields.needed("schema");
  require_field(schema.is_object(), fields.name("schema"), concat(fields.name("schema"), " is not a JSON object."));
  return json_text(schema);
}

std::shared_ptr<const text::Constraint> read_format(const Fields& body, const CallRules& rules, Api api) {
  const bool responses = api == Api::responses;
  const char* const key = responses ? "text" : "response_format";
  const Json* value = body.find(key);
  std::string path = key;
  if (value && responses) {
    const Fields text(*value, path);
    value = text.find("format");
    path = text.name("format");
  }
  if (!value) return nullptr;
  const std::optional<std::string> schema = schema_of(Fields(*value, path), responses ? "" : "json_schema");
  if (!schema) return nullptr;
  try {
    return rules.formats.json(*schema);
  } catch (const Error& error) {
    blame_field(error, path);
  }
}

/// A value of the policy. It is checked alone, so that the error names its field.
template <class Value>
std::optional<Value> checked(std::optional<Value> value, const char* key, Value session::SamplingPolicy::*member) {
  if (!value) return value;
  session::SamplingPolicy alone;
  alone.*member = *value;
  try {
    session::check(alone);
  } catch (const Error& error) {
    blame_field(error, key);
  }
  return value;
}

session::SamplingWish read_sampling(const Fields& body, const CallRules& rules, uint64_t seed) {
  using Policy = session::SamplingPolicy;
  const auto number = [&](const char* key, double Policy::*member) { return checked(body.number(key), key, member); };
  session::SamplingWish wish;
  wish.temperature = number("temperature", &Policy::temperature);
  wish.top_p = number("top_p", &Policy::top_p);
  wish.min_p = number("min_p", &Policy::min_p);
  wish.repetition_penalty = number("repetition_penalty", &Policy::repetition_penalty);
  wish.frequency_penalty = number("frequency_penalty", &Policy::frequency_penalty).value_or(0);
  wish.presence_penalty = number("presence_penalty", &Policy::presence_penalty).value_or(0);
  wish.biases = read_biases(body, rules);
  wish.top_k = body.whole("top_k");
  if (wish.top_k == -1) wish.top_k = 0;  // vLLM's way to say "all"
  wish.top_k = checked(wish.top_k, "top_k", &Policy::top_k);
  const std::optional<int64_t> given = body.whole("seed");
  wish.seed = given ? static_cast<uint64_t>(*given) : seed;
  return wish;
}

}  // namespace

session::AnswerOptions read_options(const Fields& body, const CallRules& rules, Api api, uint64_t seed) {
  session::Question question;
  question.max_tokens = read_max_tokens(body, api);
  question.stop = read_stops(body);
  question.sampling = read_sampling(body, rules, seed);
  session::AnswerOptions options = session::RequestBuilder(rules.session).options(question);
  options.ignore_eos = body.boolean("ignore_eos").value_or(false);
  options.best_tokens = read_best_tokens(body, api);
  options.constraint = read_format(body, rules, api);
  return options;
}

int64_t read_count(const Fields& body, const CallRules& rules, Api api) {
  if (api == Api::responses) return 1;
  const int64_t count = body.whole("n").value_or(1);
  require_field(count >= 1 && count <= kMostAnswers, "n",
                concat("n is ", count, "; it must be from 1 to ", kMostAnswers, "."));
  require_field(count <= rules.most_answers, "n",
                concat("n is ", count, ", but this server runs ", rules.most_answers,
                       " answers at a time; ask for fewer, or start it with a larger --batch-size."));
  const int64_t best_of = body.whole("best_of").value_or(count);
  require_field(best_of == count, "best_of",
                "This server returns every answer that it makes, so best_of must equal n; leave it out.");
  return count;
}

}  // namespace lithe::serve
