#include "base/error.h"
#include "data/format.h"
#include "tasks/label_task.h"
#include "tasks/set_files.h"
#include "text/words.h"

/// SNLI-VE: does a picture prove a sentence, contradict it, or neither?
namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kLabels{"contradiction", "neutral", "entailment"};

Item snli_ve_item(const Json& row) {
  Item item{.id = id_field(row, "pairID"), .text = text::stripped(text_field(row, "sentence2"))};
  item.more = label_named(kLabels, text_field(row, "gold_label"));
  return item;
}

/// Each value is [premise, hypothesis]; the premise is the picture's caption, which is not asked about.
Item snli_ve_item_of_list(const Json& row, std::size_t place, const std::string& key) {
  const Json& pair = list_field(row, "sentences", place);
  const Json& label = list_field(row, "labels", place);
  require(pair.is_array() && pair.size() == 2 && pair[1].is_string(), Fault::bad_file,
          "'sentences' holds something other than pairs of texts");
  require(label.is_number_integer() && label >= 0 && label <= 2, Fault::bad_file, "a label is not 0, 1 or 2");
  Item item{.id = key, .text = text::stripped(pair[1].get<std::string>())};
  item.more = label;
  return item;
}

std::string folder_of_pictures(const fs::path& folder) {
  const std::vector<std::string> names{"flickr30k_images", "flickr30k-images", "Flickr30K/images", "images"};
  for (const std::string& name : names)
    if (found_in(folder, {name})) return name + "/";
  refuse_set("the pictures of Flickr30k, which SNLI-VE needs", folder, names);
}

std::unique_ptr<Items> open_snli_ve_split(const TaskOptions& options, const std::string& split) {
  const std::vector<std::string> names{"snli_" + split + ".arrow", "snli_ve_" + split + ".jsonl"};
  const std::optional<fs::path> file = found_in(options.data, names);
  if (!file) refuse_set("SNLI-VE", options.data, names);
  if (file->extension() == ".arrow")
    return items_of(ListSet{.files = {*file},
                            .columns = {"sentences", "labels"},
                            .pictures = {"image"},
                            .decode = options.decode,
                            .item = [split](const Json& row, std::size_t place, const std::string& key) {
                              return snli_ve_item_of_list(row, place, split + "-" + key);
                            }});
  return items_of(RowSet{.rows = data::open_rows(*file, {}),
                         .pictures = nullptr,
                         .place = data::Pictures(options.data, options.decode),
                         .item = snli_ve_item,
                         .picture_fields = [folder = folder_of_pictures(options.data)](const Json& row) {
                           return std::vector<Json>{folder + id_field(row, "Flickr30K_ID") + ".jpg"};
                         }});
}

}  // namespace

std::unique_ptr<Task> open_snli_ve(const TaskOptions& options) {
  std::vector<std::unique_ptr<Items>> parts;
  for (const std::string& split : parts_of_split(options.split)) parts.push_back(open_snli_ve_split(options, split));
  return label_task({kLabels, options.instruction.value_or(""), join(std::move(parts))});
}

}  // namespace lithe::tasks
