#pragma once

/// Marks what the shared library shows.
#define LITHE_API __attribute__((visibility("default")))
