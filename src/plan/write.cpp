#include "plan/parse.h"

namespace lithe::plan {
namespace {

Json rule_json(const Rule& rule) {
  Json json{{"group", to_string(rule.group)}};
  if (rule.keep_share) json["keep_share"] = *rule.keep_share;
  if (rule.keep_count) json["keep_count"] = *rule.keep_count;
  json["by"] = rule.by;
  if (rule.seed != 0) json["seed"] = rule.seed;
  if (rule.gate == Gate{}) {
    json["gate"] = "tanh_norm";
  } else if (rule.gate) {
    json["gate"] = {{"norm", to_string(rule.gate->norm)}, {"scale", rule.gate->scale}, {"bias", rule.gate->bias}};
  }
  json["others"] = {{"query", rule.others.query},
                    {"key_value", rule.others.key_value},
                    {"cache", rule.others.cache},
                    {"feed_forward", rule.others.feed_forward}};
  json["others_return"] = rule.others_return;
  return json;
}

Json layer_json(const LayerPlan& entry) {
  Json json{{"site", {{"stream", entry.stream}, {"layer", entry.layer}}}};
  json["attention"] = {{"self", entry.self_attention ? "on" : "off"}};
  if (!entry.cross_attention) json["attention"]["cross"] = "off";
  json["rules"] = Json::array();
  for (const Rule& rule : entry.rules) json["rules"].push_back(rule_json(rule));
  return json;
}

}  // namespace

Json to_json(const Plan& plan) {
  Json json{{"format", "lithe-plan/1"}, {"name", plan.name}, {"layers", Json::array()}};
  for (const LayerPlan& entry : plan.layers) json["layers"].push_back(layer_json(entry));
  return json;
}

}  // namespace lithe::plan
