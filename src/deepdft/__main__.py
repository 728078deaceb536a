"""`python -m deepdft` is the command `deepdft`."""

import atexit
import contextlib
import os
import signal
import sys
import threading
import warnings


def main() -> None:
    """Run the command; an interrupt before it has begun is one line as well."""
    code = 1
    # What is registered first is done last.
    atexit.register(lambda: _end_quietly(code))
    try:
        from deepdft.first_process import end_with_the_first

        end_with_the_first()
        from deepdft.cli import main as command

        command()
        code = 0
    except KeyboardInterrupt:
        print("deepdft: interrupted", file=sys.stderr)
        code = 130
        sys.exit(code)
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else int(left.code is not None)
        if code > 1:
            # All is said; what libraries could only half make, as event loops, is torn down now.
            sys.unraisablehook = lambda _: None
            warnings.simplefilter("ignore")
        if code > 128:
            # What still ends in the background is silent, whatever interrupts it.
            threading.excepthook = lambda _: None
            for number in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(ValueError):
                    signal.signal(number, signal.SIG_DFL)
        raise
    except (MemoryError, OSError, ImportError, SystemError) as error:  # while it was imported
        from deepdft.failures import sentence_of

        sentence = sentence_of(error)
        if sentence is None:
            raise
        print(f"deepdft: {sentence}", file=sys.stderr)
        code = 2
        sys.exit(code)


def _end_quietly(code: int) -> None:
    """End without tearing the interpreter down, where that does harm.

    After a signal, threads in the background may be in compiled code, which crashes without an
    interpreter. Triton's bindings list what they leak, in dozens of lines.
    """
    if code <= 128 and "triton" not in sys.modules:
        return
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    main()
