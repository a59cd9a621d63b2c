#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>

#include "base/json.h"
#include "tune/chart.h"
#include "tune/recipe.h"
#include "tune/search.h"
#include "tune/search_report.h"

// What a search leaves in its folder: plan.json, scores.json and redundancy.svg when it is done, and checkpoints until
// then.
namespace lithe::tune {

/// Where a search stands, besides its weights and its optimiser.
struct SearchPosition {
  int64_t steps = 0;  ///< Of the search, which a limit of time may have decided.
  int64_t held_out_taken = 0, held_out_skipped = 0;
  double seconds = 0;
  Json search;  ///< Search::state
};

/// The file of a checkpoint that holds it, for messages too.
std::filesystem::path position_file(const std::filesystem::path& checkpoint);
SearchPosition read_position(const std::filesystem::path& checkpoint);  ///< Throws Error{bad_file}.
void write_position(const std::filesystem::path& checkpoint, const SearchPosition& position);

/// Whether a checkpoint is of a search, and not of the tuning after it.
bool is_search_checkpoint(const std::filesystem::path& folder);

/// How redundant each attention is, and which are skipped.
BarChart redundancy_chart(const SearchResult& result);

/// Writes what a search found: `result` with its layers, the search's plan and its report. scores.json comes last, as
/// it says that the search is done.
void write_found(const std::filesystem::path& folder, const SearchResult& result, const Search& search);

/// From now on, the search in this folder is not done.
void forget_found(const std::filesystem::path& folder);

/// What a search that is done left in `folder`. Throws Error{bad_file}, also if it was to find another number of
/// attentions than the recipe says.
std::optional<SearchResult> finished_search(const Recipe& recipe, const std::filesystem::path& folder);

}  // namespace lithe::tune
