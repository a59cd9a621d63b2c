#include "tune/report.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tune/chart.h"
#include "tune/markup.h"
#include "tune/recipe.h"

namespace lithe::tune {
namespace {

/// A run like those that are: a loss that falls through noise, routers that spread, evaluations.
Report report_of(int64_t steps, int64_t layers) {
  Report report{.title = "demo-dense, p-MoD and EAS",
                .facts = {{"weights that learn", "1.9 M of 2.1 M"}, {"time", "27 min"}, {"best score", "0.93"}}};
  for (int64_t step = 1; step <= steps; ++step) {
    const double way = static_cast<double>(step) / static_cast<double>(steps);
    StepRecord record{.step = step,
                      .loss = 0.3 + 3 * std::exp(-6 * way) + 0.15 * std::sin(static_cast<double>(step * step)),
                      .grad_norm = 1 + 0.3 * std::cos(static_cast<double>(step * 7)),
                      .lr = 2e-5 * (1 + std::cos(3.14159 * way)) / 2,
                      .tokens = 4096,
                      .seconds = 0.8};
    if (step % 10 == 0)
      for (int64_t layer = 0; layer < layers; ++layer) {
        const std::string name = std::to_string(layer + layers / 4);
        record.more["router_weights"][name] = 1 + 0.15 * way * std::sin(static_cast<double>(layer));
        record.more["kept_shares"][name] = 0.85 - 0.7 * static_cast<double>(layer) / static_cast<double>(layers);
      }
    if (step % 100 == 0) record.more["eval_loss"] = record.loss + 0.1;
    if (step % 100 == 0) record.more["eval_score"] = 0.5 + 0.4 * way;
    report.steps.push_back(record);
  }
  report.answers = {{"val.json, record 3", "<image>\nWhat colour is the shape?", "red", "red", true},
                    {"val.json, record 9", "Is there a circle?", "no", "yes", false}};
  report.settings = settings_of(parse_recipe(
      "model_name_or_path: demo-dense\noutput_dir: out\ndata: [{path: train.json, images: pictures}]\np_mod: {}\n"
      "eas: {skip: 3}\nmax_steps: 2000\nlearning_rate: 2e-5\nlr_scheduler_type: cosine\nwarmup_ratio: 0.03\n",
      "r"));
  report.redundancy = BarChart{.title = "Redundancy of attentions", .bars = {}, .marked_name = "skipped"};
  for (int64_t layer = 0; layer < 8; ++layer)
    report.redundancy->bars.push_back(
        {.label = std::to_string(layer), .value = 0.01 * static_cast<double>(layer), .marked = layer > 4});
  return report;
}

TEST(Report, HoldsTheWholeRun) {
  const std::string html = html_of(report_of(2000, 24));
  EXPECT_EQ(lithe::test::fault_of_markup(html), "");
  for (const char* part : {">Loss<", ">Learning rate<", ">Router weights<", ">Kept vision tokens<", ">Held-out score<",
                           ">Redundancy of attentions<", "Sample answers", "p_mod.schedule", "data[1].path", "27 min",
                           "answer (wrong)", "layer 29"})
    EXPECT_NE(html.find(part), std::string::npos) << part;
}

TEST(Report, OpensOffline) {
  const std::string html = html_of(report_of(100, 4));
  for (const char* outside : {"<script", "<link", "src=", "href=", "url(", "@import"})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
}

TEST(Report, IsBounded) {
  Report report = report_of(50'000, 64);
  report.answers.assign(100, {"s", std::string(10'000, 'q'), "a", std::string(10'000, '\xff'), {}});
  for (int i = 0; i < 5000; ++i) report.settings["key" + std::to_string(i)] = i;
  const std::string html = html_of(report);
  EXPECT_LT(html.size(), 3u << 20);
  EXPECT_NE(html.find("48 of 100 are shown"), std::string::npos);
}

TEST(Report, EscapesWhatFilesAndModelsSay) {
  Report report = report_of(10, 1);
  const std::string evil = "</dd></main><script>alert(1)</script>&\"'\x1b";
  report.title = evil;
  report.facts = {{evil, evil}};
  report.answers = {{evil, evil, evil, evil, true}};
  report.settings = Json{{evil, evil}};
  report.steps[0].more["router_weights"] = Json{{evil, 1.0}, {"99999999999999999999", 1.0}};
  const std::string html = html_of(report);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(lithe::test::fault_of_markup(html), "");
}

TEST(Report, AnEmptyRunIsAPage) {
  EXPECT_EQ(lithe::test::fault_of_markup(html_of(Report{.title = "x"})), "");
}

}  // namespace
}  // namespace lithe::tune
