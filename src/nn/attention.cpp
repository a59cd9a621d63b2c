#include "nn/attention.h"

#include <cmath>

namespace lithe::nn {

double Attention::scale() const {
  return 1.0 / std::sqrt(static_cast<double>(head_dim));
}

}  // namespace lithe::nn
