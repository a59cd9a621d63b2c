#include <fmt/format.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "checkpoints/write/converting.h"
#include "cli/command.h"
#include "cli/folder_writer.h"
#include "cli/model_path.h"
#include "cli/options.h"
#include "cli/pair.h"
#include "cli/progress.h"
#include "cli/standard_output.h"
#include "tasks/vqa_labels.h"

namespace lithe::cli {
namespace {

using models::TargetLayout;

constexpr const char* kConvertDescription =
    R"(Writes a copy of a model folder in the Hugging Face layout, in LLaVA's original layout, or in the layout that it has.

The weights of .bin, .pth and sharded files become one model.safetensors, which opens faster; their types are kept. The new
folder gives the same answers. A layout may have no keys for p-MoD routers, EAS adapters or some rules. These are stored
under Lithe's own names, and lithe prints a note, since other programs ignore them. docs/checkpoints.md lists the names. DIR
must not exist. If anything fails, DIR is not written.

A published METER only numbers the answers of its head vqa. --answers names them, from the data that the head was
trained with: the folder with METER's Arrow files, or the folder with VQAv2's official annotations of train and val. A
JSON file that maps numbers to answers works too. The new folder then answers in words.)";

constexpr const char* kConvertFooter = R"(Examples:
  lithe convert ~/llava-v1.5-7b -o llava-1.5-7b-hf
  lithe convert ~/llava-1.5-7b-hf --to original -o llava-v1.5-7b
  lithe convert demo --to same -o demo-again

With --to hf, the vision tower is written into the same file. With --to original, it is written into DIR/vision_tower, or
into the same file if the model came from such a folder. With --to same, a tower next to SRC is not copied, so write DIR next
to SRC.

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct ConvertFlags {
  CommonOptions common;
  std::string source, out, answers, to = "hf";
};

TargetLayout layout_named(const std::string& name) {
  if (name == "hf") return TargetLayout::hf;
  if (name == "original") return TargetLayout::original;
  require(name == "same", Fault::bad_request, "--to is ", in_quotes(name), "; give hf, original or same.");
  return TargetLayout::same;
}

/// A converted folder is the same model to the bit.
void refuse_changes(const CommonOptions& options) {
  require(options.weights == "auto", Fault::bad_request,
          "convert keeps the types of the weights; leave out --weights.");
  require(options.lora.empty(), Fault::bad_request,
          "convert copies a model as it is; merge --lora into it with `lithe fold` first.");
  require(options.mmproj.empty(), Fault::bad_request, "convert does not take GGUF models; leave out --mmproj.");
  require_cpu(options, "convert");
}

models::Converted convert(const ConvertFlags& flags) {
  apply(flags.common);
  const TargetLayout layout = layout_named(flags.to);
  Progress progress("converting");
  if (!flags.answers.empty()) {
    require(is_pair_model(flags.source), Fault::bad_request, "--answers is for METER models; leave it out.");
    const std::vector<std::string> names = tasks::vqa_labels(flags.answers).names;
    require(!names.empty(), Fault::bad_file, in_quotes(flags.answers),
            " holds neither METER's Arrow files, nor annotations of VQAv2 with answers that occur often enough.");
    return models::convert_meter(model_folder(flags.source), flags.out, names);
  }
  return models::convert_folder(model_folder(flags.source), flags.out, layout,
                                [&](int64_t done, int64_t total) { progress.update_bytes(done, total); });
}

void report(const ConvertFlags& flags, const models::Converted& done) {
  for (const std::string& note : done.notes) write_err("note: " + printable(note, kMostSentenceBytes) + "\n");
  if (flags.common.json) {
    write_json({{"schema", "lithe-convert/1"},
                {"folder", flags.out},
                {"tensors", done.tensors},
                {"weight_bytes", done.bytes},
                {"files", done.files},
                {"notes", done.notes}});
  } else {
    write_out(fmt::format("wrote {}: {} tensors, {} bytes; {} other files\n", printable(flags.out), done.tensors,
                          done.bytes, done.files));
  }
}

}  // namespace

Action declare_convert(CLI::App& app) {
  const auto flags = std::make_shared<ConvertFlags>();
  app.description(kConvertDescription);
  app.footer(kConvertFooter);
  app.add_option("SRC", flags->source, "Model folder, name in the Hugging Face cache, demo, or demo-dense")->required();
  app.add_option("-o,--output", flags->out, "The folder to write; it must not exist")->type_name("DIR")->required();
  app.add_option("--to", flags->to, "hf (Hugging Face, default), original (LLaVA's own) or same (as SRC)")
      ->type_name("LAYOUT");
  app.add_option(
         "--answers", flags->answers,
         "METER: where the names of the answers of its head vqa are: a folder of VQAv2, an Arrow file, or a JSON file")
      ->type_name("PATH");
  add_json(app, flags->common, "Print JSON: tensors, bytes, files, notes");
  add_common(app, flags->common);
  // Not in the help: they are taken only to say why they are refused.
  for (const char* flag : {"--weights", "--lora", "--mmproj"}) app.get_option(flag)->group("");
  return [flags] {
    refuse_changes(flags->common);
    models::Converted done;
    return write_folder(
        flags->out, [&] { done = convert(*flags); }, [&] { report(*flags, done); });
  };
}

}  // namespace lithe::cli
