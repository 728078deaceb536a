"""`python -m deepdft` is the command `deepdft`."""

import contextlib
import signal
import sys


def main() -> None:
    """Run the command; an interrupt before it has begun is one line as well."""
    try:
        from deepdft.cli import main as command

        command()
    except KeyboardInterrupt:
        print("deepdft: interrupted", file=sys.stderr)
        sys.exit(130)
    except SystemExit as left:
        if isinstance(left.code, int) and left.code > 128:
            # What still ends in the background may not be interrupted with a traceback.
            for number in (signal.SIGINT, signal.SIGTERM):
                with contextlib.suppress(ValueError):
                    signal.signal(number, signal.SIG_DFL)
        raise


if __name__ == "__main__":
    main()
