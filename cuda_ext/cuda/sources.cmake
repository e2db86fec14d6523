# The CUDA engine, but for device.cu: compiled by nvcc (cuda/) and, for tests, by the C++ compiler
# (host_exec/). Paths from cuda_ext/.
set(recon_cuda_sources
    cuda/bin.cu
    cuda/engine.cu
    cuda/images.cu
    cuda/loss.cu
    cuda/project.cu
    cuda/raster_backward.cu
    cuda/raster_forward.cu
    cuda/sort.cu
    cuda/update.cu)
list(TRANSFORM recon_cuda_sources PREPEND ${PROJECT_SOURCE_DIR}/)
