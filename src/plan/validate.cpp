#include "plan/validate.h"

#include <cmath>

#include "base/error.h"
#include "plan/rows.h"

namespace lithe::plan {
namespace {

/// Whether a selector compares vision rows with the text rows after them.
bool reads_text(const SelectorFacts& selector) {
  return selector.scope == Scope::prompt && selector.reads != Reads::attention;
}

/// Checks one entry; `where` names it in errors.
struct SiteCheck {
  const LayerPlan& entry;
  const Plan& plan;
  const ModelFacts& model;
  std::string where;

  template <class... Parts>
  void need(bool holds, const Parts&... parts) const {
    if (!holds) fail(Fault::bad_request, where, ": ", parts...);
  }

  void attentions() const {
    const bool has_cross = model.has_cross_attention(entry.stream);
    need(entry.cross_attention || has_cross, "there is no cross-attention to turn off");
  }

  void rule(const Rule& rule) const {
    need(rule.keep_share.has_value() != rule.keep_count.has_value(),
         "a rule takes exactly one of keep_share and keep_count");
    if (rule.keep_share) {
      need(*rule.keep_share >= 0 && *rule.keep_share <= 1, "keep_share is ", *rule.keep_share, ", expected 0 to 1");
    }
    if (rule.keep_count) need(*rule.keep_count >= 0, "keep_count is ", *rule.keep_count, ", expected 0 or more");
    need(rule.others.key_value || !rule.others.cache,
         "others.cache is true while others.key_value is false; a token without a key and value cannot be cached");
    need(rule.others_return || is_vision(rule.group), "others_return is false for the group '", to_string(rule.group),
         "', which contains the token that the answer is read from; only vision tokens can be dropped for good");
    selector(rule);
    gate(rule);
  }

  void selector(const Rule& rule) const {
    const SelectorFacts* selector = model.find_selector(rule.by);
    if (selector == nullptr) {
      std::string names;
      for (const SelectorFacts& known : model.selectors) names += (names.empty() ? "" : ", ") + known.name;
      need(false, "no selector is called '", rule.by, "'; there are ", names);
    }
    need(rule.seed == 0 || rule.by == "random", "a seed is for the selector random, not for ", rule.by);
    const bool of_pictures = selector->reads == Reads::picture || reads_text(*selector);
    need(!of_pictures || is_vision(rule.group), "the selector '", rule.by, "' chooses vision tokens, not the group '",
         to_string(rule.group), "'");
    switch (selector->reads) {
      case Reads::nothing:
      case Reads::text:
        break;
      case Reads::router:
        need(model.has_router(entry.stream, entry.layer), "tokens are to be chosen by a router, but the weights of '",
             model.name, "' have no router there");
        break;
      case Reads::attention:
      case Reads::text_attention:
        need(attention_before(),
             "tokens are to be chosen by attention, but no earlier layer of the stream runs its attention");
        break;
      case Reads::keys:
        need(attention_before(), "tokens are to be chosen by '", rule.by,
             "', which reads keys, but no earlier layer of the stream runs its attention");
        break;
      case Reads::change:
        need(entry.layer > 0, "tokens are to be chosen by '", rule.by,
             "', which compares two layers, but no layer comes before; use a later layer");
        break;
      case Reads::picture:
        picture(rule, *selector);
        break;
      case Reads::given:
        of_decoder(rule);
        break;
    }
  }

  void of_decoder(const Rule& rule) const {
    need(entry.stream == "decoder", "the selector '", rule.by, "' is for the decoder");
  }

  /// Rules that read what the vision tower left.
  void picture(const Rule& rule, const SelectorFacts& selector) const {
    of_decoder(rule);
    need(model.tower && !model.tower->outputs, "the selector '", rule.by,
         "' needs a vision tower that gives its patches");
    need(!selector.class_token || model.tower->tokens > model.tower->patches, "the selector '", rule.by,
         "' reads the attention of the vision tower's class token, but this tower has none; use diversity or pooled");
    if (!selector.merges) return;
    need(entry.layer == 0 && !rule.others_return && !rule.others.any(), "the selector '", rule.by,
         "' merges tokens before the decoder, so it is for layer 0, and the other tokens run nothing and are dropped");
    need(rule.keep_share.has_value(), "the selector '", rule.by, "' chooses in each picture; give a keep_share");
  }

  bool attention_before() const {
    for (int64_t layer = 0; layer < entry.layer; ++layer) {
      const LayerPlan* earlier = plan.find(entry.stream, layer);
      if (earlier == nullptr || earlier->self_attention) return true;
    }
    return false;
  }

  void gate(const Rule& rule) const {
    if (!rule.gate) return;
    need(rule.by == "router", "a gate needs router weights, but tokens are chosen by ", rule.by);
    need(std::isfinite(rule.gate->scale) && std::isfinite(rule.gate->bias), "the gate's scale and bias must be finite");
  }
};

void check_order(const Plan& plan, const std::string& where) {
  for (std::size_t i = 1; i < plan.layers.size(); ++i) {
    const LayerPlan& before = plan.layers[i - 1];
    const LayerPlan& here = plan.layers[i];
    const SiteName left{before.stream, before.layer};
    const SiteName right{here.stream, here.layer};
    require(left != right, Fault::bad_request, where, here.stream, " layer ", here.layer, " is listed twice");
    require(left < right, Fault::bad_request, where, "sites must be ascending, but ", here.stream, " layer ",
            here.layer, " follows ", before.stream, " layer ", before.layer);
  }
}

void check_site(const Plan& plan, const LayerPlan& entry, const ModelFacts& model, const std::string& prefix) {
  const std::string where = concat(prefix, entry.stream, " layer ", entry.layer);
  const int64_t layers = model.layers_of(entry.stream);
  require(layers > 0, Fault::bad_request, where, ": the model '", model.name, "' has no stream '", entry.stream, "'");
  require(entry.layer >= 0 && entry.layer < layers, Fault::bad_request, where, " does not exist; the stream has ",
          layers, " layers, 0 to ", layers - 1);
  require(entry.rules.size() <= kMaxRules, Fault::bad_request, where, ": ", entry.rules.size(), " rules, at most ",
          kMaxRules, " are allowed");
  const SiteCheck check{entry, plan, model, where};
  check.attentions();
  for (std::size_t i = 0; i < entry.rules.size(); ++i) {
    SiteCheck{entry, plan, model, concat(where, ", rule ", i + 1)}.rule(entry.rules[i]);
  }
}

/// Whether a rule chooses by the score of each row of a picture.
bool reads_score(const Rule& rule, const ModelFacts& model) {
  const SelectorFacts* selector = model.find_selector(rule.by);
  return selector != nullptr && (selector->reads == Reads::picture || selector->reads == Reads::given);
}

/// Rows of a picture have one score, so the rules that read it must mean the same.
void check_pictures(const Plan& plan, const ModelFacts& model, const std::string& prefix) {
  const Rule* first = nullptr;
  for (const LayerPlan& entry : plan.layers) {
    for (const Rule& rule : entry.rules) {
      if (!reads_score(rule, model)) continue;
      if (first == nullptr) first = &rule;
      require(rule.by == first->by, Fault::bad_request, prefix, entry.stream, " layer ", entry.layer,
              ": tokens are to be chosen by '", rule.by, "' here and by '", first->by,
              "' before; a plan takes one selector that scores the tokens of a picture");
    }
  }
}

void check_fixed(const Plan& plan, const ModelFacts& model, const std::string& prefix) {
  for (const FixedSite& fixed : model.fixed) {
    const LayerPlan* entry = plan.find(fixed.site.stream, fixed.site.layer);
    const bool cross = fixed.attention == "cross";
    const bool on = entry == nullptr || (cross ? entry->cross_attention : entry->self_attention);
    require(!on, Fault::bad_request, prefix, fixed.site.stream, " layer ", fixed.site.layer, ": its ", fixed.attention,
            "-attention has no weights in '", model.name, "'; turn it off there, {\"layer\": ", fixed.site.layer,
            ", \"attention\": {\"", fixed.attention, "\": \"off\"}}");
  }
}

}  // namespace

void validate(const Plan& plan, const ModelFacts& model) {
  check(model);
  const std::string prefix = concat("plan '", plan.name, "': ");
  check_order(plan, prefix);
  for (const LayerPlan& entry : plan.layers) check_site(plan, entry, model, prefix);
  check_pictures(plan, model, prefix);
  check_fixed(plan, model, prefix);
}

}  // namespace lithe::plan
