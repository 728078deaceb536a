"""Pictures of the local page for the README: molecule, crystal, error, phone, dark.

    python recipes/page/screenshots.py docs/page

Needs the extras `web` and `test` and Debian's chromium.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
]
SHOTS = {
    "molecule": ("#example=caffeine&view=charge&opacity=85", 1280, 820, "light"),
    "crystal": ("#example=diamond&view=bonds&opacity=85", 1280, 820, "light"),
    "error": ("#smiles=C1CC", 1280, 820, "light"),
    "phone": ("#example=aspirin", 390, 844, "light"),
    "dark": ("#example=salt&slice=50", 1280, 820, "dark"),
}
"""Part of the address, width, height, colours."""


def main() -> None:
    """Make the pictures named on the command line, or all."""
    folder, *names = sys.argv[1:] or ["docs/page"]
    Path(folder).mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "deepdft", "serve", "--no-browser", "--port", "0"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        address = re.search(r"http\S+", server.stdout.readline()).group()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
            for name in names or SHOTS:
                hash_, width, height, colours = SHOTS[name]
                page = browser.new_page(
                    viewport={"width": width, "height": height}, color_scheme=colours
                )
                page.set_default_timeout(300_000)
                page.on("console", lambda message: print("  console:", message.text))
                page.on("pageerror", lambda error: print("  error:", error))
                page.goto(address)
                page.goto(address.split("?")[0] + hash_)
                wait(page, name)
                path = Path(folder) / f"{name}.png"
                page.screenshot(path=path)
                smaller(path)
                print(f"{path}: {path.stat().st_size // 1024} kB")
                page.close()
            browser.close()
    finally:
        server.terminate()
        server.wait()


def smaller(path: Path) -> None:
    """Write a picture again in fewer bytes; all of its colours stay."""
    Image.open(path).convert("RGB").save(path, optimize=True)


def wait(page: Page, name: str) -> None:
    """Wait until all of it is there."""
    if name == "error":
        page.wait_for_selector("#problem:not([hidden])", timeout=300_000)
    else:
        page.wait_for_selector("#viewer[data-quality=full]", timeout=300_000)
        page.wait_for_selector("#progress[hidden]", state="attached", timeout=300_000)
    page.wait_for_timeout(3000)


if __name__ == "__main__":
    main()
