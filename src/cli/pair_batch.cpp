#include "cli/pair_batch.h"

#include <fmt/format.h>

#include <map>
#include <optional>
#include <vector>

#include "base/error.h"
#include "cli/batch_file.h"
#include "cli/batch_output.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/pair.h"
#include "cli/progress.h"
#include "cli/standard_output.h"
#include "plan/parse.h"
#include "session/errors.h"

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
        input_(options.input),
        output_(options.output),
        progress_("batch") {
    if (options.question.plan) plan_ = plan_named(*options.question.plan);
  }

  int run() {
    while (!InterruptGuard::interrupted() && fill()) {
      score();
      progress_.update(fmt::format("{} answered, {} failed", answered_, failed_));
    }
    progress_.wipe();
    output_.close();
    if (options_.common.json)
      write_json({{"schema", "lithe-batch/1"},
                  {"head", head_.name},
                  {"answered", answered_},
                  {"failed", failed_},
                  {"skipped", skipped_}});
    else
      write_err(fmt::format("{} answered, {} failed, {} done before\n", answered_, failed_, skipped_));
    if (InterruptGuard::interrupted()) return kExitInterrupted;
    return input_.gave_up() ? kExitBadFile : 0;
  }

 private:
  /// Takes lines until enough wait; false if none does at the end of the file.
  bool fill() {
    waiting_.clear();
    bool more = true;
    while (more && static_cast<int64_t>(waiting_.size()) < options_.together) {
      Json id;
      try {
        more = session::naming_failures([&] { return take_line(id); });
      } catch (const Error& error) {
        write_error(id, input_.number(), error);
      }
    }
    return !waiting_.empty();
  }

  /// False at the end of the file. `id` is set once it is known.
  bool take_line(Json& id) {
    std::string text;
    if (!input_.next(text)) return false;
    const std::string source = concat(options_.input, ", line ", input_.number());
    const Json line = parse_json(text, source);
    const std::string key = id_of(line, source);
    const auto [known, is_new] = lines_of_ids_.emplace(key, input_.number());
    require(is_new, Fault::bad_file, source, ": line ", known->second, " has the same 'id'; give every line its own.");
    output_.forget_error(key_of_line(input_.number()));
    if (output_.has_answer(key)) {
      ++skipped_;
      return true;
    }
    id = line.at("id");
    const std::filesystem::path folder =
        input_.is_file() ? std::filesystem::path(options_.input).parent_path() : std::filesystem::path();
    const BatchItem item = read_item(line, folder, source);
    Waiting waiting{.id = id, .line = input_.number(), .question = {.text = item.prompt, .images = {}}, .pictures = {}};
    for (const std::filesystem::path& image : item.images) {
      waiting.question.images.push_back(image::Source::of_file(image));
      waiting.pictures.push_back(image.string());
    }
    waiting.plan = item.plan ? plan_named(*item.plan) : plan_;
    waiting_.push_back(std::move(waiting));
    return true;
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
        write_error(one.id, one.line, error);
      }
    }
  }

  void write(const Waiting& one, const std::vector<float>& scores) {
    const Json best = best_of(head_, scores, one.pictures);
    output_.write_answer(
        text_of(one.id),
        {{"id", one.id}, {"answer", best.front().at("label")}, {"head", head_.name}, {"labels", best}});
    ++answered_;
  }

  void write_error(const Json& id, int64_t line, const Error& error) {
    Json json;
    if (!id.is_null()) json["id"] = id;
    json["line"] = line;
    json["error"] = error.what();
    output_.write_error(id.is_null() ? key_of_line(line) : text_of(id), json);
    ++failed_;
  }

  static std::string text_of(const Json& id) { return id.dump(-1, ' ', false, Json::error_handler_t::replace); }

  const PairBatchOptions& options_;
  const session::PairSession& session_;
  const session::HeadInfo& head_;
  InterruptGuard interrupt_;
  LineReader input_;
  BatchOutput output_;
  Progress progress_;
  std::map<std::string, plan::Plan> plans_;
  const plan::Plan* plan_ = nullptr;
  std::map<std::string, int64_t> lines_of_ids_;
  std::vector<Waiting> waiting_;
  int64_t answered_ = 0, failed_ = 0, skipped_ = 0;
};

}  // namespace

int run_pair_batch(const PairBatchOptions& options) {
  check_pair_flags(options.question);
  const session::PairSession session = open_pairs(options.model, options.common);
  return PairBatch(options, session).run();
}

}  // namespace lithe::cli
