#pragma once

#include <span>
#include <string_view>

#include "serve/response.h"

namespace lithe::serve {

/// A file of src/serve/page, which is a part of the program.
struct PageFile {
  const char* path;  ///< In URLs.
  const char* type;
  std::string_view text;
};
std::span<const PageFile> page_files();

/// The reply to a request for the file at this path. `known`: the header If-None-Match; if it names the file's present
/// text, the reply is 304.
Response page_reply(std::string_view path, std::string_view known);

}  // namespace lithe::serve
