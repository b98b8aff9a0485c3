"""The pages of the board, made from its view by templates that escape every value."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from conveyor.api.sizes import size_text
from conveyor.board.board_view import (
    EMPTY,
    ORDERS,
    TITLES,
    Choice,
    Order,
    View,
    is_waiting,
    narrowed_to_page,
    project_choices,
)
from conveyor.board.board_words import STATES, TROUBLES, age_words, duration_words, exact, seconds_since
from conveyor.board.weblog_links import quoted
from conveyor.values import frozen

if TYPE_CHECKING:
    from collections.abc import Callable

    from conveyor.board.board_view import BoardView, Row
    from conveyor.board.request_details import RequestDetails
    from conveyor.board.weblog_links import WeblogLinks

#: The files that stand beside the pages, with their types.
ASSETS = {
    "board.css": "text/css; charset=utf-8",
    "board.js": "text/javascript; charset=utf-8",
    "board.svg": "image/svg+xml",
}
_NO_CHOICE = Choice()


@frozen
class Surroundings:
    """What a page has around it: links to weblogs, and the addresses of other pages as this place has them.

    ``is_served``: there is a server that searches. ``trouble`` says why what is shown is not the newest.
    """

    links: WeblogLinks
    list_address: Callable[[Choice], str]
    is_served: bool = True
    trouble: str | None = None


def list_page(view: BoardView, choice: Choice, around: Surroundings) -> bytes:
    """The page of a list; the first of those that wait has the beginnings of the others below it."""
    page = view.page(choice)
    others = []
    if choice.view is View.WAITING and page.number == 1:
        narrowed = Choice(area=choice.area, project=choice.project, assigned=choice.assigned, text=choice.text)
        others = [
            (other, view.few(other)) for other in (_with_view(narrowed, one) for one in (View.ARRIVING, View.JUDGED))
        ]
    return _render(
        "list.html",
        root="",
        view=view,
        choice=choice,
        page=page,
        others=others,
        around=around,
        counts={one: len(view.lists[one]) for one in View},
        areas=sorted({*view.areas, choice.area} - {""}),
        orders={Order.OWN: ORDERS[choice.view], Order.SIZE: "largest first", Order.NAME: "by name"},
        empty=EMPTY,
        projects=project_choices(view.projects, choice.project),
        people=project_choices(view.people, choice.assigned),
        with_area=_with_area,
        narrowed_to_page=narrowed_to_page,
    )


def request_page(view: BoardView, row: Row, details: RequestDetails, around: Surroundings) -> bytes:
    """The page of one request."""
    return _render("request.html", root="../../", view=view, row=row, details=details, around=around)


def message_page(title: str, text: str, *, root: str | None = None) -> bytes:
    """A page that says one thing; with a ``root`` it leads to the list."""
    return _render("message.html", root=root or "", title=title, text=text, leads_back=root is not None)


def sign_in_page(*, root: str, to: str, was_wrong: bool) -> bytes:
    """The page that asks for the token; ``to`` is where it leads then."""
    return _render("sign_in.html", root=root, to=to, was_wrong=was_wrong)


@cache
def asset(name: str) -> bytes:
    """A file that stands beside the pages."""
    return resources.files("conveyor.board").joinpath("static", name).read_bytes()


def _with_view(choice: Choice, view: View) -> Choice:
    return Choice(view, choice.area, choice.project, choice.assigned, choice.text)


def _with_area(choice: Choice, area: str) -> Choice:
    return replace(choice, area=area, page=1)


def _render(template: str, **values: Any) -> bytes:
    return _environment().get_template(template).render(**values).encode("utf-8", "replace")


@cache
def _environment() -> Environment:
    environment = Environment(
        autoescape=True,
        loader=PackageLoader("conveyor.board"),
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters |= {"size": size_text, "exact": exact, "age": age_words, "duration": duration_words}
    environment.filters |= {"quoted": quoted}
    environment.globals |= {
        "seconds_since": seconds_since,
        "troubles": TROUBLES,
        "Choice": Choice,
        "View": View,
        "titles": TITLES,
    }
    environment.globals |= {"states": STATES, "waits": is_waiting}
    return environment


def _shown(value: Any) -> Any:
    """Show nothing for None, and a sign in the place of what nobody sees.

    Of that kind are bytes that are no UTF-8, and the characters that would have the text after them read backwards.
    """
    if value is None:
        return ""
    if type(value) is str and not value.isprintable():
        return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in value)
    return value
