"""`python -m llamactl` is the `llamactl` command."""

from llamactl.cli.main import main

if __name__ == "__main__":
    main()
