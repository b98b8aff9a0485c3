"""Readers of the board for locust: each looks at a page, at what it leads to, and thinks for a second."""

from __future__ import annotations

import random
import re
from urllib.parse import urljoin

from locust import HttpUser, between, task

_PLOTS = 4  # that are looked at of a page


class Reader(HttpUser):
    """Somebody who keeps the board open."""

    wait_time = between(0.5, 1.5)
    names: tuple[str, ...] = ()
    weblogs: tuple[str, ...] = ()

    @task(6)
    def look_at_the_list(self) -> None:
        """The first page of what waits, or another one."""
        page = random.choice(("", "", "", "?page=2", "?view=judged", "?view=operator"))
        answer = self.client.get(f"/{page}", name="list")
        self.names = tuple(re.findall(r'href="(request/[^"]+/)"', answer.text)) or self.names
        self.weblogs = tuple(re.findall(r'class="button" href="([^"]+)"', answer.text)) or self.weblogs

    @task(3)
    def look_at_a_request(self) -> None:
        """The page of a request that the list names."""
        if self.names:
            self.client.get(f"/{random.choice(self.names)}", name="request")

    @task(1)
    def search(self) -> None:
        """A search that no page was made for."""
        self.client.get(f"/?text={random.randrange(10_000)}", name="search")

    @task(4)
    def read_a_weblog(self) -> None:
        """The first page of a weblog, and some of the plots that are on it."""
        if self.weblogs:
            page = random.choice(self.weblogs)
            answer = self.client.get(page, name="weblog page")
            plots = re.findall(r'src="([^"]+)"', answer.text)
            for plot in random.sample(plots, min(_PLOTS, len(plots))):
                self.client.get(urljoin(page, plot), name="weblog plot")
