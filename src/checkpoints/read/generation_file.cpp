#include "checkpoints/read/generation_file.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>
#include <string_view>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "checkpoints/read/config.h"

namespace lithe::models {
namespace {

/// Beyond these, a sum in float32 or a count of tokens could overflow.
constexpr double kMostBias = 1e30;
constexpr int64_t kMostTokens = int64_t{1} << 40;

namespace fs = std::filesystem;

constexpr const char* kFile = "generation_config.json";
constexpr int64_t kMaxTokens = int64_t{1} << 24;

/// Keys that are obeyed, and keys that do not change an answer.
constexpr const char* kUnderstood[] = {"max_new_tokens",
                                       "max_length",
                                       "min_length",
                                       "min_new_tokens",
                                       "do_sample",
                                       "temperature",
                                       "top_k",
                                       "top_p",
                                       "min_p",
                                       "repetition_penalty",
                                       "no_repeat_ngram_size",
                                       "bad_words_ids",
                                       "sequence_bias",
                                       "suppress_tokens",
                                       "begin_suppress_tokens",
                                       "forced_bos_token_id",
                                       "forced_eos_token_id",
                                       "exponential_decay_length_penalty",
                                       "stop_strings",
                                       "eos_token_id",
                                       "bos_token_id",
                                       "pad_token_id",
                                       "decoder_start_token_id",
                                       "transformers_version",
                                       "use_cache",
                                       "cache_implementation",
                                       "cache_config",
                                       "max_cache_len",
                                       "output_attentions",
                                       "output_hidden_states",
                                       "output_scores",
                                       "output_logits",
                                       "return_dict_in_generate",
                                       "return_legacy_cache",
                                       "renormalize_logits",
                                       "low_memory",
                                       "prefill_chunk_size",
                                       "compile_config",
                                       "disable_compile",
                                       "continuous_batching_config",
                                       "is_assistant",
                                       "num_assistant_tokens",
                                       "num_assistant_tokens_schedule",
                                       "assistant_confidence_threshold",
                                       "assistant_early_exit",
                                       "assistant_lookbehind",
                                       "assistant_ensemble_weight",
                                       "target_lookbehind",
                                       "prompt_lookup_num_tokens",
                                       "max_matching_ngram_size",
                                       "speculation_type",
                                       "use_mtp",
                                       "trust_remote_code"};

/// Keys of transformers that are not obeyed, with the value that changes nothing.
struct Neutral {
  const char* key;
  double value;
  enum class Acts { always, in_sampling, among_beams } acts = Acts::always;  ///< Elsewhere no value changes anything.
};
using Acts = Neutral::Acts;
constexpr Neutral kNeutral[] = {{"num_beams", 1},
                                {"num_beam_groups", 1, Acts::among_beams},
                                {"num_return_sequences", 1},
                                {"diversity_penalty", 0, Acts::among_beams},
                                {"length_penalty", 1, Acts::among_beams},
                                {"early_stopping", 0, Acts::among_beams},
                                {"penalty_alpha", 0},
                                {"encoder_repetition_penalty", 1},
                                {"encoder_no_repeat_ngram_size", 0},
                                {"guidance_scale", 1},
                                {"token_healing", 0},
                                {"remove_invalid_values", 0},
                                {"typical_p", 1, Acts::in_sampling},
                                {"epsilon_cutoff", 0, Acts::in_sampling},
                                {"eta_cutoff", 0, Acts::in_sampling},
                                {"top_h", std::numeric_limits<double>::quiet_NaN(), Acts::in_sampling}};

bool is_understood(const std::string& key) {
  const auto same = [&](const char* known) { return key == known; };
  return key.starts_with('_') || std::any_of(std::begin(kUnderstood), std::end(kUnderstood), same);
}

/// How the file has transformers search for an answer.
struct Mode {
  bool sampling = false;
  bool beams = false;
};

bool is_neutral(const std::string& key, const Json& value, const Mode& mode) {
  if (value.is_null() || (value.is_array() && value.empty())) return true;
  for (const Neutral& known : kNeutral) {
    if (key != known.key) continue;
    if (known.acts == Acts::in_sampling && !mode.sampling) return true;
    if (known.acts == Acts::among_beams && !mode.beams) return true;
    if (value.is_boolean()) return value.get<bool>() == (known.value != 0);
    return value.is_number() && value.get<double>() == known.value;
  }
  return false;
}

std::vector<std::string> find_not_obeyed(const JsonView& file, bool sampling) {
  constexpr std::size_t kMostValueBytes = 40;
  const Json beams = file.json().value("num_beams", Json());
  const Mode mode{.sampling = sampling, .beams = !beams.is_null() && beams != 1};
  std::vector<std::string> keys;
  for (const auto& [key, value] : file.json().items()) {
    if (is_understood(key) || is_neutral(key, value, mode)) continue;
    keys.push_back(printable(key) + " " + printable(json_text(value), kMostValueBytes));
  }
  return keys;
}

std::vector<int64_t> id_list(const Json& list, const JsonView& file, const char* key) {
  const auto is_id = [](const Json& id) { return id.is_number_integer() && id.get<int64_t>() >= 0; };
  require(list.is_array() && std::all_of(list.begin(), list.end(), is_id), Fault::bad_file, file.source(), ": '", key,
          "' must hold token ids, got ", printable(list.dump()));
  return list.get<std::vector<int64_t>>();
}

/// A list of ids, or one id.
std::vector<int64_t> ids_of(const JsonView& file, const char* key) {
  if (!file.has(key)) return {};
  const Json& value = file.json()[key];
  return id_list(value.is_array() ? value : Json::array({value}), file, key);
}

int64_t count_of(const JsonView& file, const char* key) {
  const int64_t count = file.integer(key, 0);
  require(count >= 0 && count <= kMaxTokens, Fault::bad_file, file.source(), ": '", key, "' is ", count,
          ", it must lie between 0 and ", kMaxTokens);
  return count;
}

/// Absent: as many as the caller's default says.
std::optional<int64_t> most_of(const JsonView& file, const char* key) {
  if (!file.has(key)) return std::nullopt;
  const int64_t count = file.integer(key);
  require(count > 0 && count <= kMaxTokens, Fault::bad_file, file.source(), ": '", key, "' is ", count,
          ", it must lie between 1 and ", kMaxTokens);
  return count;
}

void read_bad_words(const JsonView& file, const std::vector<int64_t>& eos_ids, TokenRules& rules) {
  constexpr const char* kKey = "bad_words_ids";
  if (!file.has(kKey)) return;
  const Json& words = file.json()[kKey];
  require(words.is_array(), Fault::bad_file, file.source(), ": '", kKey, "' must be a list of lists of token ids");
  for (const Json& word : words) {
    std::vector<int64_t> ids = id_list(word, file, kKey);
    const bool ends = ids.size() == 1 && std::binary_search(eos_ids.begin(), eos_ids.end(), ids[0]);
    if (!ids.empty() && !ends) rules.biases.push_back({std::move(ids), -std::numeric_limits<double>::infinity()});
  }
}

void read_sequence_bias(const JsonView& file, TokenRules& rules) {
  constexpr const char* kKey = "sequence_bias";
  if (!file.has(kKey)) return;
  const Json& list = file.json()[kKey];
  const auto is_pair = [](const Json& pair) { return pair.is_array() && pair.size() == 2 && pair[1].is_number(); };
  require(list.is_array() && std::all_of(list.begin(), list.end(), is_pair), Fault::bad_file, file.source(), ": '",
          kKey, "' must be a list of pairs: a list of token ids and a number");
  for (const Json& pair : list) {
    std::vector<int64_t> ids = id_list(pair[0], file, kKey);
    const auto bias = pair[1].get<double>();
    require(std::abs(bias) <= kMostBias, Fault::bad_file, file.source(), ": '", kKey, "' has the bias ", bias,
            ", it must be at most 1e30");
    if (!ids.empty()) rules.biases.push_back({std::move(ids), bias});
  }
}

std::optional<EosGrowth> read_growth(const JsonView& file) {
  constexpr const char* kKey = "exponential_decay_length_penalty";
  if (!file.has(kKey)) return std::nullopt;
  const Json& pair = file.json()[kKey];
  require(pair.is_array() && pair.size() == 2 && pair[0].is_number_integer() && pair[1].is_number(), Fault::bad_file,
          file.source(), ": '", kKey, "' must be a pair: a number of tokens and a factor");
  const EosGrowth growth{pair[0].get<int64_t>(), pair[1].get<double>()};
  require(growth.start >= 0 && growth.start <= kMostTokens && std::abs(growth.factor) <= kMostBias, Fault::bad_file,
          file.source(), ": '", kKey, "' must be a number of tokens from 0 and a factor of at most 1e30");
  return growth;
}

TokenRules read_rules(const JsonView& file, const std::vector<int64_t>& eos_ids) {
  TokenRules rules;
  rules.min_length = count_of(file, "min_length");
  rules.min_new_tokens = count_of(file, "min_new_tokens");
  rules.no_repeat_ngram_size = count_of(file, "no_repeat_ngram_size");
  rules.suppress_tokens = ids_of(file, "suppress_tokens");
  rules.begin_suppress_tokens = ids_of(file, "begin_suppress_tokens");
  read_sequence_bias(file, rules);
  read_bad_words(file, eos_ids, rules);
  if (file.has("forced_bos_token_id")) rules.forced_bos_token_id = file.integer("forced_bos_token_id");
  rules.forced_eos_token_id = ids_of(file, "forced_eos_token_id");
  rules.exponential_decay_length_penalty = read_growth(file);
  return rules;
}

/// A text, or a list of texts.
std::vector<std::string> read_stop_strings(const JsonView& file) {
  constexpr const char* kKey = "stop_strings";
  if (!file.has(kKey)) return {};
  const Json& value = file.json()[kKey];
  if (value.is_string()) return {value.get<std::string>()};
  const auto is_text = [](const Json& text) { return text.is_string(); };
  require(value.is_array() && std::all_of(value.begin(), value.end(), is_text), Fault::bad_file, file.source(), ": '",
          kKey, "' must be a text or a list of texts");
  return value.get<std::vector<std::string>>();
}

}  // namespace

GenerationDefaults read_generation(const fs::path& folder, const std::vector<int64_t>& eos_ids) {
  GenerationDefaults defaults;
  if (!fs::exists(folder / kFile)) return defaults;
  const Json json = read_config_file(folder / kFile);
  const JsonView file(json, (folder / kFile).string());
  constexpr int64_t kTopKOfTransformers = 50;
  constexpr int64_t kMaxLengthUnset = 20;  // what transformers 4 wrote for a limit that nobody chose
  defaults.max_new_tokens = most_of(file, "max_new_tokens");
  defaults.max_length = most_of(file, "max_length");
  if (defaults.max_length == kMaxLengthUnset) defaults.max_length.reset();
  defaults.sample = file.boolean("do_sample", false);
  defaults.temperature = number_in(file, "temperature", 1, 0, 100);
  defaults.top_p = number_in(file, "top_p", 1, 0, 1);
  require(defaults.top_p > 0, Fault::bad_file, file.source(), ": 'top_p' is 0, it must be above 0 and at most 1");
  defaults.min_p = number_in(file, "min_p", 0, 0, 1);
  defaults.repetition_penalty = number_in(file, "repetition_penalty", 1, 1e-3, 1e3);
  defaults.top_k = std::max<int64_t>(0, file.integer("top_k", kTopKOfTransformers));
  defaults.rules = read_rules(file, eos_ids);
  defaults.stop_strings = read_stop_strings(file);
  defaults.not_obeyed = find_not_obeyed(file, defaults.sample);
  return defaults;
}

std::optional<std::string> not_obeyed_note(const fs::path& folder, const GenerationDefaults& defaults) {
  if (defaults.not_obeyed.empty()) return std::nullopt;
  std::string keys;
  for (const std::string& key : defaults.not_obeyed) keys += (keys.empty() ? "" : ", ") + key;
  return concat((folder / kFile).string(), ": not obeyed, so answers may differ from those of transformers: ", keys);
}

}  // namespace lithe::models
