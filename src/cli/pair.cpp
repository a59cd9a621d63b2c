#include "cli/pair.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "base/printable.h"
#include "cli/model_path.h"
#include "cli/question.h"
#include "cli/sampling.h"
#include "cli/standard_output.h"
#include "plan/parse.h"

namespace lithe::cli {
namespace {

constexpr size_t kLabelsShown = 5;

std::string lines_of(const Json& best) {
  std::string text;
  for (const Json& line : best)
    text +=
        fmt::format("{:8.4f}  {}\n", line.at("score").get<double>(), printable(line.at("label").get<std::string>()));
  return text;
}

}  // namespace

bool is_pair_model(const std::string& model) {
  return session::PairSession::opens(model_folder(model));
}

void add_head(CLI::App& app, std::string& head) {
  app.add_option("--head", head,
                 "For METER: vqa, nlvr2, snli, itm, or rank, which scores each picture (default: the first that "
                 "it has)")
      ->type_name("NAME");
}

void check_pair_flags(const session::Question& question) {
  refuse_generation_flags(question, "models that generate; METER scores labels");
}

session::PairQuestion read_question(const session::Question& question) {
  session::PairQuestion read{.text = question.prompt, .images = {}};
  for (const image::Given& picture : question.pictures) read.images.push_back(image::Source::of(picture));
  print_notes(read.images);
  return read;
}

void note_numbers(const session::HeadInfo& head, const std::string& model) {
  if (head.numbered)
    write_err(
        fmt::format("note: the checkpoint has no names for the {} answers of its head {}, so they are numbers; "
                    "`lithe convert {} --answers DATA -o DIR` writes a folder with the names that METER's Arrow "
                    "files or a label map tell (docs/meter.md)\n",
                    head.labels.size(), head.name, printable(model)));
}

Json best_of(const session::HeadInfo& head, const std::vector<float>& scores,
             const std::vector<std::string>& pictures) {
  const std::vector<std::string>& labels = head.pictures == 0 ? pictures : head.labels;
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  if (head.pictures != 0) order.resize(std::min(order.size(), kLabelsShown));
  Json best = Json::array();
  for (const size_t i : order) best.push_back({{"label", labels.at(i)}, {"score", scores[i]}});
  return best;
}

int run_pairs(const std::string& model, const CommonOptions& options, const session::Question& question,
              const std::string& head) {
  check_pair_flags(question);
  const session::PairSession session = open_pairs(model, options);
  const session::HeadInfo& info = session.head(head);
  note_numbers(info, model);
  std::optional<plan::Plan> plan;
  if (question.plan) plan = plan::load_plan(*question.plan, session.facts());
  const session::PairQuestion asked = read_question(question);
  const std::vector<float> scores = session.scores(info, {&asked, 1}, plan ? &*plan : nullptr).front();
  const Json best = best_of(info, scores, files_of(question));
  if (options.json)
    write_json({{"schema", "lithe-run/1"},
                {"model", session.facts().name},
                {"family", "meter"},
                {"plan", plan ? plan->name : session.plan().name},
                {"head", info.name},
                {"labels", best}});
  else
    write_out(lines_of(best));
  return 0;
}

}  // namespace lithe::cli
