#pragma once

#include <filesystem>
#include <string>

#include "plan/predict.h"

namespace lithe::session {

/// Where speeds are kept: $XDG_CACHE_HOME/lithe/speed.json, else ~/.cache/lithe/speed.json; empty if there is no home.
std::filesystem::path speed_file();

/// How fast this machine computes with weights of a type ("float32", "bfloat16", "float16", "int8", "int4"). Measured
/// in some seconds at the first call, with the threads that are set, and kept in `file` for later ones; measured again
/// if `machine` is another one (whatever the speed depends on: processor, threads, version), or if the file can't be
/// read. A file that can't be written is not an error. Throws Error{bad_request} for another type.
plan::MachineSpeed machine_speed(const std::string& weights, const std::string& machine,
                                 const std::filesystem::path& file);

}  // namespace lithe::session
