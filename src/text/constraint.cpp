#include "text/constraint.h"

#include <limits>

#include "base/error.h"
#include "text/rust_boundary.h"
#include "text/tokenizer.h"

namespace lithe::text {
namespace {

constexpr std::size_t kMaskBits = 32;

/// Bytes of all tokens that a constrained text may hold, by id. llguidance takes a first byte of 0xFF as the mark of a
/// special token; no text has that byte.
std::vector<std::string> words_of(const Tokenizer& tokenizer) {
  std::vector<std::string> words(static_cast<std::size_t>(tokenizer.size()));
  for (std::size_t id = 0; id < words.size(); ++id) {
    const auto token = static_cast<int64_t>(id);
    if (tokenizer.is_added(token) || tokenizer.is_special(token)) continue;
    std::string bytes = tokenizer.bytes_of(token);
    if (!bytes.starts_with('\xFF')) words[id] = std::move(bytes);
  }
  return words;
}

}  // namespace

void Constraint::Closer::operator()(LitheConstraint* matcher) const {
  lithe_constraint_close(matcher);
}

Constraint Constraint::copy() const {
  LitheConstraint* opened = nullptr;
  LitheBytes error{};
  check_rust(lithe_constraint_copy(matcher_.get(), &opened, &error), error, Fault::internal, "a constraint");
  Constraint copied(opened);
  copied.complete_ = complete_;
  return copied;
}

void Constraint::forbid_others(std::vector<float>& logits) {
  mask_.assign((logits.size() + kMaskBits - 1) / kMaskBits, 0);
  LitheBytes error{};
  check_rust(lithe_constraint_mask(matcher_.get(), mask_.data(), mask_.size(), &error), error, Fault::bad_request,
             "The response format can't be kept");
  for (std::size_t id = 0; id < logits.size(); ++id) {
    if (((mask_[id / kMaskBits] >> (id % kMaskBits)) & 1U) == 0) logits[id] = -std::numeric_limits<float>::infinity();
  }
}

void Constraint::take(int64_t id) {
  LitheBytes error{};
  check_rust(lithe_constraint_take(matcher_.get(), static_cast<uint32_t>(id), &complete_, &error), error,
             Fault::bad_request, "The response format can't be kept");
}

JsonConstraints::JsonConstraints(const Tokenizer& tokenizer, std::span<const int64_t> ends) {
  std::string data;
  std::vector<uint32_t> sizes;
  for (const std::string& word : words_of(tokenizer)) {
    data += word;
    sizes.push_back(static_cast<uint32_t>(word.size()));
  }
  const std::vector<uint32_t> narrow(ends.begin(), ends.end());
  LitheWords* opened = nullptr;
  LitheBytes error{};
  const int code = lithe_words_open(data.data(), data.size(), sizes.data(), sizes.size(), narrow.data(), narrow.size(),
                                    &opened, &error);
  check_rust(code, error, Fault::bad_file, "The tokenizer can't write a response format");
  words_ = {opened, [](const LitheWords* words) { lithe_words_close(const_cast<LitheWords*>(words)); }};
}

Constraint JsonConstraints::of_schema(const std::string& schema) const {
  require(schema.size() <= kMaxSchemaBytes, Fault::bad_request, "The JSON schema has ", schema.size(),
          " bytes, at most ", kMaxSchemaBytes, " are read; write a shorter one.");
  LitheConstraint* opened = nullptr;
  LitheBytes error{};
  const int code = lithe_constraint_open(words_.get(), schema.data(), schema.size(), &opened, &error);
  check_rust(code, error, Fault::bad_request, "The JSON schema can't be used");
  return Constraint(opened);
}

}  // namespace lithe::text
