"""`python -m geovr` is `geovr`; torchrun starts stages this way."""

from geovr.cli import main

if __name__ == "__main__":
    main()
