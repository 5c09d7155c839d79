"""Helm itself, where it is at hand: the program, or the package `helm-python-sdk`, which has it as a library."""

import importlib
import importlib.util
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support.go_templates import RELEASE, Refused


def documents(rendered: dict[str, str]) -> list[dict[str, Any]]:
    """Every object, by kind and name."""
    made = [
        document
        for name, text in rendered.items()
        if name.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]
    return sorted(made, key=lambda it: (it["kind"], it["metadata"]["name"]))


@dataclass(frozen=True)
class Helm:
    """Helm itself, as a program or as the package `helm-python-sdk`."""

    folder: Path
    program: str | None

    def lint(self) -> list[str]:
        """What it complains about."""
        if self.program is None:
            sdk = importlib.import_module("helm_python")
            report = sdk.lint(str(self.folder), strict=True)
            # 1 is information: that there is no icon.
            said = [it["error"] for it in report["messages"] if it["severity"] > 1]
            return [*map(str, said), *map(str, report["errors"])]
        done = self._run("lint", "--strict", str(self.folder))
        return [] if done.returncode == 0 else [done.stdout + done.stderr]

    def render(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        """The objects. Raises Refused, as the little one does."""
        if self.program is None:
            return self._render_here(values)
        options = ("--namespace", RELEASE["Namespace"], "--values", "-")
        done = self._run(
            "template", RELEASE["Name"], str(self.folder), *options, given=yaml.safe_dump(values)
        )
        if done.returncode:
            raise Refused(done.stderr)
        return documents({"all.yaml": done.stdout})

    def _render_here(self, values: dict[str, Any]) -> list[dict[str, Any]]:
        sdk = importlib.import_module("helm_python")
        with sdk.Chart.load(str(self.folder)) as chart:
            try:
                chart.validate_schema(values)
                made = chart.render(values, name=RELEASE["Name"], namespace=RELEASE["Namespace"])
            except sdk.HelmError as error:
                raise Refused(str(error)) from None
        return documents(made)

    def _run(self, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.program), *words], input=given, capture_output=True, text=True, check=False
        )


def found(folder: Path) -> list[Helm]:
    """Those that are here: none, one or both."""
    program = shutil.which("helm")
    made = [Helm(folder, program)] if program else []
    return made + ([Helm(folder, None)] if importlib.util.find_spec("helm_python") else [])
