#include "session/fold.h"

#include <fmt/format.h>
#include <cstdio>
#include <memory>

#include "base/error.h"
#include "cli/answer_report.h"
#include "cli/command.h"
#include "cli/folder_writer.h"
#include "cli/model_path.h"
#include "cli/options.h"
#include "cli/request.h"

namespace lithe::cli {
namespace {

constexpr const char* kDescription =
    R"(Folds LoRA and a model's adapters into its weights and writes an ordinary folder, in the layout of the model, which every
command takes as a MODEL. LoRA is that of --lora, or MODEL is a PEFT folder, whose base model is then folded into.

What is the same for every request is folded: LoRA, and the gain of the norm that a PIA took the place of, which goes into
the feed-forward network. A PIA's gate and token mean are the request's own; what depends on them stays beside the weights
as a low-rank term. With --freeze the gate and the mean of the given prompt are taken for all requests: then every adapter
of the decoder is folded and none is left there, and answers to other prompts differ a little from the unfolded model's.
Adapters of a vision tower stay, as each tile has a gate and a mean of its own.

The folded model is then compared with the unfolded one on the prompt, and the largest deviation of the logits printed.
Weights held in 16 bits are rounded once, which moves the logits more; how far a weight moved is then printed too.)";

constexpr const char* kFooter = R"(Examples:
  lithe fold ~/llava-v1.5-7b-lora -o llava-v1.5-7b-folded
  lithe fold ~/llava-1.5-7b-hf --lora ~/my-adapter -o llava-1.5-7b-folded
  lithe fold ~/llava-eas -o llava-eas-folded
  lithe fold ~/llava-eas --image photo.jpg --prompt "What is in the picture?" --freeze -o llava-eas-frozen

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct FoldFlags {
  CommonOptions common;
  QuestionOptions question;
  session::FoldOptions fold;
  std::string model, out, prompt = "What is in the picture?";
};

/// The pictures given; where there are none, one of the shipped, if the model sees and they are installed.
std::vector<std::string> pictures(const FoldFlags& flags, const session::Session& session) {
  if (!flags.question.images.empty() || !session.facts().tower) return flags.question.images;
  try {
    return {(demo_folder() / "images" / "901.png").string()};
  } catch (const Error&) {
    return {};
  }
}

Json to_json(const FoldFlags& flags, const session::FoldReport& report) {
  return {{"folder", flags.out},
          {"folded",
           {{"gains", report.gains},
            {"adapters", report.adapters},
            {"lora_products", report.low_rank},
            {"lora_whole_tensors", report.whole}}},
          {"adapters_left", report.adapters_left},
          {"weight_bytes", {{"before", report.bytes_before}, {"after", report.bytes_after}}},
          {"largest_rounding", report.rounding},
          {"largest_deviation", report.largest_deviation},
          {"largest_logit", report.largest_logit},
          {"rows_compared", report.rows},
          {"tokens_compared", report.tokens},
          {"tokens_equal", report.tokens_equal}};
}

void print(const FoldFlags& flags, const session::FoldReport& report) {
  if (report.low_rank + report.whole > 0)
    fmt::print("folded     LoRA of {} products; {} tensors came whole with it\n", report.low_rank, report.whole);
  if (report.gains + report.adapters + report.adapters_left > 0) {
    fmt::print(
        "folded     {} gains of norms, {} adapters; {} adapters stay, whose gate and mean are each request's own\n",
        report.gains, report.adapters, report.adapters_left);
  }
  fmt::print("weights    {} -> {}\n", bytes_text(report.bytes_before), bytes_text(report.bytes_after));
  if (report.rounding > 0)
    fmt::print("rounding   to 16 bits moved a weight by at most {:.2g} of the largest of its product\n",
               report.rounding);
  fmt::print("deviation  {:.3g} at most between the logits, which reach {:.3g}: {:.2g} of that\n",
             report.largest_deviation, report.largest_logit, report.largest_deviation / report.largest_logit);
  fmt::print("compared   {} prompt rows and {} new tokens, of which {} are equal\n", report.rows, report.tokens,
             report.tokens_equal);
  fmt::print("wrote      {}\n", flags.out);
}

int fold(FoldFlags flags) {
  const session::Session session = open_session(flags.model, flags.common);
  flags.question.images = pictures(flags, session);
  const session::Request request = make_request(flags.question, flags.prompt, session);
  const session::FoldReport report = session::fold_model(session, request, flags.fold, flags.out);
  if (flags.common.json)
    fmt::print("{}\n", to_json(flags, report).dump(2));
  else
    print(flags, report);
  return 0;
}

}  // namespace

Action declare_fold(CLI::App& app) {
  const auto flags = std::make_shared<FoldFlags>();
  app.description(kDescription);
  app.footer(kFooter);
  app.add_option("MODEL", flags->model, "Model folder with adapters, or a PEFT folder, or any with --lora")->required();
  app.add_option("-o,--output", flags->out, "The folder to write; it must not be there")->type_name("DIR")->required();
  app.add_flag("--freeze", flags->fold.freeze, "Fold with the prompt's gate and mean, for all requests");
  app.add_option("--image", flags->question.images, "A picture of the prompt (default: a shipped one)")
      ->type_name("FILE")
      ->allow_extra_args(false);
  app.add_option("--prompt", flags->prompt, "The prompt to compare on (default: What is in the picture?)")
      ->type_name("TEXT");
  app.add_flag("--raw-prompt", flags->question.raw_prompt, "Take the prompt as it is, without the chat template");
  add_json(app, flags->common, "Print JSON: what was folded, and the deviation");
  add_common(app, flags->common);
  return [flags] { return write_folder(flags->out, [&] { return fold(*flags); }); };
}

}  // namespace lithe::cli
