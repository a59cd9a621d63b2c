#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace lithe::tasks {

/// The first of these files (or folders) that is in a folder. Names with "*" mean the first file that fits.
std::optional<std::filesystem::path> found_in(const std::filesystem::path& folder,
                                              const std::vector<std::string>& names);

/// The files that a pattern fits, by name; none is fine.
std::vector<std::filesystem::path> fitting(const std::filesystem::path& folder, const std::string& pattern);

/// The task whose set a folder holds as it was downloaded, if its files have names that no other records would have;
/// empty: none, or a set that looks like any other records.
std::string task_in(const std::filesystem::path& folder);

/// "dev+test" -> "dev", "test"
std::vector<std::string> parts_of_split(const std::string& split);

/// Throws Error{bad_file}: the folder is not there, or none of the files is in it.
[[noreturn]] void refuse_set(const std::string& task, const std::filesystem::path& folder,
                             const std::vector<std::string>& names);

}  // namespace lithe::tasks
