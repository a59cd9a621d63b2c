#include <algorithm>
#include <array>
#include <map>
#include <set>

#include "base/error.h"
#include "base/printable.h"
#include "tasks/benchmarks/hub_task.h"
#include "tasks/mmmu_answer.h"
#include "tasks/option_lines.h"
#include "tasks/python_list.h"
#include "tasks/python_number.h"
#include "tasks/python_random.h"
#include "text/message.h"
#include "text/words.h"

namespace lithe::tasks {
namespace {

constexpr const char* kOptions = "Answer with the option's letter from the given choices directly.";
constexpr const char* kOpen = "Answer the question using a single word or phrase.";
constexpr int kMostPictures = 7;

struct Domain {
  const char* name;
  std::vector<std::string> subjects;
};

const std::array kDomains{Domain{"Art and Design", {"Art", "Art_Theory", "Design", "Music"}},
                          Domain{"Business", {"Accounting", "Economics", "Finance", "Manage", "Marketing"}},
                          Domain{"Science", {"Biology", "Chemistry", "Geography", "Math", "Physics"}},
                          Domain{"Health and Medicine",
                                 {"Basic_Medical_Science", "Clinical_Medicine", "Diagnostics_and_Laboratory_Medicine",
                                  "Pharmacy", "Public_Health"}},
                          Domain{"Humanities and Social Science", {"History", "Literature", "Sociology", "Psychology"}},
                          Domain{"Tech and Engineering",
                                 {"Agriculture", "Architecture_and_Engineering", "Computer_Science", "Electronics",
                                  "Energy_and_Power", "Materials", "Mechanical_Engineering"}}};

bool is_open(const Json& row) {
  return text_field(row, "question_type") != "multiple-choice";
}

std::vector<std::string> mmmu_options(const Json& row) {
  return is_open(row) ? std::vector<std::string>() : python_list(text_field(row, "options"));
}

/// "validation_Art_Theory_12" -> "Art_Theory"
std::string subject_of(const Json& row) {
  const std::string id = id_field(row, "id");
  const std::size_t begin = id.find('_'), end = id.rfind('_');
  require(begin != id.npos && end > begin + 1 && end + 1 < id.size() &&
              id.find_first_not_of("0123456789", end + 1) == id.npos,
          Fault::bad_file, "'id' is ", in_quotes(id), ", not SPLIT_SUBJECT_NUMBER");
  return id.substr(begin + 1, end - begin - 1);
}

/// "<image 2>" -> "image_2": the columns that a prompt names, as texts in order.
std::vector<std::string> pictures_in(const std::string& prompt) {
  std::set<std::string> names;
  for (std::size_t at = 0; (at = prompt.find("<image ", at)) != prompt.npos;) {
    at += 7;
    const std::size_t end = prompt.find_first_not_of("0123456789", at);
    if (end != prompt.npos && end > at && prompt[end] == '>') names.insert("image_" + prompt.substr(at, end - at));
  }
  return {names.begin(), names.end()};
}

/// A picture goes where each mark is, as long as there are pictures. Of the text from there on, only what follows the
/// last mark is shown: so lmms-eval makes the messages of chat models.
std::string interleaved(const std::string& prompt, std::size_t pictures) {
  std::string marked = prompt;
  for (int k = 1; k <= kMostPictures; ++k) marked = text::replaced(marked, concat("<image ", k, ">"), "<image>");
  std::vector<std::string> pieces;
  for (std::size_t at = 0; at <= marked.size();) {
    const std::size_t end = std::min(marked.find("<image>", at), marked.size());
    pieces.push_back(text::stripped(marked.substr(at, end - at)));
    at = end + (end == marked.size() ? 1 : 7);
  }
  std::string shown;
  for (std::size_t i = 0; i < pictures; ++i) shown += (i + 1 < pieces.size() ? pieces[i] : "") + "<image>";
  return shown + pieces.back();
}

class Mmmu final : public HubTask {
 public:
  explicit Mmmu(const TaskOptions& options)
      : HubTask({.title = "MMMU",
                 .folders = {"data", "*"},
                 .columns = {"id", "question", "options", "answer", "question_type"},
                 .id = {"id"},
                 .pictures = {"image_1", "image_2", "image_3", "image_4", "image_5", "image_6", "image_7"}},
                options) {}

  /// An answer without a letter counts as the option that is drawn for it.
  std::vector<Score> table(std::span<const Answered> answered) const override {
    std::vector<Answered> marked(answered.begin(), answered.end());
    PythonRandom random(0);
    for (Answered& one : marked) {
      if (!one.judgement.parsed.empty()) continue;
      const Json& asked = row(one.question);
      const auto count = static_cast<uint32_t>(mmmu_options(asked).size());
      one.judgement.parsed = option_letter(random.below(count));
      one.judgement.score = one.judgement.parsed == text_field(asked, "answer") ? 1.0 : 0.0;
    }
    std::vector<Score> scores = mean_score("mmmu_acc", marked);
    for (const Domain& domain : kDomains) add_domain(domain, marked, scores);
    for (Score& score : scores) score.value = 100 * python_round(score.value / 100, 5);
    return scores;
  }

 private:
  AskedRow asked(const Json& row) const override {
    subject_of(row);
    const bool open = is_open(row);
    const std::string lines = open ? std::string() : option_lines(mmmu_options(row));
    const std::string instruction = open && this->instruction() == kOptions ? kOpen : this->instruction();
    std::string prompt =
        concat(text_field(row, "question"), open ? "" : "\n", lines, instruction.empty() ? "" : "\n\n", instruction);
    std::vector<std::string> pictures = pictures_in(prompt);
    if (today()) prompt = interleaved(prompt, pictures.size());
    return {.prompt = std::move(prompt),
            .target = text_field(row, "answer"),
            .instruction = "",
            .pictures = std::move(pictures)};
  }

  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    const std::string target = text_field(row, "answer");
    if (!is_open(row)) {
      const std::string letter = mmmu_letter(answer, mmmu_options(row));
      return {letter, letter == target ? 1.0 : 0.0};
    }
    const MmmuValues values = mmmu_values(answer);
    return {json_text(to_json(values)), mmmu_match(values, target) ? 1.0 : 0.0};
  }

  void add_domain(const Domain& domain, std::span<const Answered> marked, std::vector<Score>& scores) const {
    const auto is_in = [&](const Answered& one) {
      return std::find(domain.subjects.begin(), domain.subjects.end(), subject_of(row(one.question))) !=
             domain.subjects.end();
    };
    add_mean(std::string("Overall-") + domain.name, marked, is_in, scores);
    for (const std::string& subject : domain.subjects)
      add_mean(
          subject, marked, [&](const Answered& one) { return subject_of(row(one.question)) == subject; }, scores);
  }
};

}  // namespace

std::unique_ptr<Task> open_mmmu(const TaskOptions& options) {
  return std::make_unique<Mmmu>(options);
}

}  // namespace lithe::tasks
