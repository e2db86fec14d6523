// A stack of its own for each CUDA thread, and the switch between them.
#pragma once

#include <cstddef>

namespace host_exec {

class Fibre {
public:
  Fibre();
  ~Fibre();
  Fibre(const Fibre &) = delete;
  Fibre &operator=(const Fibre &) = delete;

  // Prepares to run main(context) from its beginning at the next resume().
  void start(void (*main)(void *), void *context);
  // Runs until it suspends or ends; called from outside.
  void resume();
  // Returns to whoever resumed it; called from inside.
  void suspend();

private:
  struct State;
  State *state_;
};

} // namespace host_exec
