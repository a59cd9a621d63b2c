#include "text/constraint.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "text/support.h"
#include "text/tokenizer.h"

namespace lithe::text {
namespace {

const Tokenizer& demo() {
  static const Tokenizer tokenizer = Tokenizer::open(LITHE_SOURCE_DIR "/models/easyvqa-pmod");
  return tokenizer;
}

const JsonConstraints& constraints() {
  static const JsonConstraints made(demo(), std::vector<int64_t>{*demo().eos()});
  return made;
}

std::vector<int64_t> allowed(Constraint& constraint) {
  std::vector<float> logits(static_cast<std::size_t>(demo().size()), 1.0f);
  constraint.forbid_others(logits);
  std::vector<int64_t> ids;
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (!std::isinf(logits[id])) ids.push_back(static_cast<int64_t>(id));
  }
  return ids;
}

/// The text of a random answer that keeps to the constraint; empty if it does not end. Most drawn tokens begin nothing
/// new, so that it does.
std::string random_answer(Constraint constraint, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::string text;
  for (int i = 0; i < 400 && !constraint.complete(); ++i) {
    const std::vector<int64_t> ids = allowed(constraint);
    if (ids.empty()) break;
    std::vector<int64_t> closing;
    for (const int64_t id : ids) {
      const std::string bytes = demo().bytes_of(id);
      if (id == demo().eos() || bytes == "\"" || bytes == "}" || bytes == "]") closing.push_back(id);
    }
    const std::vector<int64_t>& from = !closing.empty() && random() % 2 == 0 ? closing : ids;
    const int64_t id = from[random() % from.size()];
    constraint.take(id);
    if (id != demo().eos()) text += demo().bytes_of(id);
  }
  return constraint.complete() ? text : std::string();
}

/// Random answers that ended, as JSON.
std::vector<Json> random_answers(const std::string& schema, int count) {
  std::vector<Json> answers;
  const Constraint constraint = constraints().of_schema(schema);
  for (int seed = 0; seed < count; ++seed) {
    const std::string text = random_answer(constraint.copy(), static_cast<uint64_t>(seed));
    if (!text.empty()) answers.push_back(parse_json(text, "an answer"));
  }
  EXPECT_GE(answers.size(), static_cast<std::size_t>(count) / 2) << schema;
  return answers;
}

TEST(Constraint, MakesJsonOfTheSchema) {
  const std::string schema = R"({"type": "object",
      "properties": {"shape": {"type": "string", "enum": ["circle", "rectangle"]},
                     "count": {"type": "integer", "minimum": 3, "maximum": 12},
                     "sure": {"type": "boolean"},
                     "names": {"type": "array", "items": {"type": "string"}, "maxItems": 2}},
      "required": ["shape", "count", "sure"], "additionalProperties": false})";
  for (const Json& answer : random_answers(schema, 40)) {
    SCOPED_TRACE(answer.dump());
    EXPECT_TRUE(answer.at("shape") == "circle" || answer.at("shape") == "rectangle");
    EXPECT_GE(answer.at("count").get<int64_t>(), 3);
    EXPECT_LE(answer.at("count").get<int64_t>(), 12);
    EXPECT_TRUE(answer.at("sure").is_boolean());
    EXPECT_EQ(answer.size(), answer.contains("names") ? 4U : 3U);
    if (answer.contains("names")) {
      EXPECT_LE(answer.at("names").size(), 2U);
    }
  }
}

TEST(Constraint, OfAnyObjectMakesObjects) {
  for (const Json& answer : random_answers(R"({"type": "object"})", 40)) EXPECT_TRUE(answer.is_object());
}

TEST(Constraint, FollowsReferencesWithinTheSchema) {
  const std::string schema = R"({"$ref": "#/$defs/list",
      "$defs": {"list": {"type": "array", "items": {"$ref": "#/$defs/entry"}, "minItems": 1, "maxItems": 1},
                "entry": {"type": "string", "maxLength": 5}}})";
  for (const Json& answer : random_answers(schema, 20)) EXPECT_TRUE(answer.at(0).is_string());
}

TEST(Constraint, EndsWhenTheTextIsWholeAndAllowsTheEndWhereItMayBe) {
  Constraint yes = constraints().of_schema(R"({"const": "a"})");
  for (const char* piece : {"\"", "a", "\""}) {
    EXPECT_FALSE(yes.complete());
    const std::vector<int64_t> ids = allowed(yes);
    const auto is_piece = [&](int64_t id) { return demo().bytes_of(id) == piece; };
    const auto found = std::find_if(ids.begin(), ids.end(), is_piece);
    ASSERT_NE(found, ids.end()) << piece;
    yes.take(*found);
  }
  EXPECT_TRUE(yes.complete());
  EXPECT_EQ(allowed(yes), std::vector<int64_t>{*demo().eos()});
  Constraint number = constraints().of_schema(R"({"type": "integer"})");
  EXPECT_FALSE(std::ranges::count(allowed(number), *demo().eos()));
  const std::vector<int64_t> first = allowed(number);
  const auto three = std::find_if(first.begin(), first.end(), [](int64_t id) { return demo().bytes_of(id) == "3"; });
  ASSERT_NE(three, first.end());
  number.take(*three);
  EXPECT_FALSE(number.complete());
  EXPECT_TRUE(std::ranges::count(allowed(number), *demo().eos()));
  number.take(*demo().eos());
  EXPECT_TRUE(number.complete());
}

TEST(Constraint, CopiesGoTheirOwnWay) {
  Constraint first = constraints().of_schema(R"({"enum": ["a", "b"]})");
  const auto take = [](Constraint& constraint, const std::string& piece) {
    for (const int64_t id : allowed(constraint)) {
      if (demo().bytes_of(id) == piece) return constraint.take(id);
    }
    FAIL() << piece;
  };
  take(first, "\"");
  Constraint second = first.copy();
  take(first, "a");
  take(second, "b");
  take(first, "\"");
  take(second, "\"");
  EXPECT_TRUE(first.complete());
  EXPECT_TRUE(second.complete());
}

TEST(Constraint, NeverAllowsSpecialTokensOrWhatIsNotInTheTokenizer) {
  Constraint any = constraints().of_schema(R"({"type": "string"})");
  std::vector<float> logits(static_cast<std::size_t>(demo().size()) + 70, 0.0f);  // models may have more logits
  any.forbid_others(logits);
  for (std::size_t id = static_cast<std::size_t>(demo().size()); id < logits.size(); ++id)
    EXPECT_TRUE(std::isinf(logits[id]));
  EXPECT_TRUE(std::isinf(logits[static_cast<std::size_t>(*demo().bos())]));
  EXPECT_THROW(any.take(*demo().bos()), Error);
}

TEST(Constraint, RefusesSchemasWithASentence) {
  for (const std::string& schema :
       {std::string("[]"), std::string("{"), std::string("7"), std::string(R"({"type": "no-such-type"})"),
        std::string(R"({"type": "string", "pattern": "("})"), std::string(R"({"$ref": "#/$defs/absent"})"),
        std::string(R"({"$ref": "https://example.org/schema"})"), std::string(R"({"type": "integer", "minimum": "x"})"),
        "{\"const\": \"" + std::string(kMaxSchemaBytes, 'x') + "\"}"}) {
    try {
      constraints().of_schema(schema);
      ADD_FAILURE() << schema.substr(0, 100);
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::bad_request) << error.what();
      EXPECT_NE(std::string(error.what()).find("schema"), std::string::npos) << error.what();
      EXPECT_LT(std::string(error.what()).size(), 500U);
    }
  }
}

TEST(Constraint, SurvivesHostileSchemas) {
  std::string deep = R"({"type": "string"})";
  for (int i = 0; i < 60; ++i) deep = R"({"type": "array", "items": )" + deep + "}";
  std::string wide = R"({"type": "object", "properties": {)";
  for (int i = 0; i < 2000; ++i) wide += (i ? ", \"p" : "\"p") + std::to_string(i) + R"(": {"type": "integer"})";
  std::string chain = R"({"$ref": "#/$defs/0", "$defs": {"1800": {"type": "integer"})";
  for (int i = 0; i < 1800; ++i) chain += concat(", \"", i, R"(": {"$ref": "#/$defs/)", i + 1, "\"}");
  for (const std::string& schema :
       {chain + "}}", std::string(R"({"$ref": "#"})"),
        std::string(R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}})"),
        std::string(R"({"allOf": [{"$ref": "#"}]})"),
        std::string(
            R"({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}}})"),
        std::string(R"({"type": "string", "minLength": 1000000000, "maxLength": 2000000000})"),
        std::string(R"({"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"})"),
        std::string(R"({"type": "array", "items": {"type": "integer"}, "minItems": 1000000000})"),
        std::string(
            R"({"type": "number", "minimum": -1e308, "maximum": 1.0000000000000001e308, "multipleOf": 1e-300})"),
        std::string(R"({"enum": []})"), std::string(R"({"type": "object", "minProperties": 1000000})"), deep,
        wide + "}}"}) {
    try {
      Constraint constraint = constraints().of_schema(schema);
      for (int i = 0; i < 3; ++i) {
        const std::vector<int64_t> ids = allowed(constraint);
        if (ids.empty() || constraint.complete()) break;
        constraint.take(ids.front());
      }
    } catch (const Error& error) {
      EXPECT_EQ(error.fault(), Fault::bad_request) << error.what();
    }
  }
}

TEST(JsonConstraints, NeedATokenThatEndsAnAnswer) {
  EXPECT_THROW(JsonConstraints(demo(), {}), Error);
  EXPECT_THROW(JsonConstraints(demo(), std::vector<int64_t>{demo().size() + 5}), Error);
}

}  // namespace
}  // namespace lithe::text
