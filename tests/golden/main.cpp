#include <fmt/format.h>
#include <fmt/ranges.h>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "checkpoints/read/catalogue.h"
#include "golden/benchmarks.h"
#include "golden/cases.h"
#include "golden/device.h"
#include "session/threads.h"

/// Runs the reference cases of a folder, one line each: "ok", "FAIL" or "unsupported". What a case is follows from its
/// case.json, not from its name. A case that nothing runs is a failure, unless --allow-unsupported is given.
namespace lithe::golden {
namespace {

namespace fs = std::filesystem;

enum class Outcome { ok, failed, unsupported };

struct Arguments {
  fs::path root;
  bool allows_unsupported = false;
  double times = 1;  ///< A case's tolerances.
};

Outcome report(const std::string& name, const Check& check, const std::string& forms) {
  if (check.compared() == 0 && check.faults().empty()) {
    fmt::print("FAIL        {}: nothing was compared\n", name);
    return Outcome::failed;
  }
  if (check.faults().empty()) {
    const std::string rest =
        check.skipped().empty() ? "" : fmt::format("; not compared: {}", fmt::join(check.skipped(), ", "));
    fmt::print("ok          {} ({} tensors and texts{}{})\n", name, check.compared(), forms, rest);
    return Outcome::ok;
  }
  std::string line = fmt::format("FAIL        {}: {} of {} differ: ", name, check.faults().size(), check.compared());
  const std::size_t shown = std::min<std::size_t>(check.faults().size(), 3);
  for (std::size_t i = 0; i < shown; ++i) line += (i == 0 ? "" : "; ") + check.faults()[i];
  std::replace(line.begin(), line.end(), '\n', ' ');
  fmt::print("{}{}\n", line, shown < check.faults().size() ? "; ..." : "");
  return Outcome::failed;
}

Outcome unsupported(const std::string& name) {
  fmt::print("unsupported {} (no support yet)\n", name);
  return Outcome::unsupported;
}

bool has_prompts(const Json& json) {
  const auto samples = json.find("samples");
  return samples != json.end() && samples->is_array() && !samples->empty() && samples->front().contains("prompt_file");
}

/// Whether Lithe knows the family of the case's model, in every form of it.
bool is_known_family(const fs::path& folder) {
  const std::vector<std::string> known = models::model_types();
  for (const CheckpointForm& form : forms_of(folder)) {
    const std::string type = read_json_file(form.config).value("model_type", std::string());
    if (!type.empty() && std::find(known.begin(), known.end(), type) == known.end()) return false;
  }
  return true;
}

using Run = Check (*)(const Case&);

/// What runs a case that is neither prompts nor variants; null if nothing does.
Run find_run(const Json& json) {
  if (json.contains("nlvr2_answers")) return run_meter;
  const bool trains = json.contains("generation") && json.contains("trainable");
  const Json config = json.value("config", Json());
  if (trains && config.contains("skip")) return config.contains("clip") ? run_lavin : run_llava_eas;
  if (json.contains("hyper_parameters") && json.contains("schedule")) return run_training;
  const Json settings = json.value("settings", Json());
  const Json formula = json.value("formula", Json());
  if (settings.contains("s0") && formula.is_string()) return run_adapters;
  if (settings.contains("skipped") && formula.is_string()) return run_eas_search;
  if (settings.contains("adapter_dim") && formula.contains("skipped")) return run_fold;
  return nullptr;
}

Outcome run_folder(const std::string& name, const fs::path& folder, double times) {
  const Json json = read_json_file(folder / "case.json");
  const bool prompts = has_prompts(json);
  const bool variants = json.contains("variants") && json.at("variants").is_object();
  const Run run = find_run(json);
  if (!prompts && !variants && run == nullptr) return unsupported(name);
  if (prompts && !is_known_family(folder)) return unsupported(name);
  const Case golden{folder, json, io::open_safetensors(folder / "expected.safetensors"), Tolerances(json, times)};
  if (variants) return report(name, run_variants(golden), "");
  if (!prompts) return report(name, run(golden), "");
  Check all;
  const std::vector<CheckpointForm> forms = forms_of(folder);
  for (const CheckpointForm& form : forms) all.add(run_samples(golden, form));
  return report(name, all, forms.size() == 1 ? "" : fmt::format(", {} forms of the checkpoint", forms.size()));
}

Outcome run_file(const std::string& name, const fs::path& file) {
  const Json json = read_json_file(file);
  if (json.contains("schedules")) return report(name, run_schedules(json), "");
  if (json.contains("conversations")) return report(name, run_conversations(json, file.parent_path()), "");
  if (json.contains("prompts") && json.contains("problems")) return report(name, run_scienceqa(json), "");
  if (json.contains("slake") && json.contains("aid")) return report(name, run_slake_aid(json), "");
  if (json.contains("vqa_score") && json.contains("retrieval")) return report(name, run_meter_metrics(json), "");
  if (json.contains("records") && json.contains("aggregate")) return report(name, run_benchmark(json), "");
  if (json.contains("LaVIN-EAS") && json.contains("LLaVA-EAS")) return report(name, run_eas_recipes(json), "");
  return unsupported(name);
}

/// Case folders, at any depth, and the JSON files at the top and in "benchmarks", by name.
std::set<fs::path> cases_in(const fs::path& root) {
  std::set<fs::path> found;
  for (const auto& entry : fs::recursive_directory_iterator(root)) {
    if (entry.path().filename() == "case.json") found.insert(entry.path().parent_path());
    const fs::path folder = entry.path().parent_path();
    if ((folder == root || folder == root / "benchmarks") && entry.path().extension() == ".json")
      found.insert(entry.path());
  }
  if (found.contains(root)) return {root};
  return found;
}

int run(const Arguments& arguments) {
  const fs::path& root = arguments.root;
  std::error_code ignored;
  require(fs::is_directory(root, ignored), Fault::bad_file, "There is no folder '", root.string(), "'.");
  int counts[3] = {};
  for (const fs::path& found : cases_in(root)) {
    const std::string name = found == root ? root.filename().string() : fs::relative(found, root).string();
    Outcome outcome = Outcome::failed;
    try {
      outcome = fs::is_directory(found) ? run_folder(name, found, arguments.times) : run_file(name, found);
    } catch (const std::exception& error) {
      fmt::print("FAIL        {}: {}\n", name, error.what());
    }
    std::fflush(stdout);
    ++counts[static_cast<int>(outcome)];
  }
  fmt::print("{} ok, {} failed, {} unsupported\n", counts[0], counts[1], counts[2]);
  require(counts[0] + counts[1] + counts[2] > 0, Fault::bad_file, "There is no case in '", root.string(), "'.");
  return counts[1] == 0 && (counts[2] == 0 || arguments.allows_unsupported) ? 0 : 1;
}

Arguments read_arguments(std::span<char*> words) {
  const char* const named = std::getenv("GOLDEN");
  Arguments arguments{.root = named != nullptr ? named : LITHE_TEST_DATA "/golden"};
  for (size_t i = 0; i < words.size(); ++i) {
    const std::string_view word = words[i];
    if (word == "--allow-unsupported") {
      arguments.allows_unsupported = true;
    } else if (word == "--device" && i + 1 < words.size()) {
      device() = words[++i];
      session::prepare_device(device());
    } else if (word == "--tolerance" && i + 1 < words.size()) {
      arguments.times = std::stod(words[++i]);
    } else {
      require(!word.starts_with("--") && i + 1 == words.size(), Fault::bad_request,
              "This is how to call it: golden [--allow-unsupported] [--tolerance TIMES] [--device NAME] [DIR]");
      arguments.root = fs::path(word);
    }
  }
  arguments.root = arguments.root.lexically_normal();
  return arguments;
}

}  // namespace
}  // namespace lithe::golden

int main(int argc, char** argv) {
  try {
    return lithe::golden::run(lithe::golden::read_arguments({argv + 1, static_cast<size_t>(argc - 1)}));
  } catch (const std::exception& error) {
    fmt::print(stderr, "golden: {}\n", error.what());
    return 2;
  }
}
