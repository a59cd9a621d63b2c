#include "models/picture_choice.h"

#include <ATen/TensorOperators.h>
#include <ATen/ops/softmax.h>

#include <algorithm>

#include "checkpoints/read/catalogue.h"
#include "models/picture_merging.h"
#include "plan/parse.h"
#include "plan/rows.h"
#include "support.h"

// Plans that choose by what the vision tower saw, over whole pictures.
namespace lithe::models {
namespace {

std::unique_ptr<Model> open(const char* name) {
  return open_model(golden_folder(name) / "checkpoint");
}

image::Image picture(int64_t width, int64_t height) {
  image::Image image(width, height);
  for (size_t i = 0; i < image.rgb.size(); ++i) image.rgb[i] = static_cast<uint8_t>(i * 7 + i / 251);
  return image;
}

plan::Plan plan_of(const Model& model, const std::string& text) {
  return plan::parse_plan(parse_json(text, "plan"), "plan", model.facts);
}

/// How the class token attends to every patch of a tile in the last block, the mean over the heads, with the attention
/// written out.  -> [tiles, patches]
Tensor class_attention(const Model& model, const Tensor& pixels) {
  const VisionTower& tower = model.vision->tower;
  Tensor entry;  // of the last block
  const auto last = static_cast<int64_t>(tower.blocks.size()) - 1;
  tower.features(pixels, nullptr, [&](const routing::LayerReport& report) {
    if (report.layer == last - 1) entry = report.hidden;
  });
  const routing::Site& site = tower.blocks.back().sites.front();
  const auto& attention = std::get<nn::Attention>(site.branch);
  const int64_t tiles = pixels.size(0), rows = tower.config.rows();
  const Tensor x = site.norm(entry);
  const auto split = [&](const Tensor& of_rows) { return of_rows.unflatten(0, {tiles, rows}).transpose(1, 2); };
  const Tensor queries = split(attention.queries(x)), keys = split(attention.keys(x));  // [tiles, heads, rows, d]
  const Tensor weights = at::softmax(queries.matmul(keys.transpose(2, 3)) * attention.scale(), -1).mean(1);
  return weights.select(1, 0).narrow(1, rows - tower.config.patches(), tower.config.patches());
}

TEST(PictureChoice, ScoresByTheClassToken) {
  const auto model = open("hf_llava15");
  ASSERT_GT(model->facts.tower->tokens, model->facts.tower->patches);
  const plan::Plan plan = plan_of(*model, R"({"method": "class-attention", "keep_share": 0.5})");
  const ImageRows rows = model->encode_image(picture(40, 30), {.plan = &plan});
  const ImageRows dense = model->encode_image(picture(40, 30));
  EXPECT_TRUE(dense.scores.empty());
  EXPECT_TRUE(close(rows.rows, dense.rows, 0, 0)) << "nothing is merged";
  const Tensor expected = class_attention(*model, rows.pixels)[0];
  ASSERT_EQ(std::ssize(rows.scores), expected.size(0));
  for (int64_t i = 0; i < expected.size(0); ++i)
    EXPECT_NEAR(rows.scores[static_cast<size_t>(i)], expected[i].item<float>(), 1e-5);
}

/// Rows in the order in which a rule takes them.
std::vector<int64_t> by_score(const std::vector<float>& scores, int64_t count) {
  std::vector<int64_t> rows;
  for (int64_t row = 0; row < std::ssize(scores); ++row) rows.push_back(row);
  std::stable_sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) {
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  rows.resize(static_cast<size_t>(count));
  std::sort(rows.begin(), rows.end());
  return rows;
}

TEST(PictureChoice, MergesBeforeTheProjectorAndKeepsWhatWasMerged) {
  const auto model = open("hf_llava15");
  const ImageRows dense = model->encode_image(picture(40, 30));
  const int64_t patches = model->facts.tower->patches;
  for (const char* by : {"visionzip", "prumerge", "pooled"}) {
    for (const double share : {0.0, 0.3, 0.75, 1.0}) {
      const std::string where = concat(by, ", ", share);
      const plan::Rule rule{.keep_share = share, .by = by, .others_return = false};
      const plan::Plan plan{.layers = {{.layer = 0, .rules = {rule}}}};
      const ImageRows rows = model->encode_image(picture(40, 30), {.plan = &plan});
      const int64_t k = plan::kept_rows(rule, patches);
      PictureRows whole{.features = dense.features[0]};
      const Tensor attention = class_attention(*model, dense.pixels)[0];
      for (int64_t row = 0; row < patches; ++row) {
        whole.rows.push_back(row);
        whole.attention.push_back(attention[row].item<double>());
      }
      const routing::Site& site = model->vision->tower.blocks.back().sites.front();
      Tensor entry;
      const auto last = static_cast<int64_t>(model->vision->tower.blocks.size()) - 1;
      model->vision->tower.features(dense.pixels, nullptr, [&](const routing::LayerReport& report) {
        if (report.layer == last - 1) entry = report.hidden;
      });
      whole.keys = std::get<nn::Attention>(site.branch).keys(site.norm(entry)).narrow(0, 1, patches);
      const MergedPicture kept = std::string(by) == "visionzip"  ? zip_picture(whole, k)
                                 : std::string(by) == "prumerge" ? prumerge_picture(whole, k)
                                                                 : pool_picture(whole, dense.heat_views, k);
      std::vector<int64_t> chosen = kept.plain;
      chosen.insert(chosen.end(), kept.merged.begin(), kept.merged.end());
      std::sort(chosen.begin(), chosen.end());
      EXPECT_EQ(by_score(rows.scores, k), chosen) << where;
      Tensor expected = dense.rows.clone();
      for (size_t i = 0; i < kept.merged.size(); ++i)
        expected[kept.merged[i]].copy_(
            model->vision->projector(kept.features[static_cast<int64_t>(i)].unsqueeze(0))[0]);
      EXPECT_TRUE(close(rows.rows, expected, 1e-4, 1e-4)) << where;
    }
  }
}

TEST(PictureChoice, LeavesNewlinesForLastInPicturesOfSeveralTiles) {
  const auto model = open("hf_llavanext");
  for (const char* by : {"class_attention", "visionzip", "prumerge", "pooled"}) {
    const plan::Rule rule{.keep_share = 0.4, .by = by, .others_return = false};
    const plan::Plan plan{.layers = {{.layer = 0, .rules = {rule}}}};
    ASSERT_NO_THROW(plan::parse_plan(plan::to_json(plan), "plan", model->facts)) << by;
    const ImageRows rows = model->encode_image(picture(61, 44), {.plan = &plan});
    const ImageRows dense = model->encode_image(picture(61, 44));
    ASSERT_EQ(rows.scores.size(), dense.kinds.size());
    EXPECT_EQ(rows.kinds, dense.kinds);
    int64_t newlines = 0, changed = 0;
    for (int64_t row = 0; row < rows.rows.size(0); ++row) {
      const bool newline = close(dense.rows[row], *model->vision->newline, 0, 0);
      newlines += newline;
      EXPECT_EQ(rows.scores[static_cast<size_t>(row)] == -1, newline) << by << ", row " << row;
      changed += !close(rows.rows[row], dense.rows[row], 1e-6, 1e-6);
      if (rows.scores[static_cast<size_t>(row)] < 2) {
        EXPECT_TRUE(close(rows.rows[row], dense.rows[row], 0, 0)) << by << ": only merged rows change";
      }
    }
    EXPECT_GT(newlines, 0);
    EXPECT_EQ(changed > 0, std::string(by) != "class_attention") << by;
  }
}

TEST(PictureChoice, APictureGivesTheSameRowsAmongOthers) {
  const auto model = open("hf_llavanext");
  const Vision& vision = model->seeing();
  const plan::Plan zip = plan_of(*model, R"({"method": "visionzip", "keep_share": 0.3})"),
                   pooled = plan_of(*model, R"({"method": "pooled-picture", "keep_share": 0.3})");
  const plan::Plan* plans[] = {&zip, nullptr, &pooled, &zip};
  std::vector<TowerInput> inputs;
  for (int64_t i = 0; i < 4; ++i)
    inputs.push_back(
        {std::make_shared<const PreparedImage>(vision.prepare(picture(40 + 9 * i, 60 - 7 * i))), plans[i]});
  const std::vector<ImageRows> together = vision.encode(inputs);
  for (size_t i = 0; i < 4; ++i) {
    const ImageRows alone = std::move(vision.encode(std::span(inputs).subspan(i, 1)).front());
    EXPECT_TRUE(close(together[i].rows, alone.rows, 1e-5, 1e-5)) << i;
    ASSERT_EQ(together[i].scores.size(), alone.scores.size()) << i;
    for (size_t row = 0; row < alone.scores.size(); ++row)
      EXPECT_NEAR(together[i].scores[row], alone.scores[row], 1e-5) << i;
  }
}

}  // namespace
}  // namespace lithe::models
