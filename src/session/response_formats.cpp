#include "session/response_formats.h"

#include "base/error.h"
#include "models/model.h"

namespace lithe::session {

const text::JsonConstraints& ResponseFormats::constraints() {
  const models::Prompting& prompting = session_.model().prompting;
  require(prompting.tokenizer.has_value(), Fault::bad_request,
          "This model has no tokenizer, so its answers have no format.");
  const std::lock_guard lock(mutex_);
  if (!constraints_) constraints_.emplace(*prompting.tokenizer, prompting.eos_ids);
  return *constraints_;
}

std::shared_ptr<const text::Constraint> ResponseFormats::json(const std::string& schema) {
  return std::make_shared<const text::Constraint>(constraints().of_schema(schema));
}

}  // namespace lithe::session
