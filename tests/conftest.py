"""What holds for every run of the tests."""

import contextlib
import signal

# PyTorch's builds for CUDA bring Triton, which loads an LLVM of its own. Where Mesa has
# loaded another one before, to draw a robot without a graphics card, loading Triton
# crashes the process; the other way round is well.
with contextlib.suppress(ImportError):
    import triton  # noqa: F401

# Some tests interrupt themselves or their children. Jobs in the background of a shell,
# and under nohup, are born deaf to it.
for _name, _handler in (
    ("SIGINT", signal.default_int_handler),
    ("SIGHUP", signal.SIG_DFL),
):
    _number = getattr(signal, _name, None)
    if _number is not None and signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)
