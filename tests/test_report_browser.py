"""The report in a real browser."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from report_cases import EVIL, hostile_run

from recon.report import write_report


@pytest.mark.browser
def test_in_a_browser(tmp_path: Path) -> None:
    """Nothing is loaded or run that should not be; dragging, enlarging and keys work."""
    api = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    report = write_report(hostile_run(tmp_path / "run"))
    flags = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    with api.sync_playwright() as p:
        browser = p.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 390, "height": 800})
        complaints: list[str] = []
        requests: list[str] = []
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(report.as_uri())
        assert "owned" not in page.title().replace(EVIL, "")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("[...document.images].filter(i => i.src).every(i => i.naturalWidth)")

        split = page.locator(".split").first
        frame = split.bounding_box()
        assert frame is not None
        page.mouse.move(frame["x"] + frame["width"] / 2, frame["y"] + 5)
        page.mouse.down()
        page.mouse.move(frame["x"] + frame["width"] / 4, frame["y"] + 5)
        page.mouse.up()
        at = split.evaluate("node => parseFloat(node.style.getPropertyValue('--at'))")
        assert at == pytest.approx(25, abs=1.5)

        page.locator(".view .pics button").nth(1).click()
        dialog = page.locator("dialog")
        assert dialog.locator("h3").inner_text().startswith(EVIL[:20])
        assert dialog.locator(".stage .split").count() == 1
        page.keyboard.press("Escape")
        page.locator(".view .pics button").nth(2).click()
        assert dialog.locator("[aria-pressed=true]").inner_text() == "Error"
        page.keyboard.press("ArrowRight")
        assert dialog.locator("h3").inner_text().startswith("b.jpg")
        assert dialog.locator(".stage > img").count() == 1
        page.keyboard.press("Escape")
        assert not dialog.is_visible()

        chart = page.locator(".chart svg").first
        chart.scroll_into_view_if_needed()
        chart.hover()
        assert "after" in page.locator(".chart figcaption b").first.inner_text()
        browser.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
