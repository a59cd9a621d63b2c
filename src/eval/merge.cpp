#include "eval/merge.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "eval/samples_file.h"
#include "eval/task_run.h"
#include "io/atomic_file.h"

namespace lithe::eval {
namespace {

namespace fs = std::filesystem;

/// Settings that may differ: paths and times of files on other machines. What lies there is compared by its content and
/// by its questions.
constexpr std::array kPaths{"data", "model", "lora"};
constexpr std::array kTimes{"model_state", "lora_state"};
/// Settings of shards alone.
constexpr std::array kContents{"model_content", "lora_content"};

Json read_result(const fs::path& folder) {
  const fs::path file = folder / kResult;
  require(is_there(file), Fault::bad_file, "The folder ", in_quotes(folder.string()), " has no ", kResult,
          "; give the folders that `lithe eval --shard` wrote.");
  Json result = read_json_file(file);
  require(result.is_object() && result.value("schema", "") == kSchema && result.contains("settings"), Fault::bad_file,
          in_quotes(file.string()), " is not the result of `lithe eval`; give the folders that it wrote.");
  require(result.at("settings").value("shard", Json()).is_string(), Fault::bad_request, "The folder ",
          in_quotes(folder.string()), " holds a whole run, not a shard; leave it out.");
  require(result.contains("answered"), Fault::bad_file, "The shard in ", in_quotes(folder.string()),
          " was cut off; run it again, which continues it.");
  return result;
}

Json facts_of(const Json& result) {
  Json facts;
  for (const char* key : {"task", "split", "model", "family", "plan", "protocol"})
    if (result.contains(key)) facts[key] = result.at(key);
  return facts;
}

}  // namespace

Shards::Shards(const std::vector<fs::path>& folders) {
  for (const fs::path& folder : folders) take(folder);
  check_whole();
}

void Shards::take(const fs::path& folder) {
  const Json result = read_result(folder);
  Json settings = result.at("settings");
  const Shard shard = parse_shard(settings.at("shard").get<std::string>());
  settings.erase("shard");
  const std::optional<int64_t> limit =
      result.contains("limit") ? std::optional(result.at("limit").get<int64_t>()) : std::nullopt;
  if (shards_.places().empty()) {
    settings_ = settings;
    for (const char* key : kContents) settings_.erase(key);
    facts_ = facts_of(result);
    limit_ = limit;
  }
  for (const char* path : kPaths) settings.erase(path);
  if (settings.contains("model_content"))
    for (const char* key : kTimes) settings.erase(key);
  // A shard that was asked the first questions only has another limit.
  settings["--limit"] = limit ? Json(*limit) : Json();
  shards_.add(shard, folder, settings);
  take_samples(folder, shard);
}

void Shards::take_samples(const fs::path& folder, const Shard& shard) {
  SamplesFile samples(folder / kSamples);
  for (auto& [question, line] : samples.take_lines()) {
    require(shard.has(question), Fault::bad_file, "The folder ", in_quotes(folder.string()), " holds question ",
            question, ", which is not in its shard; run the shard again with another --output.");
    if (limit_ && question >= *limit_) continue;
    failed_ += line.contains("error") ? 1 : 0;
    lines_[question] = text_of_line(line);
  }
}

void Shards::check_whole() const {
  shards_.check_whole();
  const int64_t count = shards_.count();
  const int64_t size = settings_.at("questions").get<int64_t>();
  for (int64_t question = 0; question < std::min(size, limit_.value_or(size)); ++question)
    require(lines_.contains(question), Fault::bad_file, "Question ", question, " has not been asked yet; run shard ",
            text_of({question % count, count}), " again, which continues it.");
}

Json Shards::write(const tasks::Task& task, const fs::path& out, const std::string& protocol) const {
  require(!is_there(out / kSamples) && !is_there(out / kResult), Fault::bad_request, "The folder ",
          in_quotes(out.string()), " holds a run already; give another --output, or remove its ", kResult, " and ",
          kSamples, ".");
  std::string text;
  for (const auto& [question, line] : lines_) text += line;
  io::make_folder(out);
  io::write_json_atomic(out / kResult, {{"schema", kSchema}, {"finished", false}, {"settings", settings_}});
  io::write_text_atomic(out / kSamples, text);
  Json facts = facts_;
  if (!protocol.empty()) facts["protocol"] = protocol;
  return TaskRun(task, out, settings_, {.limit = limit_}).finish(facts);
}

}  // namespace lithe::eval
