#include "plan/table.h"

#include <fmt/format.h>

#include <vector>

#include "base/printable.h"

namespace lithe::plan {
namespace {

double share(double part, double whole) {
  return whole > 0 ? part / whole : 1.0;
}

double percent(double part, double whole) {
  return 100.0 * share(part, whole);
}

/// Three digits that count: 9.94, 42.0, 308.
std::string three_digits(double value) {
  const int decimals = value < 9.995 ? 2 : value < 99.95 ? 1 : 0;
  return fmt::format("{:.{}f}", value, decimals);
}

std::string operations(double flops) {
  for (const auto& [unit, name] : {std::pair{1e15, "P"}, {1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}}) {
    if (flops >= 0.9995 * unit) return three_digits(flops / unit) + " " + name;
  }
  return fmt::format("{:.0f}  ", flops);
}

std::string bytes(int64_t count) {
  const auto value = static_cast<double>(count);
  for (const auto& [power, name] : {std::pair{30, "GiB"}, {20, "MiB"}, {10, "KiB"}}) {
    const auto unit = static_cast<double>(int64_t{1} << power);
    if (value >= 0.9995 * unit) return three_digits(value / unit) + " " + name;
  }
  return fmt::format("{} B", count);
}

/// Layers that cost the same stand on one line.
bool alike(const LayerCost& a, const LayerCost& b) {
  return a.self_attention == b.self_attention && a.rows == b.rows && a.flops == b.flops && a.kv_bytes == b.kv_bytes;
}

std::string line_of(const LayerCost& first, const LayerCost& last, double dense_flops, int64_t dense_kv) {
  const std::string layers =
      first.layer == last.layer ? std::to_string(first.layer) : fmt::format("{}-{}", first.layer, last.layer);
  const RowCount& rows = first.rows;
  const std::string kept = fmt::format("{} of {}", rows.vision_kept, rows.vision);
  return fmt::format("{:<9}  {:<9}  {:>16}  {:>7}  {:>7}  {:>9}  {:>6.1f} %  {:>10}  {:>6.1f} %\n", layers,
                     first.self_attention ? "on" : "off", kept, rows.run, rows.cache, operations(first.flops),
                     percent(first.flops, dense_flops), bytes(first.kv_bytes),
                     percent(double(first.kv_bytes), double(dense_kv)));
}

std::string layer_lines(const CostTable& table) {
  std::string text = fmt::format("{:<9}  {:<9}  {:>16}  {:>7}  {:>7}  {:>9}  {:>8}  {:>10}  {:>8}\n", "layers",
                                 "attention", "vision kept", "run", "cached", "FLOPs", "of dense", "KV", "of dense");
  for (std::size_t begin = 0; begin < table.layers.size();) {
    std::size_t end = begin + 1;
    while (end < table.layers.size() && alike(table.layers[begin], table.layers[end])) ++end;
    const LayerCost& dense = table.dense_layers[begin];
    text += line_of(table.layers[begin], table.layers[end - 1], dense.flops, dense.kv_bytes);
    begin = end;
  }
  return text;
}

std::string total_lines(const CostTable& table) {
  std::string text = fmt::format("{:<24}{:>14}{:>14}{:>12}\n", "", printable(table.plan, 13), "dense", "of dense");
  const auto line = [&text](const char* name, const std::string& here, const std::string& dense, double share) {
    text += fmt::format("{:<24}{:>14}{:>14}{:>10.1f} %\n", name, here, dense, share);
  };
  const CostTotal& here = table.total;
  const CostTotal& dense = table.dense;
  const auto flops = [&line](const char* name, double here, double dense) {
    if (here > 0 || dense > 0) line(name, operations(here), operations(dense), percent(here, dense));
  };
  flops("vision tower FLOPs", here.tower, dense.tower);
  flops("projector FLOPs", here.projector, dense.projector);
  flops("decoder FLOPs", here.decoder, dense.decoder);
  flops("head FLOPs (last token)", here.head, dense.head);
  flops("total FLOPs", here.flops, dense.flops);
  line("KV cache", bytes(here.kv_bytes), bytes(dense.kv_bytes), percent(double(here.kv_bytes), double(dense.kv_bytes)));
  line("KV vision tokens", std::to_string(here.vision_kv_rows), std::to_string(dense.vision_kv_rows),
       percent(double(here.vision_kv_rows), double(dense.vision_kv_rows)));
  return text;
}

/// Adapters stand outside the totals: the weights have them, not the plan.
std::string adapter_lines(const AdapterCost& cost) {
  std::string text;
  const auto line = [&text](const char* name, double flops, double beside, const char* what) {
    if (flops > 0)
      text += fmt::format("{:<24}{:>14}  {:.2f} % of {} (not in the total)\n", name, operations(flops),
                          percent(flops, beside), what);
  };
  line("PIA FLOPs", cost.replacing, cost.replacing_beside, "their feed-forward networks");
  line("RepAdapter FLOPs", cost.before, cost.before_beside, "the projections after them");
  line("LoRA FLOPs", cost.low_rank, cost.low_rank_beside, "the whole model");
  return text;
}

Json adapters_json(const AdapterCost& cost) {
  return {{"pia_flops", cost.replacing},
          {"pia_feed_forward_flops", cost.replacing_beside},
          {"rep_adapter_flops", cost.before},
          {"rep_adapter_projection_flops", cost.before_beside},
          {"lora_flops", cost.low_rank}};
}

Json total_json(const CostTotal& total) {
  return {{"tower_flops", total.tower},     {"projector_flops", total.projector},
          {"decoder_flops", total.decoder}, {"head_flops", total.head},
          {"flops", total.flops},           {"kv_bytes", total.kv_bytes},
          {"kv_tokens", total.kv_rows},     {"vision_kv_tokens", total.vision_kv_rows}};
}

Json layer_json(const LayerCost& layer) {
  const RowCount& rows = layer.rows;
  return {{"stream", layer.stream},
          {"layer", layer.layer},
          {"attention", layer.self_attention ? "on" : "off"},
          {"entering_tokens", rows.alive},
          {"run_tokens", rows.run},
          {"query_tokens", rows.query},
          {"key_value_tokens", rows.key_value},
          {"kv_tokens", rows.cache},
          {"feed_forward_tokens", rows.feed_forward},
          {"vision_tokens", rows.vision},
          {"kept_vision_tokens", rows.vision_kept},
          {"vision_kv_tokens", rows.vision_cache},
          {"flops", layer.flops},
          {"kv_bytes", layer.kv_bytes}};
}

Json layers_json(const std::vector<LayerCost>& layers) {
  Json list = Json::array();
  for (const LayerCost& layer : layers) list.push_back(layer_json(layer));
  return list;
}

std::string shape_lines(const ModelFacts& model) {
  std::string text = fmt::format("model    {}: {} layers, hidden {}, feed-forward {}, {} heads ({} key-value) of {}\n",
                                 printable(model.name, 30), model.layers, model.hidden, model.intermediate, model.heads,
                                 model.kv_heads, model.head_dim);
  if (!model.tower) return text;
  const TowerFacts& tower = *model.tower;
  return text + fmt::format("tower    {} layers run, width {}, MLP {}, {} tokens per tile of {} px, patch {} px\n",
                            tower.layers, tower.width, tower.mlp, tower.tokens, tower.image, tower.patch);
}

}  // namespace

std::string to_text(const CostTable& table) {
  const PromptShape& prompt = table.prompt;
  const std::string head = fmt::format(
      "plan     {}\nprompt   {} vision tokens ({} high resolution; tiles: {}), {} text tokens\n\n",
      printable(table.plan, 90), prompt.vision_tokens, prompt.high_res_tokens, prompt.tiles, prompt.text_tokens);
  return head + layer_lines(table) + "\n" + total_lines(table) + adapter_lines(table.adapters);
}

Json to_json(const CostTable& table) {
  const PromptShape& prompt = table.prompt;
  return {{"plan", table.plan},
          {"model", table.model},
          {"prompt",
           {{"vision_tokens", prompt.vision_tokens},
            {"high_res_tokens", prompt.high_res_tokens},
            {"text_tokens", prompt.text_tokens},
            {"text_before", prompt.text_before},
            {"tiles", prompt.tiles}}},
          {"counted_share", share(table.total.flops, table.dense.flops)},
          {"kv_share", share(double(table.total.kv_bytes), double(table.dense.kv_bytes))},
          {"total", total_json(table.total)},
          {"dense", total_json(table.dense)},
          {"adapters", adapters_json(table.adapters)},
          {"tower", layers_json(table.tower)},
          {"layers", layers_json(table.layers)}};
}

std::string render_inspect(const ModelFacts& model, const CostTable& table) {
  return shape_lines(model) + to_text(table);
}

}  // namespace lithe::plan
