#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tune/step_log.h"

/// Event files as TensorBoard reads them: records of length, checksum, protobuf, checksum.
namespace lithe::tune {

/// When something happened and in which step.
struct Moment {
  double wall_time = 0;  ///< Seconds since 1970.
  int64_t step = 0;
};

/// The first event of a file.
std::string version_event(double wall_time);
/// A point of a curve.
std::string scalar_event(const Moment& moment, std::string_view tag, float value);
/// A text, which TensorBoard shows as Markdown.
std::string text_event(const Moment& moment, std::string_view tag, std::string_view text);
/// Tells the reader to forget what earlier files say of this step and later ones.
std::string restart_event(const Moment& moment);
/// The event as a record of the file.
std::string event_record(std::string_view event);

/// CRC-32C (Castagnoli) of the bytes.
uint32_t crc32c(std::string_view bytes);

/// What a step gives TensorBoard: tags as transformers has them (train/loss, train/learning_rate, eval/loss, ..), and
/// router_weight/layer_N.
std::vector<std::pair<std::string, float>> scalars_of(const StepRecord& record);

/// One run's file below a folder, with a name of its own, so that the files of a run that resumed stay beside it.
class EventFile {
 public:
  /// `first_step`: what a run that resumes does again. Throws Error{bad_file}.
  EventFile(const std::filesystem::path& folder, int64_t first_step);
  ~EventFile();
  EventFile(const EventFile&) = delete;
  EventFile& operator=(const EventFile&) = delete;

  /// Each has left this process when the call returns. Throw Error{bad_file}.
  void scalars(const StepRecord& record);
  void text(int64_t step, std::string_view tag, std::string_view text);

  const std::filesystem::path& path() const { return path_; }

 private:
  void write(std::string_view records) const;

  std::filesystem::path path_;
  int descriptor_ = -1;
};

}  // namespace lithe::tune
