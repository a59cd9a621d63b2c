#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/json.h"
#include "session/session.h"

namespace lithe::eval {

/// Which vision tokens the decoder's layers ran in full for a question whose needed tokens are known.
struct KeptTokens {
  int64_t vision = 0, needed = 0;          ///< Tokens of all pictures; those that tell the answer.
  std::vector<int64_t> kept, needed_kept;  ///< [layers] how many of these ran.
};

/// Absent if nobody knows what the question needs.
std::optional<KeptTokens> kept_tokens(const session::Answer& answer, const std::vector<std::vector<int64_t>>& needed);

/// The keys that a line of samples.jsonl has of them.
Json to_json(const KeptTokens& tokens);
/// Of such a line; absent if it has none.
std::optional<KeptTokens> kept_tokens_in(const Json& line);

/// Sums over questions.
class Recall {
 public:
  void add(const KeptTokens& tokens);
  bool empty() const { return questions_ == 0; }
  /// [{"layer", "kept_share", "recall_share", "questions"}]: of all vision tokens, and of those that are needed, the
  /// share that the layer runs.
  Json layers() const;

 private:
  int64_t questions_ = 0;
  KeptTokens sum_;
};

}  // namespace lithe::eval
