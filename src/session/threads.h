#pragma once

#include <cstdint>
#include <string>

namespace lithe::session {

/// Cores that this process may use: its affinity mask, cut by the CPU quota of its control group; at least 1.
int64_t cores_available();

/// How many threads the arithmetic uses from now on. Throws Error{bad_request} outside 1 .. 1024.
void set_threads(int64_t count);

/// Makes a device ready: "cpu", "cuda" or "cuda:N". CUDA's libraries are only loaded here. Throws Error{bad_request}
/// for another name, for a build without the libraries, and for a device that the machine does not have.
void prepare_device(const std::string& device);

/// The device of one of the processes of a machine, the `local_rank`-th: "cuda" is a card for each, "cuda:N"; what
/// names one device is that. Of a prepared device.
std::string device_of_process(const std::string& device, int64_t local_rank);

/// A prepared device with the name that its driver has for it, "NVIDIA H100 80GB HBM3 (cuda)"; "cpu" as it is.
std::string device_name(const std::string& device);

}  // namespace lithe::session
