#include "tasks/scienceqa_prompt.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "tasks/option_lines.h"
#include "text/message.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr std::array<const char*, 8> kInputs{"QCM", "CQM", "QCML", "QCME", "QCMLE", "QCLM", "QCEM", "QCLEM"};
constexpr std::array<const char*, 9> kOutputs{"A", "AL", "AE", "ALE", "AEL", "LA", "EA", "LEA", "ELA"};

std::string context_of(const ScienceProblem& problem, bool caption) {
  const std::string context = text::stripped(problem.hint + " " + (caption ? problem.caption : ""));
  return context.empty() ? "N/A" : context;
}

std::string choices_of(const ScienceProblem& problem) {
  std::string choices;
  for (std::size_t i = 0; i < problem.choices.size(); ++i)
    choices += concat(i == 0 ? "" : " ", "(", option_letter(i), ") ", problem.choices[i]);
  return choices;
}

/// The texts of L and E: a newline is two characters there, as the reference has it.
std::string explanation_of(const ScienceProblem& problem, std::string_view letters) {
  std::string text;
  for (std::size_t i = 0; i < letters.size(); ++i) {
    const std::string& part = letters[i] == 'L' ? problem.lecture : problem.solution;
    text += (i == 0 ? "" : " ") + text::replaced(part, "\n", "\\n");
  }
  return text;
}

/// What stands before the answer, each part on its line.
std::string input_of(const ScienceProblem& problem, const SciencePrompt& prompt) {
  std::string text;
  for (std::size_t at = 0; at < prompt.input.size(); ++at) {
    switch (prompt.input[at]) {
      case 'Q':
        text += "Question: " + problem.question;
        break;
      case 'C':
        text += "Context: " + context_of(problem, prompt.caption);
        break;
      case 'M':
        text += "Options: " + choices_of(problem);
        break;
      default: {
        const std::size_t end = std::min(prompt.input.find_first_not_of("LE", at), prompt.input.size());
        text += "BECAUSE: " + explanation_of(problem, std::string_view(prompt.input).substr(at, end - at));
        at = end - 1;
      }
    }
    text += '\n';
  }
  return text;
}

/// "AL" tells the solution, and "AE" the lecture: the reference has them the wrong way round.
std::string letters_of(const std::string& output) {
  if (output == "AL") return "E";
  if (output == "AE") return "L";
  return output;
}

std::string output_of(const ScienceProblem& problem, const SciencePrompt& prompt) {
  const std::string answer = "The answer is " + option_letter(static_cast<std::size_t>(problem.answer)) + ".";
  if (prompt.output == "A") return answer;
  std::string letters = letters_of(prompt.output);
  letters.erase(std::remove(letters.begin(), letters.end(), 'A'), letters.end());
  const std::string explanation = explanation_of(problem, letters);
  return prompt.output.front() == 'A' ? answer + " BECAUSE: " + explanation : explanation + " " + answer;
}

/// Two blanks become one, once.
std::string tidy(const std::string& text) {
  return text::stripped(text::replaced(text, "  ", " "));
}

template <class List>
bool contains(const List& list, const std::string& word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

std::string text_of(const Json& problem, const char* key) {
  const auto found = problem.find(key);
  if (found == problem.end() || found->is_null()) return {};
  require(found->is_string(), Fault::bad_file, "'", key, "' is not a text");
  return found->get<std::string>();
}

}  // namespace

ScienceProblem read_science_problem(const Json& problem) {
  require(problem.is_object() && problem.contains("question") && problem.contains("choices"), Fault::bad_file,
          "is not a problem of ScienceQA, which has a 'question' and 'choices'");
  ScienceProblem read;
  read.question = text_of(problem, "question");
  read.hint = text_of(problem, "hint");
  read.subject = text_of(problem, "subject");
  read.grade = text_of(problem, "grade");
  read.lecture = text_of(problem, "lecture");
  read.solution = text_of(problem, "solution");
  const Json& choices = problem.at("choices");
  require(choices.is_array() && !choices.empty() && choices.size() <= 26, Fault::bad_file,
          "'choices' is not a list of 1 to 26 texts");
  for (const Json& choice : choices) {
    require(choice.is_string(), Fault::bad_file, "a choice is not a text");
    read.choices.push_back(choice.get<std::string>());
  }
  const auto answer = problem.find("answer");
  require(answer != problem.end() && answer->is_number_integer() && answer->get<int64_t>() >= 0 &&
              answer->get<int64_t>() < static_cast<int64_t>(read.choices.size()),
          Fault::bad_file, "'answer' is not the number of a choice, from 0");
  read.answer = answer->get<int64_t>();
  const auto picture = problem.find("image");
  read.has_picture = picture != problem.end() && !picture->is_null() && *picture != "";
  return read;
}

SciencePrompt SciencePrompt::parse(const std::string& text) {
  constexpr std::string_view kCaption = "+caption";
  SciencePrompt prompt;
  prompt.caption = text.ends_with(kCaption);
  const std::string form = text.substr(0, text.size() - (prompt.caption ? kCaption.size() : 0));
  const std::size_t dash = form.find('-');
  prompt.input = form.substr(0, dash);
  prompt.output = dash == form.npos ? "" : form.substr(dash + 1);
  require(contains(kInputs, prompt.input) && contains(kOutputs, prompt.output), Fault::bad_request, "--prompt is ",
          in_quotes(text),
          "; for ScienceQA give QCM-ALE, QCM-A, CQM-A, QCM-LEA, QCM-AL or QCM-AE, with +caption at the ",
          "end for captions, or QCML, QCME, QCMLE, QCLM, QCEM or QCLEM in front to tell the explanation.");
  return prompt;
}

ScienceExample science_example(const ScienceProblem& problem, const SciencePrompt& prompt) {
  return {tidy(input_of(problem, prompt) + "Response:"), tidy(output_of(problem, prompt))};
}

std::string science_chat_question(const ScienceExample& example) {
  constexpr std::string_view kFront = "Question: ", kEnd = "Response:";
  std::string_view rest = example.input;
  if (rest.ends_with(kEnd)) rest.remove_suffix(kEnd.size());
  if (rest.starts_with(kFront)) rest.remove_prefix(kFront.size());
  return text::stripped(rest);
}

std::string science_few_shot(const std::vector<ScienceProblem>& shots, const ScienceProblem& asked,
                             const SciencePrompt& prompt) {
  constexpr const char* kBecause = "BECAUSE:";
  std::string text;
  for (const ScienceProblem& shot : shots) {
    std::string example = tidy(input_of(shot, prompt) + "Answer: " + output_of(shot, prompt));
    if (example.ends_with(kBecause)) example = text::stripped(text::replaced(example, kBecause, ""));
    text += example + "\n\n";
  }
  return text + tidy(input_of(asked, prompt) + "Answer:");
}

}  // namespace lithe::tasks
