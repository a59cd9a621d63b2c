#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

// What selectors choose, by the definitions of their papers: loops over numbers, nothing in blocks, nothing kept. Among
// equals the lowest row wins; all results ascend.
namespace lithe::routing {

using Matrix = std::vector<std::vector<double>>;

/// x: [rows, width]
Matrix matrix_of(const at::Tensor& x);

/// [rows][rows]
Matrix plain_cosines(const Matrix& rows);

/// The rows with the `keep` highest scores.
std::vector<int64_t> plain_highest(const std::vector<double>& scores, int64_t keep);

/// keys: [rows, heads, head_dim]
std::vector<int64_t> plain_key_norm(const at::Tensor& keys, int64_t keep);
std::vector<int64_t> plain_variation(const Matrix& now, const Matrix& before, int64_t keep);
std::vector<int64_t> plain_diversity(const Matrix& rows, int64_t keep);
std::vector<int64_t> plain_relevance(const Matrix& rows, const Matrix& text, int64_t keep);

struct PlainDart {
  Matrix rows, text;
  at::Tensor keys, text_keys;  // [.., heads, head_dim]
  std::vector<int64_t> choose(int64_t keep) const;
};

}  // namespace lithe::routing
