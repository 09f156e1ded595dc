"""`python -m segue.cli`: the `segue` command without its script.

Rule: it does what the script does.
"""

from segue.cli import main

if __name__ == "__main__":
    main()
