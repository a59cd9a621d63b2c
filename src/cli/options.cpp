#include "cli/options.h"

#include <fmt/ranges.h>
#include <algorithm>

#include "base/error.h"
#include "cli/model_path.h"
#include "cli/progress.h"
#include "io/hub_cache.h"
#include "session/threads.h"

namespace lithe::cli {
namespace {

void check_weights(const std::string& weights) {
  const std::vector<std::string> types = session::weight_types();
  require(std::find(types.begin(), types.end(), weights) != types.end(), Fault::bad_request, "--weights is '", weights,
          "'; give ", fmt::format("{}", fmt::join(types, ", ")), ".");
}

}  // namespace

void add_common(CLI::App& app, CommonOptions& options) {
  const std::string group = "Machine";
  app.add_option("--threads", options.threads, "Threads of the arithmetic (default: the cores of this process)")
      ->type_name("N")
      ->group(group);
  app.add_option("--device", options.device, "cpu, cuda or cuda:N (default: cpu)")->type_name("NAME")->group(group);
  app.add_option("--seed", options.seed, "Seed of everything random: same seed, same result (default: 0)")
      ->type_name("N")
      ->group(group);
  app.add_option("--weights", options.weights,
                 "How weights are held: auto (as in the file), float32, bfloat16, float16; the arithmetic is float32")
      ->type_name("TYPE")
      ->group(group);
  app.add_option("--lora", options.lora, "LoRA over the model: a PEFT folder, applied without folding")
      ->type_name("DIR")
      ->group(group);
}

void add_json(CLI::App& app, CommonOptions& options, const std::string& what) {
  app.add_flag("--json", options.json, what);
}

void refuse_lora_over_shape(const CommonOptions& options) {
  require(options.lora.empty(), Fault::bad_request, "--lora needs the MODEL that it was trained over, not a --shape.");
}

int64_t threads_of(const CommonOptions& options) {
  return options.threads == 0 ? session::cores_available() : options.threads;
}

void apply(const CommonOptions& options) {
  check_weights(options.weights);
  session::set_threads(threads_of(options));
  session::prepare_device(options.device);
}

session::Session open_session(const std::string& model, const CommonOptions& options) {
  apply(options);
  const std::filesystem::path folder = model_folder(model);
  Progress progress("loading " + io::name_of_folder(folder));
  return session::Session::open(folder, {.lora = options.lora,
                                         .weights = options.weights,
                                         .device = options.device,
                                         .progress = [&](int64_t done, int64_t total) { progress.show(done, total); }});
}

}  // namespace lithe::cli
