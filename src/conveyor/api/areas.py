"""The areas of a workspace, marked once, so that one that is not mounted is noticed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from conveyor.capabilities.registry import Registry
from conveyor.engine.area_marker import MarkedArea, mark_area
from conveyor.engine.context import Environment
from conveyor.errors import ConveyorError, QaAreaMissingError
from conveyor.request.places import find_roots
from conveyor.settings.sources import Config, load_config

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def init_areas(areas: Sequence[Path] = (), *, config: Config | None = None) -> list[MarkedArea]:
    """Mark areas; without any, the spool area and the QA areas of all capabilities that are there.

    Raises :class:`~conveyor.errors.QaAreaMissingError` if an area is not there,
    :class:`~conveyor.errors.ConfigurationError` if no area and no spool root are given, and other
    :class:`~conveyor.errors.ConveyorError`.
    """
    config = config or load_config()
    return [_marked(path) for path in areas or areas_of(config)]


def areas_of(config: Config) -> list[Path]:
    """The spool area, and each QA area that is there."""
    roots = find_roots(config.values)
    names = sorted({one.capability.qa_area for one in Registry(config).everything() if one.capability})
    return [roots.spool, *(roots.qa / name for name in names if (roots.qa / name).is_dir())]


def _marked(path: Path) -> MarkedArea:
    environment = Environment()
    try:
        return mark_area(environment.fs, path, environment.host.token())
    except FileNotFoundError:
        raise QaAreaMissingError(f"there is no area {path}") from None
    except OSError as error:
        raise ConveyorError.from_os_error(error) from error
