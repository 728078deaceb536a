"""`python -m deepdft` is the command `deepdft`."""

from deepdft.cli import main

main()
