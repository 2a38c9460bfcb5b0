"""The command line of classify.py: its options, and the command that they select."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Callable, NoReturn, Optional, TypeVar

from device.commands import classify_all, classify_camera, info, run_self_test, score_folders, time_model
from device.errors import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_OK, EXIT_USAGE, EdgeproofError
from device.preprocessing.whole_picture import FITS
from device.process import confine_memory
from device.runtimes import TFLITE_RUNTIMES
from device.safe_text import NEWLINE, printable

Number = TypeVar("Number", int, float)
MAX_COUNT = 1_000_000_000  # of what is counted: more than anything has, and far from what a system's numbers hold
MAX_SECONDS = 1e6
MAX_THREADS = max(64, 4 * (os.cpu_count() or 1))  # --max-memory-mb counts their stacks, and without one a runtime may hang
MAX_CAMERA = 9_999  # OpenCV adds 100 or more to a number, to name its driver
PROTECTED = "\0"  # before a word that is no option, whatever it begins with: no argument of a program can hold it


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """End with 2 and one line; for an option that looks like a file, with the way to name that file."""
        looks = message.startswith("unrecognized arguments") and any(
            word.startswith("-") and (os.path.splitext(word)[1] or os.path.exists(word))  # noqa: PTH110, PTH122  # plain text
            for word in message.split(": ", 1)[1].split()
        )
        super().error(f"{message}: a name that begins with -: ./NAME" if looks else message)


def _number(kind: Callable[[str], Number], least: Number, most: Number) -> Callable[[str], Number]:
    """Return what reads a number between these two from an option: so it is neither NaN nor infinite."""
    expected = f"expected {'a whole number' if kind is int else 'a number'}, {least:,.0f} to {most:,.0f}"

    def read(text: str) -> Number:
        try:
            value = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"found {text[:40]!r}, {expected}") from error
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"found {text[:40]}, {expected}")
        return value

    return read


def _name(text: str) -> str:
    """Return a file's name. An empty one is mostly a variable of the shell that is not set; Path makes it this folder."""
    text = text[len(PROTECTED) :] if text.startswith(PROTECTED) else text
    if not text:
        raise argparse.ArgumentTypeError('"": no such file: name one (a variable of the shell may be empty)')
    return text


def _path(text: str) -> Path:
    return Path(_name(text))


def build_parser(own_model: Optional[Path] = None) -> argparse.ArgumentParser:
    """Return the command line's parser; an archive that holds a model takes no MODEL."""
    parser = _Parser(description="Classify pictures with one model file.")
    if own_model is None:
        parser.add_argument("model", type=_path, metavar="MODEL", help="a .tflite or .onnx file")
    else:
        parser.set_defaults(model=own_model)
    parser.add_argument("images", type=_name, nargs="*", metavar="IMAGE", help="files, folders, patterns; -: standard input")
    _add_commands(parser)
    _add_answering(parser)
    _add_cardless(parser)
    _add_serving(parser)
    return parser


def _add_commands(parser: argparse.ArgumentParser) -> None:
    """Add what is done in place of classifying IMAGEs."""
    count, camera = _number(int, 1, MAX_COUNT), _number(int, 0, MAX_CAMERA)
    seconds = _number(float, 0.0, MAX_SECONDS)
    parser.add_argument(
        "--camera", type=camera, nargs="?", const=0, metavar="N", help="classify camera N's (0) frames as JSON"
    )
    parser.add_argument("--frames", type=count, metavar="N", help="with --camera: end after N (Ctrl-C)")
    parser.add_argument("--info", action="store_true", help="say what the model is and takes, and what runs it here")
    parser.add_argument("--bench", action="store_true", help="time inferences on IMAGEs or the pictures inside MODEL")
    parser.add_argument("--queries", type=count, default=64, metavar="N", help="with --bench: at least so many (64)")
    parser.add_argument("--seconds", type=seconds, default=6.0, metavar="S", help="with --bench: and at least so long (6)")
    parser.add_argument("--self-test", action="store_true", help="check the model with the golden pictures inside it")


def _add_answering(parser: argparse.ArgumentParser) -> None:
    """Add how the model is run, and how its answers are given."""
    count, threads, share = _number(int, 1, MAX_COUNT), _number(int, 1, MAX_THREADS), _number(float, 0.0, 1.0)
    parser.add_argument("--json", action="store_true", help="print one JSON line a picture")
    parser.add_argument("--top", type=count, default=3, metavar="N", help="classes to print a picture (3)")
    parser.add_argument("--threads", type=threads, default=1, metavar="N", help="threads of the runtime (1)")
    parser.add_argument("--runtime", choices=sorted(TFLITE_RUNTIMES), help="TFLite runtime (the first that is installed)")
    parser.add_argument(
        "--min-score", type=share, metavar="S", help="answer 'unsure' below this score (the card's; 0: never)"
    )
    parser.add_argument("--score", action="store_true", help="IMAGE is a folder of class folders: print the accuracy")
    parser.add_argument(
        "--max-memory-mb", type=count, default=1000, metavar="N", help="end where more memory would be needed (1000)"
    )


def _add_cardless(parser: argparse.ArgumentParser) -> None:
    """Add what a model without a card does not say itself."""
    parser.add_argument("--labels", type=_path, metavar="FILE", help="the labels of a model without a card")
    parser.add_argument("--input-range", metavar="A..B", help="the values that a model without a card takes, as -1..1")
    parser.add_argument("--fit", choices=FITS, help="fit pictures by cutting out the middle, or by squeezing (crop)")


def _add_serving(parser: argparse.ArgumentParser) -> None:
    """Add the page to draw on."""
    parser.add_argument("--serve", type=_port, nargs="?", const=8000, metavar="PORT", help="a page to draw on (port 8000)")
    parser.add_argument(
        "--listen",
        nargs="?",
        const="0.0.0.0",  # noqa: S104  # a person asks for it
        metavar="ADDRESS",
        help="with --serve: for other machines too, at this address of this one (all of them)",
    )


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text[:40]} is no port: 0 to 65535")
    return int(text)


def _serve(arguments: argparse.Namespace) -> int:
    """Serve the page. What it needs of the standard library takes long to import, so it is imported only here."""
    try:
        from device.serve.command import serve
    except ImportError as error:
        raise EdgeproofError(
            f"--serve: {error}: copy the whole folder device/, or take the one file classify.pyz"
        ) from error
    return serve(arguments)


def _asked_for(arguments: argparse.Namespace) -> Callable[[argparse.Namespace], int]:
    if arguments.self_test:
        return run_self_test
    if arguments.info:
        return info
    if arguments.bench:
        return time_model
    if arguments.camera is not None:
        return classify_camera
    if arguments.serve is not None:
        return _serve
    return score_folders if arguments.score else classify_all


def _parsed(parser: argparse.ArgumentParser, words: Sequence[str]) -> argparse.Namespace:
    """Parse the words; IMAGE may stand before and after options, and after "--" every word is a name.

    parse_intermixed_args parses twice, and the second time it does not know of a "--" before MODEL.
    """
    end = words.index("--") if "--" in words else len(words)
    names = [PROTECTED + word for word in words[end + 1 :]]
    return parser.parse_intermixed_args([*_range_joined(words[:end]), *words[end : end + 1], *names])


def _range_joined(words: Sequence[str]) -> list[str]:
    """Join "--input-range" and a range that begins with a minus: argparse would take -1..1 for an option."""
    joined: list[str] = []
    for word in words:
        if joined and joined[-1] == "--input-range" and word.startswith("-") and ".." in word:
            joined[-1] += f"={word}"
        else:
            joined.append(word)
    return joined


def _check_usage(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    """End with 2 where nothing is to be done, or where options contradict each other or IMAGE."""
    given = {
        "--serve": arguments.serve is not None,
        "--camera": arguments.camera is not None,
        "--self-test": arguments.self_test,
        "--info": arguments.info,
        "--bench": arguments.bench,
        "--score": arguments.score,
    }
    commands = [name for name, is_given in given.items() if is_given]
    if not arguments.images and not set(commands) - {"--score"}:
        parser.error("name at least one IMAGE, or give --serve, --camera, --self-test, --info or --bench")
    if len(commands) > 1:
        parser.error(f"{' and '.join(commands)} are different commands: give one of them")
    if arguments.images and commands and commands[0] not in ("--bench", "--score"):
        why = ": pictures are sent to it" if commands[0] == "--serve" else ": leave it out, or leave the option out"
        parser.error(f"{commands[0]} takes no IMAGE{why}")
    if arguments.listen is not None and not given["--serve"]:
        parser.error("--listen needs --serve")
    if arguments.frames is not None and not given["--camera"]:
        parser.error("--frames needs --camera")


def main(argv: Optional[Sequence[str]] = None, own_model: Optional[Path] = None) -> int:
    """Run the command and return its exit code: 0 all classified, 1 one could not be, 2 wrong usage, 130 interrupted."""
    parser = build_parser(own_model)
    arguments = _parsed(parser, sys.argv[1:] if argv is None else argv)
    _check_usage(parser, arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):  # write the escape of a letter that the terminal's encoding lacks
        sys.stdout.reconfigure(errors="backslashreplace")
    if argv is None:  # this process runs only the command
        confine_memory(arguments.max_memory_mb * 1_000_000)
    try:
        code = _asked_for(arguments)(arguments)
        sys.stdout.flush()
        return code
    except EdgeproofError as error:
        where = "" if str(arguments.model) in str(error) else f"{arguments.model}: "
        print(f"classify.py: {printable(where + str(error), allow=NEWLINE)}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # the reader of our output went away, as in `classify.py ... | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except OSError as error:
        if error.filename is None:  # errors in files have their own messages: this one is in the output
            print(f"classify.py: standard output: {error.strerror}: free some space", file=sys.stderr)
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return EXIT_FAILED
        print(f"classify.py: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return EXIT_USAGE
    except MemoryError:
        print(f"classify.py: {arguments.model}: out of memory: see --max-memory-mb", file=sys.stderr)
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def tell_crash(name: str, own_model: Optional[Path] = None) -> int:
    """Say on standard error which signal ended the child process, and what to do; return the exit code."""
    arguments = _parsed(build_parser(own_model), sys.argv[1:])
    why = {
        "SIGKILL": "was killed, for lack of memory or by a person",
        "SIGABRT": f"aborted, possibly for lack of memory (--max-memory-mb is {arguments.max_memory_mb})",
    }.get(name, "crashed")
    print(
        f"classify.py: {arguments.model}: the process that worked with it {why} ({name}): a damaged model or picture, "
        "or a defect of the runtime: copy the file again, or take another runtime (--runtime)",
        file=sys.stderr,
    )
    return EXIT_FAILED
