#include "tune/parameters.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace lithe::tune {
namespace {

using models::Part;
using models::Role;
using models::WeightName;

bool decays(const WeightName& name) {
  return name.kind != models::Kind::bias && !models::is_norm(name.role);
}

/// What a parameter belongs to as far as rates go.
struct Family {
  const char* name;
  const char* key;  ///< Of its rate in a recipe.
  bool (*holds)(const WeightName&);
  std::optional<double> Rates::*rate;
};

/// As METER's optimiser has it: the head of irtr learns at the rate of the rest.
bool is_meter_head(const WeightName& name) {
  constexpr std::array kHeads{Part::vqa, Part::nlvr2, Part::snli, Part::itm, Part::mlm};
  return std::find(kHeads.begin(), kHeads.end(), name.part) != kHeads.end();
}

bool is_cross_modal(const WeightName& name) {
  const bool shared = name.role == Role::token_types || name.role == Role::class_embedding;
  return name.part == Part::image_stream || (name.part == Part::text_stream && !shared);
}

constexpr std::array<Family, 5> kFamilies{{
    {"projector", "mm_projector_lr",
     [](const WeightName& name) { return name.part == Part::projector || name.part == Part::newline; },
     &Rates::mm_projector_lr},
    {"tower", "mm_vision_tower_lr", [](const WeightName& name) { return name.part == Part::tower; },
     &Rates::mm_vision_tower_lr},
    {"heads", "head_lr", is_meter_head, &Rates::head_lr},
    {"streams", "cross_modal_lr", is_cross_modal, &Rates::cross_modal_lr},
    {"routers", "router_lr", [](const WeightName& name) { return name.role == Role::router; }, &Rates::router_lr},
}};

ParameterGroup& group_of(const WeightName& name, const Rates& rates, std::vector<ParameterGroup>& groups) {
  const bool decay = decays(name);
  const auto* const family = std::find_if(kFamilies.begin(), kFamilies.end(), [&](const Family& one) {
    return one.holds(name) && (rates.*one.rate).has_value();
  });
  const bool own = family != kFamilies.end();
  const std::string of = own ? family->name : "weights";
  const std::string label = rates.weight_decay == 0 ? of : of + (decay ? ", decay" : ", no decay");
  const auto found = std::find_if(groups.begin(), groups.end(), [&](const auto& group) { return group.name == label; });
  if (found != groups.end()) return *found;
  return groups.emplace_back(ParameterGroup{.name = label,
                                            .learning_rate = own ? *(rates.*family->rate) : rates.learning_rate,
                                            .weight_decay = decay ? rates.weight_decay : 0});
}

/// Throws Error{bad_request} for a rate that is of no parameter.
void check_rates(const std::vector<Parameter>& parameters, const Rates& rates) {
  for (const Family& family : kFamilies) {
    const bool learns =
        std::any_of(parameters.begin(), parameters.end(), [&](const auto& one) { return family.holds(one.name); });
    require(learns || !(rates.*family.rate), Fault::bad_request, family.key, " is given, but no weight of the ",
            family.name, " learns; name some under `train`, or leave ", family.key, " out");
  }
}

}  // namespace

models::WeightVisitor learning_into(std::vector<Parameter>& parameters) {
  return [&parameters](const models::WeightSlot& slot) {
    if (const auto values = models::learning_at(slot.place)) parameters.push_back({slot.name, *values});
  };
}

std::vector<Parameter> learning_parameters(models::Model& model) {
  std::vector<Parameter> parameters;
  visit(model, learning_into(parameters));
  return parameters;
}

std::vector<ParameterGroup> group_parameters(std::vector<Parameter> parameters, const Rates& rates) {
  check_rates(parameters, rates);
  std::vector<ParameterGroup> groups;
  std::stable_partition(parameters.begin(), parameters.end(), [](const auto& one) { return decays(one.name); });
  for (Parameter& parameter : parameters) {
    group_of(parameter.name, rates, groups).parameters.push_back(std::move(parameter));
  }
  std::stable_sort(groups.begin(), groups.end(), [](const auto& a, const auto& b) {
    return a.name.starts_with("weights") && !b.name.starts_with("weights");
  });
  return groups;
}

}  // namespace lithe::tune
