#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "lithe/export.h"
#include "lithe/failure.h"
#include "lithe/picture.h"

/// Lithe in a program of yours (C++20): load a model folder, ask about pictures, read the answer as it comes.
/// Nothing here needs LibTorch's headers. A function whose comment says so throws Failure, and nothing else.
namespace lithe {

struct LoadOptions {
  std::string lora;              ///< A PEFT folder whose LoRA goes over the model; empty: none.
  std::string weights = "auto";  ///< How they are held: auto (as in the file), float32, bfloat16, float16, int8, int4.
  std::string kv = "float32";    ///< How keys and values are cached: auto (float32), float32, bfloat16, int8.
  std::string device = "cpu";    ///< cpu, cuda or cuda:N.
  std::int64_t threads = 0;      ///< For the arithmetic of the whole process; 0: one per core.
  std::function<void(std::int64_t bytes_done, std::int64_t bytes_total)> progress;  ///< May be empty.
};

/// How tokens are drawn. Absent values are the model's own (generation_config.json), else greedy.
struct Sampling {
  std::optional<double> temperature;  ///< 0: greedy.
  std::optional<std::int64_t> top_k;  ///< 0: all tokens.
  std::optional<double> top_p, min_p, repetition_penalty;
  std::uint64_t seed = 0;
};

struct Question {
  std::string prompt;                      ///< "<image>" marks where a picture goes; without a mark they go in front.
  std::vector<Picture> pictures;           ///< In the order of their marks.
  std::optional<std::string> system;       ///< In place of the model's own system message.
  bool raw = false;                        ///< Take the prompt as it is, without the chat template.
  std::optional<std::string> plan;         ///< A built-in plan, a JSON file, or JSON text ("{..}", "[..]");
                                           ///< absent: the model's own.
  std::optional<std::int64_t> max_tokens;  ///< Most new tokens; absent: the model's default, else 512.
  std::vector<std::string> stop;           ///< The answer ends in front of any of these.
  Sampling sampling;
};

/// Called with each settled piece of an answer, in whole UTF-8 characters; false ends the answer there. What it throws
/// reaches the caller of ask() as it is.
using OnText = std::function<bool(std::string_view piece)>;

/// How far an answer is.
struct Progress {
  enum class Stage {
    pictures,  ///< Layers of the vision tower, over picture `item` of `items`.
    prefill,   ///< Layers of the decoder, over the `rows` rows of the prompt that run.
    decode,    ///< New tokens.
  };
  Stage stage = Stage::pictures;
  std::int64_t done = 0, total = 0;
  std::int64_t item = 0, items = 0;  ///< From 0.
  std::int64_t rows = 0;
};

/// Callbacks while an answer is made, and a way to end it; every member may be empty.
struct Listener {
  OnText on_text;
  /// Ends the answer from any thread: after the current layer or token. StopReason::cancelled says so.
  std::stop_token cancel;
  std::function<void(const Progress&)> on_progress;  ///< What it throws reaches the caller, as from on_text.
};

/// Why an answer ended.
enum class StopReason {
  eos,          ///< The model ended it.
  stop_string,  ///< One of Question::stop, or of the model's own.
  length,       ///< max_tokens, or the model's longest sequence.
  cancelled,    ///< The caller ended it.
};
LITHE_API const char* name_of(StopReason reason);  ///< "eos", "stop", "length", "cancelled"

struct Answer {
  std::string text;
  std::vector<std::int64_t> tokens;  ///< With the closing end-of-sequence token if there was one.
  StopReason stop = StopReason::length;
  std::int64_t prompt_rows = 0;                ///< Tokens of the prompt, those of pictures included.
  std::int64_t vision_rows = 0;                ///< Those of pictures.
  std::int64_t reused_rows = 0;                ///< In a conversation: those kept from the previous turn.
  std::vector<std::int64_t> layer_rows;        ///< Per decoder layer: rows of the prompt that it ran.
  std::vector<std::int64_t> layer_cache_rows;  ///< Per decoder layer: rows in the key-value cache after the prompt.
  double prefill_flops = 0;        ///< Operations of the whole prompt through the decoder, counted from the plan.
  double dense_prefill_flops = 0;  ///< The same without a plan.
  std::int64_t cache_bytes = 0;    ///< Size of the key-value cache at the end.
  double image_ms = 0;             ///< Wall-clock: pictures to rows,
  double prefill_ms = 0;           ///< until the first token was chosen,
  double decode_ms = 0;            ///< the tokens after it.

  /// The share of dense operations that the plan leaves.
  double counted_share() const { return dense_prefill_flops > 0 ? prefill_flops / dense_prefill_flops : 1; }
};

/// How questions run together.
struct BatchOptions {
  std::int64_t at_a_time = 16;        ///< Most answers at a time.
  std::int64_t prefill_rows = 4096;   ///< Most rows of prompts that join at a time; one prompt may be longer.
  std::optional<std::int64_t> bytes;  ///< Memory to use besides the weights; absent: half of what is free.
  std::stop_token cancel;             ///< Ends all answers that are not done.
  /// One for each question, or none at all: each ends its own answer, from any thread, and the others go on.
  std::vector<std::stop_token> cancels;
  /// As OnText, with the index of the question.
  std::function<bool(std::size_t question, std::string_view piece)> on_text;
};

/// The outcome of one of several questions: an answer, or the failure in its place.
struct Outcome {
  std::optional<Answer> answer;
  std::exception_ptr failure;  ///< A Failure, or what the callback threw.

  /// Throws the failure.
  const Answer& value() const {
    if (failure) std::rethrow_exception(failure);
    return answer.value();
  }
};

/// A picture as the model sees it; row-major.
struct PictureFeatures {
  std::int64_t tiles = 0, tokens = 0, width = 0;
  std::vector<float> tower;  ///< [tiles, tokens, width] out of the vision tower.
  std::int64_t rows = 0, hidden = 0;
  std::vector<float> projected;  ///< [rows, hidden]: the rows that stand in the prompt, in their order.
};

class Conversation;

/// A loaded model. One thread at a time may use it; several models may be used by several threads.
class LITHE_API Model {
 public:
  /// Opens a model: a folder of any supported layout, a name on the Hugging Face hub whose files are in the local
  /// cache, "demo" or "demo-dense". Throws Failure.
  static Model load(const std::string& name, const LoadOptions& options = {});
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// Answers; `on_text` may be empty. Throws Failure{bad_request} if pictures and marks differ in number, the prompt
  /// is longer than the model takes, or the weights cannot run the plan; Failure{bad_file} for unreadable pictures and
  /// for weights that give no finite numbers.
  Answer ask(const Question& question, const OnText& on_text = {});
  Answer ask(const Question& question, const Listener& listener);

  /// Answers several questions together, which is faster than one after another; their order stays. An error in one
  /// question is its outcome and does not affect the others. Throws Failure{bad_request} for options out of range.
  std::vector<Outcome> ask_all(const std::vector<Question>& questions, const BatchOptions& options = {});

  /// What the vision tower and the projector make of a picture under the model's own plan. Throws Failure.
  PictureFeatures features(const Picture& picture) const;

  std::string name() const;           ///< The folder's name.
  std::string family() const;         ///< "llava", "llava_next", "llava_original", ...
  std::string plan() const;           ///< The name of the model's own plan.
  std::int64_t weight_bytes() const;  ///< In memory.
  /// What was assumed about the folder, and which of its settings are ignored, as sentences; often empty.
  const std::vector<std::string>& notes() const;

 private:
  friend class Conversation;
  struct Impl;
  explicit Model(std::shared_ptr<Impl> impl);
  std::shared_ptr<Impl> impl_;
};

/// Several turns with one model. Each answer equals the one that a fresh run of the whole conversation gives; rows that
/// would come out the same are not computed again. Keeps its model alive; the same thread uses both.
class LITHE_API Conversation {
 public:
  /// `system`: in place of the model's own system message. Throws Failure.
  explicit Conversation(const Model& model, const std::optional<std::string>& system = {});
  Conversation(Conversation&&) noexcept;
  Conversation& operator=(Conversation&&) noexcept;
  ~Conversation();

  /// The next turn. `system` and `raw` of the question have no place here; its plan stays for the turns to come. After
  /// a Failure, or if it was cancelled before its first token, the conversation is as it was before.
  Answer ask(const Question& question, const OnText& on_text = {});
  Answer ask(const Question& question, const Listener& listener);

  /// The plan of the turns to come; absent: the model's own. Throws Failure.
  void use_plan(const std::optional<std::string>& plan);
  std::string plan() const;  ///< Its name.
  /// Forgets all turns; the system message and the plan stay.
  void reset();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// The plans that are compiled in, ascending by name.
LITHE_API std::vector<std::string> plan_names();

/// "0.1.0"
LITHE_API std::string version();

}  // namespace lithe
