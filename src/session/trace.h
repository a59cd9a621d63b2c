#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>

#include "session/session.h"

namespace lithe::session {

struct TraceOptions {
  int64_t max_tokens = 16;
  bool ignore_eos = false;
  std::function<void(const Progress&)> on_progress;  ///< As AnswerOptions::on_progress.
};

/// Runs one greedy request and writes every intermediate as safetensors (`lithe help trace`): images.I.pixel_values,
/// images.I.vision_features, images.I.projected, input_ids, inputs_embeds, vision_mask, layers.L.kept,
/// layers.L.router_weight, layers.L.hidden, logits, tokens, step_logits, kv_lengths.prefill, kv_lengths.end. float32
/// and int64. Written under a temporary name, then renamed. Throws Error, also for logits that are not finite.
void write_trace(const Session& session, const Request& request, const TraceOptions& options,
                 const std::filesystem::path& out);

}  // namespace lithe::session
