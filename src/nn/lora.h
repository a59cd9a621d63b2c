#pragma once

#include <cstddef>
#include <unordered_map>
#include <utility>

#include "nn/linear.h"

namespace lithe::nn {

/// A LoRA over products whose weights it shares with others: the low-rank term of each product that it changes. It
/// knows a product by its address, so the products stay where they are while it lives. Which rows of a pass are under
/// it, RowNotes says.
class Lora {
 public:
  void put(const Linear& product, LowRank term) { terms_.insert_or_assign(&product, std::move(term)); }
  /// Null: it does not change the product.
  const LowRank* term_of(const Linear& product) const {
    const auto found = terms_.find(&product);
    return found == terms_.end() ? nullptr : &found->second;
  }
  std::size_t products() const { return terms_.size(); }

 private:
  std::unordered_map<const Linear*, LowRank> terms_;
};

}  // namespace lithe::nn
