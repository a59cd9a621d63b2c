#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "text/message.h"

namespace lithe::text {

inline std::filesystem::path golden(const std::string& name) {
  return std::filesystem::path(LITHE_TEST_DATA) / "golden" / name;
}

inline const Json& conversations() {
  static const Json kJson = read_json_file(golden("conversations.json"));
  return kJson;
}

/// [{"from": "human" or "gpt", "value": ..}, ..]
inline std::vector<Message> messages_of(const Json& list) {
  std::vector<Message> messages;
  for (const Json& item : list) {
    messages.push_back(
        text_message(item.at("from") == "human" ? "user" : "assistant", item.at("value").get<std::string>()));
  }
  return messages;
}

/// A folder that is removed when the test ends.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            concat("lithe-text-", test->test_suite_name(), "-", test->name(), "-", ::getpid());
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path_); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  void write(const std::string& name, const std::string& text) const {
    std::ofstream(path_ / name, std::ios::binary) << text;
  }
  void copy(const std::filesystem::path& file) const {
    std::filesystem::copy_file(file, path_ / file.filename(), std::filesystem::copy_options::overwrite_existing);
  }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

/// The sentence and the fault of the Error that `work` throws; an empty sentence if none.
template <class Work>
std::pair<Fault, std::string> refusal(Work work) {
  try {
    work();
  } catch (const Error& error) {
    return {error.fault(), error.what()};
  }
  return {Fault::internal, ""};
}

}  // namespace lithe::text
