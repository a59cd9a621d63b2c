#include <unistd.h>
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "base/printable.h"
#include "cli/answer_report.h"
#include "cli/answer_watch.h"
#include "cli/chat.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/heat_maps.h"
#include "cli/options.h"
#include "cli/outputs.h"
#include "cli/pair.h"
#include "cli/question.h"
#include "cli/sampling.h"
#include "cli/standard_output.h"
#include "cli/terminal_text.h"

namespace lithe::cli {
namespace {

constexpr const char* kRunDescription =
    R"(Answers a question about pictures, or chats about them.

The answer is written to stdout as it is generated. MODEL is a model folder, a GGUF file, a name in the local Hugging Face
cache (owner/name), `demo` (a small shipped model with p-MoD layers), or `demo-dense` (the same model without them). The
prompt is PROMPT. Without PROMPT it is read from stdin if stdin is a pipe or a file. One newline at its end is dropped, except
with --raw-prompt.

Without PROMPT on a terminal, lithe starts a chat of several turns and pictures. --image attaches a picture to the first
message; /image FILE attaches one to the next message. /help lists the other commands. Ctrl-D ends the chat. Each answer is
the one that `lithe run` gives for the whole conversation. Keys and values of earlier turns are reused if possible.

A METER model does not generate. Its heads score labels of a text and its pictures, and the best labels are printed with
their scores: probabilities, or with --head rank how well the text fits each picture.

Ctrl-C ends the answer after the current layer or token (exit code 130). A chat continues with the next turn.)";

constexpr const char* kRunFooter = R"(Examples:
  lithe run demo --image models/images/901.png "what is the color of the rectangle?"
  echo "what shape is in the image?" | lithe run demo --image models/images/901.png
  lithe run demo --image models/images/901.png   # a chat, with the picture in its first message
  lithe run demo --image models/images/901.png --heat-map kept.png --verbose "is there a blue shape?"
  lithe run ~/llava-1.5-7b-hf --image photo.jpg --weights bfloat16 --temp 0.7 --top-p 0.9 "What is shown?"
  lithe run ~/llava-1.5-7b-hf --image a.jpg --image b.jpg --plan fastv "Which is brighter?"

Exit codes: 0 done, 130 interrupted, 2 impossible request, 3 bad file, 1 anything else.)";

struct RunOptions {
  CommonOptions common;
  session::Question question;
  std::string model;
  std::optional<std::string> prompt;
  std::optional<std::string> heat_map;
  std::string head;
  bool verbose = false;
};

std::string prompt_of(const RunOptions& options) {
  if (options.prompt) return *options.prompt;
  std::string prompt = read_text("-");
  if (!options.question.raw && prompt.ends_with('\n')) prompt.pop_back();
  require(!prompt.empty(), Fault::bad_request,
          "The prompt is empty, as nothing came from stdin; write it after the options.");
  return prompt;
}

Json report_json(const session::Session& session, const session::Request& request, const session::Answer& answer) {
  Json json = {{"schema", "lithe-run/1"},
               {"model", session.facts().name},
               {"family", session.family()},
               {"plan", request.plan ? request.plan->name : session.plan().name}};
  json.update(to_json(answer));
  return json;
}

session::Answer answer(const session::Session& session, const session::Request& request, session::AnswerOptions how,
                       const RunOptions& options) {
  AnswerWatch watch;
  how.cancel = watch.cancel();
  how.on_progress = [&](const session::Progress& progress) { watch.take(progress); };
  how.on_text = [&](const std::string& piece) {
    if (options.common.json) return true;
    watch.text_begins();
    write_out(for_stdout(piece));
    return true;
  };
  session::Answer answer = session.answer(request, how);
  watch.text_begins();
  if (options.common.json)
    write_json(report_json(session, request, answer));
  else if (!answer.tokens.empty())
    write_out("\n");
  return answer;
}

void check_chat(const RunOptions& options) {
  const char* const flag = options.question.raw  ? "--raw-prompt"
                           : options.heat_map    ? "--heat-map"
                           : options.common.json ? "--json"
                                                 : nullptr;
  if (flag)
    fail(Fault::bad_request, flag,
         " is for one answer, not for a chat; write the prompt after the options, or pipe it in.");
}

int chat(const RunOptions& options) {
  check_chat(options);
  const session::Session session = open_session(options.model, options.common);
  return run_chat(session, {options.question, options.verbose});
}

/// A model that scores labels of a text and its pictures.
int score(const RunOptions& options) {
  require(!options.heat_map, Fault::bad_request, "--heat-map is for models that generate; leave it out.");
  session::Question question = options.question;
  question.prompt = prompt_of(options);
  return run_pairs(options.model, options.common, question, options.head);
}

int run(RunOptions options) {
  options.question.sampling.seed = options.common.seed;
  if (is_pair_model(options.model)) return score(options);
  require(options.head.empty(), Fault::bad_request, "--head is for METER models; leave it out.");
  if (!options.prompt && isatty(STDIN_FILENO) == 1) return chat(options);
  const std::string prompt = prompt_of(options);
  if (options.heat_map) {
    check_outputs(heat_map_files(*options.heat_map, std::max<std::size_t>(1, options.question.pictures.size())),
                  inputs_of(options.model, options.common, options.question));
  }
  const session::Session session = open_session(options.model, options.common);
  session::Question question = options.question;
  question.prompt = prompt;
  session::RequestBuilder builder(session);
  const session::Request request = builder.request(question);
  print_notes(request.images);
  if (options.heat_map) check_heat_map(request, session);
  const session::Answer result = answer(session, request, builder.options(question), options);
  if (options.verbose) write_err(timing_lines(result));
  if (options.heat_map) {
    const image::HeatCaption caption = caption_of(session, request, prompt);
    for (const std::string& file : write_heat_maps(*options.heat_map, result, caption))
      write_err("wrote " + printable(file) + "\n");
  }
  return result.stop == session::StopReason::cancelled ? kExitInterrupted : 0;
}

}  // namespace

Action declare_run(CLI::App& app) {
  const auto options = std::make_shared<RunOptions>();
  app.description(kRunDescription);
  app.footer(kRunFooter);
  app.add_option("MODEL", options->model,
                 "Model folder, GGUF file, name in the Hugging Face cache, demo, or demo-dense")
      ->required();
  app.add_option("PROMPT", options->prompt, "The question; without it, stdin, or on a terminal a chat");
  add_question(app, options->question);
  app.add_option("--heat-map", options->heat_map, "Write a PNG picture of the patches that each layer kept")
      ->type_name("FILE");
  add_head(app, options->head);
  add_json(app, options->common, "Print JSON instead of text: answer, tokens, times, KV cache");
  app.add_flag("-v,--verbose", options->verbose, "Print times and KV cache to stderr");
  add_sampling(app, options->question);
  add_common(app, options->common);
  add_kv(app, options->common);
  add_compute(app, options->common);
  return [options] { return run(*options); };
}

}  // namespace lithe::cli
