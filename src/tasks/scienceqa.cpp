#include <functional>

#include "base/error.h"
#include "base/json.h"
#include "base/printable.h"
#include "data/format.h"
#include "data/pictures.h"
#include "tasks/items.h"
#include "tasks/scienceqa_prompt.h"
#include "tasks/scienceqa_score.h"
#include "tasks/set_files.h"
#include "tasks/task.h"

namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

/// The problems of a split, however they were downloaded.
struct Problems {
  std::vector<std::string> ids;
  std::vector<ScienceProblem> problems;
  /// The picture of problem `i`, which has one.
  std::function<image::Source(int64_t i)> picture;
};

/// The pictures' folder: "images/test/6/image.png" or "test/6/image.png".
std::string name_of_picture(const fs::path& folder, const std::string& split, const std::string& id,
                            const std::string& file) {
  std::error_code code;
  const std::string below = split + "/" + id + "/" + file;
  return fs::is_directory(folder / "images" / split, code) ? "images/" + below : below;
}

void add_captions(const fs::path& folder, Problems& found) {
  const fs::path file = folder / "captions.json";
  const Json json = read_json_file(file);
  const Json& captions = json.contains("captions") ? json.at("captions") : json;
  require(captions.is_object(), Fault::bad_file, file.string(), ": 'captions' is not an object");
  for (std::size_t i = 0; i < found.ids.size(); ++i) {
    const auto caption = captions.find(found.ids[i]);
    if (caption != captions.end() && caption->is_string()) found.problems[i].caption = caption->get<std::string>();
  }
}

/// problems.json, pid_splits.json and folders of pictures.
Problems read_folder(const TaskOptions& options, bool captions) {
  const Json problems = read_json_file(options.data / "problems.json");
  const Json splits = read_json_file(options.data / "pid_splits.json");
  const auto split = splits.find(options.split);
  require(split != splits.end() && split->is_array(), Fault::bad_file, (options.data / "pid_splits.json").string(),
          ": has no split ", in_quotes(options.split));
  Problems found;
  auto names = std::make_shared<std::vector<std::string>>();
  for (const Json& id : *split) {
    require(id.is_string() && problems.contains(id.get<std::string>()), Fault::bad_file,
            (options.data / "problems.json").string(), ": has no problem ", id.dump());
    const Json& problem = problems.at(id.get<std::string>());
    found.ids.push_back(id.get<std::string>());
    naming_record("problem " + found.ids.back(), [&] {
      found.problems.push_back(read_science_problem(problem));
      const bool has = found.problems.back().has_picture;
      names->push_back(has ? name_of_picture(options.data, text_field(problem, "split"), found.ids.back(),
                                             text_field(problem, "image"))
                           : "");
    });
  }
  if (captions) add_captions(options.data, found);
  found.picture = [names, place = std::make_shared<data::Pictures>(options.data, options.decode)](int64_t i) {
    return place->find(names->at(static_cast<std::size_t>(i)));
  };
  return found;
}

/// The hub's Parquet files.
Problems read_tables(const TaskOptions& options, const std::vector<fs::path>& files) {
  const std::vector<std::string> columns{"question", "choices", "answer",   "hint", "grade",
                                         "subject",  "lecture", "solution", "image"};
  const std::shared_ptr<data::Rows> rows = data::open_rows(files, columns);
  Problems found;
  for (int64_t i = 0; i < rows->size(); ++i) {
    found.ids.push_back(std::to_string(i));
    naming_record(rows->name(i), [&] { found.problems.push_back(read_science_problem(rows->read(i))); });
  }
  found.picture = [rows, place = std::make_shared<data::Pictures>(options.data, options.decode)](int64_t i) {
    return naming_record(rows->name(i), [&] { return place->find(field(rows->read(i), "image")); });
  };
  return found;
}

Problems read_problems(const TaskOptions& options, bool captions) {
  if (found_in(options.data, {"problems.json"})) return read_folder(options, captions);
  for (const std::string& pattern : {"data/" + options.split + "-*.parquet", options.split + "-*.parquet"}) {
    const std::vector<fs::path> files = fitting(options.data, pattern);
    require(files.empty() || !captions, Fault::bad_request,
            "The Parquet files of ScienceQA have no captions; leave +caption out of --prompt.");
    if (!files.empty()) return read_tables(options, files);
  }
  refuse_set("ScienceQA", options.data, {"problems.json", "data/" + options.split + "-*.parquet"});
}

class ScienceQa final : public Task {
 public:
  explicit ScienceQa(const TaskOptions& options)
      : prompt_(options.prompt.empty() ? SciencePrompt() : SciencePrompt::parse(options.prompt)),
        instruction_(options.instruction.value_or("")),
        lavin_(options.family == "lavin"),
        all_(read_problems(options, prompt_.caption)) {}

  int64_t size() const override { return static_cast<int64_t>(all_.problems.size()); }

  std::string id(int64_t i) const override { return all_.ids.at(static_cast<std::size_t>(i)); }

  Question question(int64_t i) const override {
    const ScienceProblem& problem = this->problem(i);
    const ScienceExample example = science_example(problem, prompt_);
    Question question{.id = id(i), .text = problem.question, .target = example.output};
    if (problem.has_picture) question.images.push_back(all_.picture(i));
    question.ask(lavin_ ? example.input : science_chat_question(example), instruction_);
    return question;
  }

  Judgement judge(int64_t i, const Response& response) const override {
    const auto letter = science_letter(response.text, lavin_ ? ScienceRule::lavin_eas : ScienceRule::llava);
    const bool right = science_choice(letter, problem(i)) == problem(i).answer;
    return {letter ? std::string(1, *letter) : "", right ? 1.0 : 0.0};
  }

  std::vector<Score> table(std::span<const Answered> answered) const override {
    std::vector<ScienceMark> marks;
    for (const Answered& one : answered) marks.push_back({&problem(one.question), one.judgement.score > 0});
    std::vector<Score> scores;
    for (const ScienceColumn& column : science_table(marks))
      if (column.questions > 0) scores.push_back({column.name, column.percent(), column.questions});
    return scores;
  }

 private:
  const ScienceProblem& problem(int64_t i) const { return all_.problems.at(static_cast<std::size_t>(i)); }

  SciencePrompt prompt_;
  std::string instruction_;
  bool lavin_;
  Problems all_;
};

}  // namespace

std::unique_ptr<Task> open_scienceqa(const TaskOptions& options) {
  return std::make_unique<ScienceQa>(options);
}

}  // namespace lithe::tasks
