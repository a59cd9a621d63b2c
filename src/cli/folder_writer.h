#pragma once

#include <filesystem>
#include <functional>

namespace lithe::cli {

/// Makes a folder (io::NewFolder) in a process of its own, so that nothing is left beside `folder` if that process is
/// killed: by Ctrl-C at any moment, by the system for want of memory. `report` tells about a folder that is made.
/// Returns the exit code of what failed, or that of the kill. To be called before the program has threads.
int write_folder(const std::filesystem::path& folder, const std::function<void()>& make,
                 const std::function<void()>& report);

}  // namespace lithe::cli
