"""Starting Python again: a process of our own never imports from the folder that it is started in.

A user's folder may hold a `bench/`, a `train/` or a `random.py` of their own. `-P` keeps the working directory off the path.
"""

import sys
from collections.abc import Sequence

from common.paths import PROGRAM

PYTHON = (sys.executable, "-P")
# The program's folder stands first on the path, also before what the user has in PYTHONPATH
RUN_MODULE = (
    "import runpy, sys; sys.path.insert(0, sys.argv[1]); del sys.argv[:2]; "
    "runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


def module_command(module: str, *arguments: str, python: Sequence[str] = ()) -> list[str]:
    """Return the command that runs one of our own modules, as `python -m MODULE ARGUMENTS` does in the checkout.

    `python` starts the Python of another environment, 3.11 or newer; without it the module runs in this one.
    """
    return [*([*python, "-P"] if python else PYTHON), "-c", RUN_MODULE, str(PROGRAM), module, *arguments]
