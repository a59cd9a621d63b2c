#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/json.h"
#include "image/decode.h"
#include "image/heat_map.h"
#include "image/source.h"
#include "plan/cost.h"
#include "plan/facts.h"
#include "plan/plan.h"
#include "session/sampling.h"
#include "text/message.h"

namespace lithe::models {
struct LoraOver;
struct Model;
}  // namespace lithe::models
namespace lithe::text {
class Constraint;
}

namespace lithe::session {

struct OpenOptions {
  std::filesystem::path lora;    ///< A PEFT folder whose LoRA goes over the model; empty: none
  std::filesystem::path mmproj;  ///< The mmproj of a GGUF text model; empty: one that lies beside it, if there is one
  std::string weights = "auto";  ///< auto, float32, bfloat16, float16, int8, int4: how weights are held
  std::string kv = "float32";    ///< auto (float32), float32, bfloat16, int8: how keys and values are cached
  std::string compute = "float32";  ///< float32, bfloat16, int8: how products of many rows are computed
  std::string device = "cpu";
  std::function<void(int64_t bytes_done, int64_t bytes_total)> progress;
};

/// One question. Without `raw`, `messages` go through the model's chat template; with it `text` is the prompt,
/// "<image>" marking where each picture goes.
struct Request {
  std::vector<text::Message> messages;
  std::string text;
  bool raw = false;
  std::vector<image::Source> images;  ///< In the order of their marks; decoded when the request runs.
  std::optional<plan::Plan> plan;     ///< Absent: that of the LoRA, else the model's own.
  /// A LoRA over this model that this request alone is under (session/loras.h); null: none.
  std::shared_ptr<const models::LoraOver> lora;
  std::string cache_salt;  ///< Of a batch's caches: requests share only with those of the same salt.
  /// Given: nothing is generated. Answer::losses says how likely the model makes this answer.
  std::optional<std::string> given_answer;
  /// Per picture, the vision tokens that the selector `given` keeps first, by their number in the picture from 0.
  /// Empty: nobody knows them.
  std::vector<std::vector<int64_t>> needed;
};

/// How far a request is.
struct Progress {
  enum class Stage {
    pictures,  ///< Layers of the vision tower, over picture `item` of `items`.
    prefill,   ///< Layers of the decoder, over the `rows` rows of the prompt that run.
    decode,    ///< New tokens.
  };
  Stage stage = Stage::pictures;
  int64_t done = 0, total = 0;
  int64_t item = 0, items = 0;  ///< From 0.
  int64_t rows = 0;
};

/// The largest AnswerOptions::best_tokens.
inline constexpr int64_t kMostBestTokens = 20;

/// A token and the logarithm of its probability, by the softmax of the logits as the model gives them: before biases,
/// penalties, constraints and temperature.
struct RatedToken {
  int64_t id = 0;
  double log_probability = 0;
};

/// A token of an answer and those that the model found most likely in its place.
struct TokenRating {
  RatedToken chosen;
  std::vector<RatedToken> best;  ///< From the most likely on; ties by id.
  int64_t text_offset = 0;       ///< Characters of the answer's text that were settled before it.
};

struct AnswerOptions {
  std::optional<int64_t>
      max_new_tokens;  ///< Absent: the model's default, else 512; never past the model's longest sequence.
  bool ignore_eos = false;
  std::vector<std::string> stop;                       ///< Beside the model's own stop strings.
  std::optional<SamplingPolicy> sampling;              ///< Absent: greedy.
  std::optional<int64_t> best_tokens;                  ///< Rate each token and so many of the best; absent: rate none.
  std::shared_ptr<const text::Constraint> constraint;  ///< What the text must be; null: anything.
  /// Called with the rating of each token, before its text; as on_text, but it can't end the answer by a value.
  std::function<void(const TokenRating& token)> on_rating;
  /// Called with each settled piece of text (whole UTF-8 characters). If it returns false or throws, the answer ends
  /// and it is not called again; what it throws reaches the caller of the answer.
  std::function<bool(const std::string& piece)> on_text;
  /// Ends the answer after the current layer (tower and decoder) or token; StopReason::cancelled says so.
  std::stop_token cancel;
  /// Called after each layer of a picture and of the prompt, and after each token. What it throws ends the answer as
  /// on_text does.
  std::function<void(const Progress&)> on_progress;
};

/// What OpenOptions::weights may be.
std::vector<std::string> weight_types();
/// What OpenOptions::kv may be.
std::vector<std::string> kv_types();
/// How the bytes of a cache are counted that OpenOptions::kv names. Throws Error{bad_request}.
plan::CostOptions counted_as(const std::string& kv);
/// What OpenOptions::compute may be.
std::vector<std::string> compute_types();

enum class StopReason { eos, stop_string, length, cancelled };
const char* name_of(StopReason reason);  ///< "eos", "stop", "length", "cancelled"

/// Wall-clock times in milliseconds.
struct Timings {
  double image_ms = 0;    ///< Preprocessing, tower, projector, packing.
  double prefill_ms = 0;  ///< Until the first token is chosen.
  double decode_ms = 0;   ///< The tokens after the first.
  int64_t prompt_rows = 0, vision_rows = 0, decoded_tokens = 0;
  int64_t reused_rows = 0;  ///< Of prompt_rows, those held before: by a chat, or in a batch's cache.
};

/// What the KV cache held.
struct CacheUse {
  std::vector<int64_t> rows_after_prefill, rows_at_end;  ///< Per decoder layer.
  int64_t bytes_after_prefill = 0, bytes_at_end = 0;
};

/// Which of one image's vision rows each routed layer ran, and the views to draw them over.
struct KeptMap {
  std::vector<image::HeatView> views;
  std::vector<image::LayerKept> layers;
};

/// Operations of the decoder's prefill and its head, counted from the plan (docs/counting.md) as if the whole prompt
/// ran.
struct CountedCost {
  double flops = 0, dense_flops = 0;  ///< Under the plan; without one.
  double share() const { return dense_flops > 0 ? flops / dense_flops : 1; }
};

struct Answer {
  std::string text;
  std::vector<int64_t> tokens;       ///< With the closing EOS if there was one.
  std::vector<float> token_logits;   ///< The raw logit of each token.
  std::vector<TokenRating> ratings;  ///< Of each token but the closing EOS, if AnswerOptions::best_tokens asks.
  /// Of Request::given_answer, whose tokens `tokens` are: the negative log-likelihood of each one. `text` is empty
  /// then.
  std::vector<double> losses;
  StopReason stop = StopReason::length;
  Timings timings;
  CacheUse cache;
  std::vector<int64_t> rows_run;  ///< Per decoder layer: prompt rows that its feed-forward network ran.
  CountedCost counted;
  std::vector<KeptMap> kept;  ///< One per image.
};

/// A loaded model that answers. One thread owns it.
class Session {
 public:
  /// Opens a model folder. Throws Error{bad_file}.
  static Session open(const std::filesystem::path& folder, const OpenOptions& options = {});
  explicit Session(std::unique_ptr<models::Model> model);
  Session(Session&&) noexcept;
  Session& operator=(Session&&) noexcept;
  ~Session();

  /// Prefill, then decode. Throws Error{bad_request}: pictures and marks differ in number, a prompt longer than the
  /// model takes, a plan that the weights cannot run; Error{bad_file} for logits that are not finite.
  Answer answer(const Request& request, const AnswerOptions& options = {}) const;

  /// Throws Error{bad_request} for more pictures than a prompt of this model has room for, before they are decoded.
  void check_pictures(size_t count) const;

  /// The decoding policy of the folder's generation_config.json (greedy if it sets nothing).
  SamplingPolicy default_sampling() const;
  /// How pictures are to be decoded for this model.
  image::DecodeOptions decode_options() const;

  const plan::ModelFacts& facts() const;
  const plan::Plan& plan() const;  ///< The model's own plan.
  const std::string& family() const;
  int64_t weight_bytes() const;        ///< As held.
  plan::CostOptions counting() const;  ///< How the bytes of its cache are counted.
  /// What was assumed about the folder, and which of its settings are ignored: sentences that a front end shows once.
  const std::vector<std::string>& notes() const;
  Json describe() const;  ///< Architecture, layout, types: what `inspect` prints.

  const models::Model& model() const { return *model_; }

 private:
  std::unique_ptr<models::Model> model_;
};

}  // namespace lithe::session
