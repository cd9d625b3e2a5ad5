"""What a user sees of the package: its names at TAB, its page of help, its version, its extension."""

from __future__ import annotations

import pydoc
import subprocess
import sys
from importlib.metadata import version

import pytest
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell

import calypso_nb

NAMES = {
    "Dashboard",
    "History",
    "Recorder",
    "Scheduler",
    "Thresholds",
    "TinytaskAPIError",
    "TinytaskClient",
    "TinytaskClientError",
    "TinytaskConnectionError",
    "WorkloadData",
    "WorkloadReporter",
    "charts",
    "difference",
    "digest_between",
    "write_report",
}


def test_tab_offers_the_public_names_and_no_others() -> None:
    """Not the modules that happen to be loaded, nor what the package itself imports."""
    import calypso_nb.view.page

    assert set(dir(calypso_nb)) == NAMES | {"__version__"}
    shell = InteractiveShell.instance()
    shell.user_ns["calypso_nb"] = calypso_nb
    with provisionalcompleter():
        offered = shell.Completer.completions("calypso_nb.", len("calypso_nb."))
        assert {completion.text for completion in offered} == NAMES


@pytest.mark.parametrize("name", sorted(NAMES | {"__version__"}))
def test_every_public_name_is_there(name: str) -> None:
    """Each loads on first use, and what isn't one is an AttributeError."""
    assert getattr(calypso_nb, name)
    with pytest.raises(AttributeError, match=f"no attribute '{name}s'"):
        getattr(calypso_nb, f"{name}s")


def test_help_is_a_page() -> None:
    """It names every public name and fits in a screen or two."""
    page = pydoc.render_doc(calypso_nb, renderer=pydoc.plaintext)
    assert all(name in page for name in NAMES)
    assert "Dashboard(reporter, every=60)" in page
    assert len(page.splitlines()) < 80


def test_the_version_is_that_of_the_installed_package() -> None:
    """Importing the package loads neither it nor anything heavy."""
    assert calypso_nb.__version__ == version("calypso_nb")
    program = "import sys, calypso_nb; print('importlib.metadata' in sys.modules, 'pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]


def test_the_extension_can_be_loaded_and_unloaded() -> None:
    """In a process of its own, as nest-asyncio changes asyncio for good; `asyncio.run` comes back."""
    program = """
import asyncio
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
before, shell = asyncio.run, InteractiveShell.instance()
shell.run_line_magic("load_ext", "calypso_nb")
loaded = asyncio.run
shell.run_line_magic("unload_ext", "calypso_nb")
print(loaded is not before, asyncio.run is before)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]
