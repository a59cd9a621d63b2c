#include "plan/meter_sites.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "plan/parse.h"
#include "plan/refusal.h"

namespace lithe::plan {
namespace {

TEST(MeterSites, NumbersGoThroughTextAndImageSelfBeforeCross) {
  for (int64_t number = 0; number < 24; ++number) {
    const MeterSite site = meter_site(number, 6);
    EXPECT_EQ(site.stream, number < 12 ? "text" : "image") << number;
    EXPECT_EQ(site.layer, number % 6);
    EXPECT_EQ(site.cross, (number / 6) % 2 == 1);
  }
  EXPECT_THROW(meter_site(24, 6), Error);
  EXPECT_THROW(meter_site(-1, 6), Error);
}

TEST(MeterSites, ThePublishedFlagsNeverTurnOffAnImagesCrossAttention) {
  const Plan plan = without_meter_sites({18, 23, 6}, 6, MeterFlags::published);
  EXPECT_EQ(meter_sites_off(plan, 6), (std::vector<int64_t>{6, 12, 17}));
  EXPECT_TRUE(plan.find("image", 0)->cross_attention);
}

TEST(MeterSites, APlanSaysItsSites) {
  const std::vector<int64_t> skipped{1, 3, 8, 12, 17, 20, 23};
  const Plan plan = without_meter_sites({23, 1, 17, 3, 12, 20, 8}, 6, MeterFlags::right);
  EXPECT_EQ(meter_sites_off(plan, 6), skipped);
  EXPECT_EQ(plan.name, "eas");
  EXPECT_TRUE(without_meter_sites({}, 6, MeterFlags::right).layers.empty());
  EXPECT_TRUE(std::is_sorted(plan.layers.begin(), plan.layers.end(), [](const LayerPlan& a, const LayerPlan& b) {
    return std::pair(a.stream, a.layer) < std::pair(b.stream, b.layer);
  }));
}

TEST(MeterSites, MethodsForADecoderAreRefused) {
  ModelFacts meter;
  meter.name = "meter";
  meter.streams["text"] = meter.streams["image"] = {6, true};
  for (const char* method : {"p-mod", "shortv", "pyramiddrop", "kv-compression"})
    EXPECT_REFUSED(parse_plan({{"method", method}}, "plan", meter), Fault::bad_request, "has no decoder");
  EXPECT_TRUE(parse_plan({{"method", "dense"}}, "plan", meter).layers.empty());
  EXPECT_EQ(parse_plan({{"method", "eas"}, {"stream", "text"}, {"layers", {1}}}, "plan", meter).layers.size(), 1U);
}

}  // namespace
}  // namespace lithe::plan
