#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "checkpoints/write/quantising.h"
#include "cli/answer_report.h"
#include "cli/command.h"
#include "cli/folder_writer.h"
#include "cli/model_path.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/progress.h"
#include "cli/standard_output.h"
#include "tune/calibration.h"

namespace lithe::cli {
namespace {

constexpr const char* kQuantizeDescription =
    R"(Writes a copy of a model folder with its weights rounded to bfloat16, or to codes of 8 or 4 bits. Every command opens the
new folder. Without --calibrate, it gives the answers that the old one gives with the same --weights, to the bit. It opens
faster, since nothing is rounded any more.

With --calibrate, int4 is rounded for the data that you give. The model reads records with their answers, as `lithe tune` reads
them. The columns of each matrix are rounded one after another, and later ones make up for the error of each (GPTQ). The logits
are then nearer to those of the old folder.

The weights of linear layers and embeddings are rounded. With int4, embeddings and head get 8 bits. Norms, biases, routers and
adapters stay as they are. Codes are stored in the layout of compressed-tensors, which docs/checkpoints.md describes. DIR must
not exist. If anything fails, DIR is not written.)";

constexpr const char* kQuantizeFooter = R"(Examples:
  lithe quantize demo --weights int8 -o demo-int8
  lithe quantize ~/llava-1.5-7b-hf --weights int4 -o llava-1.5-7b-int4
  lithe quantize demo --weights int4 --calibrate train.json -o demo-int4
  lithe quantize ~/llava-1.5-7b-hf --weights int4 --keep-embeddings -o llava-1.5-7b-int4-vllm

To merge LoRA or adapters, use `lithe fold` before `lithe quantize`, as codes can't be merged.

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct QuantizeFlags {
  CommonOptions common;
  std::string source, out;
  bool keeps_embeddings = false;
  std::optional<std::string> data;  ///< To calibrate with.
  std::string task;                 ///< The benchmark whose folder the data are; empty: any records.
  std::optional<int64_t> records;   ///< Of the data.
};

models::WeightStorage storage_of(const std::string& name) {
  if (name == "bf16" || name == "bfloat16") return models::WeightStorage::bfloat16;
  if (name == "int8") return models::WeightStorage::int8;
  require(name == "int4", Fault::bad_request, "--weights is ", in_quotes(name), "; give bf16, int8 or int4.");
  return models::WeightStorage::int4;
}

/// The flags of other commands that have no meaning here.
void refuse_others(const CommonOptions& options) {
  require(options.lora.empty(), Fault::bad_request,
          "quantize rounds a whole model; merge --lora into it with `lithe fold` first.");
  require(options.mmproj.empty(), Fault::bad_request, "quantize does not take GGUF models; leave out --mmproj.");
  require_cpu(options, "quantize");
}

void check_calibration(const QuantizeFlags& flags) {
  require(!flags.records || flags.data, Fault::bad_request, "--samples are records of --calibrate DATA; give both.");
  require(flags.task.empty() || flags.data, Fault::bad_request,
          "--task is the benchmark of --calibrate DATA; give both.");
  require(!flags.data || storage_of(flags.common.weights) == models::WeightStorage::int4, Fault::bad_request,
          "--calibrate is for --weights int4; the codes of other types do not depend on data.");
}

tune::CalibrationOptions calibration_of(const QuantizeFlags& flags, Progress& progress) {
  tune::CalibrationOptions options{.data = {.path = *flags.data}, .seed = flags.common.seed};
  options.data.task = flags.task;
  if (flags.records) options.records = *flags.records;
  options.on_layer = [&progress](int64_t layers, int64_t of) {
    progress.update(fmt::format("decoder layer {} of {}", layers, of));
  };
  return options;
}

tune::Calibrated quantize(QuantizeFlags flags) {
  const models::QuantiseOptions options{storage_of(flags.common.weights), flags.keeps_embeddings, {}};
  flags.common.weights = "auto";  // as the model is opened
  apply(flags.common);
  Progress progress("quantizing");
  const auto on_bytes = [&](int64_t done, int64_t total) { progress.update_bytes(done, total); };
  const std::filesystem::path from = model_folder(flags.source);
  if (!flags.data) return {.folder = models::quantise_folder(from, flags.out, options, on_bytes)};
  tune::Calibrated done = tune::quantise_for(calibration_of(flags, progress), from, flags.out, options, on_bytes);
  if (done.unread > 0)
    done.folder.notes.push_back(
        fmt::format("{} weights read no row of the data, so they were rounded as without --calibrate", done.unread));
  return done;
}

void report(const QuantizeFlags& flags, const tune::Calibrated& calibrated) {
  const models::Quantised& done = calibrated.folder;
  for (const std::string& note : done.notes) write_err("note: " + printable(note, kMostSentenceBytes) + "\n");
  if (flags.common.json) {
    Json json{{"schema", "lithe-quantize/1"},
              {"folder", flags.out},
              {"rounded", {{"int8", done.int8}, {"int4", done.int4}, {"bfloat16", done.bfloat16}}},
              {"tensors", done.tensors},
              {"weight_bytes", done.bytes},
              {"weight_bytes_before", done.bytes_before},
              {"notes", done.notes}};
    json["calibration"] = flags.data ? Json{{"records", calibrated.records}, {"tokens", calibrated.rows}} : Json();
    return write_json(json);
  }
  std::string rounded;
  for (const auto& [count, type] : {std::pair(done.int4, "int4"), {done.int8, "int8"}, {done.bfloat16, "bfloat16"}})
    if (count > 0) rounded += fmt::format("{}{} weights to {}", rounded.empty() ? "" : ", ", count, type);
  if (flags.data) rounded += fmt::format(", for {} records ({} tokens)", calibrated.records, calibrated.rows);
  write_out(fmt::format("rounded  {}\nweights  {} -> {}\nwrote    {}\n", rounded.empty() ? "nothing" : rounded,
                        bytes_text(done.bytes_before), bytes_text(done.bytes), printable(flags.out)));
}

}  // namespace

Action declare_quantize(CLI::App& app) {
  const auto flags = std::make_shared<QuantizeFlags>();
  app.description(kQuantizeDescription);
  app.footer(kQuantizeFooter);
  app.add_option("MODEL", flags->source, "Model folder, name in the Hugging Face cache, demo, or demo-dense")
      ->required();
  app.add_option("-o,--output", flags->out, "The folder to write; it must not exist")->type_name("DIR")->required();
  app.add_flag("--keep-embeddings", flags->keeps_embeddings,
               "Leave embeddings and head as they are, which some other programs need");
  app.add_option("--calibrate", flags->data, "Records to round int4 for, as `lithe tune` reads them")
      ->type_name("DATA");
  app.add_option("--task", flags->task, "With --calibrate: the benchmark whose folder DATA is")->type_name("NAME");
  add_count(app, flags->records,
            {.names = "--samples",
             .what = "With --calibrate: how many of these records, drawn by --seed (default: 64)",
             .lowest = 1,
             .highest = 100'000});
  add_json(app, flags->common, "Print JSON: what was rounded, bytes, notes");
  add_common(app, flags->common);
  app.get_option("--weights")
      ->description("What weights are rounded to: bf16, int8 or int4")
      ->required()
      ->group(app.get_option("--output")->get_group());
  // Not in the help: they are taken only to say why they are refused.
  for (const char* flag : {"--lora", "--mmproj"}) app.get_option(flag)->group("");
  return [flags] {
    refuse_others(flags->common);
    check_calibration(*flags);
    tune::Calibrated done;
    return write_folder(
        flags->out, [&] { done = quantize(*flags); }, [&] { report(*flags, done); });
  };
}

}  // namespace lithe::cli
