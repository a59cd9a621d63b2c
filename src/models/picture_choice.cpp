#include "models/picture_choice.h"

#include <ATen/ops/index_copy.h>

#include <algorithm>

#include "models/picture_merging.h"
#include "plan/facts.h"
#include "plan/rows.h"
#include "routing/index_tensor.h"
#include "routing/selector.h"

namespace lithe::models {
namespace {

// Scores of rows; an attention is at most 1.
constexpr float kKept = 4, kMerged = 2, kAtNewline = -1;

template <class Visit>
void visit_rules(const plan::Plan* plan, const Visit& visit) {
  if (!plan) return;
  for (const plan::LayerPlan& layer : plan->layers) {
    for (const plan::Rule& rule : layer.rules) {
      const routing::Selector* selector = routing::find_selector(rule.by);
      const bool reads = selector && selector->facts->reads == plan::Reads::picture;
      if (layer.stream == "decoder" && reads) visit(layer, rule, *selector->facts);
    }
  }
}

std::vector<double> on_host(const Tensor& x) {
  const Tensor host = x.detach().to(at::kCPU, at::kDouble).contiguous();
  return {host.const_data_ptr<double>(), host.const_data_ptr<double>() + host.numel()};
}

MergedPicture merged_picture(const plan::Rule& rule, const PictureRows& picture, const PackedRows& rows, int64_t k) {
  if (rule.by == "visionzip") return zip_picture(picture, k);
  if (rule.by == "prumerge") return prumerge_picture(picture, k);
  return pool_picture(picture, rows.heat_views, k);
}

/// Merges for one rule: scores what it keeps, and replaces what took in other rows.
void merge(const plan::LayerPlan& layer, const plan::Rule& rule, const PictureRows& all, const Project& project,
           PackedRows& rows) {
  int64_t governed = 0;
  std::vector<int64_t> own;  // of `all`
  PictureRows picture;
  for (size_t i = 0, next = 0; i < rows.kinds.size(); ++i) {
    const bool patch = next < all.rows.size() && all.rows[next] == static_cast<int64_t>(i);
    if (plan::governing_rule(layer, rows.kinds[i]) == &rule) {
      ++governed;
      if (patch) own.push_back(static_cast<int64_t>(next));
    }
    next += patch;
  }
  for (const int64_t i : own) {
    picture.rows.push_back(all.rows[static_cast<size_t>(i)]);
    picture.attention.push_back(all.attention[static_cast<size_t>(i)]);
  }
  const Tensor index = routing::index_tensor(own, all.features);
  picture.keys = all.keys.defined() ? all.keys.index_select(0, index) : all.keys;
  picture.features = all.features.index_select(0, index);
  const MergedPicture kept =
      merged_picture(rule, picture, rows, std::min(plan::kept_rows(rule, governed), std::ssize(own)));
  for (const int64_t i : kept.plain) rows.scores[static_cast<size_t>(picture.rows[static_cast<size_t>(i)])] += kKept;
  if (kept.merged.empty()) return;
  std::vector<int64_t> replaced;
  for (const int64_t i : kept.merged) replaced.push_back(picture.rows[static_cast<size_t>(i)]);
  for (const int64_t row : replaced) rows.scores[static_cast<size_t>(row)] += kMerged;
  rows.rows = at::index_copy(rows.rows, 0, routing::index_tensor(replaced, rows.rows),
                             project(kept.features).to(rows.rows.scalar_type()));
}

}  // namespace

bool reads_pictures(const plan::Plan* plan) {
  bool reads = false;
  visit_rules(plan, [&](const auto&, const auto&, const auto&) { reads = true; });
  return reads;
}

bool reads_class_token(const plan::Plan* plan) {
  bool reads = false;
  visit_rules(plan,
              [&](const auto&, const auto&, const plan::SelectorFacts& facts) { reads = reads || facts.class_token; });
  return reads;
}

void choose_in_picture(const plan::Plan& plan, const TilesSeen& seen, const Project& project, const PackAlike& packed,
                       PackedRows& rows) {
  const std::vector<double> attention = on_host(packed(seen.attention.unsqueeze(2), kAtNewline));
  rows.scores.assign(attention.begin(), attention.end());
  PictureRows all;
  for (size_t i = 0; i < attention.size(); ++i) {
    if (attention[i] == kAtNewline) continue;
    all.rows.push_back(static_cast<int64_t>(i));
    all.attention.push_back(attention[i]);
  }
  const auto of_patches = [&](const Tensor& x) {
    const Tensor flat = packed(x.flatten(2), 0);
    return flat.index_select(0, routing::index_tensor(all.rows, flat));
  };
  visit_rules(&plan, [&](const plan::LayerPlan& layer, const plan::Rule& rule, const plan::SelectorFacts& facts) {
    if (!facts.merges) return;
    if (!all.features.defined()) all.features = of_patches(seen.features);
    if (seen.keys.defined() && !all.keys.defined())
      all.keys = of_patches(seen.keys).unflatten(1, {seen.keys.size(2), seen.keys.size(3)});
    merge(layer, rule, all, project, rows);
  });
}

}  // namespace lithe::models
