#include "cli/pair_eval.h"

#include <fmt/format.h>

#include "base/error.h"
#include "cli/exit_code.h"
#include "cli/interrupt.h"
#include "cli/model_path.h"
#include "cli/pair.h"
#include "cli/progress.h"
#include "eval/pair_scorer.h"
#include "eval/settings.h"
#include "eval/task_run.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

std::string split_of(const PairEvalOptions& options) {
  return options.how.split.empty() ? tasks::task_named(options.task).split : options.how.split;
}

/// Whatever makes the scores other ones.
Json settings_of(const PairEvalOptions& options, const plan::Plan& plan, const std::string& head) {
  const fs::path model = model_folder(options.model);
  return {{"task", options.task},
          {"data", fs::absolute(options.how.data).lexically_normal().string()},
          {"split", split_of(options)},
          {"model", fs::absolute(model).lexically_normal().string()},
          {"model_state", eval::state_of(fs::is_directory(model) ? model : model.parent_path())},
          {"plan", plan::to_json(plan)},
          {"weights", options.common.weights},
          {"head", head}};
}

}  // namespace

int run_pair_eval(const PairEvalOptions& options, const std::function<void(const Json&)>& print) {
  const session::PairSession session = open_pairs(options.model, options.common);
  const session::HeadInfo& head = session.head(eval::head_for(tasks::task_named(options.task)));
  std::optional<plan::Plan> plan;
  if (options.plan) plan = plan::load_plan(*options.plan, session.facts());
  tasks::TaskOptions how = options.how;
  how.family = "meter";
  const std::unique_ptr<tasks::Task> task = tasks::open_task(options.task, how);
  const plan::Plan& followed = plan ? *plan : session.plan();
  eval::TaskRun run(*task, options.output, settings_of(options, followed, head.name), options.limit);
  eval::PairScorer scorer(session, head, plan);
  InterruptGuard interrupt;
  Progress progress("eval");
  eval::ScoreOptions scoring{.together = task->candidates() > 0 ? std::max<int64_t>(task->size(), 1) : options.together,
                             .words = head.name == "vqa" ? head.labels : std::vector<std::string>{},
                             .stop = interrupt.token(),
                             .on_step = [&] {
                               interrupt.poll();
                               const eval::Tally& tally = run.tally();
                               progress.update(fmt::format("{}/{}", tally.before + tally.answered, tally.questions));
                             }};
  const bool whole = eval::score_all(scorer, *task, run, scoring);
  progress.wipe();
  print(run.finish({{"task", options.task},
                    {"split", split_of(options)},
                    {"model", session.facts().name},
                    {"family", "meter"},
                    {"plan", followed.name}}));
  if (!whole) return kExitInterrupted;
  return run.tally().failed > 0 ? kExitBadFile : 0;
}

}  // namespace lithe::cli
