#include <algorithm>
#include <array>
#include <unordered_set>

#include "base/error.h"
#include "base/json_limits.h"
#include "base/lower_case.h"
#include "base/printable.h"
#include "base/utf8.h"
#include "data/format.h"
#include "data/tar_index.h"

namespace lithe::data {
namespace {

constexpr std::array<std::string_view, 6> kPictures{"jpg", "jpeg", "png", "webp", "gif", "bmp"};
constexpr std::size_t kMaxTextBytes = std::size_t{64} << 20;

/// The files of a sample, in the archive.
struct Sample {
  std::string key;                 ///< The name up to the first dot of its last part.
  std::vector<TarEntry> pictures;  ///< In the order of the archive.
  std::vector<TarEntry> json, text;
};

/// "a/b.c.jpg" -> "a/b", "c.jpg", as WebDataset does.
std::pair<std::string, std::string> split(const std::string& name) {
  const std::size_t slash = name.rfind('/');
  const std::size_t dot = name.find('.', slash == name.npos ? 0 : slash + 1);
  if (dot == name.npos) return {name, ""};
  return {name.substr(0, dot), in_lower_case(name.substr(dot + 1))};
}

bool is_picture(const std::string& ending) {
  const std::string last = ending.substr(ending.rfind('.') + 1);
  return std::find(kPictures.begin(), kPictures.end(), last) != kPictures.end();
}

std::vector<Sample> samples_of(const io::Bytes& file) {
  std::vector<Sample> samples;
  std::unordered_set<std::string> keys;
  for (TarEntry& entry : index_tar(file.span, file.file)) {
    const auto [key, ending] = split(entry.name);
    const bool picture = is_picture(ending);
    if (!picture && ending != "json" && ending != "txt") continue;  // what else lies beside a picture is not read
    if (samples.empty() || samples.back().key != key) {
      require(keys.insert(key).second, Fault::bad_file, file.file, ": the files of ", in_quotes(key),
              " don't stand one after the other; sort the archive by name");
      samples.push_back({key});
    }
    Sample& sample = samples.back();
    auto& files = picture ? sample.pictures : ending == "json" ? sample.json : sample.text;
    // "1.JSON" beside "1.json" is a second one, too.
    const bool doubled =
        std::any_of(files.begin(), files.end(), [&](const auto& one) { return !picture || one.name == entry.name; });
    require(!doubled, Fault::bad_file, file.file, ": ", in_quotes(entry.name), " stands twice");
    files.push_back(std::move(entry));
  }
  return samples;
}

/// A tar archive: files with one basename, one after the other, are a sample.
class WebDatasetRows final : public Rows {
 public:
  explicit WebDatasetRows(io::Bytes file) : file_(std::move(file)), samples_(samples_of(file_)) {}

  int64_t size() const override { return static_cast<int64_t>(samples_.size()); }

  /// The fields of its .json. A caption (.txt) is what is answered to the picture alone if there is no conversation.
  Json read(int64_t i) const override {
    const Sample& sample = samples_[static_cast<std::size_t>(i)];
    Json row = Json::object();
    if (!sample.json.empty()) {
      JsonLimits limits;
      limits.unique_keys = true;
      row = parse_json(text_of(sample.json.front()), "its .json", limits);
      require(row.is_object(), Fault::bad_file, "its .json is ", row.type_name(), ", not an object");
    }
    if (!sample.text.empty() && !row.contains("conversations") && !row.contains("messages"))
      row["messages"] = caption(sample, text_of(sample.text.front()));
    if (sample.pictures.empty()) return row;
    Json pictures = Json::array();
    for (const TarEntry& picture : sample.pictures) pictures.push_back(field(picture));
    row.erase("image");  // its name there
    row["images"] = std::move(pictures);
    return row;
  }

  std::string name(int64_t i) const override {
    return concat(file_.file, ", record ", i + 1, ", ", in_quotes(samples_[static_cast<std::size_t>(i)].key));
  }

 private:
  std::string_view text_of(const TarEntry& entry) const {
    require(entry.size <= kMaxTextBytes, Fault::bad_file, in_quotes(entry.name), " has ", entry.size,
            " bytes; a text may have at most ", kMaxTextBytes);
    return io::as_text(file_.span.subspan(entry.offset, entry.size));
  }

  static Json caption(const Sample& sample, std::string_view text) {
    require(!sample.pictures.empty(), Fault::bad_file, "its .txt is the caption of a picture that is not there");
    require(valid_utf8(text) == text, Fault::bad_file, "its .txt is not UTF-8");
    while (text.ends_with('\n') || text.ends_with('\r')) text.remove_suffix(1);
    std::string marks;
    for (std::size_t i = 0; i < sample.pictures.size(); ++i) marks += i == 0 ? "<image>" : " <image>";
    return {{{"role", "user"}, {"content", marks}}, {{"role", "assistant"}, {"content", text}}};
  }

  Json field(const TarEntry& picture) const {
    const auto bytes = file_.span.subspan(picture.offset, picture.size);
    const auto* begin = reinterpret_cast<const uint8_t*>(bytes.data());
    return {{"bytes", Json::binary({begin, begin + bytes.size()})}, {"path", picture.name}};
  }

  io::Bytes file_;
  std::vector<Sample> samples_;
};

}  // namespace

std::unique_ptr<Rows> open_web_dataset(io::Bytes file, const std::vector<std::string>&) {
  return std::make_unique<WebDatasetRows>(std::move(file));
}

}  // namespace lithe::data
