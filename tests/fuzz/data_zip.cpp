#include "data_targets.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lithe::data::fuzz_zip(data, size);
  return 0;
}
