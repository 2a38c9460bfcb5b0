"""The command `edgeproof`: `edgeproof train|convert|bench|classify ...`. Each part is imported when it is asked for."""

import os
import sys

OLDEST, NEWEST = (3, 11), (3, 13)
EXIT_OK, EXIT_FAILED, EXIT_USAGE = 0, 1, 2  # as in device/errors.py, which may be what cannot be imported
FOLDER = os.path.dirname(os.path.abspath(__file__))
INSTALLED = os.path.join(FOLDER, "edgeproof_files")  # where a wheel puts the packages and the data; none in the checkout

PARTS = {
    "train": "train image classifiers",
    "convert": "convert trained models into artifacts, show, check and pack them",
    "bench": "measure artifacts, report, compare, judge budgets",
    "classify": "classify pictures with one model file",
    "init": "write a starting point into a project: budgets, a baseline, a workflow",
}
HELP = """Usage: edgeproof COMMAND [ARGUMENTS]...

  Take an image classifier to a small device, and prove that it still answers the same, in time.

Commands:
{commands}

`edgeproof COMMAND --help` says more. `edgeproof --version` prints the version.
"""


def main() -> None:
    """Run the command line and exit with its code: 2 for a command that there is not."""
    sys.path.insert(0, INSTALLED if os.path.isdir(INSTALLED) else FOLDER)
    os.environ["PYTHONSAFEPATH"] = "1"  # Python that is started from here on: not from the working directory
    name, arguments = (sys.argv[1], sys.argv[2:]) if len(sys.argv) > 1 else ("", [])
    if name in ("--help", "-h"):
        sys.exit(_say(HELP.format(commands="\n".join(f"  {part:10}{text}" for part, text in PARTS.items()))))
    if name == "--version":
        from common.version import VERSION

        sys.exit(_say(f"edgeproof {VERSION}\n"))
    problem = _problem(name)
    if problem:
        sys.stderr.write(f"edgeproof: {problem}\n")
        sys.exit(EXIT_USAGE)
    _run(name, arguments)


def _problem(name: str) -> str:
    """Return what keeps a command from being run, "" for nothing."""
    here, parts = sys.version_info[:2], ", ".join(PARTS)
    if name not in PARTS:
        return f"there is no command {name!r}: there are {parts}" if name else f"name a command: {parts}"
    if name != "classify" and not OLDEST <= here <= NEWEST:
        return f"needs Python 3.{OLDEST[1]} to 3.{NEWEST[1]}, this is {here[0]}.{here[1]}: install it in one of those"
    if name != "classify" and sys.platform == "win32":
        return f"{name} needs Linux: run it in WSL; `edgeproof classify` runs on Windows too"
    return ""


def _run(name: str, arguments: list[str]) -> None:
    """Run a part on its arguments and exit."""
    if name == "classify":
        from device.classify import start

        sys.argv = ["edgeproof classify", *arguments]
        sys.exit(start())
    from importlib import import_module

    part, words = ("bench", ["init"]) if name == "init" else (name, [])
    module = import_module(f"{part}.__main__")
    sys.argv = [str(module.__file__), *words, *arguments]  # as `python -m PART` has it
    module.run_cli(module.main, part, f"edgeproof {part}")


def _say(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        sys.stderr.write(f"edgeproof: standard output: {error.strerror}: make room\n")
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return EXIT_FAILED
    except AttributeError:  # it is closed
        pass
    return EXIT_OK


if __name__ == "__main__":
    main()
