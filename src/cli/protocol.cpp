#include "cli/protocol.h"

#include "base/error.h"
#include "base/printable.h"

namespace lithe::cli {

void add_protocol(CLI::App& app, std::string& target) {
  app.add_option("--protocol", target,
                 "Whose formulas: those with which the p-MoD paper was evaluated, or those of today's lmms-eval "
                 "(default: paper)")
      ->type_name("paper|today");
}

tasks::Protocol protocol_of(const std::string& name) {
  require(name.empty() || name == "paper" || name == "today", Fault::bad_request, "--protocol ", in_quotes(name),
          " is neither paper nor today.");
  return name == "today" ? tasks::Protocol::today : tasks::Protocol::paper;
}

}  // namespace lithe::cli
