#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/error.h"
#include "base/printable.h"
#include "cli/batch_limits.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/judge_flags.h"
#include "cli/model_path.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/pair.h"
#include "cli/paired_table.h"
#include "cli/progress.h"
#include "cli/protocol.h"
#include "cli/sampling.h"
#include "cli/score_table.h"
#include "cli/shard_flag.h"
#include "cli/standard_output.h"
#include "cli/tune_progress.h"
#include "eval/ask.h"
#include "eval/pair_scorer.h"
#include "eval/settings.h"
#include "eval/task_run.h"
#include "io/hub_cache.h"
#include "plan/parse.h"
#include "session/request.h"
#include "tasks/gold_answers.h"
#include "tasks/task.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kEvalDescription =
    R"(Asks a model the questions of a benchmark and prints its scores.

The folder of the output gets samples.jsonl, a line for each question as soon as it is answered, and result.json with the
scores and the settings. If the folder holds the same run, it is continued: after Ctrl-C (exit code 130) or a kill, the same
command continues where it stopped. If the folder holds a run with another model, plan or setting, the command is refused.

Several --plan ask each question under each of these plans. Every plan has a run of its own, in a folder of its name below the
output. A picture is decoded once for all plans, and goes through the vision tower once for all plans that leave the tower as it
is (METER runs one plan after another). The table has a column for each plan, and a second one compares the first plan with each
of the others (`lithe compare`).

--shard I/N asks every N-th question from number I on and writes to the folder shard-I-of-N below the output. `lithe merge`
joins the shards and scores the whole.

Answers are greedy unless --temp is given. Several questions run at a time, and pictures are prepared ahead, as in
`lithe batch`. A METER model answers by the scores of a head. A question that fails gets a line with its error, and the next
run asks it again. The scores are over the questions that were answered.

--metric nll generates nothing. It runs each right answer after its question, in one pass, and prints the mean negative
log-likelihood per token (nll) and exp of that (perplexity). This tells plans apart that have equal scores. If several answers
are right, the one counts that models are tuned to give: the most frequent one, or the first.

Tasks (docs/tasks.md says where their data come from):
)";

constexpr const char* kEvalFooter = R"(Examples:
  lithe eval demo --task scienceqa --data tests/data/tasks/scienceqa
  lithe eval ~/llava-1.5-7b-hf --task vqav2 --data tests/data/tasks/vqav2 --limit 2 --batch-size 2
  lithe eval demo --task exact_match --data train.json -o eval/colours --plan dense --json
  lithe eval demo --task gqa --data tests/data/benchmarks/gqa -o eval/gqa --plan dense --plan p-mod
  lithe eval demo --task mme --data tests/data/benchmarks/mme --shard 0/2
  lithe eval demo --task gqa --data tests/data/benchmarks/gqa --metric nll

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file (also if single questions failed), 1 anything else.)";

/// Captions that are ranked at a time, and lost if the run is killed.
constexpr int64_t kCaptionsTogether = 500;

struct EvalOptions {
  CommonOptions common;
  session::Question question;  // how tokens are drawn
  std::vector<std::string> plans;
  std::string model, task, output, protocol, shard, metric = "score";
  tasks::TaskOptions how;
  std::optional<int64_t> limit;
  JudgeFlags judge;
  BatchLimitFlags limits;
};

std::string description() {
  std::string text = kEvalDescription;
  for (const tasks::TaskInfo& task : tasks::all_tasks()) text += fmt::format("  {:<15}{}\n", task.name, task.what);
  text.pop_back();
  return text;
}

/// Greedy, whatever the model's own defaults are, and no longer than the task's answers.
session::Question with_defaults(session::Question question, const tasks::TaskInfo& task) {
  if (!question.sampling.temperature) question.sampling.temperature = 0;
  if (!question.max_tokens && task.max_tokens > 0) question.max_tokens = task.max_tokens;
  return question;
}

Json sampling_json(const session::SamplingPolicy& policy) {
  if (policy.temperature == 0) return {{"temperature", 0}, {"repetition_penalty", policy.repetition_penalty}};
  return {{"temperature", policy.temperature},
          {"top_k", policy.top_k},
          {"top_p", policy.top_p},
          {"min_p", policy.min_p},
          {"seed", policy.seed},
          {"repetition_penalty", policy.repetition_penalty}};
}

/// A run under one plan.
struct PlanRun {
  std::optional<plan::Plan> plan;  ///< Absent: the model's own.
  fs::path output;
  std::unique_ptr<eval::TaskRun> run = nullptr;  ///< Until it has its result.
  Json result = nullptr;
  eval::Tally done = {};

  const eval::Tally& tally() const { return run ? run->tally() : done; }
  /// Ends the run, so that others may read its files.
  void finish(const Json& facts) {
    result = run->finish(facts);
    done = run->tally();
    run.reset();
  }
};

/// The name of a plan as that of a folder: what may lead elsewhere, or a shell may read, is left out.
std::string folder_of(const plan::Plan& plan) {
  std::string name = plan.name.empty() ? "plan" : plan.name;
  size_t end = std::min<size_t>(name.size(), 100);
  while (end < name.size() && (static_cast<unsigned char>(name[end]) & 0xC0) == 0x80) --end;  // within a character
  name.resize(end);
  for (char& c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && !std::isalnum(byte) && c != '-' && c != '+') c = '_';
  }
  return name;
}

/// A command from start to end.
class EvalCommand {
 public:
  explicit EvalCommand(EvalOptions options)
      : options_(std::move(options)),
        info_(tasks::task_named(options_.task)),
        gold_(options_.metric == "nll"),
        folder_(model_folder(options_.model)),
        output_(options_.output.empty() ? fs::path("eval") / fmt::format("{}-{}{}", io::name_of_folder(folder_),
                                                                         options_.task, gold_ ? "-nll" : "")
                                        : fs::path(options_.output)) {
    options_.how.protocol = protocol_of(options_.protocol);
    require(gold_ || options_.metric == "score", Fault::bad_request, "--metric ", in_quotes(options_.metric),
            " is neither score nor nll.");
    if (options_.shard.empty()) return;
    shard_ = eval::parse_shard(options_.shard);
    require(shard_.is_whole() || options_.judge.url.empty(), Fault::bad_request,
            "A shard is not judged: give --judge to `lithe merge`, which scores the whole.");
  }

  int run() {
    check_output(output_);
    const bool pairs = is_pair_model(options_.model);
    if (pairs) check_pair_flags(options_.question);
    if (gold_) check_gold(pairs);
    if (pairs)
      pairs_.emplace(open_pairs(options_.model, options_.common));
    else
      session_.emplace(open_session(options_.model, options_.common));
    choose_plans();
    open_task();
    Json settings = this->settings();
    for (PlanRun& one : runs_) {
      settings["plan"] = plan::to_json(plan_of(one));
      one.run = std::make_unique<eval::TaskRun>(*task_, one.output, settings, eval::Part{options_.limit, shard_});
    }
    const bool whole = pairs_ ? score() : ask();
    progress_.wipe();
    for (PlanRun& one : runs_) one.finish(facts(one));
    print();
    if (!whole) return kExitInterrupted;
    return tally().failed > 0 ? kExitBadFile : 0;
  }

 private:
  const plan::ModelFacts& model_facts() const { return pairs_ ? pairs_->facts() : session_->facts(); }
  std::string family() const { return pairs_ ? "meter" : session_->family(); }
  const plan::Plan& plan_of(const PlanRun& one) const {
    if (one.plan) return *one.plan;
    return pairs_ ? pairs_->plan() : session_->plan();
  }
  std::string split() const { return options_.how.split.empty() ? info_.split : options_.how.split; }
  const char* protocol() const { return options_.how.protocol == tasks::Protocol::today ? "today" : "paper"; }
  std::string instruction() const { return options_.how.instruction.value_or(info_.instruction); }

  void check_output(const fs::path& output) const {
    std::error_code ignored;
    require(!fs::exists(output, ignored) || fs::is_directory(output, ignored), Fault::bad_request, "The output ",
            in_quotes(output.string()), " is not a folder; give another --output.");
    std::vector<fs::path> inputs = inputs_of(options_.model, options_.common, options_.question);
    inputs.insert(inputs.end(), options_.plans.begin(), options_.plans.end());
    check_outputs({(output / "result.json").string(), (output / "samples.jsonl").string()}, inputs);
  }

  /// One run for each plan that was named; without one, that of the model's own.
  void choose_plans() {
    for (const std::string& name : options_.plans) {
      runs_.push_back({.plan = plan::load_plan(name, model_facts()), .output = output_});
      if (options_.plans.size() > 1) runs_.back().output /= folder_of(*runs_.back().plan);
    }
    if (runs_.empty()) runs_.push_back({.plan = std::nullopt, .output = output_});
    for (size_t i = 1; i < runs_.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        require(runs_[i].output != runs_[j].output, Fault::bad_request, "Two of the plans would be written to ",
                in_quotes(runs_[i].output.string()), "; give them names that differ more.");
    for (PlanRun& one : runs_) {
      check_output(one.output);
      if (!shard_.is_whole()) check_output(one.output /= eval::name_of(shard_));
    }
  }

  void open_task() {
    require(pairs_ || info_.asks != tasks::Asks::ranking, Fault::bad_request, "The task ", info_.name,
            " ranks pictures by the scores of a head, and this model answers in words.");
    require(!pairs_ || *info_.head != '\0', Fault::bad_request, "METER has no head for the task ", info_.name,
            ", which is answered in words.");
    tasks::TaskOptions how = options_.how;
    how.family = family();
    how.judge = options_.judge.read(how.protocol);
    if (session_) how.decode = session_->decode_options();
    task_ = tasks::open_task(info_.name, how);
    if (gold_) task_ = tasks::gold_answers(std::move(task_), info_.name);
  }

  void check_gold(bool pairs) const {
    require(!pairs, Fault::bad_request, "--metric nll is for models that answer in words; leave it out for METER.");
    require(options_.judge.url.empty(), Fault::bad_request,
            "--metric nll scores the right answers, so there is nothing to judge; leave --judge out.");
    refuse_generation_flags(options_.question, "answers that are generated, and --metric nll scores the right ones");
  }

  /// Whatever makes the answers other ones, but the plan.
  Json settings() {
    Json settings = {{"task", info_.name},
                     {"data", fs::absolute(options_.how.data).lexically_normal().string()},
                     {"split", split()},
                     {"prompt", options_.how.prompt},
                     {"instruction", instruction()},
                     {"model", fs::absolute(folder_).lexically_normal().string()},
                     {"model_state", eval::state_of(folder_)},
                     {"lora", options_.common.lora},
                     {"lora_state", options_.common.lora.empty() ? "" : eval::state_of(options_.common.lora)},
                     {"weights", options_.common.weights}};
    // Shards are joined by what the folders hold: the times of files differ from machine to machine.
    if (!shard_.is_whole()) {
      settings["model_content"] = eval::content_of(folder_);
      settings["lora_content"] = options_.common.lora.empty() ? "" : eval::content_of(options_.common.lora);
    }
    if (info_.asks_by_protocol) settings["protocol"] = protocol();
    if (pairs_) return settings;
    how_ = session::RequestBuilder(*session_).options(with_defaults(options_.question, info_));
    settings["kv"] = options_.common.kv;
    settings["compute"] = options_.common.compute;
    if (gold_) {
      settings["metric"] = "nll";
      return settings;
    }
    settings["max_tokens"] = *how_.max_new_tokens;
    settings["stop"] = how_.stop;
    settings["sampling"] = sampling_json(*how_.sampling);
    return settings;
  }

  bool ask() {
    how_.cancel = interrupt_.token();
    how_.on_progress = [this](const session::Progress&) { interrupt_.poll(); };
    eval::AskOptions ask{.how = how_, .gold = gold_, .limits = options_.limits.read()};
    ask.on_step = [this](const session::BatchState& state) {
      interrupt_.poll();
      const double speed = static_cast<double>(state.tokens) / (clock_.elapsed_ms() / 1e3);
      show(fmt::format(", {} running{}", state.running, gold_ ? "" : fmt::format(", {:.1f} tokens/s", speed)));
    };
    std::vector<eval::PlannedRun> planned;
    for (PlanRun& one : runs_) planned.push_back({one.plan, one.run.get()});
    return eval::ask_all(*session_, *task_, planned, ask);
  }

  bool score() {
    eval::ScoreOptions options{.together = options_.limits.limits.sequences, .stop = interrupt_.token()};
    // Each call computes the features of every picture again, which is little beside so many pairs.
    if (task_->candidates() > 0) options.together = kCaptionsTogether;
    options.on_step = [this] {
      interrupt_.poll();
      show("");
    };
    bool whole = true;
    for (PlanRun& one : runs_) {
      eval::PairScorer scorer(*pairs_, info_.head, one.plan ? &*one.plan : nullptr);
      whole = whole && eval::score_all(scorer, *task_, *one.run, options);
    }
    return whole;
  }

  /// Of all plans.
  eval::Tally tally() const {
    eval::Tally sum;
    for (const PlanRun& one : runs_) sum += one.tally();
    return sum;
  }

  void show(const std::string& more) {
    const eval::Tally tally = this->tally();
    const int64_t done = tally.before + tally.answered;
    const double seconds = clock_.elapsed_ms() / 1e3;
    const double left =
        tally.answered > 0 ? seconds * static_cast<double>(tally.left()) / static_cast<double>(tally.answered) : 0;
    progress_.update(fmt::format("{}/{} ({:.0f} %){}{}", done, tally.questions,
                                 100.0 * static_cast<double>(done) / static_cast<double>(tally.questions), more,
                                 left > 0 ? ", " + duration_text(left) + " left" : ""));
  }

  Json facts(const PlanRun& one) const {
    Json facts = {{"task", info_.name},
                  {"split", split()},
                  {"model", model_facts().name},
                  {"family", family()},
                  {"plan", plan_of(one).name}};
    if (info_.has_protocols) facts["protocol"] = protocol();
    if (!options_.judge.url.empty()) facts["judge"] = options_.judge.name(options_.how.protocol);
    return facts;
  }

  /// The first plan beside each of the others. Says why if they can't be compared: they may have answered no question
  /// in common, and rankings have no scores of single questions.
  std::vector<ComparedRuns> compared() const {
    std::vector<ComparedRuns> all;
    for (size_t i = 1; i < runs_.size(); ++i) {
      try {
        all.push_back(compare_runs(runs_[0].output, runs_[i].output, options_.common.seed));
      } catch (const Error& error) {
        write_err(fmt::format("note: {} and {} are not compared: {}\n", printable(plan_of(runs_[0]).name),
                              printable(plan_of(runs_[i]).name), error.what()));
      }
    }
    return all;
  }

  void print() const {
    if (runs_.size() > 1) return print_plans();
    if (options_.common.json) return write_json(runs_[0].result);
    print_scores(info_.name, runs_[0].result, why_no_scores(runs_[0]));
    print_end(runs_[0]);
  }

  void print_plans() const {
    std::vector<PlanScores> scores;
    for (const PlanRun& one : runs_) scores.push_back({one.result, why_no_scores(one)});
    if (!options_.common.json) print_scores(info_.name, scores);
    const std::vector<ComparedRuns> pairs = compared();
    if (options_.common.json) {
      Json json{{"schema", "lithe-eval-plans/1"}, {"runs", Json::array()}, {"compared", Json::array()}};
      for (const PlanRun& one : runs_) json["runs"].push_back(one.result);
      for (const ComparedRuns& pair : pairs) json["compared"].push_back(to_json(pair));
      return write_json(json);
    }
    TextTable table = paired_table("A: " + plan_of(runs_[0]).name);
    for (const ComparedRuns& pair : pairs)
      table.rows.push_back(paired_row("B: " + printable(pair.pair.second_plan), pair));
    if (!table.rows.empty()) write_out("\n" + table.markdown());
    for (const PlanRun& one : runs_) print_end(one);
  }

  static std::string why_no_scores(const PlanRun& one) {
    const eval::Tally& tally = one.tally();
    return cli::why_no_scores(tally.answered + tally.before, tally.failed, tally.first_error);
  }

  void print_end(const PlanRun& one) const {
    const eval::Tally& tally = one.tally();
    const std::string tokens = session_ ? fmt::format("{} tokens in ", tally.tokens) : "";
    write_err(fmt::format("{} answered, {} failed, {} answered before, {} left; {}{:.1f} s; wrote {}\n", tally.answered,
                          tally.failed, tally.before, tally.left(), tokens, clock_.elapsed_ms() / 1e3,
                          printable(one.output.string())));
  }

  EvalOptions options_;
  const tasks::TaskInfo& info_;
  const bool gold_;  ///< The right answers are scored.
  fs::path folder_, output_;
  eval::Shard shard_;
  std::optional<session::Session> session_;    ///< Or:
  std::optional<session::PairSession> pairs_;  ///< METER.
  session::AnswerOptions how_;                 ///< Of answers in words.
  std::unique_ptr<tasks::Task> task_;
  std::vector<PlanRun> runs_;
  InterruptGuard interrupt_;
  Progress progress_{"eval"};
  Stopwatch clock_;
};

void declare_task(CLI::App& app, EvalOptions& options) {
  app.add_option("--task", options.task, "The benchmark: a name of the list above")->type_name("NAME")->required();
  app.add_option("--data", options.how.data, "The set as it was downloaded: a folder; for exact_match also a file")
      ->type_name("DIR")
      ->required();
  app.add_option("--split", options.how.split, "Which part of the set, or several with + between (default: the task's)")
      ->type_name("NAME");
  app.add_option("--prompt", options.how.prompt,
                 "ScienceQA: what a prompt holds and what is answered (default: QCM-ALE)")
      ->type_name("FORM");
  app.add_option("--instruction", options.how.instruction,
                 "The line after each question; \"\": none (default: the task's)")
      ->type_name("TEXT");
  app.add_option(
         "--metric", options.metric,
         "score: what the model's answers are worth. nll: how likely it makes the right answers (default: score)")
      ->type_name("score|nll");
  add_protocol(app, options.protocol);
  add_judge(app, options.judge);
  add_count(app, options.limit, {.names = "--limit", .what = "Ask the first N questions only", .lowest = 1});
  add_shard(app, options.shard);
}

}  // namespace

Action declare_eval(CLI::App& app) {
  const auto options = std::make_shared<EvalOptions>();
  app.description(description());
  app.footer(kEvalFooter);
  app.add_option("MODEL", options->model,
                 "Model folder, GGUF file, name in the Hugging Face cache, demo, or demo-dense")
      ->required();
  declare_task(app, *options);
  app.add_option("--plan", options->plans,
                 "What to skip, a name or a file; may be given several times (default: the model's own plan)")
      ->type_name("PLAN")
      ->allow_extra_args(false);
  app.add_option(
         "-o,--output", options->output,
         "The folder to write or to continue (default: eval/MODEL-TASK, or with --metric nll eval/MODEL-TASK-nll)")
      ->type_name("DIR");
  add_batch_limits(app, options->limits);
  add_json(app, options->common, "Print the result as JSON to stdout instead of the table");
  add_sampling(app, options->question);
  app.get_option("--temp")->description("Temperature. 0: take the best token (default: 0)");
  app.get_option("--max-tokens")->description("Largest number of new tokens (default: the task's)");
  add_common(app, options->common);
  add_kv(app, options->common);
  add_compute(app, options->common);
  return [options] { return EvalCommand(*options).run(); };
}

}  // namespace lithe::cli
