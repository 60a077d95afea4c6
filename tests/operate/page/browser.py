"""Chromium over its own driver: what a page did, and everything it complained of."""

from __future__ import annotations

import contextlib
import functools
import json
import shutil
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.process import PATIENCE_SECONDS, POLL_SECONDS

#: Nothing but the page: no updates, no first run, no name but this machine's.
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-default-apps", "--disable-extensions", "--hide-scrollbars",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip
#: What every page is made to tell of: violations of its policy, and errors that nobody caught.
WITNESS = """
window.complaints = [];
addEventListener("securitypolicyviolation", (event) =>
  complaints.push(`policy: ${event.violatedDirective} ${event.blockedURI}`));
addEventListener("error", (event) => complaints.push(`error: ${event.message}`));
addEventListener("unhandledrejection", (event) => complaints.push(`rejection: ${event.reason}`));
"""
WIDE, NARROW = (1280, 900), (390, 844)


def missing() -> str | None:
    """Why there is no browser here; none where there is one."""
    for program in ("chromium", "chromedriver"):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt-get install chromium chromium-driver)"
    return None


class Browser:
    """One window."""

    def __init__(self, driver: Any) -> None:
        self.driver = driver
        driver.execute_cdp_cmd("Page.enable", {})
        driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WITNESS})

    def size(self, width: int, height: int) -> None:
        """Make what is seen so wide and high, in CSS pixels, whatever the window's frame."""
        self.driver.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
        )

    def prefer(self, scheme: str) -> None:
        """As if the system were set to `dark` or `light`."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page; what it returns."""
        return self.driver.execute_script(script, *arguments)

    def text(self, selector: str) -> str:
        """What stands in an element, as it is seen."""
        return str(self.run("return document.querySelector(arguments[0]).innerText", selector))

    def until(self, true: Callable[[], object], what: str) -> None:
        """Wait until something holds."""
        give_up = time.monotonic() + PATIENCE_SECONDS
        while not true():
            assert time.monotonic() < give_up, f"{what} never came true: {self.text('body')[:2000]}"
            time.sleep(5 * POLL_SECONDS)

    def leave(self) -> None:
        """Go nowhere: a page that stays open goes on asking."""
        self.driver.get("about:blank")

    def complaints(self) -> list[str]:
        """All that the page and the console complained of since this was asked last."""
        console = (entry["message"] for entry in self.driver.get_log("browser"))
        return [*console, *self.run("return complaints.splice(0)")]

    def asked(self) -> set[str]:
        """The hosts and ports that the page asked anything of since this was asked last."""
        events = (json.loads(entry["message"]) for entry in self.driver.get_log("performance"))
        urls = (
            event["message"]["params"]["request"]["url"]
            for event in events
            if event["message"]["method"] == "Network.requestWillBeSent"
        )
        return {urlsplit(url).netloc for url in urls}


@functools.cache
def _selenium() -> Any:
    from selenium import webdriver

    return webdriver


@contextlib.contextmanager
def opened() -> Iterator[Browser]:
    """A window of a new browser, which goes with it. Selenium's own downloads are off: both
    programs are named.
    """
    webdriver = _selenium()
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield Browser(driver)
    finally:
        driver.quit()
