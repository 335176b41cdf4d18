"""A user's Python file as a module."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

#: How the names of such modules begin.
PREFIX = "ran_user_"


def imported(location: Path) -> ModuleType:
    """The module in a file, imported once for one content; it may import modules beside it, by name or as `.name`.

    Whatever the file raises goes through. `ImportError` for a file that is no Python module.
    """
    location = location.resolve()
    name = PREFIX + hashlib.sha256(str(location).encode() + location.read_bytes()).hexdigest()[:16]
    if name in sys.modules:
        return sys.modules[name]
    # as a package of its folder, so that `from .layers import Layer` finds the module beside it
    folder = [str(location.parent)]
    spec = importlib.util.spec_from_file_location(name, location, submodule_search_locations=folder)
    if spec is None or spec.loader is None:
        raise ImportError(f"{location} is no Python module")
    if str(location.parent) not in sys.path:
        sys.path.append(str(location.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
