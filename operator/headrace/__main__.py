"""The entry point: `headrace`, and `python -m headrace`."""

import os
import sys

_FLAG, _VARIABLE = '--supervised', 'HEADRACE_SUPERVISED'


def main() -> None:
    """Run the command line; with `run --supervised` only what supervises is loaded here, and of `alive` only itself."""
    arguments = sys.argv[1:]
    supervise = _FLAG in arguments or os.environ.get(_VARIABLE, '').lower() in ('1', 'true', 'yes', 'on')
    if arguments[:1] == ['run'] and supervise:
        from headrace import supervisor  # noqa: PLC0415  the supervisor stays small

        os.environ.pop(_VARIABLE, None)
        sys.exit(supervisor.main([item for item in arguments if item != _FLAG]))
    if arguments[:1] == ['alive']:
        from headrace import liveness  # noqa: PLC0415  a probe is asked for often

        sys.exit(liveness.main(arguments[1:]))
    from headrace.cli import main as command_line  # noqa: PLC0415  the same

    command_line.main()


if __name__ == '__main__':
    main()
