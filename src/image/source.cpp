#include "image/source.h"

#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::image {
namespace {

void require_whole(const Image& pixels, int64_t max_pixels) {
  const int64_t width = pixels.width, height = pixels.height;
  require(width >= 1 && height >= 1, Fault::bad_request, "A picture is ", width, " x ", height,
          " pixels; both must be at least 1.");
  require(width <= max_pixels / height, Fault::bad_request, "A picture is ", width, " x ", height,
          " pixels; give one of at most ", max_pixels, " in all.");
  require(pixels.rgb.size() == static_cast<std::size_t>(width * height * 3), Fault::bad_request, "A picture of ", width,
          " x ", height, " pixels has ", pixels.rgb.size(), " bytes; RGB needs ", width * height * 3, ".");
}

}  // namespace

Source::Source(Image pixels) : pixels_(std::make_shared<const Image>(std::move(pixels))) {
  header_.stored = header_.size = pixels_->size();
}

Source Source::of(Given picture, const DecodeOptions& options) {
  if (const auto* file = std::get_if<std::filesystem::path>(&picture)) return of_file(*file, options);
  if (auto* bytes = std::get_if<std::vector<std::byte>>(&picture))
    return of_bytes(std::move(*bytes), "the picture in memory", options);
  Image& pixels = std::get<Image>(picture);
  require_whole(pixels, options.max_pixels);
  return std::move(pixels);
}

Source Source::of_file(std::filesystem::path path, const DecodeOptions& options) {
  Source source;
  source.name_ = path.string();
  source.options_ = options;
  source.header_ = read_header(read_image_bytes(path), source.name_, options);
  return source;
}

Source Source::of_bytes(std::vector<std::byte> bytes, std::string name, const DecodeOptions& options) {
  Source source;
  source.name_ = std::move(name);
  source.options_ = options;
  source.header_ = read_header(bytes, source.name_, options);
  source.bytes_ = std::make_shared<const std::vector<std::byte>>(std::move(bytes));
  return source;
}

bool Source::is_same(const Source& other) const {
  if (pixels_ != other.pixels_ || bytes_ != other.bytes_ || options_ != other.options_) return false;
  return pixels_ || bytes_ || name_ == other.name_;
}

int64_t Source::held_bytes() const {
  return static_cast<int64_t>(pixels_ ? pixels_->rgb.size() : bytes_ ? bytes_->size() : 0);
}

std::optional<std::string> Source::note() const {
  if (header_.scale == 1) return std::nullopt;
  return concat(printable(name_), ": ", header_.stored.width, " x ", header_.stored.height,
                " pixels is very large, so the picture is read at 1/", header_.scale, " of its width and height.");
}

std::shared_ptr<const Image> Source::decode() const {
  if (pixels_) return pixels_;
  return std::make_shared<const Image>(bytes_ ? decode_image(*bytes_, name_, options_) : read_image(name_, options_));
}

}  // namespace lithe::image
