#include "serve/kept_patches.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <utility>

#include "base/base64.h"
#include "session/picture_parts.h"

namespace lithe::serve {
namespace {

constexpr std::size_t kMostMapBytes = std::size_t{1} << 20;  // of a reply

double rounded(double share) {
  return std::round(1e6 * share) / 1e6;
}

Json part_json(const image::Part& part) {
  return Json::array({rounded(part.x), rounded(part.y), rounded(part.width), rounded(part.height)});
}

/// Where the patches of a view are among the picture's tokens, as HeatView::token_at has it.
Json view_json(const image::HeatView& view, const image::Part& part) {
  Json json = {
      {"part", part_json(part)}, {"columns", view.grid_w}, {"rows", view.grid_h}, {"first_token", view.first_token}};
  if (view.tile == image::Size{}) {
    json["row_tokens"] = view.row_stride == 0 ? view.grid_w : view.row_stride;
  } else {
    json["tile_columns"] = view.tile.width;
    json["tile_rows"] = view.tile.height;
    json["tile_tokens"] = view.tile_stride;
  }
  return json;
}

/// One bit for each token, the lowest bit of the first byte first.
std::string bits_of(const std::vector<int64_t>& tokens, int64_t total) {
  std::vector<std::byte> bytes(static_cast<std::size_t>((total + 7) / 8));
  for (const int64_t token : tokens) bytes[static_cast<std::size_t>(token / 8)] |= std::byte{1} << (token % 8);
  return encode_base64(bytes);
}

/// Layers with the same tokens are one entry. `room`: bytes that maps may still take.
class Maps {
 public:
  explicit Maps(std::size_t& room) : room_(room) {}

  void add(const image::LayerKept& layer) {
    if (static_cast<int64_t>(layer.kept.size()) == layer.total) return;
    std::string kept = bits_of(layer.kept, layer.total);
    std::string offered = layer.offered.empty() ? "" : bits_of(layer.offered, layer.total);
    if (!list_.empty() && kept == kept_ && offered == offered_) {
      list_.back()["layers"].push_back(layer.layer);
      return;
    }
    Json json = {{"layers", Json::array({layer.layer})},
                 {"tokens", layer.total},
                 {"kept_tokens", layer.kept.size()},
                 {"key_value_tokens", layer.offered.size()}};
    if (kept.size() + offered.size() <= room_) {
      room_ -= kept.size() + offered.size();
      json["kept"] = kept;
      if (!offered.empty()) json["key_value"] = offered;
    }
    kept_ = std::move(kept);
    offered_ = std::move(offered);
    list_.push_back(std::move(json));
  }

  Json take() { return std::move(list_); }

 private:
  std::size_t& room_;
  std::string kept_, offered_;  // of the last entry
  Json list_ = Json::array();
};

Json picture_json(const PatchesShown::Picture& picture, const session::KeptMap& map, std::size_t& room) {
  Json views = Json::array();
  for (std::size_t i = 0; i < std::min(map.views.size(), picture.parts.size()); ++i)
    views.push_back(view_json(map.views[i], picture.parts[i]));
  Maps maps(room);
  for (const image::LayerKept& layer : map.layers) maps.add(layer);
  Json json;
  json["width"] = picture.size.width;
  json["height"] = picture.size.height;
  json["views"] = std::move(views);
  json["maps"] = maps.take();
  return json;
}

}  // namespace

PatchesShown patches_shown(const session::Session& session, const session::Request& request) {
  PatchesShown shown{.layers = session.facts().layers};
  const plan::Plan& plan = request.plan ? *request.plan : session.plan();
  for (const plan::LayerPlan& layer : plan.layers) {
    if (layer.stream == "decoder" && !layer.self_attention) shown.without_attention.push_back(layer.layer);
  }
  const auto count = static_cast<int64_t>(request.images.size());
  for (const image::Source& source : request.images) {
    const image::Size size = source.header().size;
    shown.pictures.push_back({.size = size, .parts = session::picture_parts(session, size, count)});
  }
  return shown;
}

Json kept_patches_json(const PatchesShown& shown, const session::Answer& answer) {
  std::size_t room = kMostMapBytes;
  Json pictures = Json::array();
  for (std::size_t i = 0; i < std::min(answer.kept.size(), shown.pictures.size()); ++i)
    pictures.push_back(picture_json(shown.pictures[i], answer.kept[i], room));
  return {{"layers", shown.layers}, {"without_attention", shown.without_attention}, {"pictures", std::move(pictures)}};
}

}  // namespace lithe::serve
