#pragma once

namespace host_exec {

// Runs the planted mistake of this name (see planted.cpp); false if there is none, and true only if
// the executor failed to notice it.
bool run_planted(const char *name);

} // namespace host_exec
