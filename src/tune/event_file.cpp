#include "tune/event_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstring>
#include <iomanip>

#include "base/error.h"
#include "io/atomic_file.h"
#include "tune/append.h"

namespace lithe::tune {
namespace {

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = (value >> 1) ^ ((value & 1) != 0 ? 0x82f63b78u : 0u);
    table[i] = value;
  }
  return table;
}

/// TensorFlow's: a checksum of bytes that hold a checksum would be weak.
uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

/// Little endian.
template <class Number>
void put_fixed(std::string& out, Number number) {
  for (std::size_t byte = 0; byte < sizeof(Number); ++byte) out += static_cast<char>(number >> (8 * byte) & 0xff);
}

void put_varint(std::string& out, uint64_t number) {
  for (; number >= 0x80; number >>= 7) out += static_cast<char>((number & 0x7f) | 0x80);
  out += static_cast<char>(number);
}

/// A message of protobuf: fields by number.
class Message {
 public:
  Message& whole(int field, int64_t number) {
    put_tag(field, 0);
    put_varint(bytes_, static_cast<uint64_t>(number));
    return *this;
  }
  Message& real(int field, double number) {
    uint64_t bits = 0;
    std::memcpy(&bits, &number, sizeof bits);
    put_tag(field, 1);
    put_fixed(bytes_, bits);
    return *this;
  }
  Message& real32(int field, float number) {
    uint32_t bits = 0;
    std::memcpy(&bits, &number, sizeof bits);
    put_tag(field, 5);
    put_fixed(bytes_, bits);
    return *this;
  }
  Message& bytes(int field, std::string_view text) {
    put_tag(field, 2);
    put_varint(bytes_, text.size());
    bytes_ += text;
    return *this;
  }
  const std::string& str() const { return bytes_; }

 private:
  void put_tag(int field, int wire) {
    put_varint(bytes_, static_cast<uint64_t>(field) << 3 | static_cast<uint64_t>(wire));
  }

  std::string bytes_;
};

/// event.proto: wall_time = 1, step = 2, file_version = 3, summary = 5, session_log = 7.
Message event_at(const Moment& moment) {
  return Message().real(1, moment.wall_time).whole(2, moment.step);
}

/// summary.proto: Summary{value = 1}.
std::string summary_event(const Moment& moment, const Message& value) {
  return event_at(moment).bytes(5, Message().bytes(1, value.str()).str()).str();
}

double now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string host_name() {
  char name[256] = {};
  const bool known = gethostname(name, sizeof name - 1) == 0 && name[0] != '\0';
  return known ? name : "host";
}

/// Numbers of an object by layer, as "router_weights" holds them.
void add_layers(std::vector<std::pair<std::string, float>>& scalars, const Json& more, const char* key,
                const std::string& tag) {
  if (!more.contains(key) || !more[key].is_object()) return;
  for (const auto& [layer, value] : more[key].items())
    if (value.is_number()) scalars.emplace_back(tag + "/layer_" + layer, value.get<float>());
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = crc_table();
  uint32_t crc = ~0u;
  for (const char byte : bytes) crc = (crc >> 8) ^ kTable[(crc ^ static_cast<unsigned char>(byte)) & 0xff];
  return ~crc;
}

std::string version_event(double wall_time) {
  return Message().real(1, wall_time).bytes(3, "brain.Event:2").str();
}

std::string scalar_event(const Moment& moment, std::string_view tag, float value) {
  return summary_event(moment, Message().bytes(1, tag).real32(2, value));
}

std::string text_event(const Moment& moment, std::string_view tag, std::string_view text) {
  constexpr int64_t kString = 7;  // DT_STRING
  const Message shape = Message().bytes(2, Message().whole(1, 1).str());
  const Message tensor = Message().whole(1, kString).bytes(2, shape.str()).bytes(8, text);
  const Message metadata = Message().bytes(1, Message().bytes(1, "text").str());
  return summary_event(moment, Message().bytes(1, tag).bytes(8, tensor.str()).bytes(9, metadata.str()));
}

std::string restart_event(const Moment& moment) {
  constexpr int64_t kStart = 1;
  return event_at(moment).bytes(7, Message().whole(1, kStart).str()).str();
}

std::string event_record(std::string_view event) {
  std::string record;
  put_fixed(record, static_cast<uint64_t>(event.size()));
  put_fixed(record, masked_crc(record));
  record += event;
  put_fixed(record, masked_crc(event));
  return record;
}

std::vector<std::pair<std::string, float>> scalars_of(const StepRecord& record) {
  std::vector<std::pair<std::string, float>> scalars{{"train/loss", static_cast<float>(record.loss)},
                                                     {"train/grad_norm", static_cast<float>(record.grad_norm)},
                                                     {"train/learning_rate", static_cast<float>(record.lr)}};
  if (record.seconds > 0)
    scalars.emplace_back("train/tokens_per_second",
                         static_cast<float>(static_cast<double>(record.tokens) / record.seconds));
  for (const auto& [key, tag] : {std::pair("kept_share", "train/kept_share"), std::pair("eval_loss", "eval/loss"),
                                 std::pair("eval_score", "eval/score")})
    if (record.more.contains(key) && record.more[key].is_number())
      scalars.emplace_back(tag, record.more[key].get<float>());
  add_layers(scalars, record.more, "router_weights", "router_weight");
  return scalars;
}

EventFile::EventFile(const std::filesystem::path& folder, int64_t first_step) {
  io::make_folder(folder);
  const double start = now();
  for (int number = 0; descriptor_ < 0; ++number) {
    std::ostringstream name;
    name << "events.out.tfevents." << std::setw(10) << std::setfill('0') << static_cast<int64_t>(start) << '.'
         << host_name() << '.' << getpid() << '.' << number;
    path_ = folder / name.str();
    descriptor_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
    require(descriptor_ >= 0 || errno == EEXIST, Fault::bad_file, path_.string(),
            ": can't be created: ", std::strerror(errno));
  }
  write(event_record(version_event(start)));
  if (first_step > 1) write(event_record(restart_event({start, first_step})));
}

EventFile::~EventFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void EventFile::scalars(const StepRecord& record) {
  std::string records;
  for (const auto& [tag, value] : scalars_of(record))
    records += event_record(scalar_event({now(), record.step}, tag, value));
  write(records);
}

void EventFile::text(int64_t step, std::string_view tag, std::string_view text) {
  write(event_record(text_event({now(), step}, tag, text)));
}

void EventFile::write(std::string_view records) const {
  append_to(descriptor_, records, path_);
}

}  // namespace lithe::tune
