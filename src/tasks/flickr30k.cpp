#include <algorithm>
#include <map>

#include "base/error.h"
#include "data/format.h"
#include "tasks/items.h"
#include "tasks/meter_metrics.h"
#include "tasks/set_files.h"
#include "tasks/task.h"

/// Flickr30k with Karpathy's split: find the picture of a caption, and the captions of a picture.
namespace lithe::tasks {
namespace {

namespace fs = std::filesystem;

struct Caption {
  std::string text;
  int64_t picture = 0;
};

struct Gallery {
  std::vector<Caption> captions;
  std::vector<std::string> names;  ///< Of pictures.
  std::function<image::Source(int64_t picture)> picture;
};

void add_picture(const std::string& name, const Json& captions, const std::string& key, Gallery& gallery) {
  require(captions.is_array(), Fault::bad_file, "'", key, "' is not a list");
  for (const Json& caption : captions) {
    const Json& text = caption.is_object() ? field(caption, "raw") : caption;
    require(text.is_string(), Fault::bad_file, "a caption is not a text");
    gallery.captions.push_back({text.get<std::string>(), static_cast<int64_t>(gallery.names.size())});
  }
  gallery.names.push_back(name);
}

std::string folder_of_pictures(const fs::path& folder) {
  const std::vector<std::string> names{"flickr30k-images", "flickr30k_images", "images"};
  for (const std::string& name : names)
    if (found_in(folder, {name})) return name + "/";
  refuse_set("the pictures of Flickr30k", folder, names);
}

/// dataset_flickr30k.json and a folder of pictures.
Gallery read_karpathy(const TaskOptions& options, const fs::path& file) {
  const std::unique_ptr<data::Rows> rows = data::open_json_list(file, "images");
  Gallery gallery;
  for (int64_t i = 0; i < rows->size(); ++i) {
    naming_record(rows->name(i), [&] {
      const Json row = rows->read(i);
      if (text_field(row, "split") == options.split)
        add_picture(text_field(row, "filename"), field(row, "sentences"), "sentences", gallery);
    });
  }
  require(!gallery.names.empty(), Fault::bad_file, file.string(), ": has no picture of the split ", options.split);
  gallery.picture = [names = gallery.names, folder = folder_of_pictures(options.data),
                     place = std::make_shared<data::Pictures>(options.data, options.decode)](int64_t picture) {
    return place->find(folder + names.at(static_cast<std::size_t>(picture)));
  };
  return gallery;
}

Gallery read_arrow(const TaskOptions& options, const fs::path& file) {
  const std::unique_ptr<data::Rows> rows = data::open_rows(file, {"caption", "image_id"});
  Gallery gallery;
  for (int64_t i = 0; i < rows->size(); ++i) {
    naming_record(rows->name(i), [&] {
      const Json row = rows->read(i);
      add_picture(id_field(row, "image_id"), field(row, "caption"), "caption", gallery);
    });
  }
  const std::shared_ptr<data::Rows> pictures = data::open_rows(file, {"image"});
  gallery.picture = [pictures, place = std::make_shared<data::Pictures>(options.data, options.decode)](int64_t row) {
    return naming_record(pictures->name(row), [&] { return place->find(field(pictures->read(row), "image")); });
  };
  return gallery;
}

Gallery read_gallery(const TaskOptions& options) {
  const std::string arrow = "f30k_caption_karpathy_" + options.split + ".arrow";
  const std::vector<std::string> names{arrow, "dataset_flickr30k.json", "karpathy/dataset_flickr30k.json"};
  const std::optional<fs::path> file = found_in(options.data, names);
  if (!file) refuse_set("Flickr30k", options.data, names);
  return file->extension() == ".arrow" ? read_arrow(options, *file) : read_karpathy(options, *file);
}

/// The scores of some pictures for the captions that were answered, a picture on each row.
Recalls recalls_over(const std::vector<int64_t>& pictures, std::span<const Answered> answered,
                     const std::vector<Caption>& captions) {
  std::map<int64_t, int64_t> rows;
  for (const int64_t picture : pictures) rows.emplace(picture, static_cast<int64_t>(rows.size()));
  std::vector<float> values;
  values.reserve(pictures.size() * answered.size());
  for (const int64_t picture : pictures)
    for (const Answered& one : answered) values.push_back(one.response.scores.at(static_cast<std::size_t>(picture)));
  std::vector<int64_t> image_of;
  for (const Answered& one : answered)
    image_of.push_back(rows.at(captions.at(static_cast<std::size_t>(one.question)).picture));
  return recalls({static_cast<int64_t>(answered.size()), values}, image_of);
}

class Flickr30k final : public Task {
 public:
  explicit Flickr30k(const TaskOptions& options) : gallery_(read_gallery(options)) {}

  int64_t size() const override { return static_cast<int64_t>(gallery_.captions.size()); }

  std::string id(int64_t i) const override {
    const int64_t picture = at(i).picture;
    return concat(gallery_.names.at(static_cast<std::size_t>(picture)), "#", i - first_of(picture));
  }

  /// A question is a caption. Its picture is the candidate `pair_of(i)`.
  Question question(int64_t i) const override {
    const Caption& caption = at(i);
    Question question{.id = id(i), .text = caption.text};
    question.target = gallery_.names.at(static_cast<std::size_t>(caption.picture));
    question.ask(caption.text, "");
    return question;
  }

  /// The rank of the caption's picture, from 1, is what is read; the score says whether it is the first.
  Judgement judge(int64_t i, const Response& response) const override {
    const auto own = static_cast<std::size_t>(at(i).picture);
    require(response.scores.size() == gallery_.names.size(), Fault::bad_file, "it has ", response.scores.size(),
            " scores for ", gallery_.names.size(), " pictures");
    int64_t rank = 1;
    for (std::size_t k = 0; k < response.scores.size(); ++k) {
      const bool equal = response.scores[k] == response.scores[own];
      rank += response.scores[k] > response.scores[own] || (equal && k < own) ? 1 : 0;
    }
    return {std::to_string(rank), rank == 1 ? 1.0 : 0.0};
  }

  std::vector<Score> table(std::span<const Answered> answered) const override {
    if (answered.empty()) return {};
    std::vector<int64_t> all, asked;
    for (int64_t i = 0; i < candidates(); ++i) all.push_back(i);
    for (const Answered& one : answered) {
      const int64_t picture = at(one.question).picture;
      if (asked.empty() || asked.back() != picture) asked.push_back(picture);
    }
    const Recall image = recalls_over(all, answered, gallery_.captions).image;
    const Recall text = recalls_over(asked, answered, gallery_.captions).text;
    const auto captions = static_cast<int64_t>(answered.size()), pictures = static_cast<int64_t>(asked.size());
    return {{"IR@1", 100 * image.at_1, captions},   {"IR@5", 100 * image.at_5, captions},
            {"IR@10", 100 * image.at_10, captions}, {"TR@1", 100 * text.at_1, pictures},
            {"TR@5", 100 * text.at_5, pictures},    {"TR@10", 100 * text.at_10, pictures}};
  }

  int64_t pair_of(int64_t i) const override { return at(i).picture; }
  int64_t candidates() const override { return static_cast<int64_t>(gallery_.names.size()); }
  image::Source candidate(int64_t i) const override { return gallery_.picture(i); }

 private:
  const Caption& at(int64_t i) const { return gallery_.captions.at(static_cast<std::size_t>(i)); }

  int64_t first_of(int64_t picture) const {
    const auto found =
        std::lower_bound(gallery_.captions.begin(), gallery_.captions.end(), picture,
                         [](const Caption& caption, int64_t wanted) { return caption.picture < wanted; });
    return found - gallery_.captions.begin();
  }

  Gallery gallery_;
};

}  // namespace

std::unique_ptr<Task> open_flickr30k(const TaskOptions& options) {
  return std::make_unique<Flickr30k>(options);
}

}  // namespace lithe::tasks
