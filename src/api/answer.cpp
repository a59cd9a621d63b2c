#include "api/answer.h"

#include <utility>

#include "api/guard.h"

namespace lithe {
namespace {

// The public reasons are the session's, number by number.
constexpr bool are_equal(StopReason shown, session::StopReason own) {
  return static_cast<int>(shown) == static_cast<int>(own);
}
static_assert(are_equal(StopReason::eos, session::StopReason::eos) &&
              are_equal(StopReason::stop_string, session::StopReason::stop_string) &&
              are_equal(StopReason::length, session::StopReason::length) &&
              are_equal(StopReason::cancelled, session::StopReason::cancelled));

Progress public_progress(const session::Progress& progress) {
  const auto stage = progress.stage == session::Progress::Stage::pictures  ? Progress::Stage::pictures
                     : progress.stage == session::Progress::Stage::prefill ? Progress::Stage::prefill
                                                                           : Progress::Stage::decode;
  return {.stage = stage,
          .done = progress.done,
          .total = progress.total,
          .item = progress.item,
          .items = progress.items,
          .rows = progress.rows};
}

}  // namespace

const char* name_of(StopReason reason) {
  return session::name_of(static_cast<session::StopReason>(reason));
}

namespace api {

Answer public_answer(session::Answer&& answer) {
  Answer out;
  out.text = std::move(answer.text);
  out.tokens = std::move(answer.tokens);
  out.stop = static_cast<StopReason>(answer.stop);
  out.prompt_rows = answer.timings.prompt_rows;
  out.vision_rows = answer.timings.vision_rows;
  out.reused_rows = answer.timings.reused_rows;
  out.layer_rows = std::move(answer.rows_run);
  out.layer_cache_rows = std::move(answer.cache.rows_after_prefill);
  out.prefill_flops = answer.counted.flops;
  out.dense_prefill_flops = answer.counted.dense_flops;
  out.cache_bytes = answer.cache.bytes_at_end;
  out.image_ms = answer.timings.image_ms;
  out.prefill_ms = answer.timings.prefill_ms;
  out.decode_ms = answer.timings.decode_ms;
  return out;
}

Answer ask_heard(const Listener& listener, session::AnswerOptions options,
                 const std::function<session::Answer(const session::AnswerOptions&)>& ask) {
  std::exception_ptr thrown;  // by a callback, whose type is the caller's
  const auto keep = [&thrown](const auto& call) {
    try {
      return call();
    } catch (...) {
      thrown = std::current_exception();
      throw;
    }
  };
  options.cancel = listener.cancel;
  if (listener.on_text)
    options.on_text = [&](const std::string& piece) { return keep([&] { return listener.on_text(piece); }); };
  if (listener.on_progress) {
    options.on_progress = [&](const session::Progress& progress) {
      keep([&] { listener.on_progress(public_progress(progress)); });
    };
  }
  try {
    return guarded([&] { return public_answer(ask(options)); });
  } catch (...) {
    if (thrown) std::rethrow_exception(thrown);
    throw;
  }
}

}  // namespace api
}  // namespace lithe
