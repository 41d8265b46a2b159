"""Label Studio: tasks with pre-annotations, and the labelling interface that they fit.

A task is one photo; its prediction chooses the attributes that the corrected labels say it has.
The prediction's ``score`` is the confidence of its least sure flip (our choice: sorted by score,
what most needs a look comes first), and 1 where nothing rests on a flip's confidence: no cell was
flipped, or people decided all of them.
"""

from __future__ import annotations

import json
from collections import defaultdict
from urllib.parse import quote as url_quote
from xml.sax.saxutils import quoteattr

import numpy as np

from selfml.corrections import neutralise
from selfml.data.messages import quote
from selfml.exchange.content import Corrections

LOCAL_FILES = "/data/local-files/?d="  # of Label Studio's own server, below its document root
ADDED = {1: "added", 0: "taken off"}


def interface_bytes(attributes: tuple[str, ...]) -> bytes:
    """The labelling configuration, XML.

    Raises
    ------
    ValueError
        Where XML cannot hold a name.
    """
    lines = ["<View>", '  <Image name="image" value="$image" zoom="true"/>']
    lines.append('  <Text name="changes" value="$changes"/>')
    lines.append('  <Choices name="labels" toName="image" choice="multiple">')
    lines += [f"    {_choice(name)}" for name in attributes]
    return "\n".join([*lines, "  </Choices>", "</View>", ""]).encode()


def _choice(attribute: str) -> str:
    if any(not _in_xml(char) for char in attribute):
        raise ValueError(
            f"attribute {quote(attribute)}: has a character that XML cannot hold; rename it, or "
            "export in another format"
        )
    name = neutralise(attribute)
    if "$" not in name:
        return f"<Choice value={quoteattr(name)}/>"
    shown = name.replace("$", "＄")  # $word is filled in from the task's data
    return f"<Choice value={quoteattr(shown)} alias={quoteattr(name)}/>"


def _in_xml(char: str) -> bool:
    return char not in "\ufffe\uffff" and (char >= " " or char in "\t\n\r")


def tasks_bytes(content: Corrections, image_url: str) -> bytes:
    """The tasks, a JSON array, one task a line.

    Parameters
    ----------
    image_url : str
        What stands before a photo's name, e.g. ``https://shop.example/photos/``.
    """
    names = [neutralise(name) for name in content.attributes]
    flipped = defaultdict(dict)
    flips = content.flips
    keys = zip(flips["image_index"], flips["attribute_index"], flips["confidence"], strict=True)
    for i, j, confidence in keys:
        flipped[i][j] = float(confidence)
    tasks = [_task(content, i, names, flipped.get(i, {}), image_url)
             for i in range(len(content.file_names))]  # fmt: skip
    return ("[\n" + ",\n".join(tasks) + "\n]\n").encode()


def _task(
    content: Corrections, i: int, names: list[str], flipped: dict[int, float], image_url: str
) -> str:
    file_name, corrected = str(content.file_names[i]), content.corrected[i]
    said = {
        "image": address(image_url, file_name),
        "image_id": neutralise(file_name),
        "changes": _in_words(corrected, content.changed[i], names, flipped),
    }
    if content.categories is not None:
        said["category"] = neutralise(str(content.categories[i]))
    chosen = [names[j] for j in np.flatnonzero(corrected == 1)]
    region = {"from_name": "labels", "to_name": "image", "type": "choices"}
    result = [region | {"value": {"choices": chosen}}] if chosen else []
    sure = [c for c in flipped.values() if not np.isnan(c)]
    prediction = {
        "model_version": content.run_id,
        "score": round(min(sure, default=1.0), 6),
        "result": result,
    }
    return json.dumps({"data": said, "predictions": [prediction]}, ensure_ascii=False)


def _in_words(
    corrected: np.ndarray, changed: np.ndarray, names: list[str], flipped: dict[int, float]
) -> str:
    parts = []
    for j in np.flatnonzero(changed):
        sure = flipped.get(j)
        why = "verified" if sure is None else "decided" if np.isnan(sure) else f"{sure:.2f}"
        parts.append(f"{names[j]} {ADDED[int(corrected[j])]} ({why})")
    return "; ".join(parts) or "nothing changed"


def address(image_url: str, file_name: str) -> str:
    """Where Label Studio finds a photo; what a URL cannot hold is escaped."""
    between = "" if image_url.endswith(("/", "=")) else "/"
    return image_url + between + url_quote(file_name, safe="/")
