#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

struct LitheConstraint;
struct LitheWords;

namespace lithe::text {

class Tokenizer;

/// Longest text of a JSON schema.
inline constexpr std::size_t kMaxSchemaBytes = std::size_t{64} << 10;

/// What the text of one answer must be, and how far the answer has come. One thread at a time may use it.
class Constraint {
 public:
  /// Another one that stands where this one stands.
  Constraint copy() const;

  /// Sets the logits of all tokens that can't come next to minus infinity. logits: [vocab], the tokenizer's ids first.
  /// Throws Error{bad_request} if that takes too much work.
  void forbid_others(std::vector<float>& logits);
  /// The answer goes on with this token. Throws Error{bad_request} if it can't come next.
  void take(int64_t id);
  /// The text is whole, and nothing more may come.
  bool complete() const { return complete_; }

 private:
  friend class JsonConstraints;
  struct Closer {
    void operator()(LitheConstraint* matcher) const;
  };
  explicit Constraint(LitheConstraint* opened) : matcher_(opened) {}

  std::unique_ptr<LitheConstraint, Closer> matcher_;
  std::vector<uint32_t> mask_;
  bool complete_ = false;
};

/// Makes constraints of JSON schemas for one tokenizer (the crate llguidance). Const calls may come from several
/// threads.
class JsonConstraints {
 public:
  /// `ends`: the tokens that end an answer. Added tokens can't be chosen. Throws Error{bad_file} if there is no such
  /// token.
  JsonConstraints(const Tokenizer& tokenizer, std::span<const int64_t> ends);

  /// JSON of a schema, with little white space between values. Throws Error{bad_request} for what is not a schema, for
  /// keywords that are not supported, and for a schema that takes too much work.
  Constraint of_schema(const std::string& schema) const;

 private:
  std::shared_ptr<const LitheWords> words_;
};

}  // namespace lithe::text
