#include "tune/exchange.h"

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros_like.h>

namespace lithe::tune {
namespace {

constexpr int64_t kTravelsAlone = 1 << 18;  ///< Numbers from which a message of its own costs nothing.

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

/// The gradients that a rank has; zeros for those that only another rank has.
std::vector<Tensor> gradients_of_any(const Ranks& ranks, const std::vector<ParameterGroup>& groups) {
  std::vector<double> there;
  for (const ParameterGroup& group : groups)
    for (const Parameter& parameter : group.parameters) there.push_back(parameter.values.grad().defined() ? 1 : 0);
  ranks.sum(there);
  std::vector<Tensor> gradients;
  auto any = there.begin();
  for (const ParameterGroup& group : groups) {
    for (const Parameter& parameter : group.parameters) {
      if (*any++ == 0) continue;
      Tensor values = parameter.values;
      if (!values.grad().defined()) values.mutable_grad() = at::zeros_like(values);
      gradients.push_back(values.grad());
    }
  }
  return gradients;
}

}  // namespace

Numbers numbers_of(const Tensor& values) {
  return {{values.mutable_data_ptr<float>(), static_cast<size_t>(values.numel())}, std::make_shared<Tensor>(values)};
}

void sum_gradients(const Ranks& ranks, const std::vector<ParameterGroup>& groups) {
  if (ranks.alone()) return;
  const at::NoGradGuard no_gradient;
  Parcel parcel([&](const Numbers& numbers) { ranks.begin_sum(numbers); });
  for (const Tensor& gradient : gradients_of_any(ranks, groups)) parcel.add(gradient);
  parcel.send();
  ranks.finish();
  parcel.unpack();
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
