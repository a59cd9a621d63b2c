// A library with the functions of NCCL that tune/nccl.cpp calls, for "GPUs" that are threads of one process and whose
// numbers lie in its memory. As in NCCL that does not block, messages go on after the call, one at a time, and until
// then the group is "in progress"; if the lengths of a message differ, or a rank has abandoned the group, they fail.
#include <condition_variable>
#include <cstddef>
#include <cstring>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

namespace {

constexpr int kSuccess = 0, kInvalidArgument = 4, kInvalidUsage = 5, kRemoteError = 6, kInProgress = 7, kFloat32 = 7,
              kSum = 0;

struct GroupName {
  char bytes[128];
};

struct Group {
  std::mutex mutex;
  std::condition_variable changed;
  int size = 0, joined = 0, arrived = 0, messages = 0;
  bool abandoned = false;
  std::vector<float> arriving, result;
};

struct Member {
  Group* group;
  int rank;
  std::thread message = {};
  int status = kSuccess;  // of the last message; under the group's mutex
};

std::mutex groups_mutex;
std::map<int, Group>& groups = *new std::map<int, Group>;  // for good: a lost rank waits in one until the process ends

/// One message, which ends when every rank has sent it: each brings numbers, or nothing, and gets the sum.
int exchange(Group& group, const float* brought, float* to, size_t count) {
  std::unique_lock lock(group.mutex);
  if (group.abandoned) return kRemoteError;
  if (group.arrived == 0) group.arriving.assign(count, 0.0f);
  if (group.arriving.size() != count) {
    group.abandoned = true;
    group.changed.notify_all();
    return kInvalidArgument;
  }
  for (size_t i = 0; brought != nullptr && i < count; ++i) group.arriving[i] += brought[i];
  const int message = group.messages;
  if (++group.arrived == group.size) {
    group.arrived = 0;
    group.result.swap(group.arriving);
    ++group.messages;
    group.changed.notify_all();
  }
  group.changed.wait(lock, [&] { return group.messages != message || group.abandoned; });
  if (group.messages == message) return kRemoteError;
  if (count > 0) std::memcpy(to, group.result.data(), count * sizeof(float));
  return kSuccess;
}

int send(Member& member, const float* brought, float* to, size_t count) {
  {
    const std::lock_guard lock(member.group->mutex);
    if (member.status == kInProgress) return kInvalidUsage;
    member.status = kInProgress;
  }
  if (member.message.joinable()) member.message.join();
  member.message = std::thread([&member, brought, to, count] {
    const int status = exchange(*member.group, brought, to, count);
    const std::lock_guard lock(member.group->mutex);
    member.status = status;
  });
  return kInProgress;
}

}  // namespace

extern "C" {

int ncclGetUniqueId(GroupName* name) {
  const std::lock_guard lock(groups_mutex);
  *name = {};
  name->bytes[0] = static_cast<char>(groups.size());
  groups[name->bytes[0]];
  return kSuccess;
}

int ncclCommInitRank(void** member, int ranks, GroupName name, int rank) {
  Group* group = nullptr;
  {
    const std::lock_guard lock(groups_mutex);
    group = &groups.at(name.bytes[0]);
  }
  if (rank < 0 || rank >= ranks) return kInvalidArgument;
  std::unique_lock lock(group->mutex);
  group->size = ranks;
  ++group->joined;
  group->changed.notify_all();
  group->changed.wait(lock, [&] { return group->joined == ranks; });
  *member = new Member{group, rank};
  return kSuccess;
}

int ncclAllReduce(const void* from, void* to, size_t count, int type, int operation, void* member, void*) {
  if (type != kFloat32 || operation != kSum) return kInvalidArgument;
  return send(*static_cast<Member*>(member), static_cast<const float*>(from), static_cast<float*>(to), count);
}

int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, void* member, void*) {
  auto& me = *static_cast<Member*>(member);
  if (type != kFloat32 || root < 0 || root >= me.group->size) return kInvalidArgument;
  return send(me, me.rank == root ? static_cast<const float*>(from) : nullptr, static_cast<float*>(to), count);
}

int ncclCommGetAsyncError(void* member, int* status) {
  auto& me = *static_cast<Member*>(member);
  const std::lock_guard lock(me.group->mutex);
  *status = me.status;
  return kSuccess;
}

int ncclCommDestroy(void* member) {
  auto* const me = static_cast<Member*>(member);
  if (me->message.joinable()) me->message.join();
  delete me;
  return kSuccess;
}

int ncclCommAbort(void* member) {
  Group& group = *static_cast<Member*>(member)->group;
  {
    const std::lock_guard lock(group.mutex);
    group.abandoned = true;
  }
  group.changed.notify_all();
  return ncclCommDestroy(member);
}

const char* ncclGetErrorString(int status) {
  return status == kInvalidArgument ? "invalid argument" : status == kRemoteError ? "remote error" : "no error";
}

const char* ncclGetLastError(void*) {
  return "the fake's last error";
}

}  // extern "C"
