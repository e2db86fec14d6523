// A small pool of threads: OpenMP hangs after fork() and fights with torch's own threads.
#pragma once

#include <cstdint>

namespace recon_cpu {

using ChunkFn = void (*)(void *context, int chunk, int thread);

// Runs fn for chunk 0 .. chunks-1, claimed in order by the threads of the pool and the caller.
// Returns when all are done. `thread` is in 0 .. thread_count()-1. May be called from several
// threads at once, not from inside `fn`.
void parallel_for(int chunks, ChunkFn fn, void *context);

int thread_count();
// 0 means one for each core that this process may use.
void set_thread_count(int count);

double now_seconds();
// Time that this thread has computed, where the system tells; else the time of the clock.
double thread_seconds();

} // namespace recon_cpu
