#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "serve/answer_json.h"
#include "serve/reply_form.h"

namespace lithe::serve {

/// Replies of /v1/chat/completions and /v1/completions.
class CompletionsForm : public ReplyForm {
 public:
  /// `answers`: how many answers the request gets.
  CompletionsForm(AnswerHead head, int64_t answers, bool usage_at_end)
      : head_(std::move(head)), answers_(static_cast<std::size_t>(answers)), usage_at_end_(usage_at_end) {}

  Json whole(const session::Outcome& outcome) const override { return answer_json(head_, outcome); }
  std::string begin() override;
  std::string grown(std::size_t answer, const AnswerQueue::Piece& piece) override;
  std::string end(const session::Outcome& outcome) override;
  std::string failed(const Refusal& refusal) override;

 private:
  const AnswerHead head_;
  const std::size_t answers_;
  const bool usage_at_end_;
};

}  // namespace lithe::serve
