#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "base/sha256.h"
#include "models/packing.h"
#include "plan/plan.h"

namespace lithe::session {

/// The layers of a plan that the rows of pictures depend on: they govern the tower, score rows or merge them.
std::vector<plan::LayerPlan> layers_before_decoder(const plan::Plan& plan);

/// What the rows of a picture depend on.
struct PictureKey {
  /// `content`: PreparedPicture's. Requests of another salt share nothing. `lora`: models::LoraOver::id of one that
  /// changes pictures, else 0.
  PictureKey(const Digest& content, std::string salt, const plan::Plan& plan, uint64_t lora = 0);
  bool operator==(const PictureKey&) const = default;

 private:
  Digest content_;
  std::string salt_;
  uint64_t lora_;
  std::vector<plan::LayerPlan> layers_;
};

/// Rows of pictures that went through the vision tower, bounded in bytes: the least recently used are forgotten first.
class PictureCache {
 public:
  using Rows = std::shared_ptr<const models::PackedRows>;

  explicit PictureCache(int64_t most_bytes) : most_bytes_(most_bytes), allowed_bytes_(most_bytes) {}

  /// Whether it may ever hold anything.
  bool on() const { return most_bytes_ > 0; }
  /// The rows, or null.
  Rows find(const PictureKey& key);
  /// Does nothing if there is no room for them.
  void insert(const PictureKey& key, Rows rows);
  /// From now on it holds at most this much, and never more than it may at all.
  void allow(int64_t bytes);

  int64_t bytes() const { return bytes_; }
  int64_t allowed_bytes() const { return allowed_bytes_; }

 private:
  struct Entry {
    PictureKey key;
    Rows rows;
    int64_t bytes;
  };
  void forget_down_to(int64_t bytes);

  const int64_t most_bytes_;
  int64_t allowed_bytes_, bytes_ = 0;
  std::list<Entry> entries_;  // the most recently used first
};

/// These rows for a cache. They keep no memory of other pictures alive.
PictureCache::Rows rows_to_hold(models::PackedRows rows);

}  // namespace lithe::session
