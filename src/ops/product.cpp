#include "ops/product.h"

#include <atomic>
#include <cstdlib>
#include <string_view>

#include "base/error.h"
#include "base/printable.h"
#include "base/vector_set.h"
#include "ops/code_gemm.h"
#include "ops/few_code_rows.h"
#include "ops/few_float_rows.h"
#include "ops/row_gemm.h"
#include "ops/tile_gemm.h"
#include "ops/weight_kernels.h"

namespace lithe::ops {
namespace {

constexpr const char* kVariable = "LITHE_PRODUCT";

std::optional<Product> asked_for() {
  const char* const value = std::getenv(kVariable);
  const std::string_view name = value == nullptr ? "" : value;
  if (name.empty() || name == "auto") return std::nullopt;
  if (name == "tiles") return Product::tiles;
  require(name == "row_gemm", Fault::bad_request, kVariable, " is ", in_quotes(value),
          "; it must be auto, row_gemm or tiles.");
  require(has_row_gemm(), Fault::bad_request, kVariable, " asks for row_gemm, which needs AVX2; leave it out.");
  return Product::row_gemm;
}

/// The kind of every product, if LITHE_PRODUCT or a test asks for one; `library`: the fastest.
std::atomic<Product>& forced() {
  static std::atomic<Product> product{asked_for().value_or(Product::library)};
  return product;
}

/// Codes are best multiplied as the whole numbers that they are. One or two rows wait for memory, so float32 costs no
/// time.
std::optional<Product> fastest_of_codes(int64_t rows, const WeightView& weight) {
  constexpr int64_t kMostFewCodeRows = 64;
  if (rows <= kMostDotRowsOfCodes || !taken_by_code_gemm(weight)) return std::nullopt;
  if (rows <= kMostFewCodeRows && has_few_code_rows()) return Product::few_code_rows;
  return has_code_gemm() ? std::optional(Product::code_gemm) : std::nullopt;
}

constexpr int64_t kLargeWeights = int64_t{4} << 20;

/// The limits are measured (docs/performance.md). row_gemm is made for weights too large for the caches. With enough
/// rows a general product is faster, although it rearranges the weights, if it uses the processor's widest vectors;
/// else row_gemm is about twice as fast for every size. Tiles are best for bfloat16, and with many rows also for
/// float16, whose weights take two terms.
Product fastest_of_stored(int64_t rows, const WeightView& weight) {
  const WeightKind kind = weight.kind;
  const int64_t weights = weight.outs * weight.width;
  constexpr int64_t kMostRows = 160, kMostRowsWidened = 256;
  constexpr int64_t kLeastTiled = int64_t{1} << 20, kLeastRowsTwoTerms = 128;
  const bool stored = kind != WeightKind::float32, half = bits_of(kind) == 16;
  const bool reads_faster = rows > 1 || !library_uses_vector_set();
  if (rows <= kMostDotRows && (stored || (reads_faster && weights >= kLargeWeights))) return Product::few_rows;
  const int64_t least_rows = kind == WeightKind::bfloat16 ? kMostDotRows + 1 : kLeastRowsTwoTerms;
  if (half && rows >= least_rows && weights >= kLeastTiled && has_tile_gemm()) return Product::tiles;
  if (rows > kMostDotRows && !library_uses_vector_set()) return Product::row_gemm;
  const bool some = rows > kMostDotRows && rows <= (stored ? kMostRowsWidened : kMostRows);
  if (some && weights >= kLargeWeights && has_row_gemm()) return Product::row_gemm;
  return stored ? Product::many_rows : Product::library;
}

/// Only large weights are turned. Smaller ones are in the caches, where little is gained: there a row of x rather keeps
/// the bits that row_gemm gives it among any number of rows.
Product fastest(int64_t rows, const WeightView& weight) {
  constexpr int64_t kLeastTurnedRows = 5, kMostTurnedRows = 28, kMostTurnedRowsOfHalves = 128;
  if (const auto product = fastest_of_codes(rows, weight)) return *product;
  const Product product = fastest_of_stored(rows, weight);
  const int64_t most = bits_of(weight.kind) == 16 ? kMostTurnedRowsOfHalves : kMostTurnedRows;
  const bool large = weight.group == 0 && weight.outs * weight.width >= kLargeWeights;
  const bool turns = large && rows >= kLeastTurnedRows && rows <= most && has_few_float_rows();
  return turns && (product == Product::few_rows || product == Product::row_gemm) ? Product::few_float_rows : product;
}

bool takes(Product product, const WeightView& weight) {
  if (product == Product::code_gemm || product == Product::few_code_rows) return taken_by_code_gemm(weight);
  return product != Product::few_float_rows || weight.group == 0;
}

}  // namespace

Product product_for(int64_t rows, const WeightView& weight) {
  const Product product = forced().load(std::memory_order_relaxed);
  return product != Product::library && takes(product, weight) ? product : fastest(rows, weight);
}

bool learns_by_row_gemm(int64_t rows) {
  if (rows == 0 || !has_row_gemm()) return false;
  const bool asked = forced().load(std::memory_order_relaxed) == Product::row_gemm;
  return asked || (rows > kMostDotRows && !library_uses_vector_set());
}

void use_product(std::optional<Product> product) {
  forced().store(product.value_or(Product::library), std::memory_order_relaxed);
}

}  // namespace lithe::ops
