#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "lithe/export.h"
#include "lithe/failure.h"
#include "lithe/picture.h"

/// Lithe in a program of yours: load a model folder, ask about pictures, read the answer as it comes.
/// Nothing here needs LibTorch's headers. Every function that says so throws Failure, and nothing else.
namespace lithe {

struct LoadOptions {
  std::string lora;              ///< A PEFT folder whose LoRA goes over the model; empty: none.
  std::string weights = "auto";  ///< How weights are held: auto (as in the file), float32, bfloat16, float16.
  std::string device = "cpu";    ///< cpu, cuda or cuda:N.
  std::int64_t threads = 0;      ///< Of the whole process's arithmetic; 0: as many as it has cores.
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
  std::optional<std::string> plan;         ///< A built-in plan or a JSON file; absent: the model's own.
  std::optional<std::int64_t> max_tokens;  ///< Most new tokens; absent: the model's default, else 512.
  std::vector<std::string> stop;           ///< The answer ends in front of any of these.
  Sampling sampling;
};

/// Called with each settled piece of an answer, in whole UTF-8 characters; false ends the answer there. What it throws
/// reaches the caller of ask() as it is.
using OnText = std::function<bool(std::string_view piece)>;

struct Answer {
  std::string text;
  std::vector<std::int64_t> tokens;  ///< With the closing end-of-sequence token where there was one.
  std::string stop;                  ///< Why it ended: "eos", "stop", "length", "cancelled".
  std::int64_t prompt_rows = 0;      ///< Tokens of the prompt, those of pictures included.
  std::int64_t vision_rows = 0;      ///< Those of pictures.
  std::int64_t cache_bytes = 0;      ///< What the key-value cache held in the end.
  double image_ms = 0;               ///< Wall-clock: pictures to rows,
  double prefill_ms = 0;             ///< until the first token was chosen,
  double decode_ms = 0;              ///< the tokens after it.
};

/// A picture as the model sees it; row-major.
struct PictureFeatures {
  std::int64_t tiles = 0, tokens = 0, width = 0;
  std::vector<float> tower;  ///< [tiles, tokens, width] out of the vision tower.
  std::int64_t rows = 0, hidden = 0;
  std::vector<float> projected;  ///< [rows, hidden]: the rows that stand in the prompt, in their order.
};

/// A loaded model. One thread at a time may use it; several models may be used by several threads.
class LITHE_API Model {
 public:
  /// Opens a model folder of any supported layout. Throws Failure.
  static Model load(const std::string& folder, const LoadOptions& options = {});
  Model(Model&&) noexcept;
  Model& operator=(Model&&) noexcept;
  ~Model();

  /// Answers; `on_text` may be empty. Throws Failure{bad_request} where pictures and marks differ in number, the prompt
  /// is longer than the model takes, or the weights cannot run the plan; Failure{bad_file} for unreadable pictures.
  Answer ask(const Question& question, const OnText& on_text = {});

  /// What the vision tower and the projector make of a picture under the model's own plan. Throws Failure.
  PictureFeatures features(const Picture& picture) const;

  std::string name() const;           ///< The folder's name.
  std::string family() const;         ///< "llava", "llava_next", "llava_original", ...
  std::string plan() const;           ///< The name of the model's own plan.
  std::int64_t weight_bytes() const;  ///< As held.

 private:
  struct Impl;
  explicit Model(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// The plans that are compiled in, ascending by name.
LITHE_API std::vector<std::string> plan_names();

/// "0.1.0"
LITHE_API std::string version();

}  // namespace lithe
