"""The pictures of README.md, taken of the bundled run: ``python -m tests.screenshots``."""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from tests.browser.conftest import ARGUMENTS, CHROMIUM, LISTEN, running_server, settled

PICTURES = {
    "receipt.png": ("flips?run=demo&flip=1569-7", (1440, 900), ".rc-photo img, .rc-image img, img"),
    "audit.png": ("audit?run=demo&flip=1840-5", (1360, 800), ".au-photo img"),
    "audit-grid.png": ("audit?run=demo&part=grid&attribute=9&direction=to_1", (1360, 800),
                       ".ag-photo img"),
}  # fmt: skip
COLOURS = 192  # of a picture's palette: a third of the bytes


def main() -> None:
    """Take and write them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("assets"))
    out = parser.parse_args().out
    own = str(CHROMIUM) if CHROMIUM.exists() else None
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        settings = {"SELFML_RUNS": folder, "DATABASE_URL": "", "SELFML_AUDITOR": "anna"}
        with running_server(Path(folder), Path(folder, "log.txt"), settings=settings) as (url, _):
            browser = playwright.chromium.launch(executable_path=own, args=ARGUMENTS)
            for name, (address, size, shown) in PICTURES.items():
                page = browser.new_page(viewport=dict(zip(("width", "height"), size, strict=True)))
                page.add_init_script(LISTEN)
                page.goto(f"{url}/{address}")
                page.locator(shown).first.wait_for(timeout=60_000)
                settled(page)
                page.wait_for_load_state("networkidle")
                page.screenshot(path=str(out / name))
                picture = Image.open(out / name).convert("RGB").quantize(COLOURS)
                picture.save(out / name, optimize=True)
                print(f"{out / name}: {(out / name).stat().st_size:,} bytes")
            browser.close()


if __name__ == "__main__":
    main()
