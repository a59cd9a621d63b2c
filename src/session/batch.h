#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <vector>

#include "base/error.h"
#include "session/session.h"
#include "session/turn.h"

namespace lithe::session {

struct ReadPrompt;

/// How much runs at once.
struct BatchLimits {
  int64_t sequences = 16;  ///< Answers at a time, at most.
  /// Prompt rows in a pass, at most. A longer prompt runs in chunks, while other answers go on; a chunk is longer if
  /// the plan does not allow the prompt to be cut inside it.
  int64_t prefill_rows = 4096;
  /// Keys, values, activations and pictures being decoded at a time, at most; absent: half of what is free.
  std::optional<int64_t> bytes;
  /// Of `bytes`, what keys and values of requests that have ended may take, so that other requests with the same
  /// beginning use them again. Requests that run come first. 0: none are kept, and running requests share none.
  int64_t prefix_cache_bytes = 0;
  /// The same for the rows of pictures. 0: a picture that comes again runs again.
  int64_t picture_cache_bytes = 0;
};

/// The outcome of a request: an answer, or the error in its place.
struct Outcome {
  int64_t ticket = 0;
  Answer answer;             ///< If there is no error.
  std::vector<Answer> more;  ///< Further answers to the same prompt, if some were asked for.
  std::optional<Error> error;
  std::exception_ptr thrown;  ///< With the error: what was thrown, as it was; a callback's exception among others.
};

/// One of several answers to a prompt that ended while others go on. The outcome has it too.
struct EndedAnswer {
  int64_t ticket = 0;
  std::size_t number = 0;  ///< Among the answers to its prompt.
  Answer answer;
};

/// What the caches of a batch hold now, and how they served so far.
struct CacheState {
  int64_t prefix_bytes = 0, picture_bytes = 0;
  /// Prompt rows of the requests that joined a pass, and how many of them were held already.
  int64_t prefix_rows_asked = 0, prefix_rows_found = 0;
  /// Pictures that were looked for in the cache or among those that wait, and how many were there.
  int64_t pictures_asked = 0, pictures_found = 0;
};

/// Tokens whose keys and values a layer allocates together.
int64_t tokens_of_block();

/// How far a batch is.
struct BatchState {
  int64_t waiting = 0, running = 0;
  int64_t passes = 0, tokens = 0;  ///< So far.
  int64_t bytes_admitted = 0;      ///< Worst case of what runs: keys, values and the pass.
  int64_t peak_bytes_admitted = 0;
  int64_t cache_bytes = 0;  ///< Of bytes_admitted: keys and values.
  CacheState caches;
};

/// Many requests through one model: every pass holds the next row of each running answer and the prompts of those that
/// join, or the next chunk of a long one; an answer leaves when it is done. Prompts, pictures, plans and kept rows may
/// differ; every answer equals the answer alone, up to the rounding of float32. A request joins when its worst case
/// fits beside the others', in the order of their turns; what runs goes on. Requests that join together share the
/// passes of the vision tower, and none overtakes them then. Threads of its own prepare the pictures of the next
/// requests meanwhile, as far as that fits too. Pictures that are given as pixels are the caller's memory. With caches,
/// requests share what is equal at their beginning; a request that could share the rows of one that joins just now
/// waits for the next pass. One thread owns it, and the session while it lives.
class BatchRun {
 public:
  /// Throws Error{bad_request} for limits below 1.
  explicit BatchRun(const Session& session, const BatchLimits& limits = {});
  BatchRun(BatchRun&&) noexcept;
  ~BatchRun();

  /// Takes a request; its outcome carries `ticket`. Its `options.cancel` and cancel() end it after the current layer;
  /// the others then run that pass again.
  void submit(int64_t ticket, Request request, AnswerOptions options = {});
  /// Several answers to one prompt, which runs once; they share its keys and values. Each is drawn by its own options,
  /// with max_new_tokens and `cancel` of the first. All end if one fails or is cancelled. Each takes a place of its
  /// own. The outcome comes when all are done. Throws Error{bad_request} for more answers than run at a time, or none,
  /// and for several if an answer is given. `prompt`: what read_prompt() gave for this request; null: the prompt is
  /// read when it is needed.
  void submit_several(int64_t ticket, Request request, std::vector<AnswerOptions> answers, Turn turn = {},
                      std::shared_ptr<const ReadPrompt> prompt = {});
  /// Ends the request of this ticket, if it waits or runs, and no other; the current step(), or the next, returns its
  /// outcome. Any thread may call it.
  void cancel(int64_t ticket);
  /// True while places are free, or too few requests wait to keep the threads that prepare pictures busy.
  bool wants_more() const;
  /// Nothing waits or runs.
  bool idle() const;
  /// Lets waiting requests join, runs one pass, and returns what ended with it. Errors of single requests are outcomes,
  /// a lack of memory and exceptions of their callbacks among them.
  std::vector<Outcome> step();
  /// The answers that ended with the last step() without an outcome.
  const std::vector<EndedAnswer>& ended() const;

  BatchState state() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lithe::session
