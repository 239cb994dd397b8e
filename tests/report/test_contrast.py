"""Text of the report and of the browser's pages can be read: contrast by WCAG 2, from the rules as they stand in the files."""

import re
from importlib.resources import files

import pytest

TEXT, MARK = 4.5, 3.0
"""Least contrast of text (WCAG 1.4.3, level AA), and of what is no text (1.4.11)."""
PAGE = "#fff"
MARKS = re.compile(r"border-color|border(?!-)|outline")


def luminance(color):
    digits = color.lstrip("#")
    digits = "".join(2 * digit for digit in digits) if len(digits) == 3 else digits
    parts = [int(digits[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def rules():
    """Selector and declarations of every rule of every file."""
    folders = [files(package) / "static" for package in ("perturbloop.report", "perturbloop.web")]
    for file in (file for folder in folders for file in folder.iterdir() if file.name.endswith(".css")):
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        for selector, body in re.findall(r"([^{}@;]+)\{([^{}]*)\}", text):
            parts = [part.split(":", 1) for part in body.split(";") if ":" in part]
            yield selector.strip(), {key.strip(): value.strip() for key, value in parts}


def colors(value):
    return re.findall(r"#[0-9a-fA-F]{3,6}\b", value)


def backgrounds():
    """Colors that text without one of its own may stand on: the page and every box."""
    found = {PAGE} | {color for _, body in rules() for color in colors(body.get("background", ""))}
    return {color for color in found if luminance(color) > 0.5}


def test_the_known_values_of_the_recommendation():
    assert contrast("#000", "#fff") == pytest.approx(21)
    assert contrast("#777", "#fff") == pytest.approx(4.48, abs=0.005)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.005)


def test_all_text_has_enough_contrast_with_every_ground_it_can_stand_on():
    seen = 0
    for selector, body in rules():
        for color in colors(body.get("color", "")):
            own = colors(body.get("background", ""))
            for ground in own or ([PAGE] if luminance(color) < 0.5 else []):
                assert contrast(color, ground) >= TEXT, f"{selector}: {color} on {ground}"
                seen += 1
            if not own and luminance(color) < 0.5 and ":disabled" not in selector:
                for ground in backgrounds():
                    assert contrast(color, ground) >= TEXT, f"{selector}: {color} on {ground}"
    assert seen > 10


def test_edges_of_what_can_be_used_are_seen():
    """Edges of fields and buttons, and of what has the focus; a button that cannot be used may be faint (1.4.3, 1.4.11)."""
    seen = 0
    for selector, body in rules():
        usable = re.search(r"input|select|button|textarea|focus", selector) and ":disabled" not in selector
        for name, value in body.items():
            if usable and MARKS.match(name):
                for color in colors(value):
                    assert contrast(color, PAGE) >= MARK, f"{selector}: {color}"
                    seen += 1
    assert seen > 3
