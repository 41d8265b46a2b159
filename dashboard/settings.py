"""What the environment says. Read at each call, so that a test can set it.

====================  ===================================================  ==================
Variable              Meaning                                              Without it
====================  ===================================================  ==================
SELFML_RUNS           Folder whose sub-folders are runs                    ``./runs``
SELFML_DEMO_RUN       The run shown when there is none of one's own        ``assets/demo-run``
DATABASE_URL          Where decisions are kept: ``sqlite:///file.db``, or  ``decisions.db`` in
                      ``postgresql://user:password@host/name``             the folder of runs
SELFML_AUDITOR        In whose name decisions are kept without sign-in     ``local``
SELFML_SECRETS        The content of ``.streamlit/secrets.toml``, where    that file
                      there is no such file: how people sign in
SELFML_ROLES          Who may do what (:mod:`dashboard.access`), for       nobody gets in
                      example ``admin=a@x.org; auditor=*@shop.org``        where one signs in
SELFML_TRUST_EMAIL    ``on``: an address counts as verified where the      off
                      provider does not say (a company's own provider)
SELFML_SECRET_KEY     Signs addresses of images; set it where several      random, one a
                      processes serve one site                             process
SELFML_IMAGE_HOURS    How long an image's address stays valid, in hours    12
SELFML_LOG            ``off``: no lines of events (dashboard.events)       on
PORT                  Port to listen on (read by the Procfile only)        8501
====================  ===================================================  ==================
"""

from __future__ import annotations

import os
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path

_KEY_OF_THIS_PROCESS = "SELFML_SECRET_KEY_OF_THIS_PROCESS"
DEMO_NAME = "demo"


@dataclass(frozen=True)
class Settings:
    """One reading of the environment."""

    runs_folder: Path
    demo_run: Path
    secret_key: str
    image_hours: float
    database_url: str
    auditor: str
    roles: str
    trust_email: bool
    log: bool


def settings() -> Settings:
    """Read the environment.

    Raises
    ------
    ValueError
        When ``SELFML_IMAGE_HOURS`` is not a positive number.
    """
    default_demo = Path(__file__).resolve().parent.parent / "assets" / "demo-run"
    hours = os.environ.get("SELFML_IMAGE_HOURS", "12")
    try:
        image_hours = float(hours)
    except ValueError:
        image_hours = 0.0
    if not image_hours > 0:
        raise ValueError(f"SELFML_IMAGE_HOURS: must be a number above 0, got {hours!r}")
    runs_folder = Path(os.environ.get("SELFML_RUNS") or "runs")
    return Settings(
        runs_folder=runs_folder,
        demo_run=Path(os.environ.get("SELFML_DEMO_RUN") or default_demo),
        secret_key=os.environ.get("SELFML_SECRET_KEY") or _process_key(),
        image_hours=image_hours,
        database_url=os.environ.get("DATABASE_URL") or f"sqlite:///{runs_folder / 'decisions.db'}",
        auditor=(os.environ.get("SELFML_AUDITOR") or "").strip() or "local",
        roles=(os.environ.get("SELFML_ROLES") or "").strip(),
        trust_email=os.environ.get("SELFML_TRUST_EMAIL", "").strip().lower() == "on",
        log=os.environ.get("SELFML_LOG", "on").strip().lower() not in ("off", "0", "false", "no"),
    )


def secrets_of_environment() -> dict:
    """What ``SELFML_SECRETS`` has, for ``st.App``; empty where it is not set.

    Raises
    ------
    ValueError
        When it is not TOML.
    """
    try:
        return tomllib.loads(os.environ.get("SELFML_SECRETS") or "")
    except tomllib.TOMLDecodeError as error:  # says where, not what
        raise ValueError(f"SELFML_SECRETS: is not TOML: {error}") from None


def _process_key() -> str:
    """A random key; in the environment, because Streamlit reloads edited modules."""
    return os.environ.setdefault(_KEY_OF_THIS_PROCESS, secrets.token_hex(32))


def run_folders() -> dict[str, Path]:
    """Every folder with a ``run.json``, by the name used in addresses (the folder's own).

    The demo run is called ``demo`` and comes last; a run of one's own by that name wins. Folders
    that begin with a dot are runs still being written.
    """
    now = settings()
    folders = sorted(now.runs_folder.iterdir()) if now.runs_folder.is_dir() else []
    found = {
        f.name: f for f in folders if (f / "run.json").is_file() and not f.name.startswith(".")
    }
    if (now.demo_run / "run.json").is_file():
        found.setdefault(DEMO_NAME, now.demo_run)
    return found
