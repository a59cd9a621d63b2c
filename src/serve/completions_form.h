#pragma once

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

#include "serve/answer_json.h"
#include "serve/reply_form.h"

namespace lithe::serve {

/// Replies of /v1/chat/completions and /v1/completions.
class CompletionsForm : public ReplyForm {
 public:
  /// `answers`: how many answers all prompts get together.
  CompletionsForm(AnswerHead head, std::size_t answers, bool usage_at_end)
      : head_(std::move(head)), has_ended_(answers), usage_at_end_(usage_at_end) {}

  Json whole(const Outcomes& outcomes) const override { return answer_json(head_, outcomes); }
  std::string begin() override;
  std::string grown(std::size_t answer, const AnswerQueue::Piece& piece) override;
  std::string ended(std::size_t answer, const session::Answer& what) override;
  std::string end(const Outcomes& outcomes) override;
  std::string failed(const Refusal& refusal) override;

 private:
  const AnswerHead head_;
  std::vector<bool> has_ended_;  // of each answer
  const bool usage_at_end_;
};

}  // namespace lithe::serve
