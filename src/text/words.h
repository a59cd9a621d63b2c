#pragma once

#include <string>
#include <string_view>
#include <vector>

/// Text as Python's str treats it, since most benchmarks are defined by Python programs: white space and case are
/// Unicode's, and bytes that are not UTF-8 are neither.
namespace lithe::text {

/// str.strip()
std::string stripped(std::string_view text);

/// str.split()
std::vector<std::string> words_of(std::string_view text);

/// " ".join(words)
std::string joined(const std::vector<std::string>& words);

/// str.lower(), str.upper(), str.capitalize()
std::string lower(std::string_view text);
std::string upper(std::string_view text);
std::string capitalised(std::string_view text);

}  // namespace lithe::text
