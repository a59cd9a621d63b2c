#include <fmt/format.h>
#include <functional>
#include <map>

#include "golden/cases.h"
#include "tasks/scienceqa_prompt.h"
#include "tasks/scienceqa_score.h"

namespace lithe::golden {
namespace {

using Problems = std::map<std::string, tasks::ScienceProblem>;

Problems problems_of(const Json& json) {
  Problems problems;
  for (const auto& [id, problem] : json.items()) {
    tasks::ScienceProblem& read = problems[id] = tasks::read_science_problem(problem);
    read.caption = problem.value("caption", "");
  }
  return problems;
}

void check_prompts(const Json& json, const Problems& problems, Check& check) {
  for (const auto& [form, expected] : json.at("prompts").items()) {
    const tasks::SciencePrompt prompt = tasks::SciencePrompt::parse(form);
    for (const auto& [id, example] : expected.items()) {
      const tasks::ScienceExample made = tasks::science_example(problems.at(id), prompt);
      check.texts(form + " input of " + id, example.at("input"), made.input);
      check.texts(form + " output of " + id, example.at("output"), made.output);
    }
  }
  const Json& few = json.at("few_shot");
  std::vector<tasks::ScienceProblem> shots;
  for (const Json& id : few.at("shots")) shots.push_back(problems.at(id));
  const std::string prompt = tasks::science_few_shot(shots, problems.at(few.at("test")), {});
  check.texts("few shot", few.at("prompt"), prompt);
}

std::string letter_text(const std::string& answer, tasks::ScienceRule rule) {
  const std::optional<char> letter = tasks::science_letter(answer, rule);
  return letter ? std::string(1, *letter) : "FAILED";
}

void check_letters(const Json& json, Check& check) {
  const Json& lavin = json.at("lavin_eval");
  for (const auto& [answer, letter] : lavin.at("parsed_all_texts").items())
    check.texts("letter of '" + answer + "'", letter, letter_text(answer, tasks::ScienceRule::lavin_eas));
  for (const auto& [answer, letter] : lavin.at("parsed_all_texts_lavin").items())
    check.texts("LaVIN's letter of '" + answer + "'", letter, letter_text(answer, tasks::ScienceRule::lavin));
  for (const auto& [id, letter] : lavin.at("parsed").items())
    check.texts("letter of " + id, letter, letter_text(lavin.at("generations").at(id), tasks::ScienceRule::lavin_eas));
}

/// The table of choices, as texts with two digits; `answer`: what counts as the choice of a problem.
std::map<std::string, std::string> table_of(const Problems& problems, const Json& ids,
                                            const std::function<int64_t(const std::string&)>& choice) {
  std::vector<tasks::ScienceMark> marks;
  for (const auto& [id, unused] : ids.items())
    marks.push_back({&problems.at(id), choice(id) == problems.at(id).answer});
  std::map<std::string, std::string> table;
  for (const tasks::ScienceColumn& column : tasks::science_table(marks))
    table[column.name] = fmt::format("{:.2f}", column.percent());
  return table;
}

/// The reference draws a choice if it reads none; in the golden case that is the first.
void check_lavin_scores(const Json& lavin, const Problems& problems, Check& check) {
  const auto choice = [&](const std::string& id) {
    const auto letter = tasks::science_letter(lavin.at("generations").at(id), tasks::ScienceRule::lavin_eas);
    return tasks::science_choice(letter, problems.at(id)).value_or(0);
  };
  for (const auto& [id, index] : lavin.at("pred_index").items())
    check.integers("choice of " + id, {index.get<int64_t>()}, {choice(id)});
  const auto table = table_of(problems, lavin.at("pred_index"), choice);
  const std::map<std::string, std::string> names{
      {"acc_natural", "NAT"},    {"acc_social", "SOC"},       {"acc_language", "LAN"},
      {"acc_has_text", "TXT"},   {"acc_has_image", "IMG"},    {"acc_no_context", "NO"},
      {"acc_grade_1_6", "G1-6"}, {"acc_grade_7_12", "G7-12"}, {"acc_average", "AVG"}};
  for (const auto& [name, score] : lavin.at("scores").items()) check.texts(name, score, table.at(names.at(name)));
}

/// The lines that LLaVA's evaluation prints.
void check_llava_scores(const Json& llava, const Problems& problems, Check& check) {
  const auto rule = tasks::ScienceRule::llava;
  for (const auto& [id, letter] : llava.at("parsed").items())
    check.texts("LLaVA's letter of " + id, letter, letter_text(llava.at("result").at("outputs").at(id), rule));
  const Json& result = llava.at("result");
  const auto choice = [&](const std::string& id) {
    const auto letter = tasks::science_letter(result.at("outputs").at(id), rule);
    return tasks::science_choice(letter, problems.at(id)).value_or(-1);
  };
  for (const auto& [id, index] : result.at("results").items())
    check.integers("LLaVA's choice of " + id, {index.get<int64_t>()}, {choice(id)});
  const auto table = table_of(problems, result.at("results"), choice);
  check.texts("acc", fmt::format("{:.2f}", result.at("acc").get<double>()), table.at("AVG"));
  const std::map<std::string, std::string> names{{"NAT:", "NAT"},  {"SOC:", "SOC"},   {"LAN:", "LAN"},
                                                 {"TXT:", "TXT"},  {"IMG:", "IMG"},   {"NO:", "NO"},
                                                 {"1-6:", "G1-6"}, {"7-12:", "G7-12"}};
  for (const Json& item : llava.at("printed")) {
    const std::string line = item;
    const std::size_t colon = line.find(':');
    const auto name = colon == line.npos ? names.end() : names.find(line.substr(0, colon + 1));
    if (name == names.end()) continue;
    check.texts(line, line.substr(line.find_first_not_of(' ', colon + 1)), table.at(name->second));
  }
}

}  // namespace

Check run_scienceqa(const Json& json) {
  Check check;
  const Problems problems = problems_of(json.at("problems"));
  check_prompts(json, problems, check);
  check_letters(json, check);
  check_lavin_scores(json.at("lavin_eval"), problems, check);
  check_llava_scores(json.at("llava_eval"), problems, check);
  return check;
}

}  // namespace lithe::golden
