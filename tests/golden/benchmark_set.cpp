#include "golden/benchmark_set.h"

#include <algorithm>

#include "image/png.h"
#include "io/atomic_file.h"

namespace lithe::golden {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kSmaller = 8;

bool is_picture(const Json& value) {
  return value.is_object() && value.size() == 1 && value.contains("image") && value.at("image").is_array() &&
         value.at("image").size() == 2 && value.at("image")[0].is_number_integer();
}

}  // namespace

image::Size BenchmarkSet::size_of(const Json& picture) {
  const auto side = [&](std::size_t i) {
    return std::max<int64_t>(1, picture.at("image").at(i).get<int64_t>() / kSmaller);
  };
  return {side(0), side(1)};
}

BenchmarkSet::BenchmarkSet(const Json& json) {
  const std::string split = json.at("dataset").at("split");
  std::vector<Json> rows, table;
  for (const Json& record : json.at("records")) place_pictures(rows.emplace_back(record.at("doc")));
  if (!json.contains("image_table")) {
    write_lines(path() / (split + ".jsonl"), rows);
    return;
  }
  for (const auto& [id, picture] : json.at("image_table").items())
    place_pictures(table.emplace_back(Json::object({{"id", id}, {"image", picture}})));
  write_lines(path() / (split + "_balanced_instructions") / (split + ".jsonl"), rows);
  write_lines(path() / (split + "_balanced_images") / (split + ".jsonl"), table);
}

void BenchmarkSet::place_pictures(Json& value) {
  if (is_picture(value)) {
    const image::Size size = size_of(value);
    const std::vector<std::byte> bytes = image::encode_png(image::Image(size.width, size.height, 90, 120, 40));
    const std::string name = std::to_string(++pictures_) + ".png";
    io::write_text_atomic(path() / name, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
    value = name;
  } else if (value.is_structured()) {
    for (Json& inner : value) place_pictures(inner);
  }
}

void BenchmarkSet::write_lines(const fs::path& file, const std::vector<Json>& lines) const {
  std::string text;
  for (const Json& line : lines) text += line.dump() + "\n";
  io::make_folder(file.parent_path());
  io::write_text_atomic(file, text);
}

}  // namespace lithe::golden
