#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <vector>

#include "models/model.h"
#include "session/picture_workers.h"
#include "session/prompt_parts.h"
#include "session/session.h"
#include "session/turn.h"

namespace lithe::session {

/// A request of a batch before its pictures are encoded.
struct WaitingRequest {
  int64_t ticket = 0;
  Request request;
  AnswerOptions options;
  std::vector<AnswerOptions> more;  ///< Of further answers to the same prompt.
  Turn turn;

  std::shared_ptr<const ReadPrompt> prompt;  ///< Null: not read yet.
  std::exception_ptr refused;                ///< In place of the prompt.

  std::deque<ComingPicture> coming;  ///< Pictures that were begun and not taken.
  size_t begun = 0;                  ///< How many were begun.

  size_t pictures() const { return request.images.size(); }
};

/// The requests that wait, in the order of their turns (place_among). Workers prepare the pictures of the first ahead
/// of their turn. How many are ahead changes no answer: a picture that was given up is prepared again.
class WaitingRequests {
 public:
  /// `identifies_pictures`: as PictureWorkers takes it.
  WaitingRequests(const models::Model& model, bool identifies_pictures);

  void push(WaitingRequest request);
  size_t size() const { return requests_.size(); }
  bool empty() const { return requests_.empty(); }
  /// The request at this place of the queue; what its prompt says is read first.
  const WaitingRequest& at(size_t place);
  WaitingRequest pop();
  /// Removes requests whose caller no longer wants an answer. -> their tickets
  std::vector<int64_t> remove_cancelled();

  /// Most memory of all pictures that were begun and not taken.
  int64_t picture_bytes() const;
  /// Begins pictures in their order while all of them take at most `most_bytes`.
  void prepare_ahead(int64_t most_bytes);
  /// Gives up pictures, the last begun first, until all of them take at most `most_bytes`.
  void give_up(int64_t most_bytes);
  /// The next picture of the request at this place; waits until it is ready. Meanwhile the workers go on with those
  /// after it, as in prepare_ahead. Throws the picture's error if it is refused.
  ComingPicture::Made take_picture(size_t place, int64_t most_bytes);
  /// No more pictures of this request are wanted.
  void abandon_pictures(size_t place);

 private:
  void read(WaitingRequest& request) const;
  int64_t bytes_of_next(const WaitingRequest& request) const;
  /// Begins its next picture, which is also that of each other request that comes to the same one next.
  void begin_next(WaitingRequest& request);

  const models::Model& model_;
  PictureWorkers workers_;
  std::deque<WaitingRequest> requests_;
};

}  // namespace lithe::session
