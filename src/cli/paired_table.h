#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"
#include "cli/text_table.h"
#include "eval/paired.h"
#include "eval/run_pair.h"

namespace lithe::cli {

/// Two runs of `lithe eval`, and how they differ.
struct ComparedRuns {
  eval::RunPair pair;
  eval::Paired result;
};

/// Reads the runs in two folders. Throws as eval::read_run_pair.
ComparedRuns compare_runs(const std::filesystem::path& first, const std::filesystem::path& second, uint64_t seed);

/// The keys of `lithe compare --json`, without its schema.
Json to_json(const ComparedRuns& runs);

/// A table of comparisons, a row for each.
TextTable paired_table(const std::string& task);
std::vector<std::string> paired_row(const std::string& label, const ComparedRuns& runs);

}  // namespace lithe::cli
