"""The page in a real browser: Debian's chromium, driven by Playwright."""

from __future__ import annotations

import io
import re
import shutil
import threading
import time
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

import deepdft
from deepdft.web.jobs import Job
from tests.web.conftest import LIMITS
from tests.web.server import running

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")

SOFTWARE = [
    "--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
]  # fmt: skip
PATIENCE = 180_000
"""Milliseconds; machines may be busy."""


@pytest.fixture(scope="module")
def address(models):
    with running(models, LIMITS) as found:
        yield found


@pytest.fixture(scope="module")
def started():
    with playwright.sync_playwright() as found:
        yield found


@pytest.fixture(scope="module")
def browser(started):
    found = started.chromium.launch(executable_path=CHROMIUM, args=SOFTWARE, timeout=PATIENCE)
    yield found
    found.close()


@pytest.fixture
def visit(browser):
    """Open pages; afterwards, none has spoken to another host or run into an error."""
    seen, problems, contexts = [], [], []

    def opened(address, **options):
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        page.on("request", lambda request: seen.append(request.url))
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if _is_bad(said) else None)
        whole, _, hash_ = address.partition("#")
        page.goto(whole)
        if hash_:
            page.goto(f"{page.url.partition('#')[0]}#{hash_}")
        return page

    yield opened
    for context in contexts:
        context.close()
    own = re.compile(r"(http://127\.0\.0\.1:|data:|blob:)")
    assert not [url for url in seen if not own.match(url)]
    assert not problems


def _is_bad(said):
    # A refused request is told on the console as well; the page shows a sentence.
    return said.type == "error" and "Failed to load resource" not in said.text


def complete(page, title):
    """Wait until all of a structure is there."""
    page.get_by_role("heading", name=title, exact=True).wait_for()
    page.locator("#viewer[data-quality=full]").wait_for()
    page.locator("#progress").wait_for(state="hidden")


def state_of(page):
    return {name: value[0] for name, value in parse_qs(urlsplit(page.url).fragment).items()}


def pixels_of(page):
    """Return the picture, (height, width, 3), from 0 to 255."""
    from PIL import Image

    picture = Image.open(io.BytesIO(page.locator("#viewer canvas").first.screenshot()))
    return np.asarray(picture.convert("RGB")).astype(int)


def covered(page):
    """Return the share of the picture that is not background."""
    pixels = pixels_of(page)
    # The corner at the bottom has nothing over it.
    ground = pixels[-4, 4]
    return float((np.abs(pixels - ground).sum(axis=2) > 24).mean())


def ask(page, words):
    field = page.get_by_label("Name of an example, or SMILES")
    field.fill(words)
    field.press("Enter")


def electrons(page, tmp_path):
    with page.expect_download() as download:
        page.get_by_role("link", name="Cube").click()
    path = tmp_path / "downloaded.cube"
    download.value.save_as(path)
    return deepdft.read(path).n_electrons, path


def test_from_smiles_to_a_surface_and_a_file(visit, address, tmp_path):
    page = visit(address)
    ask(page, "CO")
    complete(page, "CO")
    assert "token" not in page.url
    assert covered(page) > 0.08
    assert (
        "98" in page.locator("#inside").inner_text() or "99" in page.locator("#inside").inner_text()
    )
    before = covered(page), page.locator("#viewer").get_attribute("data-level")
    page.locator("#level").focus()
    for _ in range(9):
        page.keyboard.press("PageUp")
    page.wait_for_function(
        "old => document.getElementById('viewer').dataset.level !== old", arg=before[1]
    )
    page.wait_for_function("() => location.hash.includes('level')")
    assert covered(page) < 0.9 * before[0]
    assert float(state_of(page)["level"]) > float(before[1])
    assert electrons(page, tmp_path)[0] == pytest.approx(14, abs=0.1)
    assert "predicted, not measured" in page.inner_text("main")


@pytest.mark.thorough
def test_drawing_a_molecule(visit, address):
    page = visit(f"{address}#example=water")
    complete(page, "Water")
    page.get_by_role("button", name="Draw").click()
    canvas = page.locator("#canvas canvas").last
    canvas.wait_for()
    page.wait_for_timeout(500)
    box = canvas.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.get_by_role("button", name="Show its electrons").click()
    complete(page, "CC")
    assert page.locator("#subtitle").inner_text().startswith("C₂H₆")


@pytest.mark.thorough
def test_every_view_draws_something(visit, address):
    page = visit(f"{address}#example=water")
    complete(page, "Water")
    for name in ("Bonds", "Charge", "Expected error", "Electron cloud"):
        page.get_by_role("radio", name=name).check()
        key = {"Electron cloud": "density", "Expected error": "error"}.get(name, name.lower())
        page.locator(f"#viewer[data-view={key}]").wait_for()
        assert int(page.locator("#viewer").get_attribute("data-triangles")) > 100
    page.get_by_label("Cut a slice").check()
    page.locator("#slice-words", has_text="bright").wait_for()
    assert page.evaluate("document.getElementById('slice-canvas').width") > 100
    page.get_by_text("Atom by atom").click()
    rows = page.locator("#atoms tr").all_inner_texts()
    assert [row.split()[0] for row in rows] == ["Atom", "O1", "H2", "H3"]
    assert float(rows[1].split()[1].replace("−", "-")) < 0


@pytest.mark.thorough
def test_a_crystal(visit, address):
    page = visit(f"{address}#example=salt")
    complete(page, "Table salt, NaCl")
    assert covered(page) > 0.1
    assert "crystal" in page.locator("#summary").inner_text()


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["Acetic acid", "Water"])
def test_all_of_a_molecule_is_in_the_picture(visit, address, name):
    page = visit(address)
    ask(page, name)
    complete(page, name)
    page.wait_for_timeout(500)
    pixels = pixels_of(page)
    ground = pixels[-4, 4]
    drawn = np.abs(pixels - ground).sum(axis=2) > 24
    for edge in (drawn[1], drawn[-2]):
        assert not edge.any()
    rows = np.flatnonzero(drawn[:, 100:600].any(axis=1))
    assert np.ptp(rows) > 0.6 * len(pixels)


@pytest.mark.thorough
def test_a_slice_opens_the_cloud(visit, address):
    page = visit(f"{address}#example=water")
    complete(page, "Water")
    page.locator("#opacity").fill("100")

    def bright():
        red, green, blue = np.moveaxis(pixels_of(page), -1, 0)
        return float(((red > 180) & (green > 140) & (blue < 120)).mean())

    page.wait_for_timeout(500)
    assert bright() < 1e-3
    page.get_by_label("Cut a slice").check()
    page.locator("#slice-words", has_text="bright").wait_for()
    page.wait_for_timeout(1000)
    # Where electrons are many, the slice is yellow.
    assert bright() > 5e-3
    page.get_by_label("Cut a slice").uncheck()
    page.wait_for_timeout(1000)
    assert bright() < 1e-3


@pytest.mark.thorough
def test_a_saved_picture_says_what_it_shows(visit, address, tmp_path):
    from PIL import Image

    page = visit(f"{address}#example=water&view=charge")
    complete(page, "Water")
    page.locator("#viewer[data-view=charge]").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Picture").click()
    assert download.value.suggested_filename == "Water.png"
    path = tmp_path / "water.png"
    download.value.save_as(path)
    saved = np.asarray(Image.open(path).convert("RGB")).astype(int)
    box = page.locator("#viewer canvas").first.bounding_box()
    below = saved[round(saved.shape[1] * box["height"] / box["width"]) + 2 :]
    assert len(below) > 60
    # Words, and the ends of the scale.
    assert (below.sum(axis=2) < 200).mean() > 0.01
    red, green, blue = np.moveaxis(below, -1, 0)
    assert ((red > green + 60) & (red > blue + 60)).sum() > 50
    assert ((blue > red + 60) & (blue > green + 30)).sum() > 50
    assert page.locator("#elements").inner_text().split() == ["H", "O"]


@pytest.mark.thorough
def test_stopping(visit, address, monkeypatch):
    advance, released = Job.advance, threading.Event()

    def held(job, points):
        time.sleep(0.1)
        advance(job, points)
        if job.stage == "computing the density":
            released.wait(200)

    with monkeypatch.context() as changed:
        page = visit(f"{address}#example=water")
        complete(page, "Water")
        changed.setattr(Job, "advance", held)
        ask(page, "glucose")
        page.get_by_text("computing the density · ").filter(has_text="points/s").wait_for()
        page.get_by_role("button", name="Stop").click()
        page.get_by_role("heading", name="See the electrons").wait_for()
        page.locator("#progress").wait_for(state="hidden")
        released.set()
        ask(page, "watr")
        page.get_by_role("alert").wait_for()


@pytest.mark.thorough
def test_a_broken_file_is_answered_with_a_sentence(visit, address):
    page = visit(f"{address}#example=water")
    complete(page, "Water")
    file = {"name": "mine.xyz", "mimeType": "text/plain", "buffer": b"three\n\nH 0 0 0\n"}
    page.locator("#file").set_input_files(file)
    alert = page.get_by_role("alert")
    alert.wait_for()
    assert "mine.xyz" in alert.inner_text()
    drop = """() => {
        const data = new DataTransfer();
        data.items.add(new File(["nothing"], "second.cube"));
        for (const name of ["dragenter", "drop"]) {
            dispatchEvent(new DragEvent(name, { dataTransfer: data, bubbles: true }));
        }
    }"""
    page.evaluate(drop)
    page.get_by_role("alert").filter(has_text="second.cube").wait_for()


@pytest.mark.thorough
def test_a_second_density(visit, address, tmp_path):
    page = visit(f"{address}#example=water")
    complete(page, "Water")
    _, path = electrons(page, tmp_path)
    with page.expect_file_chooser() as chooser:
        page.get_by_role("button", name="Open a second density").click()
    chooser.value.set_files(path)
    page.locator("[data-fact=eps_mae]").wait_for()
    assert page.locator("[data-fact=eps_mae]").inner_text() == "0.000 %"
    # The other way round: the file first, then what the model says of its structure.
    page.locator("#file").evaluate("input => { input.dataset.use = 'open'; }")
    page.locator("#file").set_input_files(path)
    complete(page, "downloaded.cube")
    assert "as in your file" in page.inner_text("main")
    page.get_by_role("button", name="Predict it and compare").click()
    page.locator("#viewer[data-view=difference]").wait_for()
    assert page.locator("[data-fact=eps_mae]").inner_text().startswith("0.0")
    assert not page.locator("#comparison .warning").count()


@pytest.mark.thorough
def test_by_keyboard_alone(visit, address):
    page = visit(address)
    page.get_by_role("heading", name="Caffeine").wait_for()
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "query":
            break
    page.keyboard.type("water")
    page.keyboard.press("Enter")
    complete(page, "Water")
    for _ in range(80):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "picture":
            break
    page.wait_for_function("location.hash.includes('camera')")
    before = state_of(page)["camera"]
    page.keyboard.press("ArrowRight")
    page.wait_for_function("old => !decodeURIComponent(location.hash).includes(old)", arg=before)
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name") == "view":
            break
    page.keyboard.press("ArrowDown")
    page.locator("#viewer[data-view=bonds]").wait_for()


@pytest.mark.thorough
def test_on_a_phone(visit, address):
    page = visit(f"{address}#example=water", viewport={"width": 390, "height": 844}, has_touch=True)
    complete(page, "Water")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert covered(page) > 0.05
    assert page.locator("#viewer").bounding_box()["width"] > 300


@pytest.mark.thorough
@pytest.mark.parametrize("colours", ["light", "dark"])
def test_nothing_stands_in_the_way_of_anyone(visit, address, colours):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = visit(f"{address}#example=water", color_scheme=colours)
    complete(page, "Water")
    page.get_by_text("Atom by atom").click()
    page.get_by_label("Cut a slice").check()
    page.get_by_text("Options").click()
    found = axe.Axe().run(page).response["violations"]
    serious = [one for one in found if one["impact"] in ("serious", "critical")]
    assert not [(one["id"], [node["html"] for node in one["nodes"]]) for one in serious]


@pytest.mark.thorough
def test_a_link_brings_the_view_back(visit, address):
    page = visit(f"{address}#example=water")
    complete(page, "Water")
    page.get_by_role("radio", name="Bonds").check()
    page.locator("#viewer[data-view=bonds]").wait_for()
    page.locator("#level").focus()
    page.keyboard.press("PageUp")
    page.get_by_role("button", name="Come closer").click()
    page.wait_for_function("() => location.hash.includes('level')")
    page.wait_for_timeout(600)
    kept = state_of(page)
    again = visit(f"{address}#{urlsplit(page.url).fragment}")
    complete(again, "Water")
    again.locator("#viewer[data-view=bonds]").wait_for()
    again.wait_for_timeout(600)
    found = state_of(again)
    assert (found["example"], found["view"]) == ("water", "bonds")
    assert float(found["level"]) == pytest.approx(float(kept["level"]), rel=0.02)
    cameras = [[float(x) for x in state["camera"].split("_")] for state in (kept, found)]
    assert cameras[0] == pytest.approx(cameras[1], abs=0.01)


@pytest.mark.thorough
def test_several_cells_of_a_crystal(visit, address):
    page = visit(f"{address}#example=salt")
    complete(page, "Table salt, NaCl")
    before = int(page.locator("#viewer").get_attribute("data-triangles"))
    page.get_by_label("Cells of the crystal").select_option("2x2x1")
    page.wait_for_function(
        "old => Number(document.getElementById('viewer').dataset.triangles) > 2 * old", arg=before
    )
    page.wait_for_function("() => location.hash.includes('cells=2x2x1')")
    again = visit(f"{address}#{urlsplit(page.url).fragment}")
    complete(again, "Table salt, NaCl")
    assert again.get_by_label("Cells of the crystal").input_value() == "2x2x1"
    # A molecule has none.
    ask(page, "water")
    complete(page, "Water")
    page.locator("#repeat").wait_for(state="hidden")


@pytest.mark.thorough
def test_without_webgl_the_server_draws(started, address, tmp_path):
    from PIL import Image

    browser = started.chromium.launch(
        executable_path=CHROMIUM,
        args=["--no-sandbox", "--disable-gpu", "--disable-3d-apis"],
        timeout=PATIENCE,
    )
    page = browser.new_page(accept_downloads=True)
    page.set_default_timeout(PATIENCE)
    page.goto(address)
    page.goto(f"{address.partition('?')[0]}#example=water")
    page.locator("#slice-words", has_text="bright").wait_for()
    complete(page, "Water")
    page.locator(".still[alt*=Water][src*='turn=0']").wait_for()
    page.wait_for_function(
        "() => { const drawn = document.querySelector('.still');"
        " return drawn.complete && drawn.naturalWidth > 100; }"
    )
    page.locator("#picture").focus()
    page.keyboard.press("ArrowRight")
    page.locator(".still[src*='turn=10']").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Picture").click()
    path = tmp_path / "water.png"
    download.value.save_as(path)
    assert Image.open(path).width == 800
    with page.expect_download() as download:
        page.get_by_role("button", name="Report").click()
    path = tmp_path / "water.html"
    download.value.save_as(path)
    assert "data:image/png;base64," in path.read_text()
    browser.close()
