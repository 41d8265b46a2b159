"""A hostile catalogue: nothing executes, nothing leaks. What is tested where:

====================================  ==========================================================
Script tags in names                  ``browser/test_hostile.py`` (every view), ``test_cli_runs``
Formulas                              ``test_export_evidence``, ``test_corrections``,
                                      ``dashboard/test_views``, ``dashboard/test_flips_receipt``
Markdown that fetches or links        ``browser/test_hostile.py``
Right-to-left, 500 characters         here (reading), ``browser/test_hostile.py`` (layout, order)
Markup in the terminal                ``data/test_checks``
Names that are no file's              ``data/test_dataset_images``, ``data/test_dataset_errors``
Image bombs                           ``data/test_images`` (never decoded), here (skipped, 404)
Damaged images, hostile EXIF          ``data/test_images``
Links out of the folder               ``data/test_dataset_images`` (reading), here (check, loading,
                                      training, photos)
Pickles                               here: as an image, as an array of a run
Made-up image addresses               ``dashboard/test_media``, ``browser/test_media``
====================================  ==========================================================
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from starlette.applications import Starlette

from dashboard import media
from selfml.data.dataset import DatasetError, read_dataset
from selfml.data.images import load_images
from selfml.run import Run, RunError
from tests import hostile
from tests.asgi import get
from tests.command import command_line
from tests.training import tiny_config


@pytest.fixture
def shop(tmp_path: Path) -> hostile.Catalogue:
    """Without links, as far as anybody could see when it was read."""
    return hostile.write_catalogue(tmp_path, links=False)


def test_the_check_refuses_links_and_lists_what_is_no_image(tmp_path, monkeypatch, capsys):
    selfml = command_line(monkeypatch, capsys)
    linked = hostile.write_catalogue(tmp_path / "linked", links=True)
    found = selfml("check", linked.root)
    assert found.code == 1
    assert found.out.count("leaves the dataset folder by a symbolic link") == len(hostile.LINKS)
    assert hostile.SECRET not in found.out + found.err
    with pytest.raises(DatasetError, match=r"symbolic link.*2 more"):
        read_dataset(linked.root)
    shop = hostile.write_catalogue(tmp_path / "plain", links=False)
    found = selfml("check", shop.root)
    assert found.code == 0, found.out
    lines = " ".join(found.out.split())
    for name, reason in zip(
        hostile.BAD,
        ("the limit is", "not a JPEG", "corrupt or truncated", "not a JPEG"),
        strict=True,
    ):
        assert f"'{name}'" in lines
        assert reason in lines.split(f"'{name}'")[1][:90]
    assert not linked.witness.exists()
    assert not shop.witness.exists()


def test_names_come_back_as_they_are(shop):
    dataset = read_dataset(shop.root)
    assert dataset.attributes == tuple(hostile.ATTRIBUTES)
    assert list(dataset.file_names) == shop.names
    assert len(dataset.attributes[5]) == 500
    assert len(dataset.file_names[5].encode()) == 255
    pixels = [dataset.open_image_bytes(n) for n in range(len(hostile.NAMES))]
    assert all(data.startswith(b"\x89PNG") for data in pixels)


def test_what_is_no_image_is_skipped_and_links_that_come_later_too(shop, tmp_path):
    """Links that were put there after the labels were read."""
    dataset = read_dataset(shop.root)
    hostile.link_outside(shop.root)
    (shop.root / "000.png").unlink()
    (shop.root / "passwd.jpg").rename(shop.root / "000.png")
    loaded = load_images(dataset, 16, tmp_path / "pixels.npy")
    skipped = dict(loaded.unreadable)
    assert skipped.keys() == {*hostile.BAD, "000.png"}
    assert skipped["000.png"] == "a symbolic link leaves the dataset folder"
    assert len(loaded.pixels) == len(shop.names) - len(skipped)
    assert not shop.witness.exists()


@pytest.mark.slow
def test_training_reads_it_and_says_what_it_skipped(shop, tmp_path, capsys):
    from selfml.nn.fitting import Session
    from selfml.progress import Reporter
    from selfml.run import RunWriter
    from selfml.training_data import prepare

    session = Session(tiny_config(), RunWriter(tmp_path / "run"), Reporter(quiet=True))
    data = prepare(session, shop.root)
    run = Run(tmp_path / "run")
    assert run.attributes == hostile.ATTRIBUTES
    assert run.table("images")["image_id"].tolist() == [*shop.names[:100]]
    assert {name for name, _ in run.info["unreadable"]} == set(hostile.BAD)
    assert data.n_images == 100
    assert not shop.witness.exists()


def test_a_pickle_in_a_run_is_not_unpickled(tiny_run, shop, tmp_path):
    """Bare, and as an array of objects, which NumPy would unpickle if it were allowed to."""
    objects = io.BytesIO()
    np.save(objects, np.array([hostile.MakesAFolder(str(shop.witness))], object), allow_pickle=True)
    for data in (shop.pickle, objects.getvalue()):
        folder = tmp_path / f"run{len(data)}"
        folder.mkdir()
        (folder / "run.json").write_bytes((tiny_run / "run.json").read_bytes())
        (folder / "features.npy").write_bytes(data)
        with pytest.raises(RunError, match="cannot be read") as caught:
            Run(folder).array("features")
        assert "\n" not in str(caught.value)
        assert not shop.witness.exists()
    np.load(io.BytesIO(objects.getvalue()), allow_pickle=True)  # it would have worked
    assert shop.witness.exists()


# ----------------------------------------------------------------------------------------- pictures
@pytest.fixture
def run(tmp_path, monkeypatch) -> Run:
    """A run whose first images are bombs, pickles, links and paths out of its catalogue."""
    linked = hostile.write_catalogue(tmp_path, links=True)
    monkeypatch.setenv("SELFML_RUNS", str(tmp_path / "runs"))
    monkeypatch.setenv("SELFML_SECRET_KEY", "a key")
    return hostile.build_hostile_run(tmp_path / "runs" / "evil", linked.root)


def colours(body: bytes) -> set[tuple[int, ...]]:
    image = Image.open(io.BytesIO(body)).convert("RGB")
    return {colour for _, colour in image.getcolors(image.width * image.height)}


@pytest.mark.slow
def test_no_photo_of_another_folder_is_served(run, tmp_path):
    site = Starlette(routes=media.routes())
    names = run.table("images")["image_id"]
    thumbnails = run.table("images")[["thumbnail_offset", "thumbnail_bytes"]].astype(int)
    n_bad = next(i for i, name in enumerate(names) if name.startswith(f"{i}/"))
    assert n_bad == len(hostile.BAD) + len(hostile.LINKS) + 2
    for i in range(n_bad):
        status, headers, body = get(site, media.photo_url(run, i))
        assert (status, headers["content-type"]) == (200, "image/webp"), names[i]
        assert body == run.thumbnail(*thumbnails.iloc[i]), names[i]  # its own, in place of it
        assert hostile.SECRET.encode() not in body
    # What the test would see: the same image inside of the folder is served as a photo.
    link = Path(run.info["dataset"]["path"]) / "outside.png"
    link.unlink()
    link.write_bytes((tmp_path / "other" / "inside.png").read_bytes())
    i = names.tolist().index("outside.png")
    body = get(site, media.photo_url(run, i))[2]
    assert body != run.thumbnail(*thumbnails.iloc[i])
    seen = np.array(sorted(colours(body)))
    assert np.abs(seen - hostile.SECRET_COLOUR).max() < 30
