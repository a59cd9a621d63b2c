#pragma once

#include <ATen/CPUGeneratorImpl.h>
#include <gtest/gtest.h>

#include "base/vector_set.h"

namespace lithe::ops {

/// Random values from here on are the same on every processor, however many were drawn before.
inline void start_random_values() {
  at::Generator(at::detail::getDefaultCPUGenerator()).set_current_seed(1);
}

/// Runs `test` with the kernels of every vector set that this run may use: the processor's, up to what LITHE_CPU says.
/// Each set is given the same random values.
template <class Test>
void for_every_vector_set(const Test& test) {
  const VectorSet largest = vector_set();
  for (const VectorSet set : processor_vector_sets()) {
    if (set > largest) break;
    SCOPED_TRACE(name_of(set));
    use_vector_set(set);
    start_random_values();
    test();
  }
  use_vector_set(largest);
  start_random_values();
}

/// Of these, with those that have a kernel.
template <class Test>
void for_every_vector_set(bool (*has_kernel)(), const Test& test) {
  for_every_vector_set([&] {
    if (has_kernel()) test();
  });
}

}  // namespace lithe::ops
