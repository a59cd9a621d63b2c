#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "data/record.h"
#include "models/model.h"
#include "text/message.h"

namespace lithe::tune {

/// What training does with a record.
struct SampleOptions {
  std::string conversation;  ///< An original LLaVA conversation ("vicuna_v1"); empty: as the model is asked.
  int64_t longest = 2048;    ///< Most rows of a sample, pictures included.
  bool cuts = false;         ///< Rows from `longest` on are left out; else a longer sample is an error.
};

/// One conversation as training sees it: its tokens, which of them are learnt, and its pictures as the tower takes
/// them.
struct Sample {
  std::string name;             ///< For messages: file and record.
  std::vector<int64_t> ids;     ///< kImageId at each picture.
  std::vector<int64_t> labels;  ///< As long as `ids`: the id if the token is learnt, else text::kIgnored.
  std::vector<std::shared_ptr<const models::PreparedImage>> pictures;
  int64_t rows = 0;   ///< In the decoder, with those of pictures; 0 until they are counted.
  uint64_t draw = 0;  ///< What dropout draws from: another number for each time that a run takes a record.

  int64_t learnt() const;  ///< Tokens that count in the loss.
};

/// Reads, tokenises and prepares a record without touching the model's weights, so any thread may do it. Labels are
/// those of the public LLaVA code if there is an original conversation; else all that the chat template writes from an
/// answer's first token on is learnt, with an end token after the last answer if the template writes none. Throws
/// Error{bad_request} that names the record: a conversation that cannot be written, nothing that is learnt.
Sample make_sample(const models::Model& model, const data::Record& record, const SampleOptions& options);

/// The turns of a record as messages, with picture marks where training puts them.
std::vector<text::Message> messages_of(const models::Model& model, const data::Record& record,
                                       const SampleOptions& options);

/// Counts the rows of a sample. For the thread that owns the model. Throws Error{bad_request} that names the sample if
/// it is too long.
void count_rows(const models::Model& model, Sample& sample, const SampleOptions& options);

}  // namespace lithe::tune
