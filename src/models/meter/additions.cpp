#include "models/meter/additions.h"

#include <ATen/ops/cat.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

#include <cmath>

#include "base/error.h"
#include "base/printable.h"
#include "models/additions.h"
#include "models/parts/noise.h"

namespace lithe::models {
namespace {

constexpr std::pair<const char*, MeterTask> kTasks[] = {{"vqa", MeterTask::vqa},   {"nlvr2", MeterTask::nlvr2},
                                                        {"snli", MeterTask::snli}, {"itm", MeterTask::itm},
                                                        {"irtr", MeterTask::irtr}, {"mlm", MeterTask::mlm}};

Tensor noise(const std::vector<int64_t>& shape, double bound, uint64_t seed) {
  if (bound == 0) return at::zeros(shape, at::kFloat);
  Tensor values = at::empty(shape, at::kFloat);
  fill_with_noise(values, static_cast<float>(bound), seed);
  return values;
}

/// Fills what has no values yet.  `bound`: by how much a weight may differ from 0.
void fill_new(Meter& meter, uint64_t seed, const std::function<double(const WeightSlot&)>& bound) {
  visit(meter, [&](const WeightSlot& slot) {
    if (held_at(slot.place).defined()) return;
    seed += kNextSeed;
    const bool gain = is_norm(slot.name.role) && slot.name.kind == Kind::weight;
    const Tensor values = gain ? at::ones(slot.shape, at::kFloat) : noise(slot.shape, bound(slot), seed);
    put(slot.place, values.to(meter.tower.positions.device()).set_requires_grad(true));
  });
}

void grow(std::vector<routing::Block>& blocks, const BertLayerConfig& config) {
  for (routing::Block& block : blocks) {
    routing::Block whole = shaped_bert_layer(config);
    for (size_t site = 0; site < block.sites.size(); ++site) {
      block.sites[site].adapter = std::move(whole.sites[site].adapter);
      block.sites[site].stand_in = std::move(whole.sites[site].stand_in);
    }
  }
}

double adapter_bound(const WeightSlot& slot) {
  if (slot.name.kind == Kind::bias || slot.name.role == Role::path1) return 0;
  return std::sqrt(6.0 / static_cast<double>(slot.shape.front() + slot.shape.back()));
}

/// Uniform numbers with a deviation of 0.02.
double head_bound(const WeightSlot& slot) {
  return slot.name.kind == Kind::bias ? 0 : 0.02 * std::sqrt(3.0);
}

/// The row that takes the place of a text's first.
Tensor first_class_token(const Meter& meter) {
  const StreamsConfig& streams = meter.streams.config;
  const TextEncoder& encoder = meter.text_encoder;
  Tensor row = encoder.embed(std::vector<TextIds>{{{0}}}).detach();
  if (streams.text_width != streams.layer.width) row = meter.streams.text.transform(row).detach();
  return row.view({1, 1, streams.layer.width}).clone().set_requires_grad(true);
}

void add_rank(Meter& meter) {
  require(meter.heads.itm.has_value(), Fault::bad_request, meter.name,
          ": has no head itm, which the head of irtr begins as");
  const nn::Linear& itm = *meter.heads.itm;
  const auto row = [](const Tensor& values) {
    return values.detach().narrow(0, 1, 1).to(at::kFloat).clone().set_requires_grad(true);
  };
  meter.heads.rank = nn::Linear{row(itm.weight.widened(at::kFloat)), row(*itm.bias)};
  meter.heads.config.rank = true;
}

void add_masked_head(Meter& meter) {
  HeadsConfig& config = meter.heads.config;
  config.mlm = true;
  config.vocab = meter.text_encoder.config.vocab;
  meter.heads.mlm = shaped_heads({.mlm = true, .masked_eps = config.masked_eps}).mlm;
}

/// As a head of so many classes, in place of none.
void add_classifier(std::optional<Classifier>& head, int64_t& classes, int64_t wanted) {
  HeadsConfig shape{.snli = wanted};
  head = std::move(shaped_heads(shape).snli);
  classes = wanted;
}

void add_second_picture(Meter& meter) {
  nn::Weight& types = meter.streams.token_types;
  if (types.out() > 2) return;
  const bool learns = types.learning().has_value();
  const Tensor rows = types.widened(at::kFloat).detach();
  types = at::cat({rows, rows.narrow(0, rows.size(0) - 1, 1)}).set_requires_grad(learns);
  meter.streams.config.token_types = types.out();
}

}  // namespace

const char* name_of(MeterTask task) {
  for (const auto& [name, value] : kTasks)
    if (value == task) return name;
  return "";
}

MeterTask meter_task(const std::string& name) {
  std::string known;
  for (const auto& [other, task] : kTasks) {
    if (name == other) return task;
    known += (known.empty() ? "" : ", ") + std::string(other);
  }
  fail(Fault::bad_request, "METER has no head ", in_quotes(name), " to train; give one of ", known);
}

void add_meter_adapters(Meter& meter, const NewMeterAdapters& wanted) {
  BertLayerConfig& layer = meter.streams.config.layer;
  require(!layer.rep && !layer.pia, Fault::bad_request, meter.name, ": has adapters of EAS already");
  require(wanted.groups > 0 && layer.width % wanted.groups == 0, Fault::bad_request, meter.name,
          ": adapters are to have ", wanted.groups, " groups, which must divide the width ", layer.width);
  for (const int64_t rank : {wanted.rep_rank, wanted.pia_rank})
    require(rank > 0 && rank <= plan::kMaxWidth && rank % wanted.groups == 0, Fault::bad_request, meter.name,
            ": an adapter is to have rank ", rank, ", expected a multiple of the ", wanted.groups, " groups");
  require(wanted.scale > 0 && std::isfinite(wanted.scale), Fault::bad_request, meter.name,
          ": the scale of adapters must be finite and more than 0, got ", wanted.scale);
  layer.rep = AdapterShape{.rank = wanted.rep_rank, .groups = wanted.groups, .scale = wanted.scale};
  layer.pia = AdapterShape{.rank = wanted.pia_rank, .groups = wanted.groups, .scale = wanted.scale};
  grow(meter.streams.text.blocks, layer);
  grow(meter.streams.image.blocks, layer);
  if (!meter.streams.class_token) {
    meter.streams.config.class_token = true;
    meter.streams.class_token = first_class_token(meter);
  }
  fill_new(meter, wanted.seed, adapter_bound);
  meter.facts = facts_of(meter);
  plan::check(meter.facts);
}

void set_meter_dropout(Meter& meter, double share, uint64_t seed) {
  set_dropout(meter.streams.text.blocks, share, seed);
  set_dropout(meter.streams.image.blocks, share, seed);
}

void add_meter_head(Meter& meter, MeterTask task, const std::vector<std::string>& answers, uint64_t seed) {
  Heads& heads = meter.heads;
  HeadsConfig& config = heads.config;
  if (task == MeterTask::nlvr2) add_second_picture(meter);
  if (task == MeterTask::nlvr2 && !heads.nlvr2) add_classifier(heads.nlvr2, config.nlvr2, 2);
  if (task == MeterTask::snli && !heads.snli) add_classifier(heads.snli, config.snli, 3);
  if (task == MeterTask::irtr && !heads.rank) add_rank(meter);
  if (task == MeterTask::mlm && !heads.mlm) add_masked_head(meter);
  if (task == MeterTask::itm && !heads.itm) {
    heads.itm = nn::Linear{{}, Tensor()};
    config.itm = true;
  }
  if (task == MeterTask::vqa && !heads.vqa) {
    require(!answers.empty(), Fault::bad_request, meter.name,
            ": has no head vqa, and there are no answers to make one");
    add_classifier(heads.vqa, config.vqa, static_cast<int64_t>(answers.size()));
    meter.config.answers = answers;
  }
  fill_new(meter, seed, head_bound);
}

}  // namespace lithe::models
