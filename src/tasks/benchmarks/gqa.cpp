#include <unordered_map>

#include "base/error.h"
#include "base/printable.h"
#include "data/format.h"
#include "tasks/benchmarks/hub_task.h"
#include "tasks/plain_match.h"

namespace lithe::tasks {
namespace {

const HubSet kQuestions{.title = "GQA",
                        .folders = {"testdev_balanced_instructions"},
                        .columns = {"id", "imageId", "question", "answer"},
                        .id = {"id"},
                        .pictures = {}};

/// The pictures, each once, in a second table; `imageId` of a question names one.
class Gqa final : public HubTask {
 public:
  explicit Gqa(const TaskOptions& options)
      : HubTask(kQuestions, options),
        pictures_({.title = "GQA (its pictures)",
                   .folders = {folder_of_pictures(options.split)},
                   .columns = {"id"},
                   .id = {"id"}},
                  options) {
    for (int64_t i = 0; i < pictures_.size(); ++i) places_[pictures_.id(i)] = i;
  }

 private:
  AskedRow asked(const Json& row) const override {
    return {.prompt = text_field(row, "question"), .target = text_field(row, "answer")};
  }

  Judgement judged(const Json& row, const std::string& answer, const std::string&) const override {
    return {answer, plain_match(answer, text_field(row, "answer")) ? 1.0 : 0.0};
  }

  std::vector<image::Source> pictures(int64_t i, const AskedRow& asked) const override {
    const std::string id = id_field(row(i), "imageId");
    const auto place = places_.find(id);
    require(place != places_.end(), Fault::bad_file, "its picture ", in_quotes(id), " is not in the table of pictures");
    return naming_record(pictures_.name(place->second),
                         [&] { return pictures_.pictures(place->second, asked.pictures, true); });
  }

  static std::string folder_of_pictures(const std::string& split) { return split + "_balanced_images"; }

  HubRows pictures_;
  std::unordered_map<std::string, int64_t> places_;
};

}  // namespace

std::unique_ptr<Task> open_gqa(const TaskOptions& options) {
  return std::make_unique<Gqa>(options);
}

}  // namespace lithe::tasks
