#include <fmt/format.h>
#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/printable.h"
#include "base/suggestion.h"
#include "cli/answer_report.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/prompt_shape.h"
#include "cli/standard_output.h"
#include "cli/text_table.h"
#include "plan/about.h"
#include "plan/parse.h"
#include "plan/table.h"

namespace lithe::cli {
namespace {

constexpr const char* kPlansDescription =
    R"(Lists the built-in plans: what each skips, which weights it needs, and what it costs.

"training" says whether the weights must have been trained with the method. "answers" says whether the answers are those of
the dense model (exact) or may differ (lossy). "operations" and "KV cache" are shares of dense. The flags set the prompt and
the shape for which they are counted. With NAME, lithe prints one plan and the cost of every layer. In the other commands,
--plan NAME uses a plan.)";

constexpr const char* kPlansFooter = R"(Examples:
  lithe plans
  lithe plans fastv
  lithe plans fastv --kv bfloat16
  lithe plans shortv --shape llava-next-7b --vision-tokens 2880 --json

Exit codes: 0 done, 2 impossible request, 3 bad file, 1 anything else.)";

constexpr std::size_t kTextWidth = 88;

struct PlansOptions {
  std::optional<std::string> name;
  std::string shape = "llava-1.5-7b", kv = "float32";
  PromptShapeOptions prompt;
  bool json = false;
};

/// A plan and what it costs. `about` is null for a plan that is not built in.
struct Listed {
  plan::Plan plan;
  const plan::About* about = nullptr;
  plan::CostTable cost;
};

/// What costs are counted for.
struct Counted {
  plan::ModelFacts facts;
  plan::PromptShape prompt;
  plan::CostOptions cache;
};

Listed listed(const std::string& name, const Counted& counted) {
  Listed entry{.plan = plan::load_plan(name, counted.facts), .about = plan::about(name), .cost = {}};
  entry.cost = plan::cost(entry.plan, counted.facts, counted.prompt, counted.cache);
  return entry;
}

double flops_share(const plan::CostTable& cost) {
  return cost.total.flops / cost.dense.flops;
}

double kv_share(const plan::CostTable& cost) {
  return static_cast<double>(cost.total.kv_bytes) / static_cast<double>(cost.dense.kv_bytes);
}

std::string percent(double share) {
  return fmt::format("{:.1f} %", 100 * share);
}

/// Lines of at most kTextWidth characters, each after `indent`.
std::string wrapped(const std::string& text, const std::string& indent) {
  std::string lines, line;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find(' ', begin), text.size());
    const std::string word = text.substr(begin, end - begin);
    if (!line.empty() && line.size() + 1 + word.size() > kTextWidth) {
      lines += indent + line + "\n";
      line.clear();
    }
    line += (line.empty() ? "" : " ") + word;
    begin = end + 1;
  }
  return lines + indent + line + "\n";
}

std::string prompt_text(const PlansOptions& options, const plan::PromptShape& prompt) {
  return fmt::format("{}, {} vision tokens, {} text tokens", options.shape, prompt.vision_tokens, prompt.text_tokens);
}

std::string list_text(const std::vector<Listed>& plans, const std::string& prompt) {
  TextTable table{{"plan", "training", "answers", "operations", "KV cache"}, {}};
  std::string texts;
  for (const Listed& entry : plans) {
    const plan::About& about = *entry.about;
    table.rows.push_back({about.name, about.trained ? "needed" : "no", about.exact ? "exact" : "lossy",
                          percent(flops_share(entry.cost)), percent(kv_share(entry.cost))});
    texts += fmt::format("\n{}\n", about.name) + wrapped(about.skips, "    ");
  }
  return fmt::format("{}\nShares of dense, for one prompt of {}.\n{}", table.markdown(), prompt, texts);
}

std::string about_text(const plan::About& about) {
  return fmt::format("plan      {}\nskips     {}\nneeds     {}\ntraining  {}\nanswers   {}\nsource    {}\n\n",
                     about.name, about.skips, about.needs, about.trained ? "needed" : "not needed",
                     about.exact ? "exact: those of the dense model" : "lossy: they may differ from the dense model's",
                     about.source);
}

Json to_json(const Listed& entry) {
  Json json = {{"name", entry.plan.name}};
  if (entry.about != nullptr) {
    json["skips"] = entry.about->skips;
    json["needs"] = entry.about->needs;
    json["needs_training"] = entry.about->trained;
    json["needs_router"] = entry.about->router;
    json["exact"] = entry.about->exact;
    json["source"] = entry.about->source;
  }
  json["counted_share"] = flops_share(entry.cost);
  json["kv_share"] = kv_share(entry.cost);
  return json;
}

Json to_json(const std::vector<Listed>& plans, const PlansOptions& options, const plan::PromptShape& prompt) {
  Json json = {{"schema", "lithe-plans/1"},
               {"shape", options.shape},
               {"vision_tokens", prompt.vision_tokens},
               {"text_tokens", prompt.text_tokens},
               {"plans", Json::array()}};
  for (const Listed& entry : plans) json["plans"].push_back(to_json(entry));
  if (options.name) {
    json["expanded_plan"] = plan::to_json(plans.front().plan);
    json["cost"] = plan::to_json(plans.front().cost);
  }
  return json;
}

/// A file is taken too, as by --plan. A name that is not there gets a suggestion.
void check_name(const std::string& name) {
  if (plan::about(name) != nullptr || name.find_first_of("./") != std::string::npos) return;
  const std::string meant = closest_name(name, plan::builtin_plan_names());
  fail(Fault::bad_request, "There is no plan ", in_quotes(name), meant.empty() ? "" : "; did you mean " + meant + "?",
       meant.empty() ? "; `lithe plans` lists them." : " `lithe plans` lists all.");
}

int run(const PlansOptions& options) {
  const plan::ModelFacts facts = plan::shape_named(options.shape);
  const plan::PromptShape prompt = prompt_shape(options.prompt, facts);
  const Counted counted{facts, prompt, counted_kv(options.kv)};
  std::vector<Listed> plans;
  if (options.name) {
    check_name(*options.name);
    plans.push_back(listed(*options.name, counted));
  } else {
    for (const plan::About& about : plan::builtin_plans()) plans.push_back(listed(about.name, counted));
  }
  if (options.json) {
    write_json(to_json(plans, options, prompt));
  } else if (options.name) {
    const Listed& entry = plans.front();
    const std::string shape = "shape    " + options.shape + "\n";
    write_out((entry.about != nullptr ? about_text(*entry.about) : "") + shape + plan::to_text(entry.cost));
  } else {
    write_out(list_text(plans, prompt_text(options, prompt)));
  }
  return 0;
}

}  // namespace

Action declare_plans(CLI::App& app) {
  const auto options = std::make_shared<PlansOptions>();
  app.description(kPlansDescription);
  app.footer(kPlansFooter);
  app.add_option("NAME", options->name, "One plan: a built-in name, or a JSON file; without it, the list");
  app.add_option("--shape", options->shape, "The shape that costs are counted for (default: llava-1.5-7b)")
      ->type_name("NAME");
  add_prompt_shape(app, options->prompt);
  app.add_flag("--json", options->json,
               "Print JSON: the facts, and with NAME the expanded plan and the cost of every layer");
  add_kv(app, options->kv);
  return [options] { return run(*options); };
}

}  // namespace lithe::cli
