#include "tune/name_pattern.h"

#include <gtest/gtest.h>

namespace lithe::tune {
namespace {

TEST(NamePattern, StarsAndMarksStandForText) {
  EXPECT_TRUE(matches("*", ""));
  EXPECT_TRUE(matches("*.q_proj.*", "model.layers.3.self_attn.q_proj.weight"));
  EXPECT_TRUE(matches("model.layers.?.mlp.*", "model.layers.3.mlp.up_proj.weight"));
  EXPECT_FALSE(matches("model.layers.?.mlp.*", "model.layers.13.mlp.up_proj.weight"));
  EXPECT_FALSE(matches("*.bias", "a.bias.b"));
  EXPECT_TRUE(matches("a*b*c", "a__b_b_c"));
  EXPECT_FALSE(matches("a*b*c", "a__c_b"));
}

TEST(NamePattern, AWordStandsForWholeParts) {
  EXPECT_TRUE(matches("mm_projector", "model.mm_projector.0.weight"));
  EXPECT_TRUE(matches("layers.3", "model.layers.3.mlp"));
  EXPECT_FALSE(matches("layers.3", "model.layers.31.mlp"));
  EXPECT_FALSE(matches("projector", "model.mm_projector.0.weight"));
  EXPECT_FALSE(matches("", "a"));
}

TEST(NamePattern, TheLastPatternThatFitsDecides) {
  const std::vector<std::string> patterns{"*", "!vision_tower", "vision_tower.post_layernorm"};
  EXPECT_TRUE(chosen(patterns, "model.norm.weight"));
  EXPECT_FALSE(chosen(patterns, "model.vision_tower.pre.weight"));
  EXPECT_TRUE(chosen(patterns, "model.vision_tower.post_layernorm.weight"));
  EXPECT_FALSE(chosen({}, "a"));
}

TEST(NamePattern, HostilePatternsEnd) {
  std::string pattern;
  for (int i = 0; i < 2000; ++i) pattern += "*a";
  EXPECT_FALSE(matches(pattern + "b", std::string(4000, 'a')));
}

}  // namespace
}  // namespace lithe::tune
