#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "image/decode.h"

namespace lithe::image {

/// A picture as a caller gives it: a file, the bytes of such a file, or pixels.
using Given = std::variant<std::filesystem::path, std::vector<std::byte>, Image>;

/// A picture that may not be decoded yet: pixels, encoded bytes, or a file. A request that waits holds this instead of
/// pixels, which take a hundred times the memory of a file; it decodes when its turn comes. Copies share what they
/// hold.
class Source {
 public:
  /// Pixels that are there already. Implicit, as pixels are a picture.
  Source(Image pixels);  // NOLINT(google-explicit-constructor)

  /// Throws Error{bad_request} for pixels whose size does not fit their bytes or is too large, else as the functions
  /// below.
  static Source of(Given picture, const DecodeOptions& options = {});
  /// A file, which is read now for its header and again by decode(). Throws Error as read_image, except for
  /// damage after the header.
  static Source of_file(std::filesystem::path path, const DecodeOptions& options = {});
  /// Encoded bytes; `name` names them in errors. Throws as of_file.
  static Source of_bytes(std::vector<std::byte> bytes, std::string name, const DecodeOptions& options = {});

  /// Whether both are copies of one picture, or name one file, and are decoded alike.
  bool is_same(const Source& other) const;

  const Header& header() const { return header_; }
  const std::string& name() const { return name_; }  ///< Path or name; empty for pixels.
  int64_t held_bytes() const;                        ///< Memory that it takes while it waits.
  /// A sentence if the picture is scaled down while it is decoded, as it has more pixels than are decoded whole.
  std::optional<std::string> note() const;

  /// The pixels. Takes up to header().decoding_bytes. Throws Error{bad_file}, Error{no_memory}.
  std::shared_ptr<const Image> decode() const;

 private:
  Source() = default;

  std::shared_ptr<const Image> pixels_;                  ///< Or:
  std::shared_ptr<const std::vector<std::byte>> bytes_;  ///< Or: a file.
  std::string name_;                                     ///< The file's path, or what errors call the bytes.
  DecodeOptions options_;
  Header header_;
};

}  // namespace lithe::image
