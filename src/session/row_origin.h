#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "models/model.h"
#include "plan/reuse.h"

namespace lithe::session {

/// A picture of a prompt.
struct PictureOrigin {
  Digest content{};  ///< Equal pictures have equal ones.
  int64_t rows = 0;  ///< That it became.
  bool operator==(const PictureOrigin&) const = default;
};

/// What the rows of a sequence were made of.
struct RowOrigin {
  std::shared_ptr<const plan::Plan> plan;
  std::string salt;                     ///< Sequences with another salt share nothing.
  uint64_t lora = 0;                    ///< models::LoraOver::id, or 0; those under another LoRA share nothing either.
  std::vector<int64_t> ids;             ///< Tokens; kImageId at each picture.
  std::vector<PictureOrigin> pictures;  ///< In the order of their marks.
  std::vector<plan::RowKind> kinds;     ///< [rows]
  int64_t prompt_rows = 0;              ///< The rows after them were decoded.

  int64_t rows() const { return static_cast<int64_t>(kinds.size()); }
  /// Adds a decoded token.
  void add(int64_t id);
  /// At most the first `rows` rows: no picture is parted.
  RowOrigin first(int64_t rows) const;
};

/// How many leading rows of the next prompt of a conversation may stay in the layer states (plan/reuse.h).
/// `turns.equal`: leading rows of equal tokens and pictures, without a row before the first token.
int64_t rows_that_stay(const models::Model& model, const plan::Plan& plan, plan::Turns turns);

/// How many leading rows of a prompt are held by a sequence that came before it, and may stay; 0 if they are certainly
/// not more than `least`.
int64_t rows_to_share(const models::Model& model, const RowOrigin& held, const RowOrigin& prompt, int64_t least = 0);

/// The same of a prompt that begins with all rows of `start` and goes on with text.
int64_t rows_to_share_with_more(const models::Model& model, const RowOrigin& held, const RowOrigin& start);

}  // namespace lithe::session
