#include "session/machine_speed.h"

#include <gtest/gtest.h>

#include <fstream>

#include "base/error.h"
#include "base/json.h"
#include "temporary_folder.h"

namespace lithe::session {
namespace {

TEST(MachineSpeed, IsMeasuredOnceForAMachine) {
  const test::TemporaryFolder temp;
  const auto file = temp / "cache/speed.json";
  const plan::MachineSpeed first = machine_speed("bfloat16", "this one", file);
  ASSERT_GT(first.products.size(), 2u);
  for (const auto& product : first.products) EXPECT_GT(product.flops, 0);
  EXPECT_GT(first.attention, 0);
  EXPECT_GT(first.bytes, 0);
  const auto equal = [](const plan::MachineSpeed& a, const plan::MachineSpeed& b) {
    return a.attention == b.attention && a.bytes == b.bytes && a.call == b.call;
  };
  EXPECT_TRUE(equal(machine_speed("bfloat16", "this one", file), first));

  Json json = read_json_file(file);
  json["speeds"]["bfloat16"]["bytes_per_s"] = 5.0;
  std::ofstream(file) << json;
  EXPECT_EQ(machine_speed("bfloat16", "this one", file).bytes, 5.0);
  EXPECT_NE(machine_speed("bfloat16", "another one", file).bytes, 5.0);
  EXPECT_EQ(read_json_file(file).at("machine"), "another one");
}

TEST(MachineSpeed, MeasuresAgainWhatIsDamaged) {
  const test::TemporaryFolder temp;
  const auto file = temp / "speed.json";
  for (const char* text : {"", "[]", R"({"schema": "lithe-speed/1", "machine": "m", "speeds": {"float32": {}}})",
                           R"({"schema": "lithe-speed/1", "machine": "m", "speeds": {"float32": {"products": [],
                               "attention_flops_per_s": 1, "bytes_per_s": 1, "values_per_s": 1, "call_s": 0}}})",
                           R"({"schema": 1, "machine": "m", "speeds": 4})"}) {
    std::ofstream(file) << text;
    EXPECT_GT(machine_speed("float32", "m", file).bytes, 1e6) << text;
  }
  EXPECT_THROW(machine_speed("auto", "m", file), Error);
  EXPECT_GT(machine_speed("int4", "m", {}).bytes, 0);  // nowhere to keep it
}

}  // namespace
}  // namespace lithe::session
