#include "base/error.h"
#include "data/format.h"
#include "tasks/label_task.h"
#include "tasks/set_files.h"

/// NLVR2: is a sentence about two pictures true?
namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kLabels{"False", "True"};

/// "dev-850-0-1" is sentence 1 about the pictures "dev-850-0".
std::string pair_of(const std::string& identifier) {
  return identifier.substr(0, identifier.rfind('-'));
}

Item nlvr2_item(const Json& row) {
  Item item{.id = text_field(row, "identifier"), .text = text_field(row, "sentence")};
  if (row.contains("label")) item.more = label_named(kLabels, text_field(row, "label"));
  return item;
}

/// dev/dev-850-0-img0.png; train pictures are in numbered folders: images/train/12/train-850-0-img0.png.
std::vector<Json> pictures_of(const Json& row) {
  const std::string pair = pair_of(text_field(row, "identifier"));
  const std::string split = pair.substr(0, pair.find('-'));
  const bool numbered = row.contains("directory");
  const std::string folder = numbered ? "images/" + split + "/" + id_field(row, "directory") : split;
  return {folder + "/" + pair + "-img0.png", folder + "/" + pair + "-img1.png"};
}

Item nlvr2_item_of_list(const Json& row, std::size_t place, const std::string& key) {
  const Json& answer = list_field(row, "answers", place);
  const Json& question = list_field(row, "questions", place);
  require(question.is_string() && answer.is_string(), Fault::bad_file, "its questions or answers are not texts");
  Item item{.id = concat(text_field(row, "identifier"), "-", key), .text = question.get<std::string>()};
  item.more = label_named(kLabels, answer.get<std::string>());
  return item;
}

std::unique_ptr<Items> open_nlvr2_split(const TaskOptions& options, const std::string& split) {
  const std::vector<std::string> names{"nlvr2_" + split + ".arrow", "data/" + split + ".json",
                                       "nlvr2/data/" + split + ".json", split + ".json"};
  const std::optional<fs::path> file = found_in(options.data, names);
  if (!file) refuse_set("NLVR2", options.data, names);
  if (file->extension() == ".arrow")
    return items_of(ListSet{.files = {*file},
                            .columns = {"questions", "answers", "identifier"},
                            .pictures = {"image_0", "image_1"},
                            .decode = options.decode,
                            .item = nlvr2_item_of_list});
  return items_of(RowSet{.rows = data::open_rows(*file, {}),
                         .pictures = nullptr,
                         .place = data::Pictures(options.data, options.decode),
                         .item = nlvr2_item,
                         .picture_fields = pictures_of});
}

}  // namespace

std::unique_ptr<Task> open_nlvr2(const TaskOptions& options) {
  std::vector<std::unique_ptr<Items>> parts;
  for (const std::string& split : parts_of_split(options.split)) parts.push_back(open_nlvr2_split(options, split));
  return label_task({kLabels, options.instruction.value_or(""), join(std::move(parts))});
}

}  // namespace lithe::tasks
