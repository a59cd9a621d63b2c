#pragma once

#include <filesystem>
#include <functional>

namespace lithe::cli {

/// Runs a command that writes a folder (io::NewFolder) in a process of its own, so that nothing is left beside `folder`
/// if that process is killed: by Ctrl-C at any moment, by the system for want of memory. Returns the command's exit
/// code, or that of the kill. To be called before the program has threads.
int write_folder(const std::filesystem::path& folder, const std::function<int()>& command);

}  // namespace lithe::cli
