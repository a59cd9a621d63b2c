#include <fmt/format.h>
#include <memory>

#include "base/json.h"
#include "cli/command.h"
#include "cli/model_path.h"
#include "io/resave.h"

namespace lithe::cli {
namespace {

constexpr const char* kDescription =
    R"(Writes a model folder anew with its weights as safetensors, which are mapped instead of unpacked when a model opens.

Weights out of .bin, .pth and sharded files become one model.safetensors under the same names and in the same types; the
layout stays the source's own. Configs, tokenizer and vision towers below the folder come along; a tower beside the
folder stays there, so write DIR beside SRC in that case. Left out are what other frameworks and a training left behind. DIR
must not be there; it appears whole or not at all.)";

constexpr const char* kFooter = R"(Examples:
  lithe convert llava-v1.5-7b -o llava-v1.5-7b-safetensors

Exit codes: 0 done, 2 impossible request, 3 bad file, 1 anything else.)";

struct ConvertFlags {
  std::string source, out;
  bool json = false;
};

int run(const ConvertFlags& flags) {
  const io::Resaved done = io::resave_folder(model_folder(flags.source), flags.out);
  if (flags.json) {
    const Json json = {{"folder", flags.out}, {"tensors", done.tensors}, {"bytes", done.bytes}, {"files", done.files}};
    fmt::print("{}\n", json.dump(2));
  } else {
    fmt::print("wrote {}: {} tensors, {} bytes; {} other files copied\n", flags.out, done.tensors, done.bytes,
               done.files);
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
  app.add_flag("--json", flags->json, "Print JSON: tensors, bytes, files");
  return [flags] { return run(*flags); };
}

}  // namespace lithe::cli
