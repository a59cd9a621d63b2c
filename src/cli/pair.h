#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "cli/options.h"
#include "session/pair_session.h"
#include "session/request.h"

// Commands over a model that classifies or ranks pairs of a text and a picture (METER).
namespace lithe::cli {

/// Whether MODEL is such a model.
bool is_pair_model(const std::string& model);

/// Declares --head.
void add_head(CLI::App& app, std::string& head);

/// Throws Error{bad_request} for flags of the question that only models that generate obey.
void check_pair_flags(const session::Question& question);

/// The text and the pictures, of which notes are printed.
session::PairQuestion read_question(const session::Question& question);

/// Prints a note if the checkpoint has no names for the labels of a head.
void note_numbers(const session::HeadInfo& head, const std::string& model);

/// The labels and scores that are shown, the best first: {"label", "score"} each.
Json best_of(const session::HeadInfo& head, const std::vector<float>& scores, const std::vector<std::string>& pictures);

/// `lithe run` over such a model.
int run_pairs(const std::string& model, const CommonOptions& options, const session::Question& question,
              const std::string& head);

}  // namespace lithe::cli
