#include "data/pictures.h"

#include <utility>

#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "base/printable.h"
#include "io/mapped_file.h"

namespace lithe::data {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxPictureBytes = std::size_t{256} << 20;

const Json* value_of(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

std::vector<std::byte> copy_of(std::span<const std::byte> bytes, const std::string& what) {
  require(bytes.size() <= kMaxPictureBytes, Fault::bad_file, what, " is of ", bytes.size(),
          " bytes; a picture may have at most ", kMaxPictureBytes);
  return {bytes.begin(), bytes.end()};
}

/// The bytes of "data:image/png;base64,iVBOR..".
std::vector<std::byte> bytes_of_url(std::string_view url) {
  const std::optional<std::string_view> text = base64_of_url(url);
  require(text.has_value(), Fault::bad_file,
          "the data URL of a picture is not base64; write data:image/png;base64,...");
  std::optional<std::vector<std::byte>> bytes = decode_base64(*text);
  require(bytes.has_value(), Fault::bad_file, "the data URL of a picture holds something other than base64");
  return std::move(*bytes);
}

/// The name relative to the pictures' folder. A picture must lie below it.
fs::path inner_path(const fs::path& place, const std::string& name) {
  require(!name.empty() && name.find('\0') == name.npos, Fault::bad_file,
          "a picture's name is empty or holds a zero byte");
  require(name.find("://") == name.npos, Fault::bad_file, "the picture ", in_quotes(name),
          " is a web address; download it and give its file");
  fs::path path(name);
  if (path.is_absolute()) path = path.lexically_relative(fs::absolute(place).lexically_normal());
  path = path.lexically_normal();
  require(!path.empty() && *path.begin() != ".." && path.is_relative() && path != ".", Fault::bad_file, "the picture ",
          in_quotes(name), " does not lie below ", in_quotes(place.string()), ", the folder of the pictures");
  return path;
}

}  // namespace

Pictures::Pictures(fs::path place, image::DecodeOptions decode) : place_(std::move(place)), decode_(decode) {
  std::error_code code;
  if (fs::is_directory(place_, code)) return;
  require(is_there(place_), Fault::bad_file, "The pictures' place ", in_quotes(place_.string()),
          " is not there; give a folder or a .zip file.");
  io::Bytes bytes = io::map_file(place_);
  require(io::ZipArchive::recognises(bytes.span), Fault::bad_file, "The pictures' place ", in_quotes(place_.string()),
          " is neither a folder nor a .zip file.");
  zip_.emplace(std::move(bytes));
}

image::Source Pictures::from_bytes(std::vector<std::byte> bytes, const std::string& name) const {
  return image::Source::of_bytes(std::move(bytes), name, decode_);
}

image::Source Pictures::from_name(const std::string& name) const {
  if (name.starts_with("data:")) return from_bytes(bytes_of_url(name), "the picture of its data URL");
  const fs::path path = inner_path(place_, name);
  if (!zip_) return image::Source::of_file(place_ / path, decode_);
  const auto entry = zip_->entries().find(path.generic_string());
  require(entry != zip_->entries().end(), Fault::bad_file, zip_->file(), ": has no picture ", in_quotes(name));
  const std::string where = concat(zip_->file(), ": ", name);
  require(entry->second.size <= static_cast<int64_t>(kMaxPictureBytes), Fault::bad_file, where, " claims ",
          entry->second.size, " bytes; a picture may have at most ", kMaxPictureBytes);
  return from_bytes(copy_of(zip_->read(entry->first).span, where), where);
}

image::Source Pictures::find(const Json& field) const {
  if (field.is_string()) return from_name(field.get<std::string>());
  if (field.is_binary())
    return from_bytes(copy_of(std::as_bytes(std::span(field.get_binary())), "a picture"), "its picture");
  require(field.is_object(), Fault::bad_file, "a picture is ", field.type_name(), ", not a file's name or bytes");
  const Json* bytes = value_of(field, "bytes");
  const Json* path = value_of(field, "path");
  const std::string name = path != nullptr && path->is_string() ? path->get<std::string>() : "";
  if (bytes == nullptr) {
    require(!name.empty(), Fault::bad_file, "a picture has neither \"bytes\" nor a \"path\"");
    return from_name(name);
  }
  require(bytes->is_binary(), Fault::bad_file, "the \"bytes\" of a picture are ", bytes->type_name(), ", not bytes");
  return from_bytes(copy_of(std::as_bytes(std::span(bytes->get_binary())), "a picture"),
                    name.empty() ? "its picture" : name);
}

}  // namespace lithe::data
