#include "models/meter/heads.h"

#include "base/error.h"
#include "models/parts/weight_slots.h"
#include "ops/activation.h"

namespace lithe::models {
namespace {

constexpr auto kGelu = ops::Activation::gelu;

nn::Norm shaped_norm(double eps) {
  return {nn::Norm::Kind::layer, Tensor(), Tensor(), eps};
}

std::optional<Classifier> shaped_classifier(int64_t classes, double eps) {
  if (classes == 0) return std::nullopt;
  return Classifier{shaped_linear(true), shaped_norm(eps), shaped_linear(true)};
}

void visit_classifier(Part part, std::optional<Classifier>& head, int64_t in, int64_t inner, int64_t classes,
                      const WeightVisitor& visitor) {
  if (!head) return;
  const WeightName name{.part = part};
  visit(name.with(Role::up), head->up, inner, in, visitor);
  visit(name.with(Role::norm1), head->norm, inner, visitor);
  visit(name.with(Role::down), head->down, classes, inner, visitor);
}

void visit_linear(Part part, std::optional<nn::Linear>& head, int64_t out, int64_t in, const WeightVisitor& visitor) {
  if (head) visit(WeightName{.part = part, .role = Role::product}, *head, out, in, visitor);
}

void visit_masked(MaskedHead& head, const HeadsConfig& config, const WeightVisitor& visitor) {
  const WeightName name{.part = Part::mlm};
  visit(name.with(Role::up), head.up, config.hidden, config.hidden, visitor);
  visit(name.with(Role::norm1), head.norm, config.hidden, visitor);
  visitor({name.with(Role::down), &head.down.weight, {config.vocab, config.hidden}, true, &head.down});
  visitor({name.with(Role::head).with(Kind::bias), &*head.down.bias, {config.vocab}});
}

}  // namespace

Tensor Classifier::operator()(const Tensor& x) const {
  return down(ops::activate(kGelu, norm(up(x))));
}

Tensor MaskedHead::operator()(const Tensor& x) const {
  return down(norm(ops::activate(kGelu, up(x))));
}

Tensor Heads::ranking(const Tensor& pooled) const {
  require(rank || itm, Fault::bad_request,
          "this model cannot rank: its checkpoint has neither rank_output nor itm_score");
  return rank ? (*rank)(pooled).select(1, 0) : (*itm)(pooled).select(1, 1);
}

Heads shaped_heads(const HeadsConfig& config) {
  Heads heads{.config = config};
  heads.vqa = shaped_classifier(config.vqa, config.norm_eps);
  heads.nlvr2 = shaped_classifier(config.nlvr2, config.norm_eps);
  heads.snli = shaped_classifier(config.snli, config.norm_eps);
  if (config.itm) heads.itm = shaped_linear(true);
  if (config.rank) heads.rank = shaped_linear(true);
  if (config.mlm) heads.mlm = MaskedHead{shaped_linear(true), shaped_norm(config.masked_eps), shaped_linear(true)};
  return heads;
}

void visit(Heads& heads, const WeightVisitor& visitor) {
  const HeadsConfig& config = heads.config;
  const int64_t both = 2 * config.hidden;
  visit_classifier(Part::vqa, heads.vqa, both, both, config.vqa, visitor);
  visit_classifier(Part::nlvr2, heads.nlvr2, 2 * both, both, config.nlvr2, visitor);
  visit_classifier(Part::snli, heads.snli, both, both, config.snli, visitor);
  visit_linear(Part::itm, heads.itm, 2, both, visitor);
  visit_linear(Part::rank, heads.rank, 1, both, visitor);
  if (heads.mlm) visit_masked(*heads.mlm, config, visitor);
}

}  // namespace lithe::models
