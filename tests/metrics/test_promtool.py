"""Prometheus's own tool on what Conveyor writes for it. ``nox -s metrics`` brings the tool; without it these tests fail."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import conveyor
from conveyor.api.metrics import metrics_text

if TYPE_CHECKING:
    from support.workspace import Workspace

ALERTS = Path(__file__).parents[2] / "docs" / "examples" / "conveyor-alerts.yml"
CASES = Path(__file__).with_name("alerts_test.yml")


def _promtool(*arguments: str, content: str = "", folder: Path | None = None) -> None:
    """Run promtool; fails with what it says unless it is content."""
    tool = os.environ.get("PROMTOOL", "promtool")
    done = subprocess.run([tool, *arguments], input=content, capture_output=True, text=True, check=False, cwd=folder)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


def test_the_metrics_are_such_as_prometheus_wants(workspace: Workspace) -> None:
    """promtool takes the metrics of a workspace, and finds nothing to say about their names and texts."""
    config = conveyor.load_config({"spool_root": str(workspace.spool.parent)}, environment={})
    conveyor.deliver(workspace.metadata, config=config).raise_for_error()
    _promtool("check", "metrics", content=metrics_text(config))


def test_the_alerts_of_the_documentation_are_rules_that_fire(tmp_path: Path) -> None:
    """promtool takes the example of alerts; each is quiet while all is well, and fires when it should."""
    shutil.copy(ALERTS, tmp_path)
    shutil.copy(CASES, tmp_path)
    _promtool("check", "rules", ALERTS.name, folder=tmp_path)
    _promtool("test", "rules", CASES.name, folder=tmp_path)
