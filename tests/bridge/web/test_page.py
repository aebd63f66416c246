"""The page in a real Chromium, with calls going on: it shows them, and its buttons act on them."""

import asyncio
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait

from tests.bridge.web.rig import ORGANIZER, SOON_S, VIEWER, Rig, callee, gateway, running

CHROMIUM = shutil.which("chromium")
DRIVER = shutil.which("chromedriver")
SHOWN_S = 40
pytestmark = [
    pytest.mark.peer,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="no Chromium with its driver here"),
]
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--window-size=1200,900",
)


class Browser:
    """One Chromium window."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def open(self, url: str, token: str = "") -> None:
        self.driver.get(url)
        if token:
            field = self.driver.find_element(By.ID, "token")
            field.send_keys(token, Keys.ENTER)  # keyboard alone

    def find(self, selector: str) -> WebElement:
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def text(self, selector: str) -> str:
        return str(self.find(selector).text)

    def until(self, what: Callable[[], object]) -> None:
        def holds(_: object) -> bool:
            try:
                return bool(what())
            except WebDriverException:
                return False

        WebDriverWait(self.driver, SHOWN_S, poll_frequency=0.1).until(holds)

    def press(self, selector: str) -> None:
        """Press a button with the keyboard."""
        self.find(selector).send_keys(Keys.SPACE)

    def say_yes(self) -> None:
        self.until(lambda: self.driver.switch_to.alert)
        self.driver.switch_to.alert.accept()

    def errors(self) -> list[str]:
        logs = self.driver.get_log("browser")  # type: ignore[no-untyped-call]  # selenium's
        return [str(one["message"]) for one in logs if one["level"] == "SEVERE"]

    def shot(self, name: str) -> None:
        """Keep a picture of the window where TOLLBRIDGE_SHOTS names a folder."""
        folder = os.environ.get("TOLLBRIDGE_SHOTS")
        if folder:
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    options = Options()
    options.binary_location = CHROMIUM or ""
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for flag in (*FLAGS, f"--user-data-dir={tmp_path / 'chromium'}"):
        options.add_argument(flag)
    driver = webdriver.Chrome(options=options, service=Service(DRIVER))
    try:
        yield Browser(driver)
    finally:
        driver.quit()


def row(rig: Rig, leg: str) -> str:
    return f'[data-leg="{leg}"]'


async def test_the_page_shows_calls_and_mutes_starts_and_kicks_by_keyboard(
    tmp_path: Path, browser: Browser
) -> None:
    async with running(tmp_path) as rig:
        ann = await rig.call("ann")
        await rig.call("olga", organizer=True)
        leg = rig.leg(ann)

        def watch_and_start() -> None:
            browser.open(rig.web.url, ORGANIZER)
            browser.until(lambda: browser.text("#link") == "live")
            browser.until(lambda: "ann" in browser.text(row(rig, leg)))
            assert "toll-free US" in browser.text(row(rig, leg))
            assert browser.text(f"{row(rig, leg)} .leg-state") == "waiting"
            assert browser.text('[data-session="s1"] .hosting') == "olga"
            browser.press(".start")
            browser.until(lambda: browser.text('[data-session="s1"] .state') == "in session")
            browser.until(lambda: browser.text(f"{row(rig, leg)} .leg-state") == "in")

        def levels() -> None:
            browser.until(lambda: browser.find(f"{row(rig, leg)} .meter.speaks").is_displayed())
            shown = browser.find(f"{row(rig, leg)} .meter").get_attribute("aria-valuetext")
            assert shown is not None
            assert shown.startswith("speaking, -")
            browser.until(lambda: "% lost" in browser.text(f"{row(rig, leg)} .line"))

        def mute() -> None:
            browser.press(f"{row(rig, leg)} .mute")
            browser.until(lambda: browser.find(f"{row(rig, leg)} .muted").is_displayed())
            assert browser.driver.switch_to.active_element == browser.find(
                f"{row(rig, leg)} .mute"
            ), "the focus stays on the button"

        def lecture() -> None:
            browser.press('[data-session="s1"] .lecture-mode')
            browser.until(lambda: browser.find('[data-session="s1"] .lecture').is_displayed())
            browser.until(lambda: browser.text('[data-session="s1"] .charges').startswith("0.00"))
            browser.until(lambda: "0.12" in browser.text('[data-session="s1"] .charges'))
            browser.find('[data-session="s1"] .numbers summary').click()
            browser.until(
                lambda: "United States" in browser.text('[data-session="s1"] .number-list')
            )
            browser.shot("wide")

        def kick() -> None:
            browser.press(f"{row(rig, leg)} .kick")
            browser.say_yes()
            browser.until(lambda: not browser.driver.find_elements(By.CSS_SELECTOR, row(rig, leg)))
            assert browser.errors() == []

        await asyncio.to_thread(watch_and_start)
        await asyncio.to_thread(levels)
        await asyncio.to_thread(mute)
        assert next(view.muted for view in rig.bridge.roster() if view.leg == leg)
        await asyncio.to_thread(lecture)
        assert rig.bridge.occurrences()[0].lecture
        await asyncio.to_thread(kick)
        assert await ann.over(SOON_S)


def choose(browser: Browser, selector: str, value: str) -> None:
    Select(browser.find(selector)).select_by_value(value)


async def test_the_page_records_announces_moves_turns_down_and_sets_options(
    tmp_path: Path, browser: Browser
) -> None:
    kept = {"directory": str(tmp_path / "kept")}
    async with running(tmp_path, recording=kept) as rig:
        ann = await rig.call("ann")
        await rig.call("olga", organizer=True)
        await rig.ask("POST", "/sessions/s1/start")
        other = await rig.ask("POST", "/sessions", {"account": "acme", "title": "Elsewhere"})
        leg = rig.leg(ann)
        card = '[data-session="s1"]'

        def record() -> None:
            browser.open(rig.web.url, ORGANIZER)
            browser.until(lambda: browser.text("#link") == "live")
            browser.until(lambda: "ann" in browser.text(row(rig, leg)))
            browser.find(f"{card} .tapes summary").click()
            browser.until(lambda: browser.find(f"{card} .no-tapes").is_displayed())
            browser.press(f"{card} .record")
            browser.until(lambda: browser.find(f"{card} .recorded").is_displayed())
            browser.until(lambda: "being recorded" in browser.text(f"{card} .tape-list"))
            browser.press(f"{card} .record")
            browser.until(lambda: "being recorded" not in browser.text(f"{card} .tape-list"))
            browser.until(lambda: browser.find(f"{card} .tape-list button").is_enabled())

        def announce_and_turn_down() -> None:
            browser.find(f"{card} .say-box summary").click()
            choose(browser, f"{card} .say-to", leg)
            browser.find(f"{card} .say-text").send_keys("Hello", Keys.ENTER)
            browser.until(lambda: browser.text("#said") == "Announced.")
            choose(browser, f"{row(rig, leg)} .volume", "-12")

        def options() -> None:
            browser.find(f"{card} .options-box summary").click()
            browser.find(f"{card} .continue").send_keys("5")
            choose(browser, f"{card} .entry", "name")
            browser.find(f"{card} .security-code").send_keys("2580", Keys.ENTER)
            browser.until(lambda: browser.text(f"{card} .saved") == "Saved.")
            browser.until(lambda: browser.text(f"{card} .security") == "2580#")

        def move() -> None:
            choose(browser, f"{row(rig, leg)} .move", other.json()["id"])
            elsewhere = f'[data-session="{other.json()["id"]}"]'
            browser.until(lambda: "ann" in browser.text(f"{elsewhere} tbody"))
            assert browser.errors() == []

        await asyncio.to_thread(record)
        await asyncio.to_thread(announce_and_turn_down)
        assert await rig.bridge.wait_for(
            lambda b: any(v.leg == leg and v.gain_db == -12 for v in b.roster()), SOON_S
        )
        await asyncio.to_thread(options)
        spec = next(s for s in rig.bridge.sessions() if s.id == "s1")
        assert (spec.continue_ms, spec.security_code) == (300_000, "2580")
        await asyncio.to_thread(move)


async def test_the_page_calls_somebody_and_shows_what_becomes_of_it(
    tmp_path: Path, browser: Browser
) -> None:
    async with callee() as phone, running(tmp_path, call_me=gateway(phone)) as rig:

        def order() -> None:
            browser.open(rig.web.url, ORGANIZER)
            browser.until(lambda: browser.text("#link") == "live")
            browser.find('[data-session="s1"] .call-box summary').click()
            browser.find(".call-name").send_keys("Ann")
            browser.find(".call-number").send_keys("+1 212 555 0123", Keys.ENTER)
            browser.until(lambda: browser.text(".leg-state") == "being called")

        await asyncio.to_thread(order)
        await phone.rung()
        await asyncio.to_thread(browser.until, lambda: browser.text(".called") == "Ann rings")
        await asyncio.to_thread(browser.until, lambda: browser.text(".call-state") == "rings")
        await phone.answer()
        await asyncio.to_thread(
            browser.until, lambda: browser.text(".leg-state") == "answered, must press 1"
        )
        await phone.press("1")
        await asyncio.to_thread(browser.until, lambda: browser.text(".leg-state") == "waiting")
        await asyncio.to_thread(browser.until, lambda: browser.text(".call-state") == "joined")
        assert await asyncio.to_thread(browser.errors) == []
        await phone.hang_up()


async def test_a_phones_screen_in_the_dark_scrolls_in_one_direction_only(
    tmp_path: Path, browser: Browser
) -> None:
    async with running(tmp_path) as rig:
        await rig.call("ann")
        await rig.call("olga", organizer=True)
        await rig.ask("POST", "/sessions/s1/start")

        def look() -> None:
            drive = browser.driver.execute_cdp_cmd
            size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
            drive("Emulation.setDeviceMetricsOverride", size)
            dark = [{"name": "prefers-color-scheme", "value": "dark"}]
            drive("Emulation.setEmulatedMedia", {"features": dark})
            browser.open(rig.web.url, VIEWER)
            browser.until(lambda: "olga" in browser.text('[data-session="s1"] tbody'))
            browser.until(lambda: browser.text('[data-session="s1"] .state') == "in session")
            wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
            assert wide <= 390
            assert not browser.find('[data-session="s1"] .controls').is_displayed(), "a viewer"
            assert not browser.find('[data-session="s1"] .pin-box').is_displayed()
            back = browser.find("body").value_of_css_property("background-color")
            assert back == "rgba(16, 23, 28, 1)"
            browser.shot("phone")

        await asyncio.to_thread(look)


async def test_a_participants_page_is_told_of_new_numbers_while_it_is_open(
    tmp_path: Path, browser: Browser
) -> None:
    async with running(tmp_path) as rig:
        session = (await rig.ask("GET", "/sessions/s1")).json()
        await asyncio.to_thread(browser.open, session["join_url"])
        await asyncio.to_thread(browser.until, lambda: "United States" in browser.text("#numbers"))
        assert (await asyncio.to_thread(browser.text, "#code")) == "482913#"
        await rig.ask("PATCH", "/sessions/s1", {"toll_free": ["US", "FR"]})
        await asyncio.to_thread(browser.until, lambda: "France" in browser.text("#said"))
        assert await asyncio.to_thread(browser.errors) == []


async def test_a_participants_page_speaks_the_language_of_the_browser_or_of_the_session(
    tmp_path: Path, browser: Browser
) -> None:
    async with running(tmp_path) as rig:
        made = await rig.ask("POST", "/sessions", {"language": "de", "security_code": "2580"})

        def look(language: str, code: str) -> None:
            agent = browser.driver.execute_script("return navigator.userAgent")
            override = {"userAgent": agent, "acceptLanguage": language}
            browser.driver.execute_cdp_cmd("Emulation.setUserAgentOverride", override)
            browser.open(made.json()["join_url"])
            browser.until(lambda: browser.text('[data-word="code"]') == code)

        for language, code, note in (
            ("nl-NL", "Toegangscode", "beveiligingscode"),
            ("sv-SE", "Zugangscode", "Sicherheitscode"),
        ):
            await asyncio.to_thread(look, language, code)
            assert note in await asyncio.to_thread(browser.text, "#secured")
        assert await asyncio.to_thread(browser.errors) == []


async def test_a_token_that_is_not_known_is_said_so(tmp_path: Path, browser: Browser) -> None:
    async with running(tmp_path) as rig:
        await asyncio.to_thread(browser.open, rig.web.url, "nobody-has-this-token")
        await asyncio.to_thread(
            browser.until, lambda: browser.text("#trouble") == "This token is not known."
        )


async def test_the_story_of_a_leg_opens_from_its_row_by_keyboard(
    tmp_path: Path, browser: Browser
) -> None:
    async with running(tmp_path) as rig:
        leg = rig.leg(await rig.call("ann"))

        def look() -> None:
            browser.open(rig.web.url, ORGANIZER)
            browser.until(lambda: browser.find(f"{row(rig, leg)} .story"))
            browser.find(f"{row(rig, leg)} .story").send_keys(Keys.ENTER)
            browser.until(lambda: "INVITE" in browser.text("main"))
            assert browser.driver.current_url.endswith(f"/legs/{leg}")
            assert browser.text("#title") == f"The story of {leg}"
            assert browser.find("svg .bar.waiting").is_displayed()
            browser.shot("leg")
            assert browser.errors() == []

        await asyncio.to_thread(look)
