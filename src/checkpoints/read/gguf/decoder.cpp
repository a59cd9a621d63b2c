#include "checkpoints/read/gguf/decoder.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "checkpoints/read/config.h"
#include "ops/llama3_frequency.h"

namespace lithe::models {
namespace {

constexpr const char* kLlama = "llama";
constexpr const char* kQwen2 = "qwen2";

/// The keys of one architecture: "llama.block_count".
class Keys {
 public:
  Keys(const io::GgufFile& file, const std::string& architecture) : file_(file), front_(architecture + ".") {}

  bool has(const char* key) const { return file_.has(front_ + key); }
  int64_t integer(const char* key) const { return file_.integer(front_ + key); }
  int64_t integer(const char* key, int64_t fallback) const { return file_.integer(front_ + key, fallback); }
  double number(const char* key) const { return file_.number(front_ + key); }
  double number(const char* key, double fallback) const { return file_.number(front_ + key, fallback); }
  std::string text(const char* key, const std::string& fallback) const { return file_.text(front_ + key, fallback); }

 private:
  const io::GgufFile& file_;
  std::string front_;
};

/// "rope_scaling" of config.json; null if there is none.
Json rope_scaling(const Keys& keys, const std::string& where) {
  const std::string type = keys.text("rope.scaling.type", keys.has("rope.scale_linear") ? "linear" : "none");
  if (type == "none") return {};
  require(type == "linear" || type == "yarn", Fault::bad_file, where, ": the rope scaling ", in_quotes(type),
          " is not supported; supported are none, linear and yarn");
  const double factor = keys.number("rope.scaling.factor", keys.number("rope.scale_linear", 1));
  Json scaling = {{"rope_type", type}, {"factor", factor}};
  if (type == "linear") return scaling;
  if (keys.has("rope.scaling.original_context_length"))
    scaling["original_max_position_embeddings"] = keys.integer("rope.scaling.original_context_length");
  if (keys.has("rope.scaling.yarn_beta_fast")) scaling["beta_fast"] = keys.number("rope.scaling.yarn_beta_fast");
  if (keys.has("rope.scaling.yarn_beta_slow")) scaling["beta_slow"] = keys.number("rope.scaling.yarn_beta_slow");
  if (keys.has("rope.scaling.attn_factor") && factor > 1)
    scaling["attention_factor"] = keys.number("rope.scaling.attn_factor") * (0.1 * std::log(factor) + 1);
  return scaling;
}

/// By how much llama3's scaling divides the frequency of each pair of a head.
double llama3_divisor(const ops::RopeConfig& rope, int64_t pair) {
  const double frequency = std::pow(rope.theta, -2.0 * static_cast<double>(pair) / static_cast<double>(rope.head_dim));
  return frequency / ops::llama3_frequency(rope, frequency);
}

/// A tensor with a divisor for each frequency takes the place of llama3's settings. Those of the published models give
/// just these numbers.
void read_divisors(const io::GgufFile& file, ops::RopeConfig& rope) {
  const io::GgufTensor* const tensor = file.find("rope_freqs.weight");
  if (!tensor) return;
  const std::string where = concat(file.file(), ": the tensor \"rope_freqs.weight\"");
  const bool fits = tensor->type == io::GgufType::f32 && tensor->shape == std::vector<int64_t>{rope.head_dim / 2};
  require(fits, Fault::bad_file, where, " does not hold a float32 for each of the ", rope.head_dim / 2,
          " frequencies of a head");
  std::vector<double> divisors;
  for (int64_t i = 0; i < rope.head_dim / 2; ++i)
    divisors.push_back(
        std::bit_cast<float>(io::little_endian<uint32_t>(tensor->bytes.span, static_cast<size_t>(4 * i))));
  const double largest = *std::max_element(divisors.begin(), divisors.end());
  const bool is_one = std::all_of(divisors.begin(), divisors.end(), [](double divisor) { return divisor == 1; });
  if (is_one) return;
  rope.scaling = ops::RopeConfig::Scaling::llama3;
  rope.factor = largest;
  rope.low_freq_factor = 1;
  rope.high_freq_factor = 4;
  rope.original_positions = 8192;
  for (int64_t i = 0; i < rope.head_dim / 2; ++i) {
    const double expected = llama3_divisor(rope, i);
    require(std::abs(divisors[static_cast<size_t>(i)] - expected) <= 1e-3 * expected, Fault::bad_file, where,
            " scales frequencies in another way than Llama 3.1, 3.2 and 3.3 do, which is not supported");
  }
}

/// What config.json of the original model says, as far as the metadata holds it.
Json config_of(const io::GgufFile& file, const Keys& keys) {
  const io::GgufTensor* const embeddings = file.find("token_embd.weight");
  require(embeddings && embeddings->shape.size() == 2, Fault::bad_file, file.file(),
          ": has no matrix \"token_embd.weight\", so it does not hold a whole text model");
  Json config = {{"num_hidden_layers", keys.integer("block_count")},
                 {"hidden_size", keys.integer("embedding_length")},
                 {"intermediate_size", keys.integer("feed_forward_length")},
                 {"num_attention_heads", keys.integer("attention.head_count")},
                 {"num_key_value_heads", keys.integer("attention.head_count_kv", keys.integer("attention.head_count"))},
                 {"vocab_size", embeddings->shape[0]},
                 {"max_position_embeddings", keys.integer("context_length")},
                 {"rms_norm_eps", keys.number("attention.layer_norm_rms_epsilon")},
                 {"rope_theta", keys.number("rope.freq_base", 10000)}};
  if (keys.has("attention.key_length")) config["head_dim"] = keys.integer("attention.key_length");
  if (keys.has("attention.sliding_window")) config["sliding_window"] = keys.integer("attention.sliding_window");
  if (const Json scaling = rope_scaling(keys, file.file()); !scaling.is_null()) config["rope_scaling"] = scaling;
  return config;
}

}  // namespace

std::string architecture_of(const io::GgufFile& file) {
  return file.text("general.architecture");
}

bool interleaves(const io::GgufFile& file) {
  return architecture_of(file) == kLlama;
}

DecoderConfig decoder_of(const io::GgufFile& file) {
  const std::string architecture = architecture_of(file);
  require(architecture != "clip", Fault::bad_file, file.file(),
          ": is an mmproj, which holds a vision tower and a projector alone; give the text model, and this file as "
          "--mmproj");
  require(architecture == kLlama || architecture == kQwen2, Fault::bad_file, file.file(), ": the architecture ",
          in_quotes(architecture),
          " is not supported; supported are llama (LLaMA, Vicuna, Mistral, SmolLM2) and qwen2");
  const Keys keys(file, architecture);
  const Json config = config_of(file, keys);
  const bool windowed = architecture == kLlama && keys.has("attention.sliding_window");
  DecoderConfig decoder =
      read_decoder_config(JsonView(config, file.file() + ": its metadata"), windowed ? "mistral" : architecture);
  const int64_t turned = keys.integer("rope.dimension_count", decoder.head_dim);
  require(turned == decoder.head_dim, Fault::bad_file, file.file(), ": rotary embeddings turn ", turned, " of the ",
          decoder.head_dim, " dimensions of a head, and only models that turn all are supported");
  read_divisors(file, decoder.rope);
  decoder.tied_embeddings = !file.find("output.weight");
  if (architecture == kQwen2) return decoder;  // whose biases are known
  decoder.attention_bias = file.find("blk.0.attn_q.bias");
  decoder.output_bias = file.find("blk.0.attn_output.bias");
  decoder.mlp_bias = file.find("blk.0.ffn_up.bias");
  return decoder;
}

}  // namespace lithe::models
