#include "data/rows.h"

#include <algorithm>

namespace lithe::data {
namespace {

class JoinedRows final : public Rows {
 public:
  explicit JoinedRows(std::vector<std::unique_ptr<Rows>> parts) : parts_(std::move(parts)) {
    for (const auto& part : parts_) begins_.push_back(begins_.back() + part->size());
  }

  int64_t size() const override { return begins_.back(); }
  Json read(int64_t i) const override { return parts_[part_of(i)]->read(i - begins_[part_of(i)]); }
  std::string name(int64_t i) const override { return parts_[part_of(i)]->name(i - begins_[part_of(i)]); }

 private:
  std::size_t part_of(int64_t i) const {
    return static_cast<std::size_t>(std::upper_bound(begins_.begin(), begins_.end(), i) - begins_.begin()) - 1;
  }

  std::vector<std::unique_ptr<Rows>> parts_;
  std::vector<int64_t> begins_{0};  ///< Of each part, and the end.
};

}  // namespace

std::unique_ptr<Rows> join(std::vector<std::unique_ptr<Rows>> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<JoinedRows>(std::move(parts));
}

}  // namespace lithe::data
