#include "session/batch.h"

#include <fmt/format.h>
#include <map>
#include <memory>
#include <set>

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "cli/answer_report.h"
#include "cli/answer_watch.h"
#include "cli/batch_limits.h"
#include "cli/batch_lines.h"
#include "cli/batch_output.h"
#include "cli/batch_shard.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/model_path.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/pair.h"
#include "cli/pair_batch.h"
#include "cli/progress.h"
#include "cli/question.h"
#include "cli/sampling.h"
#include "cli/shard_flag.h"
#include "cli/standard_output.h"
#include "eval/settings.h"
#include "session/errors.h"

namespace lithe::cli {
namespace {

constexpr const char* kBatchDescription =
    R"(Answers the requests of a JSONL file, several at a time.

Each line of IN is a request: {"id", "image" or "images", "prompt"}. It may also hold "plan" and "max_tokens", which replace
the flags. Other keys are ignored; if one looks like a misspelt key, a note says so. null means the same as no key. Paths
of pictures are relative to the folder of IN. If IN is a pipe, they are relative to the current folder.

Each line of the output is {"id", "answer", "tokens", "stop", "prompt_tokens", "vision_tokens"}. If a request fails, its line
is {"id", "line", "error"}, and the others continue. Each line is written as soon as its answer is done, so the order may
differ from that of IN.

If the output file exists, it is continued: requests that have an answer are skipped, by their id. Requests that failed run
again, and the new line replaces the error. Ctrl-C ends the batch (exit code 130). The same command continues it.

--shard I/N answers every N-th line from line I + 1 on, and writes OUT.shard-I-of-N.jsonl and a note beside it. `lithe merge`
joins the shards.

With a METER model, each line of the output is {"id", "answer", "head", "labels"}: the label with the highest score of --head,
and the best labels with their scores. With --head rank, the labels are the pictures.

Each answer is the one that `lithe run` gives, up to the rounding of float32. --memory limits keys, values, activations and
decoded pictures. A request starts when its worst case (the longest possible answer) fits into the memory that the running
requests leave.)";

constexpr const char* kBatchFooter = R"(Examples:
  lithe batch demo questions.jsonl -o answers.jsonl
  lithe batch ~/llava-1.5-7b-hf questions.jsonl -o answers-7b.jsonl --batch-size 8 --memory 12 -n 64
  lithe batch demo questions.jsonl -o dense.jsonl --plan dense --json
  lithe batch demo questions.jsonl -o parts.jsonl --shard 0/2

Exit codes: 0 done (even if single requests failed), 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct BatchOptions {
  CommonOptions common;
  session::Question question;  // what holds for every line
  std::string model, input, output;
  std::string head, shard;
  BatchLimitFlags limits;
};

/// A batch from file to file.
class BatchCommand {
 public:
  BatchCommand(const BatchOptions& options, session::RequestBuilder& builder, session::BatchRun& batch,
               BatchLines lines)
      : options_(options), builder_(builder), batch_(batch), lines_(std::move(lines)), progress_("batch") {}

  /// False if Ctrl-C ended it.
  bool run() {
    bool more = true;
    while ((more || !batch_.idle()) && !InterruptGuard::interrupted()) {
      while (more && batch_.wants_more() && !InterruptGuard::interrupted()) more = submit_next();
      if (InterruptGuard::interrupted()) break;
      for (const session::Outcome& outcome : batch_.step()) write(outcome);
      show();
    }
    progress_.wipe();
    return !more && batch_.idle() && !cut_short_;
  }

  const BatchLines& lines() const { return lines_; }
  int64_t tokens() const { return tokens_; }
  double seconds() const { return clock_.elapsed_ms() / 1e3; }

 private:
  /// Takes the next line; false at the end of the file.
  bool submit_next() {
    return lines_.next([this](BatchLines::Request request) { submit(std::move(request)); },
                       [this](const Json& id, int64_t line, const Error& error) { write_error(id, line, error); });
  }

  /// Once for each such key: other lines of a file are like the first.
  void note_misspelt(const Json& line, const std::string& source) {
    for (const MisspeltKey& one : misspelt_keys(line)) {
      if (!noted_.insert(one.key).second) continue;
      progress_.wipe();
      write_err(fmt::format("note: {}: the key {} is ignored; the key for this is '{}'\n", printable(source),
                            in_quotes(one.key), one.meant));
    }
  }

  void submit(BatchLines::Request request) {
    BatchItem& item = request.item;
    session::Question question = options_.question;
    question.prompt = std::move(item.prompt);
    question.pictures.assign(item.images.begin(), item.images.end());
    if (item.plan) question.plan = std::move(item.plan);
    if (item.max_tokens) question.max_tokens = item.max_tokens;
    session::AnswerOptions how = builder_.options(question);
    how.cancel = interrupt_.token();
    how.on_progress = [this](const session::Progress& progress) {
      interrupt_.poll();
      if (progress.stage != session::Progress::Stage::decode) show(progress_text(progress));
    };
    batch_.submit(request.line, builder_.request(std::move(question)), std::move(how));
    note_misspelt(request.json, request.source);
    ids_.emplace(request.line, std::move(request.id));
  }

  void write(const session::Outcome& outcome) {
    const auto id = ids_.extract(outcome.ticket);
    if (outcome.answer.stop == session::StopReason::cancelled) {  // the next run answers it
      cut_short_ = true;
      return;
    }
    if (outcome.error) return write_error(id.mapped(), outcome.ticket, *outcome.error);
    const session::Answer& answer = outcome.answer;
    lines_.write_answer(id.mapped(), {{"id", id.mapped()},
                                      {"answer", answer.text},
                                      {"tokens", answer.tokens},
                                      {"stop", session::name_of(answer.stop)},
                                      {"prompt_tokens", answer.timings.prompt_rows},
                                      {"vision_tokens", answer.timings.vision_rows}});
  }

  void write_error(const Json& id, int64_t line, const Error& error) {
    lines_.write_error(id, line,
                       error.fault() == Fault::no_memory ? concat(error.what(), " --memory says how much may be used.")
                                                         : std::string(error.what()));
  }

  void show(const std::string& now = {}) {
    const session::BatchState state = batch_.state();
    tokens_ = state.tokens;
    const std::optional<double> share = lines_.reader().share_read();
    progress_.update(fmt::format("{}{} answered, {} running, {:.1f} tokens/s{}{}",
                                 share ? fmt::format("{:.0f} %, ", 100 * *share) : "", lines_.answered(), state.running,
                                 static_cast<double>(state.tokens) / seconds(), now.empty() ? "" : "; ", now));
  }

  const BatchOptions& options_;
  session::RequestBuilder& builder_;
  session::BatchRun& batch_;
  BatchLines lines_;
  InterruptGuard interrupt_;
  bool cut_short_ = false;  // an answer was cancelled
  Progress progress_;
  Stopwatch clock_;
  int64_t tokens_ = 0;
  std::map<int64_t, Json> ids_;  // of the requests that wait or run, by line
  std::set<std::string> noted_;  // misspelt keys
};

void print_summary(const BatchOptions& options, const session::Session& session, const BatchCommand& command,
                   const session::BatchState& state) {
  const BatchLines& lines = command.lines();
  const double speed = static_cast<double>(command.tokens()) / command.seconds();
  if (options.common.json) {
    write_json({{"schema", "lithe-batch/1"},
                {"model", session.facts().name},
                {"family", session.family()},
                {"plan", options.question.plan.value_or(session.plan().name)},
                {"answered", lines.answered()},
                {"failed", lines.failed()},
                {"skipped", lines.skipped()},
                {"new_tokens", command.tokens()},
                {"elapsed_ms", 1e3 * command.seconds()},
                {"tokens_per_second", speed},
                {"passes", state.passes},
                {"peak_admitted_bytes", state.peak_bytes_admitted}});
    return;
  }
  write_err(
      fmt::format("{} answered, {} failed, {} skipped; {} tokens in {:.1f} s, {:.1f} tokens/s; at most {} reserved\n",
                  lines.answered(), lines.failed(), lines.skipped(), command.tokens(), command.seconds(), speed,
                  bytes_text(state.peak_bytes_admitted)));
}

void check_files(const BatchOptions& options) {
  std::error_code ignored;
  require(is_there(options.input), Fault::bad_file, "The file ", in_quotes(options.input),
          " can't be opened; check its path.");
  require(!std::filesystem::is_directory(options.input, ignored), Fault::bad_file, "The input ",
          in_quotes(options.input), " is a folder; give a file with a request on each line.");
  std::vector<std::filesystem::path> inputs = inputs_of(options.model, options.common, options.question);
  inputs.emplace_back(options.input);
  check_outputs({options.output}, inputs);
}

/// Whatever makes the answers other ones. The input is told by its size, as its path may differ by machine.
Json settings_of(const BatchOptions& options) {
  const session::Question& question = options.question;
  const auto or_null = [](const auto& value) { return value ? Json(*value) : Json(); };
  const session::SamplingWish& wish = question.sampling;
  std::error_code ignored;
  return {{"model_content", eval::content_of(model_folder(options.model))},
          {"lora_content", options.common.lora.empty() ? "" : eval::content_of(options.common.lora)},
          {"input_bytes", std::filesystem::file_size(options.input, ignored)},
          {"plan", or_null(question.plan)},
          {"weights", options.common.weights},
          {"kv", options.common.kv},
          {"compute", options.common.compute},
          {"head", options.head},
          {"system", or_null(question.system)},
          {"raw_prompt", question.raw},
          {"max_tokens", or_null(question.max_tokens)},
          {"stop", question.stop},
          {"temp", or_null(wish.temperature)},
          {"top_k", or_null(wish.top_k)},
          {"top_p", or_null(wish.top_p)},
          {"min_p", or_null(wish.min_p)},
          {"repetition_penalty", or_null(wish.repetition_penalty)},
          {"seed", options.common.seed}};
}

int run(BatchOptions options) {
  require(!options.output.empty(), Fault::bad_request, "--output is empty; give the name of a file.");
  BatchShard shard(options.shard.empty() ? eval::Shard() : eval::parse_shard(options.shard), options.output);
  options.output = shard.output();
  check_files(options);
  if (!shard.shard().is_whole()) {
    require(std::filesystem::is_regular_file(options.input), Fault::bad_request,
            "--shard needs a file with the requests, not a pipe.");
    shard.begin(settings_of(options));
  }
  if (is_pair_model(options.model))
    return run_pair_batch({.model = options.model,
                           .input = options.input,
                           .head = options.head,
                           .common = options.common,
                           .question = options.question,
                           .together = options.limits.limits.sequences,
                           .shard = shard});
  require(options.head.empty(), Fault::bad_request, "--head is for METER models; leave it out.");
  const session::Session session = open_session(options.model, options.common);
  options.question.sampling.seed = options.common.seed;
  session::RequestBuilder builder(session);
  builder.options(options.question);  // what is wrong for all lines ends the batch here
  if (options.question.plan) builder.plan(*options.question.plan);
  session::BatchRun batch(session, options.limits.read());
  BatchOutput output(options.output);
  BatchCommand command(options, builder, batch, BatchLines(options.input, output, shard.shard()));
  const bool whole = command.run();
  output.close();
  print_summary(options, session, command, batch.state());
  if (!whole) return kExitInterrupted;
  shard.finish(command.lines().requests());
  return command.lines().reader().gave_up() ? kExitBadFile : 0;
}

}  // namespace

Action declare_batch(CLI::App& app) {
  const auto options = std::make_shared<BatchOptions>();
  app.description(kBatchDescription);
  app.footer(kBatchFooter);
  app.add_option("MODEL", options->model,
                 "Model folder, GGUF file, name in the Hugging Face cache, demo, or demo-dense")
      ->required();
  app.add_option("IN", options->input, "Requests, one JSON object a line")->required();
  app.add_option("-o,--output", options->output, "Answers, one JSON object a line; an existing file is continued")
      ->type_name("FILE")
      ->required();
  add_batch_limits(app, options->limits);
  add_prompting(app, options->question);
  add_head(app, options->head);
  add_shard(app, options->shard);
  add_json(app, options->common, "Print a JSON summary to stdout instead of a line to stderr");
  add_sampling(app, options->question);
  add_common(app, options->common);
  add_kv(app, options->common);
  add_compute(app, options->common);
  return [options] { return run(*options); };
}

}  // namespace lithe::cli
