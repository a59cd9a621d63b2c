#pragma once

/// Exports a symbol from the shared library.
#define LITHE_API __attribute__((visibility("default")))
