"""The entry point: `headrace`, and `python -m headrace`."""

import sys


def main() -> None:
    """Run the command line; with `run --supervised` only what supervises is loaded here."""
    arguments = sys.argv[1:]
    if arguments[:1] == ['run'] and '--supervised' in arguments:
        from headrace import supervisor  # noqa: PLC0415  the supervisor stays small

        sys.exit(supervisor.main([item for item in arguments if item != '--supervised']))
    from headrace.cli import main as command_line  # noqa: PLC0415  the same

    command_line.main()


if __name__ == '__main__':
    main()
