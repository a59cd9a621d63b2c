#include "session/tokens.h"

#include <iterator>

#include "base/error.h"
#include "models/model.h"
#include "session/prompt_rows.h"

namespace lithe::session {
namespace {

const text::Tokenizer& tokenizer_of(const Session& session) {
  const models::Model& model = session.model();
  require(model.prompting.tokenizer.has_value(), Fault::bad_request, model.name,
          ": the model has no tokenizer; put its tokenizer.json or tokenizer.model into the folder.");
  return *model.prompting.tokenizer;
}

}  // namespace

std::vector<int64_t> token_ids(const Session& session, std::string_view text, bool add_special) {
  return tokenizer_of(session).encode(text, add_special);
}

std::string text_of(const Session& session, std::span<const int64_t> ids) {
  return tokenizer_of(session).decode(ids, false);
}

std::string bytes_of_token(const Session& session, int64_t id) {
  return tokenizer_of(session).bytes_of(id);
}

int64_t prompt_tokens(const Session& session, const Request& request) {
  const models::Model& model = session.model();
  const auto pictures = static_cast<int64_t>(request.images.size());
  int64_t rows = model.decoder.rows_before() + std::ssize(prompt_ids(model, request, request.images.size()));
  for (const image::Source& picture : request.images) rows += model.seeing().rows(picture.header().size, pictures) - 1;
  return rows;
}

int64_t vocabulary_size(const Session& session) {
  return session.model().decoder.config.vocab;
}

int64_t longest_sequence(const Session& session) {
  return longest_sequence(session.model());
}

bool says_too_long(const std::exception_ptr& thrown) {
  if (!thrown) return false;
  try {
    std::rethrow_exception(thrown);
  } catch (const PromptTooLong&) {
    return true;
  } catch (...) {
    return false;
  }
}

}  // namespace lithe::session
