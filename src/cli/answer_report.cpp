#include "cli/answer_report.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "session/kept_per_layer.h"

namespace lithe::cli {
namespace {

double per_second(int64_t count, double ms) {
  return ms > 0 ? 1e3 * static_cast<double>(count) / ms : 0;
}

}  // namespace

std::string bytes_text(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (bytes >= int64_t{1} << 30) return fmt::format("{:.2f} GiB", value / (1 << 30));
  if (bytes >= int64_t{1} << 20) return fmt::format("{:.1f} MiB", value / (1 << 20));
  if (bytes >= int64_t{1} << 10) return fmt::format("{:.1f} KiB", value / (1 << 10));
  return fmt::format("{} B", bytes);
}

std::string count_text(int64_t count) {
  return count >= 1'000'000'000 ? fmt::format("{:.2f} B", static_cast<double>(count) / 1e9)
                                : fmt::format("{:.2f} M", static_cast<double>(count) / 1e6);
}

Json to_json(const session::Answer& answer) {
  const session::Timings& t = answer.timings;
  return {{"answer", answer.text},
          {"tokens", answer.tokens},
          {"token_logits", answer.token_logits},
          {"stop", session::name_of(answer.stop)},
          {"prompt_tokens", t.prompt_rows},
          {"vision_tokens", t.vision_rows},
          {"new_tokens", answer.tokens.size()},
          {"image_ms", t.image_ms},
          {"prefill_ms", t.prefill_ms},
          {"decode_ms", t.decode_ms},
          {"tokens_per_second", per_second(t.decoded_tokens, t.decode_ms)},
          {"kept_vision_tokens", session::kept_per_layer(answer)},
          {"kv_tokens", answer.cache.rows_after_prefill},
          {"kv_tokens_at_end", answer.cache.rows_at_end},
          {"kv_bytes", answer.cache.bytes_after_prefill},
          {"kv_bytes_at_end", answer.cache.bytes_at_end}};
}

std::string timing_lines(const session::Answer& answer) {
  const session::Timings& t = answer.timings;
  std::string text = fmt::format("image    {:9.1f} ms  {} vision tokens\n", t.image_ms, t.vision_rows);
  const int64_t run = t.prompt_rows - t.reused_rows;
  const std::string reused = t.reused_rows > 0 ? fmt::format(", {} reused", t.reused_rows) : "";
  text += fmt::format("prefill  {:9.1f} ms  {} tokens{}, {:.1f} tokens/s\n", t.prefill_ms, run, reused,
                      per_second(run, t.prefill_ms));
  text += fmt::format("decode   {:9.1f} ms  {} tokens, {:.1f} tokens/s\n", t.decode_ms, t.decoded_tokens,
                      per_second(t.decoded_tokens, t.decode_ms));
  text += fmt::format("KV cache {:>12}  after prefill, tokens per layer: {}\n",
                      bytes_text(answer.cache.bytes_after_prefill), fmt::join(answer.cache.rows_after_prefill, " "));
  return text + fmt::format("stopped  by {}\n", session::name_of(answer.stop));
}

}  // namespace lithe::cli
