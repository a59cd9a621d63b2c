#include "cli/judge_flags.h"

#include <cstdlib>

#include "base/error.h"
#include "eval/chat_judge.h"

namespace lithe::cli {

std::string JudgeFlags::name(tasks::Protocol protocol) const {
  return model.empty() ? eval::usual_judge(protocol) : model;
}

tasks::Judge JudgeFlags::read(tasks::Protocol protocol) const {
  require(!url.empty() || model.empty(), Fault::bad_request, "--judge-model needs --judge with an address.");
  if (url.empty()) return nullptr;
  const char* const key = std::getenv("LITHE_JUDGE_KEY");
  return eval::judge_of({.url = url, .model = name(protocol), .key = key == nullptr ? "" : key});
}

void add_judge(CLI::App& app, JudgeFlags& flags) {
  app.add_option("--judge", flags.url,
                 "MMBench: a server like OpenAI's, http://HOST:PORT/v1, whose model reads answers that no rule can")
      ->type_name("URL");
  app.add_option("--judge-model", flags.model, "The judge's name there (default: the protocol's)")->type_name("NAME");
}

}  // namespace lithe::cli
