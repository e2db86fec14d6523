#include "host_exec/fibre.h"

#include <cstdint>
#include <cstdlib>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/common_interface_defs.h>
#endif

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

namespace host_exec {

namespace {
#if defined(__SANITIZE_ADDRESS__)
constexpr size_t kStack = 256 * 1024;
#else
constexpr size_t kStack = 64 * 1024;
#endif
} // namespace

#if defined(__x86_64__)

// Saves the callee-saved registers on the stack, and the stack pointer in *from; goes on with `to`.
extern "C" void recon_fibre_switch(void **from, void *to);
asm(R"(
.text
.globl recon_fibre_switch
.hidden recon_fibre_switch
.type recon_fibre_switch,@function
recon_fibre_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size recon_fibre_switch,.-recon_fibre_switch
)");

struct Fibre::State {
  void *inside = nullptr;
  void *outside = nullptr;
  char *stack = static_cast<char *>(std::malloc(kStack));
  void (*main)(void *) = nullptr;
  void *context = nullptr;
  void *fake_inside = nullptr, *fake_outside = nullptr;
  const void *outside_bottom = nullptr;
  size_t outside_size = 0;

  void enter() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(&fake_outside, stack, kStack);
#endif
    recon_fibre_switch(&outside, inside);
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_outside, nullptr, nullptr);
#endif
  }
  void leave([[maybe_unused]] bool for_good) {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_inside, outside_bottom, outside_size);
#endif
    recon_fibre_switch(&inside, outside);
    arrived();
  }
  void arrived() {
#if defined(__SANITIZE_ADDRESS__)
    __sanitizer_finish_switch_fiber(fake_inside, &outside_bottom, &outside_size);
#endif
  }
};

namespace {
thread_local void *starting = nullptr;
}

void Fibre::start(void (*main)(void *), void *context) {
  State &s = *state_;
  s.main = main;
  s.context = context;
  s.fake_inside = nullptr;
  auto entry = +[] {
    auto *state = static_cast<State *>(starting);
    state->arrived();
    state->main(state->context);
    state->leave(true);
    std::abort(); // a fibre that has ended is not resumed
  };
  auto top = reinterpret_cast<uintptr_t>(s.stack + kStack) & ~uintptr_t{15};
  // After the switch's ret the stack pointer must be 8 off a multiple of 16, as after a call.
  auto **frame = reinterpret_cast<void **>(top - 8);
  *--frame = reinterpret_cast<void *>(entry);
  for (int i = 0; i < 6; ++i)
    *--frame = nullptr;
  s.inside = frame;
}

void Fibre::resume() {
  starting = state_;
  state_->enter();
}

void Fibre::suspend() { state_->leave(false); }

#else // any other machine: slower, but portable

struct Fibre::State {
  ucontext_t inside, outside;
  char *stack = static_cast<char *>(std::malloc(kStack));
  void (*main)(void *) = nullptr;
  void *context = nullptr;
};

namespace {
thread_local void (*start_main)(void *) = nullptr;
thread_local void *start_context = nullptr;
} // namespace

void Fibre::start(void (*main)(void *), void *context) {
  State &s = *state_;
  s.main = main;
  s.context = context;
  getcontext(&s.inside);
  s.inside.uc_stack.ss_sp = s.stack;
  s.inside.uc_stack.ss_size = kStack;
  s.inside.uc_link = &s.outside;
  makecontext(&s.inside, +[] { start_main(start_context); }, 0);
}

void Fibre::resume() {
  start_main = state_->main;
  start_context = state_->context;
  swapcontext(&state_->outside, &state_->inside);
}

void Fibre::suspend() { swapcontext(&state_->inside, &state_->outside); }

#endif

Fibre::Fibre() : state_(new State) {}
Fibre::~Fibre() {
  std::free(state_->stack);
  delete state_;
}

} // namespace host_exec
