#include "session/trace.h"

#include <memory>

#include "base/error.h"
#include "base/printable.h"
#include "cli/answer_watch.h"
#include "cli/command.h"
#include "cli/number.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/progress.h"
#include "cli/question.h"
#include "cli/standard_output.h"

namespace lithe::cli {
namespace {

constexpr const char* kTraceDescription =
    R"(Writes every intermediate result of one request to a safetensors file.

Decoding is greedy. The tensors are float32 and int64; n is the number of tokens of the prompt with its pictures:
  images.I.pixel_values [tiles, 3, height, width]; images.I.vision_features and images.I.projected [tiles, tokens, width]
  input_ids, with -200 for each picture; inputs_embeds [n, hidden]
  vision_mask [n], 1 for tokens that a rule of the plan applies to in any layer; with the plan dense, all are 0
  layers.L.kept, the tokens that ran in layer L; layers.L.router_weight [weighed tokens]; layers.L.hidden [n, hidden]
  logits [n, vocab]; tokens [K]; step_logits [K, vocab], the logits that each token was chosen from
  kv_lengths.prefill and kv_lengths.end [layers], the cached tokens of each layer
If anything fails, no file is written.)";

constexpr const char* kTraceFooter = R"(Examples:
  lithe trace demo --image models/images/901.png --prompt "what is the color of the rectangle?" -o trace.safetensors
  lithe trace demo --image models/images/901.png --prompt "<image> USER:" --raw-prompt --max-tokens 4 --ignore-eos -o trace.safetensors
  lithe trace demo --image models/images/901.png --prompt "is there a circle?" --plan dense --weights float32 -o dense.safetensors

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct TraceFlags {
  CommonOptions common;
  session::Question question;
  session::TraceOptions trace;
  std::string model, out;
  std::optional<std::string> prompt, prompt_file;
};

int run(TraceFlags flags) {
  require(flags.prompt.has_value() != flags.prompt_file.has_value(), Fault::bad_request,
          "trace needs --prompt or --prompt-file, and not both.");
  flags.question.prompt = flags.prompt ? *flags.prompt : read_text(*flags.prompt_file);
  std::vector<std::filesystem::path> inputs = inputs_of(flags.model, flags.common, flags.question);
  if (flags.prompt_file) inputs.emplace_back(*flags.prompt_file);
  check_outputs({flags.out}, inputs);
  const session::Session session = open_session(flags.model, flags.common);
  const session::Request request = session::RequestBuilder(session).request(flags.question);
  print_notes(request.images);
  {
    Progress line("trace");
    session::TraceOptions how = flags.trace;
    how.on_progress = [&](const session::Progress& progress) { line.update(progress_text(progress)); };
    session::write_trace(session, request, how, flags.out);
  }
  write_err("wrote " + printable(flags.out) + "\n");
  return 0;
}

}  // namespace

Action declare_trace(CLI::App& app) {
  const auto flags = std::make_shared<TraceFlags>();
  app.description(kTraceDescription);
  app.footer(kTraceFooter);
  app.add_option("MODEL", flags->model, "Model folder, GGUF file, name in the Hugging Face cache, demo, or demo-dense")
      ->required();
  add_question(app, flags->question);
  app.add_option("--prompt", flags->prompt, "The prompt")->type_name("TEXT");
  app.add_option("--prompt-file", flags->prompt_file, "A file with the prompt, taken byte for byte; - is stdin")
      ->type_name("FILE");
  add_count(app, flags->trace.max_tokens,
            {.names = "--max-tokens",
             .what = "Largest number of new tokens (default: 16). 0: only prefill",
             .type_name = "K"});
  app.add_flag("--ignore-eos", flags->trace.ignore_eos, "Go on after the end-of-sequence token");
  app.add_option("-o,--output", flags->out, "The file to write")->type_name("FILE")->required();
  add_common(app, flags->common);
  add_kv(app, flags->common);
  add_compute(app, flags->common);
  return [flags] { return run(*flags); };
}

}  // namespace lithe::cli
