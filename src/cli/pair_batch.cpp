#include "cli/pair_batch.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <vector>

#include "base/error.h"
#include "cli/batch_lines.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/pair.h"
#include "cli/progress.h"
#include "cli/standard_output.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

/// A line that is a request.
struct Waiting {
  Json id;
  int64_t line = 0;
  session::PairQuestion question;
  std::vector<std::string> pictures;  // their files
  const plan::Plan* plan = nullptr;
};

class PairBatch {
 public:
  PairBatch(const PairBatchOptions& options, const session::PairSession& session)
      : options_(options),
        session_(session),
        head_(session.head(options.head)),
        output_(options.shard.output()),
        lines_(options.input, output_, options.shard.shard()),
        progress_("batch") {
    note_numbers(head_, options.model);
    if (options.question.plan) plan_ = plan_named(*options.question.plan);
  }

  int run() {
    while (!InterruptGuard::interrupted() && fill()) {
      score();
      progress_.update(fmt::format("{} answered, {} failed", lines_.answered(), lines_.failed()));
    }
    progress_.wipe();
    output_.close();
    if (options_.common.json)
      write_json({{"schema", "lithe-batch/1"},
                  {"head", head_.name},
                  {"answered", lines_.answered()},
                  {"failed", lines_.failed()},
                  {"skipped", lines_.skipped()}});
    else
      write_err(fmt::format("{} answered, {} failed, {} done before\n", lines_.answered(), lines_.failed(),
                            lines_.skipped()));
    if (InterruptGuard::interrupted()) return kExitInterrupted;
    options_.shard.finish(lines_.requests());
    return lines_.reader().gave_up() ? kExitBadFile : 0;
  }

 private:
  /// Takes lines until enough wait; false if none does at the end of the file.
  bool fill() {
    waiting_.clear();
    bool more = true;
    while (more && static_cast<int64_t>(waiting_.size()) < options_.together) {
      more = lines_.next(
          [this](BatchLines::Request request) { wait(std::move(request)); },
          [this](const Json& id, int64_t line, const Error& error) { lines_.write_error(id, line, error.what()); });
    }
    return !waiting_.empty();
  }

  void wait(BatchLines::Request request) {
    const BatchItem& item = request.item;
    Waiting waiting{.id = std::move(request.id),
                    .line = request.line,
                    .question = {.text = item.prompt, .images = {}},
                    .pictures = {}};
    for (const std::filesystem::path& image : item.images) {
      waiting.question.images.push_back(image::Source::of_file(image));
      waiting.pictures.push_back(image.string());
    }
    waiting.plan = item.plan ? plan_named(*item.plan) : plan_;
    waiting_.push_back(std::move(waiting));
  }

  const plan::Plan* plan_named(const std::string& name) {
    const auto found = plans_.find(name);
    return found != plans_.end() ? &found->second
                                 : &plans_.emplace(name, plan::load_plan(name, session_.facts())).first->second;
  }

  /// Together if all follow one plan. If that fails, one by one, so that a bad line fails alone.
  void score() {
    std::vector<session::PairQuestion> questions;
    bool alike = true;
    for (const Waiting& one : waiting_) {
      questions.push_back(one.question);
      alike = alike && one.plan == waiting_.front().plan;
    }
    if (alike && waiting_.size() > 1) {
      try {
        const auto scores = session_.scores(head_, questions, waiting_.front().plan);
        for (size_t i = 0; i < waiting_.size(); ++i) write(waiting_[i], scores[i]);
        return;
      } catch (const Error&) {
      }
    }
    for (const Waiting& one : waiting_) {
      try {
        write(one, session_.scores(head_, {&one.question, 1}, one.plan).front());
      } catch (const Error& error) {
        lines_.write_error(one.id, one.line, error.what());
      }
    }
  }

  void write(const Waiting& one, const std::vector<float>& scores) {
    const Json best = best_of(head_, scores, one.pictures);
    lines_.write_answer(one.id,
                        {{"id", one.id}, {"answer", best.front().at("label")}, {"head", head_.name}, {"labels", best}});
  }

  const PairBatchOptions& options_;
  const session::PairSession& session_;
  const session::HeadInfo& head_;
  InterruptGuard interrupt_;
  BatchOutput output_;
  BatchLines lines_;
  Progress progress_;
  std::map<std::string, plan::Plan> plans_;
  const plan::Plan* plan_ = nullptr;
  std::vector<Waiting> waiting_;
};

}  // namespace

int run_pair_batch(const PairBatchOptions& options) {
  check_pair_flags(options.question);
  const session::PairSession session = open_pairs(options.model, options.common);
  return PairBatch(options, session).run();
}

}  // namespace lithe::cli
