#include "models/meter/streams.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/index_copy.h>
#include <ATen/ops/tanh.h>
#include <ATen/ops/tensor.h>

#include <algorithm>
#include <string>
#include <tuple>

#include "base/error.h"
#include "base/mixed.h"
#include "models/parts/weight_slots.h"
#include "routing/executor.h"

namespace lithe::models {
namespace {

Tensor index_on(const Tensor& like, const std::vector<int64_t>& values) {
  return at::tensor(at::ArrayRef<int64_t>(values), at::kLong).to(like.device());
}

/// Whether pair i is text i with picture i, and there are no others.
bool in_order(std::span<const Pair> pairs, size_t texts, size_t images) {
  if (pairs.size() != texts || pairs.size() != images) return false;
  for (size_t i = 0; i < pairs.size(); ++i)
    if (pairs[i].text != i || pairs[i].image != i) return false;
  return true;
}

/// The rows of each pair's text.
TextRows texts_of(const TextRows& all, std::span<const Pair> pairs) {
  std::vector<int64_t> rows, offsets{0};
  std::vector<routing::RowKind> kinds;
  for (const Pair& pair : pairs) {
    for (int64_t row = all.offsets[pair.text]; row < all.offsets[pair.text + 1]; ++row) {
      rows.push_back(row);
      kinds.push_back(all.kinds[static_cast<size_t>(row)]);
    }
    offsets.push_back(static_cast<int64_t>(rows.size()));
  }
  return {all.hidden.index_select(0, index_on(all.hidden, rows)), std::move(offsets), std::move(kinds)};
}

/// The pictures of each pair.  -> [pairs, rows, hidden]
Tensor images_of(const Tensor& all, std::span<const Pair> pairs) {
  std::vector<int64_t> numbers;
  for (const Pair& pair : pairs) numbers.push_back(static_cast<int64_t>(pair.image));
  return all.index_select(0, index_on(all, numbers));
}

/// The rows of one stream, a sequence for each pair. Both streams draw from the same numbers, since each adapter's
/// dropout has a place of its own.
routing::Batch batch_of(const std::vector<int64_t>& offsets, const std::vector<routing::RowKind>& kinds,
                        std::span<const Pair> pairs, const plan::Plan* plan) {
  routing::Batch batch;
  for (size_t i = 0; i < pairs.size(); ++i) {
    const auto count = static_cast<size_t>(offsets[i + 1] - offsets[i]);
    batch.add({.plan = plan}, std::span(kinds).subspan(static_cast<size_t>(offsets[i]), count));
    for (size_t row = 0; pairs[i].draw && row < count; ++row) batch.draws.push_back(mixed(*pairs[i].draw, row));
  }
  require(batch.draws.empty() || batch.draws.size() == batch.kinds.size(), Fault::internal,
          "METER: only some pairs have a number for dropout");
  return batch;
}

/// The first row of every sequence.
Tensor first_rows(const Tensor& x, const std::vector<int64_t>& offsets) {
  return x.index_select(0, index_on(x, {offsets.begin(), offsets.end() - 1}));
}

/// The entry of a layer; a new one if the plan has none.
plan::LayerPlan& entry_of(plan::Plan& plan, const std::string& stream, int64_t layer) {
  const auto place = std::find_if(plan.layers.begin(), plan.layers.end(), [&](const plan::LayerPlan& entry) {
    return std::tie(entry.stream, entry.layer) >= std::tie(stream, layer);
  });
  if (place != plan.layers.end() && place->stream == stream && place->layer == layer) return *place;
  return *plan.layers.insert(place, {.stream = stream, .layer = layer});
}

}  // namespace

TextRows Streams::enter(const TextRows& encoded) const {
  TextRows rows{text.transform(encoded.hidden), encoded.offsets, encoded.kinds};
  if (class_token) {
    const auto texts = static_cast<int64_t>(rows.offsets.size()) - 1;
    const Tensor first = index_on(rows.hidden, {rows.offsets.begin(), rows.offsets.end() - 1});
    rows.hidden = at::index_copy(rows.hidden, 0, first, class_token->view({1, -1}).expand({texts, -1}));
  }
  rows.hidden = rows.hidden + token_types.rows(index_on(rows.hidden, {0}));
  return rows;
}

Tensor Streams::enter(const Tensor& features) const {
  return image.transform(features.flatten(0, 1)).unflatten(0, {features.size(0), features.size(1)});
}

FusedRows Streams::fuse(const TextRows& texts, const Tensor& images, std::span<const Pair> pairs,
                        const plan::Plan* plan, const StreamObserver& observer) const {
  const bool all = in_order(pairs, texts.offsets.size() - 1, static_cast<size_t>(images.size(0)));
  TextRows x = all ? texts : texts_of(texts, pairs);
  std::vector<int64_t> types, offsets;
  for (const Pair& pair : pairs) types.push_back(std::min(pair.image_type, token_types.out() - 1));
  const int64_t count = static_cast<int64_t>(pairs.size()), rows = images.size(1);
  for (int64_t i = 0; i <= count; ++i) offsets.push_back(i * rows);
  const Tensor type_rows = token_types.rows(index_on(images, types)).unsqueeze(1);
  Tensor y = ((all ? images : images_of(images, pairs)) + type_rows).flatten(0, 1);
  const std::vector<routing::RowKind> seen(static_cast<size_t>(count * rows), routing::RowKind::vision);
  routing::Executor read(batch_of(x.offsets, x.kinds, pairs, plan), "text", config.layers),
      look(batch_of(offsets, seen, pairs, plan), "image", config.layers);
  for (int64_t layer = 0; layer < config.layers; ++layer) {
    // Both read what the other had before the layer.
    const routing::OtherStream words{x.hidden, x.offsets, x.kinds}, patches{y, offsets, {}};
    x.hidden = read.run(text.blocks[static_cast<size_t>(layer)], layer, std::move(x.hidden), patches);
    y = look.run(image.blocks[static_cast<size_t>(layer)], layer, std::move(y), words);
    if (observer) observer(layer, x.hidden, y);
  }
  const Tensor pooled = at::cat(
      {at::tanh(text.pooler(first_rows(x.hidden, x.offsets))), at::tanh(image.pooler(first_rows(y, offsets)))}, 1);
  return {std::move(x), y.unflatten(0, {count, rows}), pooled};
}

/// All rows but the first of a sequence only offer keys and values. A PIA in the place of a self-attention takes its
/// mean over all rows, so such a layer stays whole.
plan::Plan Streams::for_poolers(const plan::Plan& plan) const {
  plan::Plan changed = plan;
  const plan::Switches offers{.query = false, .key_value = true, .cache = false, .feed_forward = false},
      nothing{false, false, false, false};
  for (const char* stream : {"image", "text"}) {
    plan::LayerPlan& entry = entry_of(changed, stream, config.layers - 1);
    if (!entry.self_attention || !entry.rules.empty()) continue;
    entry.rules.push_back({.group = plan::Group::all, .keep_count = 1, .by = "first", .others = offers});
    entry.rules.push_back({.group = plan::Group::padding, .keep_count = 0, .by = "first", .others = nothing});
  }
  return changed;
}

Streams shaped_streams(const StreamsConfig& config) {
  Streams streams{.config = config};
  for (Stream* stream : {&streams.text, &streams.image}) {
    stream->transform = shaped_linear(true);
    stream->pooler = shaped_linear(true);
    for (int64_t layer = 0; layer < config.layers; ++layer) stream->blocks.push_back(shaped_bert_layer(config.layer));
  }
  if (config.class_token) streams.class_token = Tensor();
  return streams;
}

namespace {

void visit_stream(Part part, Stream& stream, int64_t width, const StreamsConfig& config, const WeightVisitor& visitor) {
  const WeightName name{.part = part};
  const int64_t hidden = config.layer.width;
  visit(name.with(Role::transform), stream.transform, hidden, width, visitor);
  for (size_t layer = 0; layer < stream.blocks.size(); ++layer)
    visit_bert_layer({.part = part, .layer = static_cast<int64_t>(layer)}, stream.blocks[layer], config.layer, visitor);
  visit(name.with(Role::pooler), stream.pooler, hidden, hidden, visitor);
}

}  // namespace

void visit(Streams& streams, const WeightVisitor& visitor) {
  const StreamsConfig& config = streams.config;
  const WeightName name{.part = Part::text_stream};
  const int64_t hidden = config.layer.width;
  visitor({name.with(Role::token_types), &streams.token_types, {config.token_types, hidden}});
  if (streams.class_token) visitor({name.with(Role::class_embedding), &*streams.class_token, {1, 1, hidden}});
  visit_stream(Part::text_stream, streams.text, config.text_width, config, visitor);
  visit_stream(Part::image_stream, streams.image, config.image_width, config, visitor);
}

}  // namespace lithe::models
