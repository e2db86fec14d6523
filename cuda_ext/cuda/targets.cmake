# Which GPUs the kernels are compiled for: sets CMAKE_CUDA_ARCHITECTURES.
#
# PTX of the oldest GPU runs on every later one, after the driver has compiled it once: that is what
# a build gets on a machine without a GPU, with code for one current GPU to have ptxas's checks.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  if(RECON_CUDA_TARGETS STREQUAL "all")
    set(CMAKE_CUDA_ARCHITECTURES
        75-real 80-real 86-real 89-real 90-real 100-real 103-real 120-real 120-virtual)
  elseif(RECON_CUDA_TARGETS)
    set(CMAKE_CUDA_ARCHITECTURES ${RECON_CUDA_TARGETS})
  elseif(EXISTS /proc/driver/nvidia/version AND NOT CMAKE_VERSION VERSION_LESS 3.24)
    set(CMAKE_CUDA_ARCHITECTURES native)
  else()
    set(CMAKE_CUDA_ARCHITECTURES 75-virtual 90-real)
  endif()
endif()
