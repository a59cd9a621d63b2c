#include "base/error.h"
#include "data/format.h"
#include "data/pictures.h"
#include "tasks/answer_words.h"
#include "tasks/items.h"
#include "tasks/set_files.h"
#include "tasks/slake_score.h"
#include "tasks/task.h"

namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

struct SlakeQuestion {
  std::string id, text, picture;
  SlakeAnswer answer;
};

/// The English questions of a file.
void read_questions(const fs::path& file, std::vector<SlakeQuestion>& questions) {
  const std::unique_ptr<data::Rows> rows = data::open_rows(file, {});
  for (int64_t i = 0; i < rows->size(); ++i) {
    naming_record(rows->name(i), [&] {
      const Json row = rows->read(i);
      if (row.contains("q_lang") && row.at("q_lang") != "en") return;
      const std::string type = text_field(row, "answer_type");
      questions.push_back({.id = id_field(row, "qid"),
                           .text = text_field(row, "question"),
                           .picture = text_field(row, "img_name"),
                           .answer = {text_field(row, "answer"), is_closed_type(type)}});
    });
  }
}

class Slake final : public Task {
 public:
  explicit Slake(const TaskOptions& options)
      : instruction_(options.instruction.value_or("")), place_(folder_of_pictures(options.data), options.decode) {
    for (const std::string& split : parts_of_split(options.split)) {
      const auto file = found_in(options.data, {split + ".json"});
      if (!file) refuse_set("SLAKE", options.data, {split + ".json"});
      read_questions(*file, questions_);
    }
  }

  int64_t size() const override { return static_cast<int64_t>(questions_.size()); }

  std::string id(int64_t i) const override { return at(i).id; }

  Question question(int64_t i) const override {
    const SlakeQuestion& one = at(i);
    Question question{.id = one.id, .text = one.text, .target = one.answer.reference};
    naming_record("question " + one.id, [&] { question.images.push_back(place_.find(one.picture)); });
    question.ask(one.text, instruction_);
    return question;
  }

  Judgement judge(int64_t i, const Response& response) const override {
    return {normalized_answer(response.text), slake_hit(at(i).answer, response.text) ? 1.0 : 0.0};
  }

  std::vector<Score> table(std::span<const Answered> answered) const override {
    SlakeTable table;
    for (const Answered& one : answered) table.add(at(one.question).answer, one.response.text);
    return table.scores();
  }

 private:
  const SlakeQuestion& at(int64_t i) const { return questions_.at(static_cast<std::size_t>(i)); }

  static fs::path folder_of_pictures(const fs::path& folder) {
    const auto found = found_in(folder, {"imgs", "imgs.zip"});
    if (!found) refuse_set("SLAKE", folder, {"imgs", "imgs.zip"});
    return *found;
  }

  std::string instruction_;
  data::Pictures place_;
  std::vector<SlakeQuestion> questions_;
};

}  // namespace

std::unique_ptr<Task> open_slake(const TaskOptions& options) {
  return std::make_unique<Slake>(options);
}

}  // namespace lithe::tasks
