"""`python -m tests.torture [--short] [PART...]`: try to break it, and print what was tried, what survived, what was lost."""

import importlib
import sys

PARTS = ("faults", "long_runs")


def main(arguments: list[str]) -> int:
    """Run the parts and print their counts; 1 where anything was lost."""
    short = "--short" in arguments
    counts = []
    for name in [argument for argument in arguments if argument != "--short"] or PARTS:
        for count in importlib.import_module(f"tests.torture.{name}").run(short):
            counts.append(count)
            figures = f"{count.tried} tried, {count.survived} survived, {count.lost} lost"
            print(f"{count.part}: {count.what}: {figures}  {count.note}", flush=True)
    tried, lost = sum(count.tried for count in counts), sum(count.lost for count in counts)
    print(f"{tried} tried, {tried - lost} survived, lost: {lost}")
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
