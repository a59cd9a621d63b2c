#pragma once

#include <map>
#include <string>

/// How MMBench's evaluation reads the answer to a question with options A to D.
namespace lithe::tasks {

/// The options that a question has, by their letters. A set writes "nan" for an option that is absent, and the
/// evaluation takes that for an option.
using MmbenchOptions = std::map<char, std::string>;

/// The letter that the answer names by itself, or that of the only option whose text is in it. Empty: none can be told.
/// "E" means no option.
std::string mmbench_letter(const std::string& answer, const MmbenchOptions& options);

/// What a judge is asked when none can be told; mmbench_letter() reads the reply.
std::string mmbench_judge_prompt(const std::string& question, const MmbenchOptions& options, const std::string& answer);

}  // namespace lithe::tasks
