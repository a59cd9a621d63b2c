# Imported targets for the PyTorch wheel in VENV (see tools/setup.sh). The wheel's own CMake package stops if no
# CUDA toolkit is installed, so the few targets that are needed are declared here.
file(GLOB LITHE_SITE_PACKAGES "${LITHE_VENV}/lib/python3*/site-packages")
set(LITHE_TORCH "${LITHE_SITE_PACKAGES}/torch")
if(NOT EXISTS "${LITHE_TORCH}/lib/libtorch_cpu.so")
  message(FATAL_ERROR "No PyTorch wheel in '${LITHE_VENV}'; run `make setup` or pass -DLITHE_VENV=DIR.")
endif()
file(GLOB LITHE_GOMP "${LITHE_TORCH}/lib/libgomp*.so*")
foreach(lib c10 torch_cpu)
  add_library(Torch::${lib} SHARED IMPORTED GLOBAL)
  set_target_properties(Torch::${lib} PROPERTIES IMPORTED_LOCATION "${LITHE_TORCH}/lib/lib${lib}.so")
endforeach()

# Everything that sees ATen needs -fopenmp (at::parallel_for is inlined) and the wheel's own libgomp.
add_library(lithe_torch INTERFACE)
target_include_directories(lithe_torch SYSTEM INTERFACE "${LITHE_TORCH}/include" "${LITHE_TORCH}/include/torch/csrc/api/include")
target_compile_options(lithe_torch INTERFACE -fopenmp)
target_link_libraries(lithe_torch INTERFACE Torch::torch_cpu Torch::c10 ${LITHE_GOMP})
# Not resolved when linking: what the libraries need themselves they find by their own run path, inside the environment.
target_link_options(lithe_torch INTERFACE "-Wl,--allow-shlib-undefined")
# Installed programs name the environment by its absolute path too: it is set up where it stays, and copying its 1.3 GB
# under every prefix would serve nobody. Move the environment, and the program has to be linked again.
# CMake's own way (..._USE_LINK_PATH) leaves out what lies below the source tree, where the environment is by default.
set(CMAKE_INSTALL_RPATH "${LITHE_TORCH}/lib")
