#include "image/pinpoints.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/error.h"
#include "base/printable.h"

namespace lithe::image {
namespace {

constexpr const char* kKey = "image_grid_pinpoints";
constexpr int64_t kMaxPinpoint = 32768;  // Of a side of an anyres canvas.
constexpr std::size_t kMaxPinpoints = 1024;

/// A Python literal of lists, tuples and numbers as JSON: square brackets, no comma before a closing one.
std::string json_of_literal(std::string_view literal) {
  std::string json;
  for (const char c : literal) {
    const bool closes = c == ')' || c == ']';
    const std::size_t last = closes ? json.find_last_not_of(" \t\r\n") : json.npos;
    if (last != json.npos && json[last] == ',') json.erase(last);
    json += closes ? ']' : c == '(' ? '[' : c;
  }
  return json;
}

/// "(56, 112), (112, 56)": Python takes such pairs as a tuple, without brackets around it.
bool is_bare_tuple(std::string_view literal) {
  int64_t depth = 0;
  for (const char c : literal) {
    if (c == ',' && depth == 0) return true;
    depth += c == '(' || c == '[' ? 1 : c == ')' || c == ']' ? -1 : 0;
  }
  return false;
}

struct TileCount {
  int64_t across, down;
};

/// "(2x3)" at the beginning of `text`.
std::optional<TileCount> count_at(std::string_view text) {
  const char *at = text.data() + 1, *end = text.data() + text.size();
  TileCount count{};
  const auto first = std::from_chars(at, end, count.across);
  if (!text.starts_with('(') || first.ec != std::errc() || first.ptr == end || *first.ptr != 'x') return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, count.down);
  if (second.ec != std::errc() || second.ptr == end || *second.ptr != ')') return std::nullopt;
  return count;
}

/// LLaVA-NeXT's range: from the first "(AxB)" of the text to the last, in every combination.
Json pairs_of_range(const std::string& text, const JsonView& config, Size tile) {
  std::optional<TileCount> first, last;
  for (std::size_t at = text.find('('); at != text.npos; at = text.find('(', at + 1)) {
    const std::optional<TileCount> count = count_at(std::string_view(text).substr(at));
    if (!count) continue;
    if (!first) first = count;
    last = count;
  }
  const auto holds = [](const std::optional<TileCount>& count) {
    return count && count->across >= 1 && count->down >= 1 && count->across <= 1024 && count->down <= 1024;
  };
  const bool is_range = holds(first) && holds(last) && first->across <= last->across && first->down <= last->down;
  require(is_range, Fault::bad_file, config.source(), ": '", kKey, "' is ", in_quotes(text),
          ", expected a range such as \"(1x1),...,(6x6)\"");
  const int64_t pairs = (last->across - first->across + 1) * (last->down - first->down + 1);
  require(pairs <= static_cast<int64_t>(kMaxPinpoints), Fault::bad_file, config.source(), ": '", kKey, "' is ",
          in_quotes(text), ", which are ", pairs, " pairs; at most ", kMaxPinpoints, " are read");
  Json list = Json::array();
  for (int64_t across = first->across; across <= last->across; ++across) {
    for (int64_t down = first->down; down <= last->down; ++down)
      list.push_back({across * tile.width, down * tile.height});
  }
  return list;
}

Json list_of(const JsonView& config, Size tile) {
  const Json& value = config.json()[kKey];
  if (!value.is_string()) return value;
  const std::string text = value.get<std::string>();
  if (text.find('x') != text.npos) return pairs_of_range(text, config, tile);
  const std::string json = json_of_literal(is_bare_tuple(text) ? "[" + text + "]" : text);
  require(Json::accept(json), Fault::bad_file, config.source(), ": '", kKey, "' is ", in_quotes(text),
          ", expected pairs of pixels such as \"[(336, 672), (672, 336)]\"");
  return parse_json(json, config.source() + ": " + kKey);
}

}  // namespace

std::vector<Size> read_pinpoints(const JsonView& config, Dialect dialect, Size tile) {
  const Json list = list_of(config, tile);
  require(list.is_array() && !list.empty() && list.size() <= kMaxPinpoints, Fault::bad_file, config.source(), ": '",
          kKey, "' must be a list of 1 to ", kMaxPinpoints, " pairs of pixels");
  std::vector<Size> pinpoints;
  for (const Json& pair : list) {
    const bool integers =
        pair.is_array() && pair.size() == 2 && pair[0].is_number_integer() && pair[1].is_number_integer();
    require(integers, Fault::bad_file, config.source(), ": '", kKey, "' must hold pairs of pixels, got ",
            in_quotes(pair.dump()));
    Size size{pair[0].get<int64_t>(), pair[1].get<int64_t>()};
    if (dialect == Dialect::transformers) std::swap(size.width, size.height);
    require(std::min(size.width, size.height) > 0 && std::max(size.width, size.height) <= kMaxPinpoint, Fault::bad_file,
            config.source(), ": '", kKey, "' holds ", pair.dump(), ", expected 1 to ", kMaxPinpoint, " pixels");
    pinpoints.push_back(size);
  }
  return pinpoints;
}

std::vector<Size> default_pinpoints() {
  return {{672, 336}, {336, 672}, {672, 672}, {336, 1008}, {1008, 336}};
}

}  // namespace lithe::image
