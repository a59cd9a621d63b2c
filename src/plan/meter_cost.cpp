#include "plan/meter_cost.h"

#include <fmt/format.h>

#include "base/error.h"
#include "plan/cost.h"

namespace lithe::plan {
namespace {

constexpr double kMultiplyAdd = 2.0;

/// A part's products of one row, and numbers. Biases are numbers too.
struct Count {
  double flops = 0;
  int64_t parameters = 0;

  Count& operator+=(const Count& other) {
    flops += other.flops;
    parameters += other.parameters;
    return *this;
  }
};

Count linear(int64_t in, int64_t out, int64_t rows) {
  return {kMultiplyAdd * double(rows) * double(in) * double(out), (in + 1) * out};
}

Count norm(int64_t width) {
  return {0, 2 * width};
}

/// Queries of `rows` rows over the keys of `others`.
Count attention(int64_t width, int64_t rows, int64_t others) {
  Count count = linear(width, width, rows);  // queries
  count += linear(width, width, others);
  count += linear(width, width, others);
  count += linear(width, width, rows);  // outputs
  count.flops += kMultiplyAdd * 2.0 * double(rows) * double(others) * double(width);
  return count;
}

Count feed_forward(const EncoderShape& shape, int64_t rows) {
  Count count = linear(shape.width, shape.mlp, rows);
  count += linear(shape.mlp, shape.width, rows);
  count += norm(shape.width);
  return count;
}

Count encoder(const EncoderShape& shape, int64_t rows) {
  Count count;
  for (int64_t layer = 0; layer < shape.layers; ++layer) {
    count += attention(shape.width, rows, rows);
    count += norm(shape.width);
    count += feed_forward(shape, rows);
  }
  return count;
}

/// Up through blocks of `groups`.
Count up(int64_t rank, int64_t groups, int64_t width, int64_t rows) {
  return {kMultiplyAdd * double(rows) * double(rank) * double(width) / double(groups), rank * width / groups + width};
}

Count rep_adapter(const MeterShape& shape, int64_t rows) {
  Count count = linear(shape.stream.width, shape.rep_rank, rows);
  count += up(shape.rep_rank, shape.groups, shape.stream.width, rows);
  return count;
}

/// The mean goes through A as one row.
Count pia(const MeterShape& shape, int64_t rows) {
  Count count = linear(shape.stream.width, shape.pia_rank, rows);
  count += linear(shape.stream.width, shape.pia_rank, 1);
  count += up(shape.pia_rank, shape.groups, shape.stream.width, rows);
  return count;
}

/// What a stream runs: itself, RepAdapters, PIAs.
struct StreamCount {
  Count layers, reps, pias;
};

StreamCount stream(const Plan& plan, const std::string& name, const MeterShape& shape, int64_t rows, int64_t others) {
  StreamCount count;
  for (int64_t layer = 0; layer < shape.stream.layers; ++layer) {
    const LayerPlan* const entry = plan.find(name, layer);
    const auto site = [&](bool on, int64_t keys) {
      count.layers += norm(shape.stream.width);  // a PIA has the norm of the attention that it stands for
      if (on) count.layers += attention(shape.stream.width, rows, keys);
      if (on && shape.rep_rank > 0) count.reps += rep_adapter(shape, rows);
      if (!on && shape.pia_rank > 0) count.pias += pia(shape, rows);
    };
    site(!entry || entry->self_attention, rows);
    site(!entry || entry->cross_attention, others);
    count.layers += feed_forward(shape.stream, rows);
    if (shape.rep_rank > 0) count.reps += rep_adapter(shape, rows);
  }
  return count;
}

Count text_encoder(const MeterShape& shape, int64_t tokens) {
  Count count = encoder(shape.text, tokens);
  count.parameters += (shape.vocab + shape.positions + 1) * shape.text.width + 2 * shape.text.width;
  return count;
}

/// `rows`: of a picture, with the class token.
Count tower(const MeterShape& shape, int64_t rows) {
  const int64_t values = shape.channels * shape.patch * shape.patch, width = shape.tower.width;
  Count count = encoder(shape.tower, rows);
  count += {kMultiplyAdd * double(shape.patches) * double(values) * double(width),
            values * width + (rows + 1) * width + 4 * width};
  return count;
}

/// Into the streams and out of them.
Count ways(const MeterShape& shape, int64_t text_tokens, int64_t rows) {
  const int64_t hidden = shape.stream.width;
  Count count = linear(shape.text.width, hidden, text_tokens);
  count += linear(shape.tower.width, hidden, rows);
  count += linear(hidden, hidden, 1);
  count += linear(hidden, hidden, 1);
  count.parameters += 2 * hidden;  // types
  return count;
}

Count answer_head(const MeterShape& shape) {
  if (shape.answers == 0) return {};
  const int64_t both = 2 * shape.stream.width;
  Count count = linear(both, both, 1);
  count += norm(both);
  count += linear(both, shape.answers, 1);
  return count;
}

void check_attentions_only(const Plan& plan) {
  for (const LayerPlan& entry : plan.layers)
    require(entry.rules.empty(), Fault::bad_request, "plan '", plan.name, "': ", entry.stream, " layer ", entry.layer,
            " has rules; of METER only attentions that are off are counted");
}

MeterPartCost line(const std::string& part, const Count& here, const Count& dense) {
  return {part, here.parameters, dense.parameters, here.flops, dense.flops};
}

MeterPartCost sum_of(const std::vector<MeterPartCost>& parts) {
  MeterPartCost total{.part = "total"};
  for (const MeterPartCost& part : parts) {
    total.parameters += part.parameters;
    total.dense_parameters += part.dense_parameters;
    total.flops += part.flops;
    total.dense_flops += part.dense_flops;
  }
  return total;
}

std::string count_text(int64_t count) {
  return count >= 10'000'000 ? fmt::format("{:.0f} M", double(count) / 1e6)
                             : fmt::format("{:.2f} M", double(count) / 1e6);
}

std::string flops_text(double flops) {
  return flops >= 1e10 ? fmt::format("{:.1f} G", flops / 1e9) : fmt::format("{:.2f} G", flops / 1e9);
}

}  // namespace

MeterShape published_meter() {
  constexpr EncoderShape kBase{.layers = 12, .width = 768, .mlp = 3072};
  MeterShape shape{.name = "meter", .text = kBase, .tower = kBase, .stream = kBase};
  shape.tower.layers = 11;  // METER leaves out CLIP's last block
  shape.stream.layers = 6;
  shape.vocab = 50265;
  shape.positions = 514;
  shape.patch = 16;
  shape.patches = (384 / 16) * (384 / 16);
  shape.answers = 3129;
  shape.rep_rank = 96;
  shape.pia_rank = 144;
  return shape;
}

ModelFacts facts_of(const MeterShape& shape) {
  ModelFacts facts;
  facts.name = shape.name;
  facts.streams["text"] = facts.streams["image"] = {shape.stream.layers, true};
  return facts;
}

std::vector<MeterPartCost> meter_cost(const Plan& plan, const MeterShape& shape, int64_t text_tokens) {
  const int64_t rows = shape.patches + 1;  // with the class token
  require(text_tokens > 0 && text_tokens <= kMaxRows && shape.patches > 0 && rows <= kMaxRows, Fault::bad_request,
          "a pair has ", text_tokens, " text tokens and ", shape.patches, " patches, expected 1 to ", kMaxRows,
          " of each");
  check_attentions_only(plan);
  MeterShape bare = shape;  // METER itself
  bare.rep_rank = bare.pia_rank = 0;
  const StreamCount words = stream(plan, "text", shape, text_tokens, rows),
                    patches = stream(plan, "image", shape, rows, text_tokens);
  const Count words_dense = stream({}, "text", bare, text_tokens, rows).layers,
              patches_dense = stream({}, "image", bare, rows, text_tokens).layers;
  Count reps = words.reps, pias = words.pias;
  reps += patches.reps;
  pias += patches.pias;
  const auto both = [](const std::string& part, const Count& count) { return line(part, count, count); };
  std::vector<MeterPartCost> parts{both("text encoder", text_encoder(shape, text_tokens)),
                                   both("vision tower", tower(shape, rows)),
                                   line("text stream", words.layers, words_dense),
                                   line("image stream", patches.layers, patches_dense),
                                   both("transforms, poolers", ways(shape, text_tokens, rows)),
                                   both("answer head", answer_head(shape)),
                                   line("RepAdapters", reps, {}),
                                   line("PIAs", pias, {})};
  parts.push_back(sum_of(parts));
  return parts;
}

std::string to_text(const std::vector<MeterPartCost>& parts) {
  std::string text = fmt::format("{:<20}  {:>11}  {:>11}  {:>9}  {:>9}  {:>8}\n", "part", "parameters", "METER's",
                                 "FLOPs", "METER's", "of it");
  for (const MeterPartCost& part : parts) {
    const std::string share =
        part.dense_flops > 0 ? fmt::format("{:.1f} %", 100.0 * part.flops / part.dense_flops) : std::string("-");
    text += fmt::format("{:<20}  {:>11}  {:>11}  {:>9}  {:>9}  {:>8}\n", part.part, count_text(part.parameters),
                        count_text(part.dense_parameters), flops_text(part.flops), flops_text(part.dense_flops), share);
  }
  return text;
}

Json to_json(const std::vector<MeterPartCost>& parts) {
  Json list = Json::array();
  for (const MeterPartCost& part : parts)
    list.push_back({{"part", part.part},
                    {"parameters", part.parameters},
                    {"dense_parameters", part.dense_parameters},
                    {"flops", part.flops},
                    {"dense_flops", part.dense_flops}});
  return list;
}

}  // namespace lithe::plan
