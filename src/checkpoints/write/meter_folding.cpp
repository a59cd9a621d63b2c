#include "checkpoints/write/meter_folding.h"

#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"
#include "checkpoints/read/meter.h"
#include "checkpoints/write/folded_weights.h"
#include "checkpoints/write/meter_folder.h"
#include "nn/adapters/fold.h"
#include "plan/meter_sites.h"

namespace lithe::models {
namespace {

using routing::Site;
using Product = std::pair<WeightName, const nn::Linear*>;

/// The products that read what a site's RepAdapter gives. Keys and values of a cross-attention read the other stream.
std::vector<Product> readers_of(const WeightName& layer, const Site& site) {
  if (const auto* mlp = std::get_if<nn::Mlp>(&site.branch)) return {{layer.with(Role::up), &mlp->up}};
  const auto& attention = std::get<nn::Attention>(site.branch);
  if (site.kind == Site::Kind::cross) return {{layer.with(At::cross).with(Role::query), &attention.query}};
  return {{layer.with(Role::query), &attention.query},
          {layer.with(Role::key), &attention.key},
          {layer.with(Role::value), &attention.value}};
}

/// W' = W R and b' = W r + b of each, when they are written.
void fold_site(const WeightName& layer, const Site& site, MeterChanges& changes) {
  const nn::AdapterMap map = nn::map_of(*site.adapter, std::nullopt);
  for (const auto& [name, product] : readers_of(layer, site)) {
    changes.made[meter_name(name)] = folded_weight(*product, map);
    changes.made[meter_name(name.with(Kind::bias))] = folded_bias(*product, map);
  }
}

/// Also of a path or a gate that METER does not use.
bool is_of_rep_adapter(const std::string& name) {
  const std::optional<WeightName> weight = weight_named(name);
  return weight && weight->adapter == Adapter::rep;
}

}  // namespace

FoldCount write_folded_meter(const Meter& meter, const std::filesystem::path& folder) {
  const Streams& streams = meter.streams;
  require(streams.config.layer.rep.has_value(), Fault::bad_request, meter.name,
          ": has no RepAdapters, and nothing else of METER can be folded");
  MeterChanges changes{.made = {},
                       .drops = is_of_rep_adapter,
                       .refusals = {", in the model or in its adapters", "; fold with --weights float32"}};
  FoldCount count;
  for (const auto& [part, stream] :
       {std::pair(Part::text_stream, &streams.text), {Part::image_stream, &streams.image}}) {
    for (size_t layer = 0; layer < stream->blocks.size(); ++layer) {
      for (const Site& site : stream->blocks[layer].sites) {
        fold_site({.part = part, .layer = static_cast<int64_t>(layer)}, site, changes);
        ++count.adapters;
      }
    }
  }
  count.left = std::ssize(plan::meter_sites_off(meter.plan, streams.config.layers));
  count.rounding = write_meter(meter, meter.plan, std::move(changes), folder).rounding;
  return count;
}

}  // namespace lithe::models
