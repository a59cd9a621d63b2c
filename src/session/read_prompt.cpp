#include "session/read_prompt.h"

#include <utility>

#include "base/error.h"
#include "session/answer.h"
#include "session/errors.h"
#include "session/given_answer.h"
#include "session/needed.h"
#include "session/prompt_parts.h"

namespace lithe::session {
namespace {

std::shared_ptr<const plan::Plan> checked_plan(const models::Model& model, const Request& request) {
  std::shared_ptr<const plan::Plan> plan = plan_of(model, request);
  require_needed(request, *plan);
  return plan;
}

void check_given(const models::Model& model, const std::vector<int64_t>& ids) {
  const int64_t vocabulary = model.decoder.config.vocab;
  require(model.prompting.tokenizer.has_value(), Fault::bad_request, model.name,
          ": there is no tokenizer to write an answer with; put its tokenizer.json or tokenizer.model into the folder");
  require(!ids.empty(), Fault::bad_request, "the prompt is empty; write a question");
  for (const int64_t id : ids)
    require(id >= 0 && id < vocabulary, Fault::bad_request, "the prompt holds the token id ", id,
            ", but ids go from 0 to ", vocabulary - 1, "; take those of this model's tokenizer");
}

}  // namespace

std::shared_ptr<const ReadPrompt> read_prompt(const models::Model& model, const Request& request) {
  return naming_failures([&] {
    std::vector<int64_t> ids = prompt_ids(model, request, request.images.size());
    std::vector<int64_t> given = given_answer_ids(model, request, ids);
    const PromptLength length(model, ids);
    return std::make_shared<const ReadPrompt>(
        ReadPrompt{checked_plan(model, request), std::move(ids), std::move(given), length});
  });
}

std::shared_ptr<const ReadPrompt> read_prompt(const Session& session, const Request& request) {
  return read_prompt(session.model(), request);
}

std::shared_ptr<const ReadPrompt> read_prompt(const Session& session, const Request& request,
                                              std::vector<int64_t> ids) {
  const models::Model& model = session.model();
  return naming_failures([&] {
    check_given(model, ids);
    const PromptLength length(model, ids);
    return std::make_shared<const ReadPrompt>(ReadPrompt{checked_plan(model, request), std::move(ids), {}, length});
  });
}

void check_plan(const Session& session, const Request& request) {
  naming_failures([&] { checked_plan(session.model(), request); });
}

}  // namespace lithe::session
