#include "tasks/items.h"

#include <algorithm>

#include "base/error.h"
#include "data/format.h"

namespace lithe::tasks {
namespace {

class RowItems final : public Items {
 public:
  explicit RowItems(RowSet set) : set_(std::move(set)) {}

  int64_t size() const override { return set_.rows->size(); }

  Item read(int64_t i) const override {
    return naming_record(set_.rows->name(i), [&] { return set_.item(set_.rows->read(i)); });
  }

  std::vector<image::Source> pictures(int64_t i) const override {
    return naming_record(set_.rows->name(i), [&] {
      std::vector<image::Source> found;
      const data::Rows& rows = set_.pictures ? *set_.pictures : *set_.rows;
      for (const Json& picture : set_.picture_fields(rows.read(i))) found.push_back(set_.place.find(picture));
      return found;
    });
  }

 private:
  RowSet set_;
};

class ListItems final : public Items {
 public:
  explicit ListItems(ListSet set)
      : set_(std::move(set)),
        texts_(open(set_.columns)),
        pictures_(open(set_.pictures)),
        place_(set_.files.front().parent_path().empty() ? "." : set_.files.front().parent_path(), set_.decode) {
    for (int64_t row = 0; row < texts_->size(); ++row) {
      const int64_t count = naming_record(texts_->name(row), [&] {
        const Json read = texts_->read(row);
        const Json& list = field(read, set_.columns.front().c_str());
        require(list.is_array(), Fault::bad_file, "'", set_.columns.front(), "' is not a list");
        return static_cast<int64_t>(list.size());
      });
      begins_.push_back(begins_.back() + count);
    }
  }

  int64_t size() const override { return begins_.back(); }

  Item read(int64_t i) const override {
    const int64_t row = row_of(i);
    const int64_t place = i - begins_[static_cast<std::size_t>(row)];
    return naming_record(texts_->name(row), [&] {
      return set_.item(texts_->read(row), static_cast<std::size_t>(place), concat(row, "-", place));
    });
  }

  std::vector<image::Source> pictures(int64_t i) const override {
    const int64_t row = row_of(i);
    return naming_record(texts_->name(row), [&] {
      const Json read = pictures_->read(row);
      std::vector<image::Source> found;
      for (const std::string& column : set_.pictures) found.push_back(place_.find(field(read, column.c_str())));
      return found;
    });
  }

 private:
  std::unique_ptr<data::Rows> open(const std::vector<std::string>& columns) const {
    std::vector<std::unique_ptr<data::Rows>> parts;
    for (const std::filesystem::path& file : set_.files) parts.push_back(data::open_rows(file, columns));
    return data::join(std::move(parts));
  }

  int64_t row_of(int64_t i) const { return std::upper_bound(begins_.begin(), begins_.end(), i) - begins_.begin() - 1; }

  ListSet set_;
  std::unique_ptr<data::Rows> texts_, pictures_;
  data::Pictures place_;
  std::vector<int64_t> begins_{0};  ///< The first record of each row, and the end.
};

class JoinedItems final : public Items {
 public:
  explicit JoinedItems(std::vector<std::unique_ptr<Items>> parts) : parts_(std::move(parts)) {
    for (const auto& part : parts_) begins_.push_back(begins_.back() + part->size());
  }

  int64_t size() const override { return begins_.back(); }
  Item read(int64_t i) const override { return parts_[part_of(i)]->read(i - begins_[part_of(i)]); }
  std::vector<image::Source> pictures(int64_t i) const override {
    return parts_[part_of(i)]->pictures(i - begins_[part_of(i)]);
  }

 private:
  std::size_t part_of(int64_t i) const {
    return static_cast<std::size_t>(std::upper_bound(begins_.begin(), begins_.end(), i) - begins_.begin()) - 1;
  }

  std::vector<std::unique_ptr<Items>> parts_;
  std::vector<int64_t> begins_{0};
};

}  // namespace

std::unique_ptr<Items> items_of(RowSet set) {
  return std::make_unique<RowItems>(std::move(set));
}

std::unique_ptr<Items> items_of(ListSet set) {
  return std::make_unique<ListItems>(std::move(set));
}

std::unique_ptr<Items> join(std::vector<std::unique_ptr<Items>> parts) {
  if (parts.size() == 1) return std::move(parts.front());
  return std::make_unique<JoinedItems>(std::move(parts));
}

const Json& field(const Json& row, const char* key) {
  require(row.is_object(), Fault::bad_file, "is not an object with fields");
  const auto found = row.find(key);
  require(found != row.end() && !found->is_null(), Fault::bad_file, "has no '", key, "'");
  return *found;
}

std::string text_field(const Json& row, const char* key) {
  const Json& value = field(row, key);
  require(value.is_string(), Fault::bad_file, "'", key, "' is not a text");
  return value.get<std::string>();
}

std::string id_field(const Json& row, const char* key) {
  const Json& value = field(row, key);
  require(value.is_string() || value.is_number_integer(), Fault::bad_file, "'", key,
          "' is neither a text nor a whole number");
  return value.is_string() ? value.get<std::string>() : value.dump();
}

const Json& list_field(const Json& row, const char* key, std::size_t place) {
  const Json& list = field(row, key);
  require(list.is_array() && place < list.size(), Fault::bad_file, "'", key, "' is not a list of ", place + 1,
          " values or more");
  return list[place];
}

}  // namespace lithe::tasks
