"""Entry point of `python -m headrace` and of the `headrace` script."""

from headrace.cli.main import main

if __name__ == '__main__':
    main()
