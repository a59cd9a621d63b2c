// "show": ["kept_patches"], and what every reply says of the savings.
#include "serve/kept_patches.h"

#include <algorithm>
#include <map>

#include "base/base64.h"
#include "serve/support.h"

namespace lithe::serve {
namespace {

Json asking(const Shipped& shipped, const Json& plan = nullptr) {
  Json body = chat_body(shipped);
  body["show"] = {"kept_patches"};
  body["plan"] = plan;
  return body;
}

std::vector<int64_t> tokens_of(const Json& bits) {
  std::vector<int64_t> tokens;
  const auto bytes = decode_base64(bits.get<std::string>());
  for (std::size_t i = 0; i < 8 * bytes->size(); ++i) {
    if (std::to_integer<int>((*bytes)[i / 8]) >> (i % 8) & 1) tokens.push_back(static_cast<int64_t>(i));
  }
  return tokens;
}

std::vector<int64_t> sorted(std::vector<int64_t> tokens) {
  std::sort(tokens.begin(), tokens.end());
  return tokens;
}

/// That the maps of a picture are those of the answer.
void expect_maps(const Json& picture, const session::KeptMap& expected) {
  std::map<int64_t, Json> by_layer;
  for (const Json& map : picture.at("maps")) {
    for (const int64_t layer : map.at("layers")) EXPECT_TRUE(by_layer.emplace(layer, map).second);
  }
  for (const image::LayerKept& layer : expected.layers) {
    ASSERT_TRUE(by_layer.contains(layer.layer)) << layer.layer;
    const Json& map = by_layer.at(layer.layer);
    EXPECT_EQ(map.at("tokens").get<int64_t>(), layer.total);
    EXPECT_EQ(map.at("kept_tokens").get<std::size_t>(), layer.kept.size());
    EXPECT_EQ(tokens_of(map.at("kept")), sorted(layer.kept));
    EXPECT_EQ(map.at("key_value_tokens").get<std::size_t>(), layer.offered.size());
    EXPECT_EQ(map.contains("key_value"), !layer.offered.empty());
    if (map.contains("key_value")) {
      EXPECT_EQ(tokens_of(map.at("key_value")), sorted(layer.offered));
    }
    by_layer.erase(layer.layer);
  }
  EXPECT_TRUE(by_layer.empty());
}

const Json kMixed = Json::parse(R"({"name": "mixed", "layers": [{"layer": 1, "attention": "off"},
    {"layer": 2, "rules": [{"group": "vision", "keep_share": 0.5, "by": "uniform", "others": {"key_value": true}}]},
    {"layer": 9, "rules": [{"group": "vision", "keep_share": 0.25, "by": "uniform", "others_return": false}]}]})");

TEST(KeptPatches, AreThoseOfTheAnswer) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  for (const Json& plan : {Json(), Json("dense"), kMixed}) {
    SCOPED_TRACE(plan.dump());
    const Reply reply = post(running.port(), kChat, asking(one, plan));
    ASSERT_EQ(reply.status, 200) << reply.body;
    const Json shown = reply.json().at("lithe").at("kept_patches");
    const session::Answer answer =
        alone(one, {},
              plan.is_null() ? std::nullopt : std::optional(plan.is_string() ? plan.get<std::string>() : plan.dump()));
    EXPECT_EQ(shown.at("layers"), demo().facts().layers);
    EXPECT_EQ(shown.at("without_attention"), plan == kMixed ? Json::array({1}) : Json::array());
    ASSERT_EQ(shown.at("pictures").size(), 1U);
    const Json& picture = shown.at("pictures").at(0);
    EXPECT_EQ(picture.at("width"), 64);
    EXPECT_EQ(picture.at("height"), 64);
    const Json view = {
        {"part", {0.0, 0.0, 1.0, 1.0}}, {"columns", 8}, {"rows", 8}, {"first_token", 0}, {"row_tokens", 8}};
    EXPECT_EQ(picture.at("views"), Json::array({view}));
    expect_maps(picture, answer.kept.at(0));
  }
}

TEST(KeptPatches, EqualLayersAreOneEntry) {
  const Running running;
  const Json reply = post(running.port(), kChat, asking(shipped_questions(1).front(), kMixed)).json();
  const Json& maps = reply.at("lithe").at("kept_patches").at("pictures").at(0).at("maps");
  ASSERT_EQ(maps.size(), 2U);
  EXPECT_EQ(maps.at(0).at("layers"), Json::array({2}));
  EXPECT_EQ(maps.at(1).at("layers"), Json::array({9, 10, 11}));
}

TEST(KeptPatches, ComeInTheLastEventBeforeTheUsage) {
  const Running running;
  Json body = asking(shipped_questions(1).front());
  const Json whole = post(running.port(), kChat, body).json();
  body["stream"] = true;
  body["stream_options"] = {{"include_usage", true}};
  const Stream stream = stream_of(post(running.port(), kChat, body).body);
  ASSERT_GE(stream.events.size(), 3U);
  const std::size_t last = stream.events.size() - 2;
  EXPECT_EQ(stream.events[last].at("lithe"), whole.at("lithe"));
  for (std::size_t i = 0; i < stream.events.size(); ++i) EXPECT_EQ(stream.events[i].contains("lithe"), i == last);
}

TEST(KeptPatches, AreShownOnlyIfAskedFor) {
  const Running running;
  Json body = chat_body(shipped_questions(1).front());
  for (const Json& none : {Json(), Json::array()}) {
    body["show"] = none;
    EXPECT_FALSE(post(running.port(), kChat, body).json().at("lithe").contains("kept_patches"));
  }
  for (const Json& wrong : {Json("kept_patches"), Json::array({"everything"}), Json::array({1})}) {
    body["show"] = wrong;
    const Reply reply = post(running.port(), kChat, body);
    EXPECT_EQ(reply.status, 400);
    EXPECT_EQ(reply.json().at("error").at("param"), "show");
  }
  body = chat_body("is there a circle?");
  body["show"] = {"kept_patches"};
  EXPECT_EQ(post(running.port(), kChat, body).json().at("lithe").at("kept_patches").at("pictures"), Json::array());
}

TEST(KeptPatches, AreBoundedInSize) {
  PatchesShown shown{.layers = 400, .pictures = {{.size = {10, 10}}}};
  session::Answer answer;
  session::KeptMap map;
  for (int64_t layer = 0; layer < 400; ++layer)
    map.layers.push_back({.layer = layer, .kept = {layer}, .total = 40'000});
  answer.kept = {map};
  const Json json = kept_patches_json(shown, answer);
  EXPECT_LT(json.dump().size(), std::size_t{1} << 20 | std::size_t{1} << 16);
  const Json& maps = json.at("pictures").at(0).at("maps");
  ASSERT_EQ(maps.size(), 400U);
  EXPECT_TRUE(maps.at(0).contains("kept"));
  EXPECT_FALSE(maps.at(399).contains("kept"));
  EXPECT_EQ(maps.at(399).at("kept_tokens"), 1);
}

TEST(Savings, AreThoseOfTheAnswer) {
  const Shipped one = shipped_questions(1).front();
  const Running running;
  Json body = chat_body(one);
  const Json own = post(running.port(), kChat, body).json().at("lithe");
  body["plan"] = "dense";
  const Json dense = post(running.port(), kChat, body).json().at("lithe");
  const session::Answer expected = alone(one);
  EXPECT_EQ(own.at("kv_bytes").get<int64_t>(), expected.cache.bytes_after_prefill);
  EXPECT_DOUBLE_EQ(own.at("counted_share").get<double>(), expected.counted.share());
  EXPECT_LT(own.at("counted_share").get<double>(), 1);
  EXPECT_EQ(dense.at("kv_bytes"), dense.at("dense_kv_bytes"));
  EXPECT_EQ(own.at("dense_kv_bytes"), dense.at("kv_bytes"));
  EXPECT_LT(own.at("kv_bytes").get<int64_t>(), dense.at("kv_bytes").get<int64_t>());
  EXPECT_EQ(dense.at("counted_share"), 1.0);
}

}  // namespace
}  // namespace lithe::serve
