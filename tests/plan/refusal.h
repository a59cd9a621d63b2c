#pragma once

#include <gtest/gtest.h>

#include <string>

#include "base/error.h"

/// `statement` throws lithe::Error of this fault whose sentence holds `part`.
#define EXPECT_REFUSED(statement, expected_fault, part)                                            \
  try {                                                                                            \
    statement;                                                                                     \
    ADD_FAILURE() << "was not refused: " << #statement;                                            \
  } catch (const lithe::Error& error) {                                                            \
    EXPECT_EQ(error.fault(), expected_fault);                                                      \
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << "got: " << error.what(); \
  }                                                                                                \
  static_assert(true)
