"""Thumbnails and photos by signed, expiring addresses.

Streamlit's own media files are public; a catalogue is not. An address carries a run's name and
an image_index, signed; the server looks the name up among its runs, so no path ever comes from
outside. A wrong, foreign or expired signature is answered with 403, and so is, where people sign
in, whoever has not or has no role: an address that was passed on opens for nobody else.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import streamlit as st
from anyio import CapacityLimiter, to_thread
from itsdangerous import BadData, TimestampSigner, URLSafeTimedSerializer
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dashboard import access
from dashboard.events import event
from dashboard.settings import run_folders, settings
from selfml.data.decoding import encode_thumbnail
from selfml.data.image_files import read_image_file
from selfml.data.messages import UnreadableImage
from selfml.run import Run, RunError

ROUTE = "thumbnails"
PHOTOS = "photos"
PHOTO_PX = 1600  # longer side; more than a screen shows of one item
BLOCK, N_BLOCKS = 4096, 256  # images whose thumbnails' places are read, and kept, together
PHOTOS_AT_ONCE = 2  # decoding takes a processor, and three bytes for each pixel
STEP_S = 3600  # signatures change once an hour, so that browsers can keep what they have

_decoding = CapacityLimiter(PHOTOS_AT_ONCE)  # who waits for it holds no thread meanwhile


class _HourlySigner(TimestampSigner):
    def get_timestamp(self) -> int:
        return int(time.time()) // STEP_S * STEP_S


def _serializer(kind: str = "thumbnail") -> URLSafeTimedSerializer:
    key = settings().secret_key
    return URLSafeTimedSerializer(key, salt=f"selfml.{kind}", signer=_HourlySigner)


def base_path() -> str:
    """``/prefix`` where the site is served below one, else empty."""
    base = (st.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{base}" if base else ""


def run_name(run: Run) -> str:
    """The name under which the run is listed (see ``settings.run_folders``)."""
    return next((n for n, path in run_folders().items() if path == run.path), run.path.name)


def image_urls(run: Run, image_indices: list[int]) -> list[str]:
    """Addresses of several thumbnails; see :func:`image_url`."""
    serializer, name = _serializer(), run_name(run)
    return [
        f"{base_path()}/{ROUTE}/{serializer.dumps([name, int(index)])}" for index in image_indices
    ]


def image_url(run: Run, image_index: int) -> str:
    """Address of a thumbnail, valid for ``SELFML_IMAGE_HOURS``."""
    return image_urls(run, [image_index])[0]


@lru_cache(maxsize=N_BLOCKS)
def _places(path: Path, modified_ns: int, block: int) -> np.ndarray:
    """thumbnail_offset and thumbnail_bytes of ``BLOCK`` images, (n, 2) int64; n is 0 after all.

    Of all images at once they would take 16 MB a million, and ten times that to read.
    """
    run, first = Run(path), block * BLOCK
    rows = np.arange(first, min(first + BLOCK, run.n_rows("images")))
    frame = run.table_rows("images", rows, ["thumbnail_offset", "thumbnail_bytes"])
    return frame.fillna(0).to_numpy(np.int64)


def _thumbnail(name: str, image_index: int) -> bytes | None:
    path = run_folders().get(name)
    if path is None or not (path / "images.parquet").is_file() or image_index < 0:
        return None
    block, place = divmod(image_index, BLOCK)
    places = _places(path, (path / "images.parquet").stat().st_mtime_ns, block)
    if place >= len(places) or places[place, 1] <= 0:
        return None
    offset, n_bytes = places[place]
    return Run(path).thumbnail(int(offset), int(n_bytes))


def serve(request: Request) -> Response:
    """Answer one address: 200 with the image, 403 for a bad signature, 404 where is none."""
    return _answer(request, "thumbnail", _thumbnail)


def _answer(request: Request, kind: str, read: Callable[[str, int], bytes | None]) -> Response:
    headers = {"X-Content-Type-Options": "nosniff", "Cross-Origin-Resource-Policy": "same-origin"}
    person = access.of_request(request)
    if person is None or not person.may("viewer"):
        event("refused", auditor=person.id if person else "", what=kind)
        return PlainTextResponse("Sign in to see images", 403, headers=headers)
    max_age_s = settings().image_hours * 3600 + STEP_S
    try:
        payload = _serializer(kind).loads(request.path_params["token"], max_age=max_age_s)
        name, image_index = str(payload[0]), int(payload[1])
    except (BadData, TypeError, ValueError, IndexError, KeyError):
        event("refused", auditor=person.email, what=kind)
        return PlainTextResponse("This image address is not valid", 403, headers=headers)
    try:
        data = read(name, image_index)
    except (OSError, RunError):
        data = None
    if not data:
        return PlainTextResponse("No such image", 404, headers=headers)
    headers["Cache-Control"] = f"private, max-age={STEP_S}"
    kind = "image/jpeg" if data.startswith(b"\xff\xd8\xff") else "image/webp"
    return Response(data, media_type=kind, headers=headers)


def route() -> Route:
    """The route to mount beside Streamlit's own."""
    return Route(f"{base_path()}/{ROUTE}/{{token:path}}", serve, methods=["GET"])


def photo_url(run: Run, image_index: int) -> str:
    """Address of an image as large as it is in the dataset's folder, at most ``PHOTO_PX``."""
    token = _serializer("photo").dumps([run_name(run), int(image_index)])
    return f"{base_path()}/{PHOTOS}/{token}"


def _photo(name: str, image_index: int) -> bytes | None:
    """Decoded and written anew, so that nothing but pixels of the file leaves the server."""
    path = run_folders().get(name)
    if path is None:
        return None
    run = Run(path)
    if not 0 <= image_index < run.n_rows("images"):
        return None
    root = str(run.info.get("dataset", {}).get("path", ""))
    if not root:  # not the folder that the server happens to run in
        return _thumbnail(name, image_index)
    try:
        image = run.table_rows("images", np.array([image_index]), ["image_id"])
        photo = read_image_file(Path(root).resolve(), str(image["image_id"].iloc[0]))
        return encode_thumbnail(photo, PHOTO_PX, 88)
    except UnreadableImage:  # the dataset has moved, or keeps its images in a Parquet file
        return _thumbnail(name, image_index)


async def serve_photo(request: Request) -> Response:
    """As `serve`, for photos; ``PHOTOS_AT_ONCE`` at the same time, the others wait."""
    return await to_thread.run_sync(_answer, request, "photo", _photo, limiter=_decoding)


class NoTraversal:
    """Answers 403 to an image address with a step up or a backslash, before anybody looks at it.

    Streamlit itself would answer 400 to most of these; no address of ours has either.
    """

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what is fine."""
        path = str(scope.get("path", ""))
        ours = any(f"/{name}/" in path for name in (ROUTE, PHOTOS))
        if scope["type"] == "http" and ours and (".." in path or "\\" in path or "\0" in path):
            event("refused", what="path")
            await PlainTextResponse("This image address is not valid", 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)


def routes() -> list[Route]:
    """The routes to mount beside Streamlit's own."""
    photos = Route(f"{base_path()}/{PHOTOS}/{{token:path}}", serve_photo, methods=["GET"])
    return [route(), photos]
