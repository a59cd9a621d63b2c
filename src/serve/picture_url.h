#pragma once

#include <filesystem>
#include <string>

#include "image/source.h"

namespace lithe::serve {

/// Which pictures a request may name, and how they are decoded.
struct PictureRules {
  std::filesystem::path root;  ///< file: URLs may name pictures below this folder; empty: none.
  image::DecodeOptions decode;
};

/// Whether a URL is one of http: or https:.
bool is_remote(const std::string& url);

/// The picture of a data: URL with base64 (PNG, JPEG, WebP, GIF or BMP), or of a file: URL below the root. The bytes
/// are read now, and decoded when the request runs. `field` names the URL in errors. Throws Refusal, and Error for a
/// picture that can't be read.
image::Source picture_of_url(const std::string& url, const std::string& field, const PictureRules& rules);

}  // namespace lithe::serve
