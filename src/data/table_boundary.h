#pragma once

// The tables of the crate in rust/ (Parquet files, Arrow files and streams); base/rust_bytes.h says how failures come.

#include <stddef.h>
#include <stdint.h>

#include "base/rust_bytes.h"

extern "C" {

typedef struct LitheTable LitheTable;

/// Opens the file that lies at `data`, which must stay there until the table is closed. `wanted` is a JSON list of the
/// columns to read; those that the file doesn't have are left out.
int lithe_table_open(const char* data, size_t size, const char* wanted, size_t wanted_size, LitheTable** out,
                     LitheBytes* error);
void lithe_table_close(LitheTable* table);
uint64_t lithe_table_rows(const LitheTable* table);
/// The row as CBOR: a map of the wanted columns. Safe to call from several threads.
int lithe_table_read(const LitheTable* table, uint64_t row, LitheBytes* out, LitheBytes* error);

}  // extern "C"
