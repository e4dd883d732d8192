"""A real browser without a window, out of the system's own packages: Chromium, driven by its own driver."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService
from selenium.webdriver.common.by import By

from tests.support.system_programs import CHROMEDRIVER, CHROMIUM, require
from tests.support.waiting import wait_for

PHONE, DESK, HEIGHT = 360, 900, 840


class Browser:
    """One window on one reader's page.

    Args:
        driver: of the browser.
        shots: where pictures of it go.
    """

    def __init__(self, driver: Chrome, shots: Path) -> None:
        self._driver = driver
        self._shots = shots

    def open(self, port: int, query: str = "", *, width: int = DESK, dark: bool = False) -> None:
        """Open the page of a reader.

        Args:
            port: on 127.0.0.1.
            query: what follows the path.
            width: of the window, in CSS pixels.
            dark: whether the person prefers dark colours.
        """
        size = {"width": width, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": width <= PHONE}
        self._driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        preference = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [preference]})
        self._driver.get(f"http://127.0.0.1:{port}/{query}")

    def look_up(self, user_id: str) -> None:
        """Ask for a user, as a person would."""
        field = self._driver.find_element(By.ID, "user-id")
        field.clear()
        field.send_keys(user_id)
        self._driver.find_element(By.CSS_SELECTOR, "#look-up button").click()

    def text(self, selector: str) -> str:
        """Return what a person reads in an element; nothing while it is hidden."""
        return self._driver.find_element(By.CSS_SELECTOR, selector).text

    def await_text(self, selector: str, text: str) -> None:
        """Wait until a person reads a text in an element."""
        wait_for(lambda: text in self.text(selector), 60, f"{text!r} in {selector}")

    def run(self, script: str) -> object:
        """Return what a script returns."""
        return self._driver.execute_script(script)

    def shoot(self, name: str) -> None:
        """Take a picture."""
        assert self._driver.save_screenshot(str(self._shots / f"{name}.png"))

    def complaints(self) -> list[str]:
        """Return what the browser has complained of, but for answers that were errors, since they may be meant."""
        said = self._driver.get_log("browser")  # type: ignore[no-untyped-call]
        return [line["message"] for line in said if line["source"] != "network"]


@contextmanager
def browser(shots: Path) -> Iterator[Browser]:
    """Give a browser.

    Args:
        shots: where pictures go, unless TEST_SCREENSHOTS names another folder.
    """
    options = ChromeOptions()
    options.binary_location = require(CHROMIUM)
    for argument in ("--headless=new", "--disable-dev-shm-usage", "--hide-scrollbars"):
        options.add_argument(argument)
    if os.geteuid() == 0:
        options.add_argument("--no-sandbox")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    started = Chrome(options=options, service=ChromeService(require(CHROMEDRIVER)))
    try:
        yield Browser(started, Path(os.environ.get("TEST_SCREENSHOTS") or shots))
    finally:
        started.quit()
