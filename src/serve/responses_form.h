#pragma once

#include <cstdint>
#include <string>

#include "serve/reply_form.h"
#include "serve/savings.h"
#include "session/session.h"

namespace lithe::serve {

/// What the reply to a call of /v1/responses repeats.
struct ResponseHead {
  std::string id;  ///< Without "resp_".
  std::string model;
  int64_t created = 0;                          ///< Seconds since 1970.
  Json fields;                                  ///< Of the request.
  const session::Session* log_probs = nullptr;  ///< With log probabilities of tokens, by their text; null: without.
  Savings savings;
};

/// Replies of /v1/responses: one message of one text.
class ResponsesForm : public ReplyForm {
 public:
  explicit ResponsesForm(ResponseHead head) : head_(std::move(head)) {}

  Json whole(const session::Outcome& outcome) const override;
  std::string begin() override;
  std::string grown(std::size_t answer, const AnswerQueue::Piece& piece) override;
  std::string end(const session::Outcome& outcome) override;
  std::string failed(const Refusal& refusal) override;

 private:
  /// An event of this type, with the next number.
  std::string event(const char* type, Json fields);
  Json response(const char* status) const;
  Json place() const;

  const ResponseHead head_;
  int64_t events_ = 0;
};

}  // namespace lithe::serve
