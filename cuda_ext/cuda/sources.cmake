# The CUDA engine, but for device.cu: compiled by nvcc (cuda/) and, for tests, by the C++ compiler
# (host_exec/). Paths from cuda_ext/.
set(recon_cuda_sources
    cuda/bin.cu
    cuda/engine.cu
    cuda/field/backward.cu
    cuda/field/composite.cu
    cuda/field/density.cu
    cuda/field/encode.cu
    cuda/field/engine.cu
    cuda/field/grid.cu
    cuda/field/march.cu
    cuda/field/rays.cu
    cuda/field/update.cu
    cuda/images.cu
    cuda/loss.cu
    cuda/project.cu
    cuda/raster_backward.cu
    cuda/raster_forward.cu
    cuda/sort.cu
    cuda/update.cu)
list(TRANSFORM recon_cuda_sources PREPEND ${PROJECT_SOURCE_DIR}/)
# The Python module of both, compiled by the C++ compiler.
set(recon_cuda_bindings bind/cuda_field.cpp bind/cuda_module.cpp bind/field_types.cpp bind/types.cpp)
list(TRANSFORM recon_cuda_bindings PREPEND ${PROJECT_SOURCE_DIR}/)
