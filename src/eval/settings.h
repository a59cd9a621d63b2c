#pragma once

#include <filesystem>
#include <string>

#include "base/json.h"
#include "tasks/task.h"

namespace lithe::eval {

/// What tells a folder's files from those of another state of it: their names, sizes and times of change. 16
/// hexadecimal digits. Throws Error{bad_file}.
std::string state_of(const std::filesystem::path& folder);
/// What tells a question from another: its text, its turns, and the sizes of its pictures. The right answer is not part
/// of it. 16 hexadecimal digits.
std::string state_of(const tasks::Question& question);

/// The same by what is in the files, whenever they were written: copies on several machines have the same. Reads all of
/// them. Throws Error{bad_file}.
std::string content_of(const std::filesystem::path& folder);

/// The first key in which two objects of settings differ; empty: in none.
std::string differing_setting(const Json& a, const Json& b);

/// Throws Error{bad_request} that names the first setting in which the run in `folder` differs from this one.
void require_same(const Json& before, const Json& now, const std::filesystem::path& folder);

}  // namespace lithe::eval
