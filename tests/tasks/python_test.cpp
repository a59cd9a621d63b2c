// The right values are Python's.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/error.h"
#include "tasks/anls.h"
#include "tasks/general_letter.h"
#include "tasks/mmmu_answer.h"
#include "tasks/python_list.h"
#include "tasks/python_number.h"
#include "tasks/python_random.h"
#include "tasks/relaxed_accuracy.h"

namespace lithe::tasks {
namespace {

TEST(PythonNumber, ReadsWhatFloatReads) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const std::vector<std::pair<const char*, double>> numbers{{"1_000", 1000},    {"１２.５", 12.5},
                                                            {" 12 ", 12},       {"1e999", kInfinity},
                                                            {"-1e-999", 0},     {"-infinity", -kInfinity},
                                                            {".5", 0.5},        {"5.", 5},
                                                            {"\xC2\xA0٣\n", 3}, {"+3", 3},
                                                            {"1e5_0", 1e50}};
  for (const auto& [text, value] : numbers) EXPECT_EQ(python_float(text), value) << text;
  EXPECT_TRUE(std::isnan(python_float("-NaN").value()));
  for (const char* text : {"1__0", "_1", "1_", "１２．５", "1e", "0x10", "1 2", "", "--3", "e5", ".", "1,000", "½"})
    EXPECT_FALSE(python_float(text)) << text;
}

TEST(PythonNumber, RoundsTheBinaryValue) {
  EXPECT_EQ(python_round(2.675, 2), 2.67);
  EXPECT_EQ(python_round(0.125, 2), 0.12);
  EXPECT_EQ(python_round(-0.005, 2), -0.01);
  EXPECT_EQ(python_round(1e300, 2), 1e300);
  EXPECT_TRUE(std::isinf(python_round(std::numeric_limits<double>::infinity(), 2)));
}

TEST(PythonRandom, DrawsAsPythonDoes) {
  const auto draws = [](uint32_t seed, uint32_t count) {
    PythonRandom random(seed);
    std::vector<uint32_t> drawn(8);
    for (uint32_t& one : drawn) one = random.below(count);
    return drawn;
  };
  EXPECT_EQ(draws(0, 3), (std::vector<uint32_t>{1, 1, 0, 1, 2, 1, 1, 1}));
  EXPECT_EQ(draws(7, 10), (std::vector<uint32_t>{5, 2, 6, 0, 1, 8, 1, 5}));
  EXPECT_EQ(draws(123456, 1000), (std::vector<uint32_t>{824, 864, 813, 296, 30, 819, 178, 977}));
  PythonRandom random(5);
  for (int i = 0; i < 1299; ++i) random.below(624000);
  EXPECT_EQ(random.below(624000), 90459U);  // after the state was renewed
}

TEST(PythonList, ReadsTexts) {
  EXPECT_EQ(python_list(R"(['$\\frac{1}{2}$', "it's", 'a\'b', 'x' 'y', '\u00e9\x41\101\q'])"),
            (std::vector<std::string>{"$\\frac{1}{2}$", "it's", "a'b", "xy", "éAA\\q"}));
  EXPECT_TRUE(python_list(" [ ] ").empty());
  EXPECT_EQ(python_list("['a',]").size(), 1U);
  for (const char* broken : {"", "[", "['a'", "['a", "[a]", "[1]", "['a'] x", "['\\x4']", "['a' , , 'b']", "['\\"})
    EXPECT_THROW(python_list(broken), Error) << broken;
}

TEST(Anls, IsALikenessOfCharacters) {
  EXPECT_DOUBLE_EQ(anls("helen  BRANDT ", {"Helen Brandt"}), 1);
  EXPECT_DOUBLE_EQ(anls("H. Brandt", {"nobody", "Helen Brandt"}), 1 - 4.0 / 12);
  EXPECT_EQ(anls("Hel", {"Helen Brandt"}), 0);
  EXPECT_DOUBLE_EQ(anls("strase", {"straße"}), 1 - 1.0 / 7);  // in upper case the reference has 7 letters
  EXPECT_EQ(anls("", {""}), 1);
  EXPECT_EQ(anls("x", {}), 0);
}

TEST(RelaxedAccuracy, AllowsFivePercent) {
  EXPECT_TRUE(relaxed_match("52.5", "50"));
  EXPECT_FALSE(relaxed_match("52.51", "50"));
  EXPECT_TRUE(relaxed_match("0.12", "12%"));
  EXPECT_FALSE(relaxed_match("0.0", "0"));    // 0 is compared as a text
  EXPECT_FALSE(relaxed_match("inf", "inf"));  // their difference is not a number
  EXPECT_FALSE(relaxed_match("1,000", "1000"));
}

TEST(GeneralLetter, TakesTheSurestForm) {
  EXPECT_EQ(general_letter("The correct answer is (B).", "ABCD"), "B");
  EXPECT_EQ(general_letter("A or C", "ABCD"), "A");
  EXPECT_EQ(general_letter("Cats", "ABCD"), "C");
  EXPECT_EQ(general_letter("  \n", "ABCD"), "");
  EXPECT_EQ(general_letter("정답은 D 입니다", "ABCD"), "D");
}

TEST(MmmuAnswer, FindsNumbers) {
  EXPECT_EQ(numbers_in("1,200,000 or -1.5e-3x 7a .25 3, 12.5"),
            (std::vector<std::string>{"1,200,000", "-1.5e-3", "000", "-1", ".25", "12.5"}));
}

}  // namespace
}  // namespace lithe::tasks
