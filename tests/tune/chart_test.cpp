#include "tune/chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tune/axis.h"
#include "tune/markup.h"

namespace lithe::tune {
namespace {

const double kNan = std::numeric_limits<double>::quiet_NaN();

TEST(Axis, TicksAreRoundAndCoverTheValues) {
  const Axis axis = axis_over(0.13, 0.87, 5);
  EXPECT_NEAR(axis.low, 0, 1e-12);
  EXPECT_NEAR(axis.high, 1, 1e-12);
  ASSERT_EQ(axis.ticks.size(), 6u);
  EXPECT_EQ(axis.text(axis.ticks[3]), "0.6");
  EXPECT_EQ(axis.text(0), "0");
  EXPECT_EQ(axis_over(0, 1200, 5).text(500), "500");
  EXPECT_EQ(axis_over(0, 2e-5, 4).text(1.5e-5), "1.5e-05");
}

TEST(Axis, IsDrawableForAnyValues) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const auto& [low, high] : {std::pair(3.0, 3.0),
                                  {0.0, 0.0},
                                  {-1e300, 1e300},
                                  {1e-300, 2e-300},
                                  {0.0, 5e-324},
                                  {5e-324, 5e-324},
                                  {-1.7e308, 1.7e308},
                                  {1.6e308, 1.7e308},
                                  {kNan, 1.0},
                                  {infinity, -infinity},
                                  {5.0, 5.0 + 1e-15}}) {
    for (const Axis& axis : {axis_over(low, high, 5), tight_axis(low, high, 8)}) {
      EXPECT_LT(axis.low, axis.high) << low << ' ' << high;
      EXPECT_LT(axis.ticks.size(), 20u);
      EXPECT_GE(axis.ticks.size(), 1u) << low << ' ' << high;
    }
  }
}

TEST(Chart, ThinningKeepsPeaks) {
  Series series{.name = "loss"};
  for (int i = 0; i < 100000; ++i) {
    series.x.push_back(i);
    series.y.push_back(std::sin(i * 0.01));
  }
  series.y[54321] = 50;
  series.y[54323] = -50;
  const Series thin = thinned(series, 600);
  EXPECT_LE(thin.x.size(), 1200u);
  EXPECT_EQ(std::count(thin.y.begin(), thin.y.end(), 50), 1);
  EXPECT_EQ(std::count(thin.y.begin(), thin.y.end(), -50), 1);
  EXPECT_TRUE(std::is_sorted(thin.x.begin(), thin.x.end()));
  EXPECT_EQ(thinned({.x = {1, 2}, .y = {3, 4}}, 600).x.size(), 2u);
}

TEST(Chart, LinesGoWhereTheValuesAre) {
  const std::string svg = svg_of(LineChart{.title = "T",
                                           .x_label = "step",
                                           .y_label = "loss",
                                           .series = {{.name = "a", .x = {0, 5, 10}, .y = {0, 1, 0.5}}}});
  EXPECT_EQ(lithe::test::fault_of_markup(svg), "");
  EXPECT_NE(svg.find("d=\"M72 268L420 62L768 165\""), std::string::npos) << svg;
  EXPECT_NE(svg.find(">step<"), std::string::npos);
  EXPECT_NE(svg.find(">loss<"), std::string::npos);
}

TEST(Chart, ValuesThatAreNotFiniteAreGaps) {
  const std::string svg = svg_of(LineChart{.series = {{.x = {0, 1, 2, 3}, .y = {0, kNan, 1, 1}}}});
  EXPECT_NE(svg.find("M72 268M"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
  EXPECT_EQ(lithe::test::fault_of_markup(svg_of(LineChart{.title = "nothing"})), "");
  EXPECT_EQ(lithe::test::fault_of_markup(svg_of(BarChart{.bars = {{.value = kNan}}})), "");
}

TEST(Chart, AFileHasItsOwnStyle) {
  const std::string file = svg_file(svg_of(BarChart{.bars = {{.value = 1}, {.value = 2}}}));
  EXPECT_TRUE(file.starts_with("<?xml"));
  EXPECT_NE(file.find("prefers-color-scheme:dark"), std::string::npos);
  EXPECT_EQ(lithe::test::fault_of_markup(file.substr(file.find('\n') + 1)), "");
}

TEST(Chart, TextIsEscaped) {
  EXPECT_EQ(escaped("<a href=\"x\">&'"), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
  EXPECT_EQ(escaped(std::string("a\x1b\x7f\xff"
                                "b")),
            "a\xEF\xBF\xBD\xEF\xBF\xBD"
            "b");
  const std::string svg = svg_of(LineChart{.title = "</svg><script>", .series = {{.name = "<b>", .x = {1}, .y = {1}}}});
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(lithe::test::fault_of_markup(svg), "");
}

}  // namespace
}  // namespace lithe::tune
