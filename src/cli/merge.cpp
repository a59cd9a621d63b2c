#include "eval/merge.h"

#include <fmt/format.h>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "cli/batch_shard.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/judge_flags.h"
#include "cli/options.h"
#include "cli/protocol.h"
#include "cli/score_table.h"
#include "cli/standard_output.h"
#include "tasks/gold_answers.h"
#include "tasks/task.h"

namespace lithe::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMergeDescription =
    R"(Joins the shards of a run of `lithe eval` or `lithe batch`.

For `lithe eval`, give the folders shard-I-of-N. The output is a folder, as if one process had asked all questions: it is
scored as a whole, and `lithe eval` can continue it. No model is loaded. For `lithe batch`, give the files
OUT.shard-I-of-N.jsonl. The output is one file.

Missing and unfinished shards, two with the same number, and shards with different settings are refused. The data are looked
for where the shards found them, unless --data is given.)";

constexpr const char* kMergeFooter = R"(Examples:
  lithe eval demo --task mme --data tests/data/benchmarks/mme -o eval/mme --shard 0/2
  lithe eval demo --task mme --data tests/data/benchmarks/mme -o eval/mme --shard 1/2
  lithe merge eval/mme/shard-*-of-2 -o eval/mme
  lithe batch demo questions.jsonl -o parts.jsonl --shard 0/2
  lithe batch demo questions.jsonl -o parts.jsonl --shard 1/2
  lithe merge parts.shard-*-of-2.jsonl -o parts.jsonl

Exit codes: 0 done, 2 impossible request, 3 bad file (also if single questions failed), 1 anything else.)";

struct MergeOptions {
  CommonOptions common;
  std::vector<std::string> shards;
  std::string output, data, protocol;
  JudgeFlags judge;
};

tasks::TaskOptions task_options(const MergeOptions& options, const eval::Shards& shards) {
  const Json& settings = shards.settings();
  tasks::TaskOptions how{
      .data = options.data.empty() ? fs::path(settings.at("data").get<std::string>()) : fs::path(options.data),
      .split = settings.at("split"),
      .prompt = settings.at("prompt"),
      .instruction = settings.at("instruction").get<std::string>(),
      .family = shards.facts().at("family")};
  how.protocol = protocol_of(options.protocol.empty() ? shards.facts().value("protocol", "") : options.protocol);
  require(options.protocol.empty() || !settings.contains("protocol") || settings.at("protocol") == options.protocol,
          Fault::bad_request,
          "The shards were asked by the other protocol, whose prompts differ; leave --protocol out.");
  how.judge = options.judge.read(how.protocol);
  return how;
}

int merge_eval(const MergeOptions& options, const std::vector<fs::path>& folders) {
  const eval::Shards shards(folders);
  const std::string task = shards.facts().at("task");
  auto opened = tasks::open_task(task, task_options(options, shards));
  if (shards.settings().value("metric", "") == "nll") opened = tasks::gold_answers(std::move(opened), task);
  const Json result = shards.write(*opened, options.output, options.protocol);
  if (options.common.json)
    write_json(result);
  else
    print_scores(task, result, why_no_scores(result.at("answered").get<int64_t>(), shards.failed(), ""));
  write_err(fmt::format("{} answered, {} failed; wrote {}\n", result.at("answered").get<int64_t>(), shards.failed(),
                        printable(options.output)));
  return shards.failed() > 0 ? kExitBadFile : 0;
}

int merge_files(const MergeOptions& options, const std::vector<fs::path>& files) {
  require(options.data.empty() && options.protocol.empty() && options.judge.url.empty(), Fault::bad_request,
          "--data, --protocol and --judge are for shards of `lithe eval`; leave them out.");
  const Json done = merge_batch(files, options.output);
  if (options.common.json) write_json(done);
  write_err(fmt::format("{} answered, {} failed; wrote {}\n", done.at("answered").get<int64_t>(),
                        done.at("failed").get<int64_t>(), printable(options.output)));
  return 0;
}

int run(const MergeOptions& options) {
  require(!options.output.empty(), Fault::bad_request, "--output is empty; give it a name.");
  const std::vector<fs::path> paths(options.shards.begin(), options.shards.end());
  std::size_t folders = 0;
  for (const fs::path& path : paths) {
    require(is_there(path), Fault::bad_file, "There is no ", in_quotes(path.string()), "; check its path.");
    std::error_code ignored;
    folders += fs::is_directory(path, ignored) ? 1 : 0;
  }
  require(folders == 0 || folders == paths.size(), Fault::bad_request,
          "Some shards are folders and others are files; give those of one run.");
  return folders > 0 ? merge_eval(options, paths) : merge_files(options, paths);
}

}  // namespace

Action declare_merge(CLI::App& app) {
  const auto options = std::make_shared<MergeOptions>();
  app.description(kMergeDescription);
  app.footer(kMergeFooter);
  app.add_option("SHARD", options->shards, "All shards of the run: folders of eval, or files of batch")->required();
  app.add_option("-o,--output", options->output, "The folder or file to write")->type_name("PATH")->required();
  app.add_option("--data", options->data, "The benchmark's data, if they are elsewhere than on the shards' machines")
      ->type_name("DIR");
  add_protocol(app, options->protocol);
  add_judge(app, options->judge);
  add_json(app, options->common, "Print the result as JSON to stdout instead of the table");
  return [options] { return run(*options); };
}

}  // namespace lithe::cli
