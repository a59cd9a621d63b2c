#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/fnv.h"
#include "base/printable.h"
#include "data/format.h"
#include "data/pictures.h"
#include "tasks/answer_words.h"
#include "tasks/items.h"
#include "tasks/set_files.h"
#include "tasks/task.h"
#include "text/words.h"

/// AID: which of 30 kinds of scene an aerial picture shows. Each kind is a folder of pictures. The authors of EAS list
/// the pictures of each split; their lists may lie beside the folders.
namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

/// As in the lists, which have one question.
constexpr const char* kQuestion = "What is the label for this image?";

struct Scene {
  std::string picture, kind;
};

/// The same on every machine. The hash is mixed so that names that differ in their last digit do not follow each other.
uint64_t place_in_draw(const std::string& name) {
  uint64_t hash = fnv1a(name);
  hash ^= hash >> 32U;
  hash *= 0xD6E8FEB86659FD93U;
  return hash ^ hash >> 32U;
}

std::vector<std::string> names_in(const fs::path& folder, bool folders) {
  std::vector<std::string> names;
  std::error_code code;
  for (fs::directory_iterator entry(folder, code), end; !code && entry != end; entry.increment(code)) {
    const std::string name = entry->path().filename().string();
    if (name.front() != '.' && entry->is_directory(code) == folders) names.push_back(name);
  }
  require(!code, Fault::bad_file, "The folder ", in_quotes(folder.string()), " can't be read: ", code.message(), ".");
  std::sort(names.begin(), names.end());
  return names;
}

/// "train20" and "test20": in each kind, 20 % of the pictures are for training, and the others for the test.
struct Split {
  bool train = false;
  int percent = 0;  ///< For training.

  /// The file of its list, or of the list of what it leaves.
  std::string list() const { return concat(train ? "train" : "test", percent, ".json"); }
  std::string other_list() const { return concat(train ? "test" : "train", percent, ".json"); }
};

Split split_of(const std::string& name) {
  for (const int percent : {20, 50}) {
    if (name == concat("train", percent)) return {true, percent};
    if (name == concat("test", percent)) return {false, percent};
  }
  fail(Fault::bad_request, "AID has no split ", in_quotes(name), "; give train20, test20, train50 or test50.");
}

/// What the turn of `role` ("human", "gpt") says.
std::string said_by(const Json& row, const std::string& role) {
  const Json& turns = field(row, "conversations");
  require(turns.is_array(), Fault::bad_file, "'conversations' is not a list");
  for (const Json& turn : turns)
    if (text_field(turn, "from") == role) return text_field(turn, "value");
  fail(Fault::bad_file, "has no turn of ", in_quotes(role));
}

/// A list in LLaVA's form. Throws Error{bad_file} for another question: its answers could not be labels.
std::vector<Scene> read_list(const fs::path& file) {
  std::vector<Scene> scenes;
  const std::unique_ptr<data::Rows> rows = data::open_rows(file, {});
  for (int64_t i = 0; i < rows->size(); ++i) {
    naming_record(rows->name(i), [&] {
      const Json row = rows->read(i);
      require(said_by(row, "human").find(kQuestion) != std::string::npos, Fault::bad_file, "does not ask \"", kQuestion,
              "\"");
      scenes.push_back({text_field(row, "image"), said_by(row, "gpt")});
    });
  }
  return scenes;
}

std::vector<Scene> draw(const fs::path& folder, const Split& split) {
  std::vector<Scene> scenes;
  for (const std::string& kind : names_in(folder, true)) {
    std::vector<std::string> pictures = names_in(folder / kind, false);
    std::sort(pictures.begin(), pictures.end(), [&](const std::string& a, const std::string& b) {
      return std::pair(place_in_draw(kind + "/" + a), a) < std::pair(place_in_draw(kind + "/" + b), b);
    });
    const double share = split.percent / 100.0;
    const auto cut = static_cast<std::ptrdiff_t>(std::lround(share * static_cast<double>(pictures.size())));
    const auto begin = split.train ? pictures.begin() : pictures.begin() + cut;
    const auto end = split.train ? pictures.begin() + cut : pictures.end();
    std::sort(begin, end);
    for (auto name = begin; name != end; ++name) scenes.push_back({kind + "/" + *name, text::lower(kind)});
  }
  return scenes;
}

/// What the list of the split says; if there is no list, Lithe's own draw. A draw beside a list of the other part would
/// put pictures into both parts.
std::vector<Scene> scenes_of(const fs::path& folder, const Split& split) {
  if (const auto list = found_in(folder, {split.list()})) return read_list(*list);
  require(!found_in(folder, {split.other_list()}), Fault::bad_file, "The folder ", in_quotes(folder.string()), " has ",
          split.other_list(), ", but not ", split.list(), "; put both lists there, or neither.");
  return draw(folder, split);
}

class Aid final : public Task {
 public:
  explicit Aid(const TaskOptions& options)
      : instruction_(options.instruction.value_or("")),
        place_(options.data, options.decode),
        scenes_(scenes_of(options.data, split_of(options.split))) {
    if (scenes_.empty()) refuse_set("AID", options.data, {"Airport and the other folders of pictures"});
  }

  int64_t size() const override { return static_cast<int64_t>(scenes_.size()); }
  std::string id(int64_t i) const override { return at(i).picture; }

  Question question(int64_t i) const override {
    Question question{.id = id(i), .text = kQuestion, .target = at(i).kind};
    naming_record("question " + question.id, [&] { question.images.push_back(place_.find(at(i).picture)); });
    question.ask(kQuestion, instruction_);
    return question;
  }

  Judgement judge(int64_t i, const Response& response) const override {
    const std::string given = normalized_answer(response.text);
    return {given, given == normalized_answer(at(i).kind) ? 1.0 : 0.0};
  }

  std::vector<Score> table(std::span<const Answered> answered) const override {
    return mean_score("accuracy", answered);
  }

 private:
  const Scene& at(int64_t i) const { return scenes_.at(static_cast<std::size_t>(i)); }

  std::string instruction_;
  data::Pictures place_;
  std::vector<Scene> scenes_;
};

}  // namespace

std::unique_ptr<Task> open_aid(const TaskOptions& options) {
  return std::make_unique<Aid>(options);
}

}  // namespace lithe::tasks
