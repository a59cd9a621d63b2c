#include "serve/picture_url.h"

#include <cstddef>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/any_case.h"
#include "base/base64.h"
#include "base/error.h"
#include "base/printable.h"
#include "io/new_folder.h"
#include "serve/percents.h"
#include "serve/refusal.h"
#include "web/client.h"

namespace lithe::serve {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMostShown = 60;  // bytes of a URL in an error

image::Source of_data(std::string_view url, const std::string& field, const PictureRules& rules) {
  const std::optional<std::string_view> text = base64_of_url(url);
  require_field(text.has_value(), field,
                concat(field, " is a data: URL without base64; write \"data:image/png;base64,...\"."));
  std::optional<std::vector<std::byte>> bytes = decode_base64(*text);
  require_field(bytes.has_value(), field, concat(field, " holds text that is not base64."));
  return image::Source::of_bytes(std::move(*bytes), field, rules.decode);
}

/// One sentence for every file that may not be read, so that it does not tell what is there.
image::Source of_file(std::string_view url, const std::string& field, const PictureRules& rules) {
  require_field(!rules.root.empty(), field,
                concat(field,
                       " is a file: URL, and this server reads no local files; send a data: URL, or start the "
                       "server with --image-root DIR."));
  require_field(begins_in_any_case(url, "file:///"), field,
                concat(field, " is not a file: URL of the form \"file:///path\"."));
  std::error_code failed;
  const fs::path path = fs::canonical(without_percents(url.substr(7)), failed);
  const bool good = !failed && io::holds(rules.root, path) && fs::is_regular_file(path, failed);
  require_field(good, field, concat(field, " does not name a file below the folder of --image-root."));
  return image::Source::of_bytes(image::read_image_bytes(path), path.filename().string(), rules.decode);
}

}  // namespace

bool is_remote(const std::string& url) {
  return web::is_web_url(url);
}

image::Source picture_of_url(const std::string& url, const std::string& field, const PictureRules& rules) {
  if (begins_in_any_case(url, "data:")) return of_data(url, field, rules);
  if (begins_in_any_case(url, "file:")) return of_file(url, field, rules);
  require_field(!is_remote(url), field,
                concat(field,
                       " is a remote URL, and this server fetches no pictures; send a data: URL "
                       "(\"data:image/png;base64,...\"), or start the server with --allow-remote-images."));
  throw Refusal(
      400, concat(field, " is ", in_quotes(url, kMostShown), "; send a data: URL (\"data:image/png;base64,...\")."),
      field);
}

}  // namespace lithe::serve
