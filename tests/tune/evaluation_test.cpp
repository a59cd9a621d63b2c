#include "tune/evaluation.h"

#include "base/error.h"
#include "tune/support.h"

namespace lithe::tune {
namespace {

TEST(Evaluation, RefusesSetsWithoutARecord) {
  const test::TempFolder folder;
  std::ofstream(folder / "none.json") << "[]";
  const auto model = models::open_model(test::golden("liuhaotian_llava15") / "checkpoint");
  std::vector<std::unique_ptr<data::DataSet>> sets;
  sets.push_back(data::DataSet::open({.path = folder / "none.json"}));
  EXPECT_THROW(evaluate(*model, model->plan, sets, {}), Error);
}

}  // namespace
}  // namespace lithe::tune
