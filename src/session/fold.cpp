#include "session/fold.h"

#include <ATen/TensorOperators.h>
#include <c10/core/InferenceMode.h>

#include <algorithm>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "checkpoints/read/gguf/files.h"
#include "checkpoints/write/folding.h"
#include "io/new_folder.h"
#include "session/answer.h"
#include "session/finite.h"
#include "session/generation.h"
#include "session/prompt_rows.h"

namespace lithe::session {
namespace {

constexpr int64_t kRowsAtATime = 256;  // of logits, which are as wide as the vocabulary

/// A model's own side of the comparison: the request as it takes it, and the rows that its prefill gives.
class Side {
 public:
  Side(const models::Model& model, const Request& request)
      : model_(model), plan_(plan_of(model, request)), generation_(model, plan_) {
    const PromptRows prompt = build_prompt(model, request);
    prompt_rows_ = prompt.rows();
    hidden_ = generation_.prefill(prompt);
  }

  models::FrozenPrompt frozen() const { return {generation_.states(), *plan_}; }
  int64_t rows() const { return hidden_.size(0); }
  /// How many tokens fit after the prompt.
  int64_t room() const { return room_after(model_, prompt_rows_); }
  /// Of some rows of the prompt.  -> [count, vocab]
  Tensor logits(int64_t first, int64_t count) const { return finite(hidden_.narrow(0, first, count)); }
  /// Of the next token.  -> [1, vocab]
  Tensor step(int64_t id) { return finite(generation_.step(id)); }

 private:
  Tensor finite(const Tensor& hidden) const {
    Tensor logits = model_.decoder.logits(hidden);
    require_finite(model_, logits, "the logits that fold compares");
    return logits;
  }

  const models::Model& model_;
  std::shared_ptr<const plan::Plan> plan_;
  Generation generation_;
  int64_t prompt_rows_ = 0;
  Tensor hidden_;  // [rows, hidden]
};

/// Takes the logits of the same rows from both models into the report.  whole, folded: [rows, vocab]
void compare(const Tensor& whole, const Tensor& folded, FoldReport& report) {
  const auto most = [](double a, const Tensor& b) { return std::max(a, b.abs().max().item<double>()); };
  report.largest_deviation = most(report.largest_deviation, whole - folded);
  report.largest_logit = most(report.largest_logit, whole);
}

void compare_sides(Side& whole, Side& folded, const FoldOptions& options, FoldReport& report) {
  report.rows = whole.rows();
  Tensor next, next_folded;
  for (int64_t first = 0; first < report.rows; first += kRowsAtATime) {
    const int64_t count = std::min(kRowsAtATime, report.rows - first);
    next = whole.logits(first, count);
    next_folded = folded.logits(first, count);
    compare(next, next_folded, report);
  }
  for (report.tokens = 0; report.tokens < std::min(options.new_tokens, whole.room()); ++report.tokens) {
    const auto id = next[-1].argmax(-1).item<int64_t>();
    report.tokens_equal += next_folded[-1].argmax(-1).item<int64_t>() == id ? 1 : 0;
    next = whole.step(id);
    next_folded = folded.step(id);
    compare(next, next_folded, report);
  }
}

/// Opens what was written and takes it into the report.
void compare_with_folded(Side& whole, const Request& request, const FoldOptions& options, const io::NewFolder& folder,
                         FoldReport& report) {
  const auto model = models::open_model(folder.part());
  model->folder = folder.place();  // for messages
  report.bytes_after = model->loaded.bytes;
  Side folded(*model, request);
  compare_sides(whole, folded, options, report);
}

}  // namespace

FoldReport fold_model(const Session& session, const Request& request, const FoldOptions& options,
                      const std::filesystem::path& out) {
  const c10::InferenceMode no_gradients;
  const models::Model& model = session.model();
  models::refuse_gguf(model.config_file, "fold");
  models::require_plain_files(model);
  visit(model, [&](const models::HeldWeight& held) { models::require_unrounded(held.weight, model.name); });
  const auto begin = [&](const char* step) {
    if (options.on_step) options.on_step(step);
  };
  io::NewFolder folder(model.folder, out);
  begin("running the prompt");
  Side whole(model, request);
  begin("writing the folded weights");
  const models::FrozenPrompt frozen = whole.frozen();
  const models::FoldCount count = models::write_folded(model, options.freeze ? &frozen : nullptr, folder.part());
  FoldReport report{.gains = count.gains,
                    .adapters = count.adapters,
                    .adapters_left = count.left,
                    .low_rank = count.low_rank,
                    .whole = count.whole,
                    .rounding = count.rounding};
  begin("comparing the folded model");
  compare_with_folded(whole, request, options, folder, report);
  report.bytes_before = model.loaded.bytes;
  folder.commit();
  return report;
}

}  // namespace lithe::session
