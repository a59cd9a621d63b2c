#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "serve/reply_form.h"
#include "serve/reply_head.h"

namespace lithe::serve {

/// Replies of /v1/responses: one message of one text.
class ResponsesForm : public ReplyForm {
 public:
  /// `fields`: of the request, which the reply repeats.
  ResponsesForm(ReplyHead head, Json fields) : head_(std::move(head)), fields_(std::move(fields)) {}

  Json whole(const Outcomes& outcomes) const override;
  std::string begin() override;
  std::string grown(std::size_t answer, const AnswerQueue::Piece& piece) override;
  std::string ended(std::size_t, const session::Answer&) override { return {}; }
  std::string end(const Outcomes& outcomes) override;
  std::string failed(const Refusal& refusal) override;

 private:
  /// An event of this type, with the next number.
  std::string event(const std::string& type, Json fields);
  Json response(const char* status) const;
  Json place() const;

  const ReplyHead head_;
  const Json fields_;
  int64_t events_ = 0;
};

}  // namespace lithe::serve
