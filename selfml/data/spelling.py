"""Whether two names of columns are one name, of which one was misspelt."""

import re


def misspelt(name: str, meant: str) -> bool:
    """Whether two names differ in case, blanks and dashes alone, or in one slip of the pen.

    That is one letter left out within, or two neighbours that changed places. Not a letter that is
    another one ("u-neck" and "v-neck", "size_1" and "size_2"), nor one at an end ("symmetric" and
    "asymmetric", "short" and "shorts"): these may well be two attributes.
    """
    a, b = (re.sub(r"[\s_-]+", "", text).casefold() for text in (name, meant))
    if a == b:
        return True
    short, long = sorted((a, b), key=len)
    if len(short) == len(long):
        return _swapped(a, b)
    if len(long) != len(short) + 1:
        return False
    same = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), 0)
    return same > 0 and short[same:] == long[same + 1 :] and long[same].isalpha()


def _swapped(a: str, b: str) -> bool:
    """Whether two texts of one length differ in two neighbouring letters that changed places."""
    at = [i for i, (x, y) in enumerate(zip(a, b, strict=True)) if x != y]
    if len(at) != 2 or at[1] != at[0] + 1:
        return False
    here, there = a[at[0] : at[1] + 1], b[at[0] : at[1] + 1]
    return here == there[::-1] and here.isalpha()
