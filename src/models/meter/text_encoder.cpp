#include "models/meter/text_encoder.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>

#include "base/error.h"
#include "models/parts/weight_slots.h"
#include "routing/executor.h"

namespace lithe::models {
namespace {

constexpr const char* kStream = "text_encoder";

Tensor ids_on(const nn::Weight& table, const std::vector<int64_t>& ids) {
  return at::tensor(at::ArrayRef<int64_t>(ids), at::kLong).to(table.device());
}

/// As RoBERTa counts: positions follow the padding id's, and a row that holds the padding id has that one.
std::vector<int64_t> positions_of(const TextIds& text, int64_t pad_id) {
  std::vector<int64_t> positions;
  int64_t next = pad_id;
  for (const int64_t id : text.ids) positions.push_back(id == pad_id ? pad_id : ++next);
  return positions;
}

void check(const TextIds& text, const TextEncoderConfig& config) {
  const auto length = static_cast<int64_t>(text.ids.size()), longest = config.positions - config.pad_id - 1;
  require(length > 0 && length <= longest, Fault::bad_request, "a text has ", length, " tokens, this model takes 1 to ",
          longest);
  for (const int64_t id : text.ids)
    require(id >= 0 && id < config.vocab, Fault::bad_request, "a token has the id ", id,
            ", which is outside the model's vocabulary of ", config.vocab);
}

}  // namespace

Tensor TextEncoder::embed(std::span<const TextIds> texts) const {
  std::vector<int64_t> ids, places;
  for (const TextIds& text : texts) {
    check(text, config);
    ids.insert(ids.end(), text.ids.begin(), text.ids.end());
    const std::vector<int64_t> own = positions_of(text, config.pad_id);
    places.insert(places.end(), own.begin(), own.end());
  }
  const Tensor sum = embeddings.rows(ids_on(embeddings, ids)) + positions.rows(ids_on(positions, places));
  return norm(sum + token_types.rows(ids_on(token_types, {0})));
}

TextRows TextEncoder::forward(std::span<const TextIds> texts, const plan::Plan* plan) const {
  using routing::RowKind;
  routing::Batch batch;
  for (const TextIds& text : texts) {
    std::vector<RowKind> kinds(text.ids.size(), RowKind::text);
    std::fill(kinds.end() - text.padding, kinds.end(), RowKind::padding);
    batch.add({.plan = plan}, kinds);
  }
  TextRows rows{embed(texts), batch.offsets, batch.kinds};
  routing::Executor executor(std::move(batch), kStream, config.layers);
  for (size_t layer = 0; layer < blocks.size(); ++layer)
    rows.hidden = executor.run(blocks[layer], static_cast<int64_t>(layer), std::move(rows.hidden));
  return rows;
}

TextEncoder shaped_text_encoder(const TextEncoderConfig& config) {
  TextEncoder encoder{.config = config};
  encoder.norm = {nn::Norm::Kind::layer, Tensor(), Tensor(), config.layer.norm_eps};
  for (int64_t layer = 0; layer < config.layers; ++layer) encoder.blocks.push_back(shaped_bert_layer(config.layer));
  return encoder;
}

void visit(TextEncoder& encoder, const WeightVisitor& visitor) {
  const TextEncoderConfig& config = encoder.config;
  const int64_t width = config.layer.width;
  const WeightName name{.part = Part::text_encoder};
  visitor({name.with(Role::embeddings), &encoder.embeddings, {config.vocab, width}, true});
  visitor({name.with(Role::positions), &encoder.positions, {config.positions, width}, true});
  visitor({name.with(Role::token_types), &encoder.token_types, {config.token_types, width}});
  visit(name.with(Role::first_norm), encoder.norm, width, visitor);
  for (size_t layer = 0; layer < encoder.blocks.size(); ++layer)
    visit_bert_layer({.part = Part::text_encoder, .layer = static_cast<int64_t>(layer)}, encoder.blocks[layer],
                     config.layer, visitor);
}

}  // namespace lithe::models
