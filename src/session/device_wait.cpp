#include "session/device_wait.h"

#include <c10/core/impl/DeviceGuardImplInterface.h>

namespace lithe::session {

void wait_for(const at::Tensor& result) {
  const at::Device device = result.device();
  if (!device.is_cpu()) c10::impl::getDeviceGuardImpl(device.type())->synchronizeDevice(device.index());
}

}  // namespace lithe::session
