#include <fmt/format.h>

#include <memory>

#include "base/error.h"
#include "base/json.h"
#include "cli/command.h"
#include "cli/folder_writer.h"
#include "cli/model_path.h"
#include "cli/options.h"
#include "models/converting.h"

namespace lithe::cli {
namespace {

using models::TargetLayout;

constexpr const char* kDescription =
    R"(Writes a model folder anew: in the Hugging Face layout, in LLaVA's own, or in the layout that it has.

The weights, out of .bin, .pth and sharded files too, become one model.safetensors, which is mapped instead of unpacked
when a model opens; their types are kept. The new folder gives the answers of the old one. p-MoD's routers, adapters of
EAS and rules that a layout has no words for come along under names of Lithe's own, which other programs pass over; a
line says so. docs/checkpoints.md lists the names. DIR must not be there; it appears whole or not at all.)";

constexpr const char* kFooter = R"(Examples:
  lithe convert ~/llava-v1.5-7b -o llava-1.5-7b-hf
  lithe convert ~/llava-1.5-7b-hf --to original -o llava-v1.5-7b
  lithe convert demo --to same -o demo-again

A vision tower is joined into the one file for hf, and lies in DIR/vision_tower for original. With --to same a tower
beside the folder stays there, so write DIR beside SRC in that case.

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct ConvertFlags {
  CommonOptions common;
  std::string source, out, to = "hf";
};

TargetLayout layout_named(const std::string& name) {
  if (name == "hf") return TargetLayout::hf;
  if (name == "original") return TargetLayout::original;
  require(name == "same", Fault::bad_request, "--to is '", name, "'; give hf, original or same.");
  return TargetLayout::same;
}

/// A converted folder is the same model to the bit.
void refuse_changes(const CommonOptions& options) {
  require(options.weights == "auto", Fault::bad_request, "convert keeps the types of the weights; leave out --weights ",
          options.weights, ".");
  require(options.lora.empty(), Fault::bad_request,
          "convert writes a model as it is; fold --lora into it with `lithe fold` first.");
}

int convert(const ConvertFlags& flags) {
  apply(flags.common);
  const TargetLayout layout = layout_named(flags.to);
  const models::Converted done = models::convert_folder(model_folder(flags.source), flags.out, layout);
  for (const std::string& note : done.notes) fmt::print(stderr, "note: {}\n", note);
  if (flags.common.json) {
    const Json json = {{"folder", flags.out},
                       {"tensors", done.tensors},
                       {"bytes", done.bytes},
                       {"files", done.files},
                       {"notes", done.notes}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("wrote {}: {} tensors, {} bytes; {} other files\n", flags.out, done.tensors, done.bytes, done.files);
  }
  return 0;
}

}  // namespace

Action declare_convert(CLI::App& app) {
  const auto flags = std::make_shared<ConvertFlags>();
  app.description(kDescription);
  app.footer(kFooter);
  app.add_option("SRC", flags->source, "Model folder, or demo, or demo-dense")->required();
  app.add_option("-o,--output", flags->out, "The folder to write; it must not be there")->type_name("DIR")->required();
  app.add_option("--to", flags->to, "hf (Hugging Face), original (LLaVA's own) or same (as SRC lies) (default: hf)")
      ->type_name("LAYOUT");
  add_json(app, flags->common, "Print JSON: tensors, bytes, files, notes");
  add_common(app, flags->common);
  return [flags] {
    refuse_changes(flags->common);
    return write_folder(flags->out, [&] { return convert(*flags); });
  };
}

}  // namespace lithe::cli
