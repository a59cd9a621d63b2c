#include "cli/options.h"

#include <fmt/ranges.h>
#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "cli/model_path.h"
#include "cli/number.h"
#include "cli/progress.h"
#include "cli/standard_output.h"
#include "io/hub_cache.h"
#include "session/threads.h"

namespace lithe::cli {
namespace {

constexpr const char* kMachine = "Machine";

void check_type(const char* flag, const std::string& type, const std::vector<std::string>& types) {
  require(std::find(types.begin(), types.end(), type) != types.end(), Fault::bad_request, flag, " is ", in_quotes(type),
          "; give ", fmt::format("{}", fmt::join(types, ", ")), ".");
}

}  // namespace

void add_common(CLI::App& app, CommonOptions& options) {
  const WholeFlag<int64_t> threads{.names = "--threads",
                                   .what = "Number of threads (default: the cores this process may use)",
                                   .lowest = 1,
                                   .highest = 1024};
  const WholeFlag<uint64_t> seed{.names = "--seed",
                                 .what = "Seed of the random numbers: same seed, same result (default: 0)",
                                 .lowest = 0,
                                 .highest = UINT64_MAX};
  add_count(app, options.threads, threads)->group(kMachine);
  app.add_option("--device", options.device, "cpu, cuda or cuda:N (default: cpu)")->type_name("NAME")->group(kMachine);
  add_whole(app, options.seed, seed)->group(kMachine);
  app.add_option("--weights", options.weights,
                 "How weights are stored: auto (as in the file), float32, bfloat16, float16, int8 or int4")
      ->type_name("TYPE")
      ->group(kMachine);
  app.add_option_function<std::string>(
         "--lora",
         [&options](const std::string& folder) {
           require(!folder.empty(), Fault::bad_request, "--lora is empty; give the folder of a LoRA, or leave it out.");
           options.lora = folder;
         },
         "A PEFT folder with LoRA for the model; the weights stay unchanged")
      ->type_name("DIR")
      ->group(kMachine);
  app.add_option(
         "--mmproj", options.mmproj,
         "The GGUF file with the vision tower and the projector of a GGUF MODEL (default: the one in its folder)")
      ->type_name("FILE")
      ->group(kMachine);
}

void add_kv(CLI::App& app, CommonOptions& options) {
  add_kv(app, options.kv);
}

void add_kv(CLI::App& app, std::string& kv) {
  app.add_option("--kv", kv, "How keys and values are cached: float32 (default, also auto), bfloat16 or int8")
      ->type_name("TYPE")
      ->group(kMachine);
}

plan::CostOptions counted_kv(const std::string& kv) {
  check_type("--kv", kv, session::kv_types());
  return session::counted_as(kv);
}

void add_compute(CLI::App& app, CommonOptions& options) {
  app.add_option("--compute", options.compute,
                 "How products of many rows are computed: float32 (default), bfloat16, or int8 for weights that are "
                 "int8 or int4")
      ->type_name("TYPE")
      ->group(kMachine);
}

void add_json(CLI::App& app, CommonOptions& options, const std::string& what) {
  app.add_flag("--json", options.json, what);
}

void refuse_over_shape(const CommonOptions& options) {
  require(options.lora.empty(), Fault::bad_request, "--lora needs the MODEL that it was trained on, not a --shape.");
  require(options.mmproj.empty(), Fault::bad_request, "--mmproj belongs to a GGUF MODEL, not to a --shape.");
}

void require_cpu(const CommonOptions& options, const std::string& command) {
  require(options.device == "cpu", Fault::bad_request, command, " runs on the CPU; leave out --device.");
}

int64_t threads_of(const CommonOptions& options) {
  return options.threads == 0 ? session::cores_available() : options.threads;
}

void apply(const CommonOptions& options) {
  check_type("--weights", options.weights, session::weight_types());
  check_type("--kv", options.kv, session::kv_types());
  check_type("--compute", options.compute, session::compute_types());
  session::set_threads(threads_of(options));
  session::prepare_device(options.device);
}

namespace {

/// apply(), then Session::open with progress, and the notes of what is open.
template <class Session>
Session opened(const std::string& model, const CommonOptions& options) {
  apply(options);
  const std::filesystem::path folder = model_folder(model);
  std::optional<Progress> progress("loading " + io::name_of_folder(folder));
  Session session =
      Session::open(folder, {.lora = options.lora,
                             .mmproj = options.mmproj,
                             .weights = options.weights,
                             .kv = options.kv,
                             .compute = options.compute,
                             .device = options.device,
                             .progress = [&](int64_t done, int64_t total) { progress->update_bytes(done, total); }});
  progress.reset();
  for (const std::string& note : session.notes())
    write_err(fmt::format("note: {}\n", printable(note, kMostSentenceBytes)));
  return session;
}

}  // namespace

session::Session open_session(const std::string& model, const CommonOptions& options) {
  return opened<session::Session>(model, options);
}

session::PairSession open_pairs(const std::string& model, const CommonOptions& options) {
  return opened<session::PairSession>(model, options);
}

}  // namespace lithe::cli
