"""`python -m proxy`: the command `switchback` without its entry point."""

from proxy.cli.start import main

if __name__ == "__main__":
    main()
