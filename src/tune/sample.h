#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "models/model.h"
#include "text/message.h"

namespace lithe::tune {

/// What training does with a conversation's texts.
struct SampleOptions {
  std::string conversation;    ///< An original LLaVA conversation ("vicuna_v1"); empty: as the model is asked.
  int64_t longest = 2048;      ///< Rows of a sample, pictures included; those after them are cut.
  bool refuses_longer = true;  ///< An error instead of a cut.
};

/// One conversation as training sees it: its tokens, which of them are learnt, and its pictures as the tower takes them.
struct Sample {
  std::string name;             ///< For messages: file and record.
  std::vector<int64_t> ids;     ///< kImageId at each picture.
  std::vector<int64_t> labels;  ///< As long as `ids`: the id if the token is learnt, else text::kIgnored.
  std::vector<std::shared_ptr<const models::PreparedImage>> pictures;

  int64_t learnt() const;  ///< Tokens that count in the loss.
};

/// Ids and labels of a conversation whose last message is an answer. The pictures are the caller's to add. Labels are
/// those of the public LLaVA code if there is an original conversation; else all that the chat template writes from an
/// answer's first token on is learnt, with an end token after the last answer. Throws Error{bad_request}, which names
/// the sample, if the conversation cannot be written or nothing of it is learnt.
Sample make_sample(const models::Model& model, std::string name, std::vector<text::Message> messages,
                   const SampleOptions& options);

}  // namespace lithe::tune
