#pragma once

#include <string>

namespace lithe::cli {

/// The value of OMP_WAIT_POLICY that libgomp started with: "passive" unless the user chose another.
/// A program that calls this gets the policy: the object file carries a hook that runs before libgomp starts.
std::string omp_wait_policy();

}  // namespace lithe::cli
