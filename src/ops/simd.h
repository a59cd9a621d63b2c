#pragma once

// Marks a function with plain loops that the compiler shall build for several processors and choose at run time.
// Sanitizers start before such a choice can be made, so they get the one plain version.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LITHE_MULTIVERSION __attribute__((target_clones("default", "arch=x86-64-v3", "arch=x86-64-v4")))
#else
#define LITHE_MULTIVERSION
#endif
