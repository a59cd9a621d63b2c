#include "serve/access_log.h"

#include <fmt/format.h>
#include <chrono>
#include <cmath>
#include <ctime>
#include <string_view>

#include "base/printable.h"
#include "serve/answer_json.h"

namespace lithe::serve {
namespace {

/// "2026-01-31T12:00:00.123Z"
std::string now_as_text() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = ms / 1000;
  std::tm parts = {};
  gmtime_r(&seconds, &parts);
  char date[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03}Z", date, ms % 1000);
}

double rounded(double ms) {
  return std::round(1e3 * ms) / 1e3;
}

/// W3C's Trace Context: version, trace, parent and flags in small hexadecimal digits, "00-<32>-<16>-<2>".
void add_trace(const std::string& header, Json& json) {
  const auto is_id = [](std::string_view id) {
    return id.find_first_not_of("0123456789abcdef") == id.npos && id.find_first_not_of('0') != id.npos;
  };
  if (header.size() < 55 || header.starts_with("ff") || (header.size() > 55 && header.starts_with("00"))) return;
  if (header[2] != '-' || header[35] != '-' || header[52] != '-') return;
  const std::string trace = header.substr(3, 32), parent = header.substr(36, 16);
  if (!is_id(trace) || !is_id(parent)) return;
  json["trace_id"] = trace;
  json["parent_id"] = parent;
}

}  // namespace

std::string log_line(const AccessEntry& entry) {
  Json json;
  json["time"] = now_as_text();
  json["id"] = entry.id;
  add_trace(entry.trace_parent, json);
  json["client"] = entry.client;
  json["method"] = printable(entry.method);
  json["path"] = printable(entry.path);
  json["status"] = entry.status;
  json["ms"] = rounded(entry.ms);
  if (entry.lora) json["lora"] = printable(*entry.lora);
  if (entry.stream) json["stream"] = true;
  if (entry.client_left) json["client_left"] = true;
  if (entry.error) json["error"] = *entry.error;
  if (const std::optional<session::Answer>& answer = entry.answer) {
    json["prompt_tokens"] = entry.prompt_tokens;
    json["image_tokens"] = answer->timings.vision_rows;
    json["completion_tokens"] = entry.new_tokens;
    json["stop"] = session::name_of(answer->stop);
    json["image_ms"] = rounded(answer->timings.image_ms);
    json["prefill_ms"] = rounded(answer->timings.prefill_ms);
    json["decode_ms"] = rounded(answer->timings.decode_ms);
  }
  return json_text(json) + "\n";
}

std::string dropped_line(int64_t lines) {
  return json_text({{"time", now_as_text()}, {"dropped_lines", lines}}) + "\n";
}

}  // namespace lithe::serve
