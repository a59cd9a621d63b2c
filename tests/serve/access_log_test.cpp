#include "serve/access_log.h"

#include <gtest/gtest.h>

#include "base/json.h"

namespace lithe::serve {
namespace {

Json line_of(const std::string& trace_parent) {
  AccessEntry entry;
  entry.id = "1";
  entry.trace_parent = trace_parent;
  return parse_json(log_line(entry), "the log");
}

const std::string kTrace = "4bf92f3577b34da6a3ce929d0e0e4736", kParent = "00f067aa0ba902b7";

TEST(AccessLog, NamesTheTrace) {
  for (const std::string& header :
       {"00-" + kTrace + "-" + kParent + "-01", "cc-" + kTrace + "-" + kParent + "-01-later"}) {
    const Json line = line_of(header);
    EXPECT_EQ(line.at("trace_id"), kTrace) << header;
    EXPECT_EQ(line.at("parent_id"), kParent) << header;
  }
}

TEST(AccessLog, LeavesOutWhatIsNoTrace) {
  const std::string none(32, '0'), upper = "4BF92F3577B34DA6A3CE929D0E0E4736";
  for (const std::string& header :
       {std::string(), std::string("00"), "00-" + kTrace, "00-" + none + "-" + kParent + "-01",
        "00-" + kTrace + "-" + none.substr(16) + "-01", "00-" + upper + "-" + kParent + "-01",
        "ff-" + kTrace + "-" + kParent + "-01", "00-" + kTrace + "-" + kParent + "-01-more",
        "00-" + kTrace + "_" + kParent + "-01", std::string(55, '\n')})
    EXPECT_FALSE(line_of(header).contains("trace_id")) << header;
}

TEST(AccessLog, NamesTheLora) {
  AccessEntry entry;
  EXPECT_FALSE(parse_json(log_line(entry), "the log").contains("lora"));
  entry.lora = "red";
  EXPECT_EQ(parse_json(log_line(entry), "the log").at("lora"), "red");
}

}  // namespace
}  // namespace lithe::serve
