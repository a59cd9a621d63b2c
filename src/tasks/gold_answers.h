#pragma once

#include <memory>
#include <string>

#include "tasks/task.h"

namespace lithe::tasks {

/// A task of which the right answers are scored, in place of answers that the model makes: its table is the mean
/// negative log-likelihood of a token (`nll`), and exp of that (`perplexity`). If several answers are right, the one
/// that models are tuned to give is scored: the most frequent one, or the first of the set. Responses hold an
/// AnswerLoss. Throws Error{bad_request} for a ranking, and question() for a question whose answer is secret.
std::unique_ptr<Task> gold_answers(std::unique_ptr<Task> task, const std::string& name);

}  // namespace lithe::tasks
