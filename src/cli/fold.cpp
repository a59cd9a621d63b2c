#include "session/fold.h"

#include <fmt/format.h>
#include <memory>

#include "base/error.h"
#include "base/printable.h"
#include "cli/command.h"
#include "cli/fold_lines.h"
#include "cli/folder_writer.h"
#include "cli/model_path.h"
#include "cli/options.h"
#include "cli/pair.h"
#include "cli/pair_fold.h"
#include "cli/progress.h"
#include "cli/question.h"
#include "cli/standard_output.h"

namespace lithe::cli {
namespace {

constexpr const char* kFoldDescription =
    R"(Merges LoRA and a model's adapters into its weights, and writes a new model folder in the same layout. Give the LoRA with
--lora, or give a PEFT folder as MODEL; its base model is then read too.

LoRA is merged completely. The adapter that replaces an attention (PIA) has a gate and a token mean that depend on the
prompt. This part can't be merged; it is stored as a small low-rank matrix. An adapter before an attention (RepAdapter) has
a gate too, and stays as it is. With --freeze, the gate and the mean of the given prompt are used for all requests. Then
every adapter of the decoder is merged, and answers to other prompts differ a little. Without --image, the prompt has a
shipped picture. The gates of LaVIN depend on whether the prompt has a picture. To fold for prompts without a picture, give
--no-image. Adapters of a vision tower are never merged.
In a METER model, every RepAdapter is merged, as it has no gate there. The PIAs stay, and --freeze is refused.

The merged model is then compared with the original on the prompt, and the largest difference of the logits is printed. If
weights are stored in 16 bits, merging rounds them once; the largest change of a weight is then printed too.)";

constexpr const char* kFoldFooter = R"(Examples:
  lithe fold ~/llava-v1.5-7b-lora -o llava-v1.5-7b-folded
  lithe fold ~/llava-1.5-7b-hf --lora ~/my-adapter -o llava-1.5-7b-folded
  lithe fold ~/llava-eas -o llava-eas-folded
  lithe fold ~/llava-eas --image photo.jpg --prompt "What is in the picture?" --freeze -o llava-eas-frozen
  lithe fold ~/llava-eas --no-image --prompt "What is a lake?" --freeze -o llava-eas-frozen-text

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct FoldFlags {
  CommonOptions common;
  session::Question question{.prompt = "What is in the picture?"};
  session::FoldOptions fold;
  std::string model, out;
  bool no_image = false;
};

/// If no pictures are given: a shipped one, if the file is installed.
void add_shipped_picture(session::Question& question) {
  if (!question.pictures.empty()) return;
  try {
    question.pictures.emplace_back(demo_folder() / "images" / "901.png");
  } catch (const Error&) {  // not installed
  }
}

Json to_json(const FoldFlags& flags, const session::FoldReport& report) {
  Json json = folded_json(flags.out, report);
  json["folded"].update(
      {{"gains", report.gains}, {"lora_products", report.low_rank}, {"lora_whole_tensors", report.whole}});
  json.update({{"largest_logit", report.largest_logit},
               {"prompt_tokens", report.rows},
               {"new_tokens", report.tokens},
               {"new_tokens_equal", report.tokens_equal}});
  return json;
}

std::string to_text(const FoldFlags& flags, const session::FoldReport& report) {
  std::string text;
  if (report.low_rank + report.whole > 0)
    text += fmt::format("folded     LoRA of {} products, {} complete tensors\n", report.low_rank, report.whole);
  if (report.gains + report.adapters + report.adapters_left > 0)
    text += fmt::format("folded     {} gains of norms, {} adapters\n", report.gains, report.adapters);
  text += weights_text(report, "prompt");
  text += fmt::format("deviation  of a logit: at most {:.3g}; the largest logit is {:.3g} (ratio {:.2g})\n",
                      report.largest_deviation, report.largest_logit, report.largest_deviation / report.largest_logit);
  text += fmt::format("compared   {} prompt tokens and {} new tokens; {} of the new tokens are equal\n", report.rows,
                      report.tokens, report.tokens_equal);
  return text + fmt::format("wrote      {}\n", printable(flags.out));
}

session::FoldReport fold(FoldFlags flags) {
  const session::Session session = open_session(flags.model, flags.common);
  if (session.facts().tower && !flags.no_image) add_shipped_picture(flags.question);
  const session::Request request = session::RequestBuilder(session).request(flags.question);
  Progress progress("folding");
  flags.fold.on_step = [&](const char* step) { progress.show(step); };
  return session::fold_model(session, request, flags.fold, flags.out);
}

int fold_meter(FoldFlags flags) {
  require(!flags.fold.freeze, Fault::bad_request, "--freeze is for models that generate; leave it out for METER.");
  require(!flags.no_image, Fault::bad_request, "METER reads a text and a picture; leave --no-image out.");
  add_shipped_picture(flags.question);
  return fold_pair_model(flags.model, flags.out, flags.common, flags.question);
}

void tell(const FoldFlags& flags, const session::FoldReport& report) {
  if (flags.common.json)
    write_json(to_json(flags, report));
  else
    write_out(to_text(flags, report));
}

}  // namespace

Action declare_fold(CLI::App& app) {
  const auto flags = std::make_shared<FoldFlags>();
  app.description(kFoldDescription);
  app.footer(kFoldFooter);
  app.add_option("MODEL", flags->model, "Model folder with adapters, or a PEFT folder, or with --lora any model folder")
      ->required();
  app.add_option("-o,--output", flags->out, "The folder to write; it must not exist")->type_name("DIR")->required();
  app.add_flag("--freeze", flags->fold.freeze, "Use the gate and the mean of the prompt for all requests");
  add_images(app, flags->question, "A picture of the prompt (default: a shipped one)");
  app.add_flag("--no-image", flags->no_image, "The prompt has no picture");
  app.add_option("--prompt", flags->question.prompt, "The prompt to compare on (default: What is in the picture?)")
      ->type_name("TEXT");
  app.add_flag("--raw-prompt", flags->question.raw, "Use the prompt as it is, without the chat template");
  add_json(app, flags->common, "Print JSON: what was merged, and the deviation");
  add_common(app, flags->common);
  app.get_option("--lora")->description("A PEFT folder with LoRA for the model, to merge into the weights");
  app.get_option("--mmproj")->group("");  // not in the help: GGUF models are refused
  return [flags] {
    require(!flags->no_image || flags->question.pictures.empty(), Fault::bad_request,
            "--no-image and --image exclude each other; leave one out.");
    require_cpu(flags->common, "fold");
    if (is_pair_model(flags->model)) return fold_meter(*flags);
    session::FoldReport report;
    return write_folder(
        flags->out, [&] { report = fold(*flags); }, [&] { tell(*flags, report); });
  };
}

}  // namespace lithe::cli
