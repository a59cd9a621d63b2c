#include "tune/exchange.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include <algorithm>

#include "base/error.h"

namespace lithe::tune {
namespace {

constexpr int64_t kTravelsAlone = 1 << 18;  ///< Numbers from which a message of its own costs nothing.
constexpr int64_t kTravelsEarly = 1 << 14;  ///< The same for messages that the backward pass hides.

/// Tensors on their way: large ones where they lie, small ones together in one message.
class Parcel {
 public:
  using Begin = std::function<void(const Numbers&)>;
  explicit Parcel(Begin begin) : begin_(std::move(begin)) {}

  void add(const Tensor& values) {
    if (values.numel() >= kTravelsAlone && values.is_contiguous())
      begin_(numbers_of(values));
    else
      small_.push_back(values);
  }

  void send() {
    if (small_.empty()) return;
    std::vector<Tensor> flat;
    for (const Tensor& values : small_) flat.push_back(values.reshape({-1}));
    packed_ = at::cat(flat);
    begin_(numbers_of(packed_));
  }

  /// After the exchange.
  void unpack() {
    int64_t at = 0;
    for (const Tensor& values : small_) {
      values.copy_(packed_.narrow(0, at, values.numel()).view(values.sizes()));
      at += values.numel();
    }
  }

 private:
  Begin begin_;
  std::vector<Tensor> small_;
  Tensor packed_;
};

}  // namespace

Numbers numbers_of(const Tensor& values) {
  return {{values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())}, std::make_shared<Tensor>(values)};
}

/// The gradients of a step. Every rank begins the sums in the same order: that of `early_`.
class GradientSums::Step : public std::enable_shared_from_this<Step> {
 public:
  Step(const Ranks& ranks, const std::vector<ParameterGroup>& groups) : ranks_(ranks) {
    for (const ParameterGroup& group : groups)
      for (const Parameter& parameter : group.parameters) {
        const bool large = parameter.values.numel() >= kTravelsEarly && parameter.values.is_contiguous();
        (large ? early_ : small_).push_back(parameter.values);
      }
    std::reverse(early_.begin(), early_.end());  // a backward pass reaches the last layers first
  }

  /// The hooks do not own the step, which owns the parameters that own the hooks.
  void watch() {
    for (size_t i = 0; i < early_.size(); ++i)
      torch::autograd::impl::set_post_acc_grad_hooks(early_[i], std::make_unique<Hook>(weak_from_this(), i));
  }

  void new_step() {
    complete_.assign(early_.size(), false);
    begun_ = 0;
    last_pass_ = false;
  }

  void last_pass() { last_pass_ = true; }

  void finish() {
    const at::NoGradGuard no_gradient;
    std::vector<double> there;
    for (const std::vector<Tensor>* some : {&early_, &small_})
      for (const Tensor& values : *some) there.push_back(values.grad().defined() ? 1 : 0);
    while (begun_ < early_.size()) begin_next();
    ranks_.sum(there);  // after the sums that have begun
    auto any = there.begin();
    for (Tensor& values : early_)
      if (*any++ == 0) values.mutable_grad().reset();
    Parcel parcel([&](const Numbers& numbers) { ranks_.begin_sum(numbers); });
    for (Tensor& values : small_)
      if (*any++ != 0) parcel.add(gradient_of(values));
    parcel.send();
    ranks_.finish();
    parcel.unpack();
  }

 private:
  struct Hook : torch::autograd::PostAccumulateGradHook {
    Hook(std::weak_ptr<Step> step, size_t place) : step(std::move(step)), place(place) {}
    void operator()(const Tensor& /*values*/) override {
      if (const std::shared_ptr<Step> watching = step.lock()) watching->completed(place);
    }
    std::weak_ptr<Step> step;
    size_t place;
  };

  /// Zeros for a gradient that only another rank has.
  static Tensor gradient_of(Tensor& values) {
    Tensor& gradient = values.mutable_grad();
    gradient = gradient.defined() ? gradient.contiguous() : at::zeros_like(values);
    return gradient;
  }

  void completed(size_t place) {
    if (!last_pass_) return;
    require(place >= begun_, Fault::internal, "a gradient has changed after it was sent to the other processes");
    complete_[place] = true;
    const at::NoGradGuard no_gradient;
    while (begun_ < early_.size() && complete_[begun_]) begin_next();
  }

  void begin_next() { ranks_.begin_sum(numbers_of(gradient_of(early_[begun_++]))); }

  const Ranks ranks_;
  std::vector<Tensor> early_, small_;  // parameters
  std::vector<bool> complete_;         // of early_
  size_t begun_ = 0;                   // sums of early_
  bool last_pass_ = false;
};

GradientSums::GradientSums(const Ranks& ranks, const std::vector<ParameterGroup>& groups) {
  if (ranks.alone()) return;
  step_ = std::make_shared<Step>(ranks, groups);
  step_->watch();
}

void GradientSums::new_step() {
  if (step_) step_->new_step();
}

void GradientSums::last_pass() {
  if (step_) step_->last_pass();
}

void GradientSums::finish() {
  if (step_) step_->finish();
}

void share_values(const Ranks& ranks, const std::vector<Shared>& values) {
  if (ranks.alone()) return;
  const at::NoGradGuard no_gradient;
  std::vector<Parcel> parcels;
  for (int64_t owner = 0; owner < ranks.size(); ++owner)
    parcels.emplace_back([&ranks, owner](const Numbers& numbers) { ranks.begin_share(numbers, owner); });
  for (const Shared& one : values) parcels[static_cast<size_t>(one.owner)].add(one.values);
  for (Parcel& parcel : parcels) parcel.send();
  ranks.finish();
  for (Parcel& parcel : parcels) parcel.unpack();
}

}  // namespace lithe::tune
