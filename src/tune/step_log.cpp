#include "tune/step_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "io/atomic_file.h"
#include "tune/append.h"

namespace lithe::tune {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kMaxFileBytes = std::size_t{1} << 30;
constexpr const char* kKeys[] = {"step", "loss", "grad_norm", "lr", "tokens", "seconds"};

/// A number, or NaN for null: JSON has no other way to say it.
double number_or_nan(const JsonView& view, const char* key) {
  const Json& json = view.json();
  const auto found = json.find(key);
  if (found != json.end() && found->is_null()) return std::numeric_limits<double>::quiet_NaN();
  return view.number(key);
}

StepRecord record_of(std::string_view line, const std::string& source) {
  const Json json = parse_json(line, source);
  const JsonView view(json, source);
  StepRecord record{.step = view.integer("step"),
                    .loss = number_or_nan(view, "loss"),
                    .grad_norm = number_or_nan(view, "grad_norm"),
                    .lr = view.number("lr"),
                    .tokens = view.integer("tokens"),
                    .seconds = view.number("seconds"),
                    .more = json};
  for (const char* key : kKeys) record.more.erase(key);
  return record;
}

}  // namespace

std::string line_of(const StepRecord& record) {
  const Json values[] = {record.step, record.loss, record.grad_norm, record.lr, record.tokens, record.seconds};
  Json json = Json::object();
  for (std::size_t i = 0; i < std::size(values); ++i) json[kKeys[i]] = values[i];
  for (const auto& [key, value] : record.more.items()) json[key] = value;
  return json_text(json);
}

std::vector<StepRecord> read_step_log(const fs::path& path) {
  const std::string text = read_regular_file(path, kMaxFileBytes);
  std::vector<StepRecord> records;
  std::size_t start = 0;
  for (std::size_t end = text.find('\n'); end != std::string::npos; end = text.find('\n', start)) {
    const std::string source = concat(path.string(), ": line ", records.size() + 1);
    records.push_back(record_of(std::string_view(text).substr(start, end - start), source));
    start = end + 1;
  }
  return records;
}

StepLog::StepLog(fs::path path, int64_t last_step) : path_(std::move(path)) {
  std::string kept;
  if (last_step > 0 && is_there(path_)) {
    for (const StepRecord& record : read_step_log(path_))
      if (record.step <= last_step) kept += line_of(record) + "\n";
  }
  io::write_text_atomic(path_, kept);
  descriptor_ = ::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  require(descriptor_ >= 0, Fault::bad_file, path_.string(), ": can't be opened: ", std::strerror(errno));
}

StepLog::~StepLog() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void StepLog::write(const StepRecord& record) {
  append_to(descriptor_, line_of(record) + "\n", path_);
}

}  // namespace lithe::tune
