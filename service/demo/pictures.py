"""Pictures of the demo store's products: simple drawings, each of a thing in a look (`striped-mug`).

A picture is kept as a path of this service (`/demo/pictures/striped-mug.svg`); documents and pages show it below the
URL under which the service is reached.
"""

from __future__ import annotations

from functools import cache
from typing import Final, NamedTuple

PATH: Final = "/demo/pictures"
"""Below it the service has the pictures."""


class _Look(NamedTuple):
    """The colours of a thing: of its body, of its shaded parts and lines, of what lies behind it; and its pattern."""

    body: str
    shade: str
    ground: str
    pattern: str = ""


_STRIPES = '<path d="M0 3h12" stroke="{shade}" stroke-width="4"/>'
_DOTS = '<circle cx="6" cy="6" r="2.6" fill="{shade}"/>'

_LOOKS: Final = {
    "blue": _Look("#7ea6d9", "#2f5590", "#e8f0fa"),
    "red": _Look("#e08a80", "#96372d", "#fbecea"),
    "green": _Look("#8dbd92", "#37683d", "#eaf5eb"),
    "yellow": _Look("#ecc765", "#8a6414", "#fdf6e1"),
    "black": _Look("#5b6068", "#23262b", "#eceef0"),
    "white": _Look("#fbfbf8", "#7d7f85", "#e6ebf0"),
    "grey": _Look("#b4b9c1", "#555b65", "#eff1f3"),
    "brown": _Look("#b98e6b", "#63422a", "#f6eee7"),
    "cream": _Look("#eedfc2", "#806a45", "#f3f0ea"),
    "plain": _Look("#dcd3e6", "#6b5a80", "#f5f1f9"),
    "striped": _Look("#f6dfd8", "#b4604d", "#eef3f1", _STRIPES),
    "dotted": _Look("#dcebf2", "#3c7591", "#fbf3ea", _DOTS),
    "large": _Look("#95c7c1", "#2c6b64", "#e9f5f3"),
    "small": _Look("#e3a7bd", "#8d3f5c", "#fbedf2"),
    "round": _Look("#a9b3df", "#465190", "#eef0fa"),
    "square": _Look("#d4b58c", "#745328", "#f8f1e7"),
    "soft": _Look("#f0c8b4", "#97573a", "#fcf2ec"),
    "bright": _Look("#f2a65a", "#95530f", "#fff2e3"),
    "matte": _Look("#9aa58e", "#4c573f", "#f0f3ec"),
}

_THINGS: Final = {
    "shirt": '<path class="b" d="M44 30 24 42l8 18 9-4v36h38V56l9 4 8-18-20-12c-4 8-28 8-32 0z"/>',
    "mug": '<path class="b" d="M34 42h42v40a8 8 0 0 1-8 8H42a8 8 0 0 1-8-8z"/>'
    '<path class="l" d="M76 50h6a10 10 0 0 1 0 24h-6M46 32c-4-4 4-6 0-11m14 11c-4-4 4-6 0-11"/>',
    "bag": '<path class="l" d="M46 50V38a14 14 0 0 1 28 0v12"/><path class="b" d="M34 46h52l5 46H29z"/>',
    "coffee": '<path class="b" d="M40 34h40l4 58H36z"/><path class="s" d="M40 24h40v10H40z"/>'
    '<ellipse class="s" cx="60" cy="66" rx="10" ry="13"/><path class="g" d="M62 55c-7 8 3 14-4 22"/>',
    "filters": '<path class="b" d="M26 38h68L72 88H48z"/><path class="l" d="M44 38l10 50M60 38v50M76 38 66 88"/>',
    "lamp": '<path class="l" d="M60 88 44 62l22-22"/><path class="b" d="m58 28 26 22-22 12c-9-6-10-22-4-34z"/>'
    '<path class="s" d="M40 86h40v6H40z"/>',
    "poster": '<path class="b" d="M34 24h52v70H34z"/><path class="s" d="m38 84 16-26 10 14 7-9 11 21z"/>'
    '<circle class="s" cx="70" cy="42" r="6"/>',
    "chair": '<path class="b" d="M42 22h36v34H42zM38 58h44v10H38z"/><path class="l" d="M42 68v26m36-26v26"/>',
    "notebook": '<path class="b" d="M36 24h50v72H36z"/><path class="s" d="M36 24h10v72H36z"/>'
    '<path class="l" d="M54 42h22M54 52h22"/>',
    "pen": '<path class="b" d="m76 26 14 14-46 46-14-14z"/><path class="s" d="M30 72 24 96l20-10z"/>'
    '<path class="l" d="m68 34 14 14"/>',
    "cushion": '<path class="b" d="M26 32c22 7 46 7 68 0-7 20-7 40 0 60-22-7-46-7-68 0 7-20 7-40 0-60z"/>',
    "candle": '<path class="b" d="M44 48h32v46H44z"/><path class="l" d="M60 48v-8"/>'
    '<path class="s" d="M60 18c9 11 8 20 0 22-8-2-9-11 0-22z"/>',
    "soap": '<rect class="b" x="26" y="46" width="68" height="40" rx="18"/>'
    '<rect class="l" x="38" y="56" width="44" height="20" rx="9"/><circle class="l" cx="84" cy="34" r="6"/>'
    '<circle class="l" cx="68" cy="28" r="4"/>',
    "towel": '<path class="l" d="M26 28h68"/><path class="b" d="M38 28h44v66H38z"/>'
    '<path class="l" d="M38 80h44M38 86h44"/>',
    "bottle": '<path class="s" d="M52 18h16v10H52z"/>'
    '<path class="b" d="M52 28h16v12c0 8 8 10 8 20v36H44V60c0-10 8-12 8-20z"/>',
    "basket": '<path class="l" d="M36 52a24 26 0 0 1 48 0"/><path class="b" d="M26 52h68l-8 40H34z"/>'
    '<path class="l" d="M30 66h60M33 79h54M46 52l4 40m24-40-4 40"/>',
    "blanket": '<path class="b" d="M28 36h64v16H28zM28 52h64v16H28zM28 68h64v16H28z"/>'
    '<path class="l" d="M34 84v8m12-8v8m12-8v8m12-8v8m12-8v8"/>',
    "clock": '<circle class="b" cx="60" cy="60" r="34"/><path class="l" d="M60 38v22l14 10"/>'
    '<path class="l" d="M60 30v2m0 56v2M30 60h2m56 0h2"/>',
    "vase": '<path class="b" d="M50 48h20c-2 10 14 16 14 28 0 10-8 18-16 18H52c-8 0-16-8-16-18 0-12 16-18 14-28z"/>'
    '<path class="l" d="M60 48V26m0 10c-8-2-10-8-10-12 8 0 10 6 10 12zm0-4c8-2 10-8 10-12-8 0-10 6-10 12z"/>',
    "tray": '<path class="b" d="M22 52h76l-8 28H30z"/><path class="l" d="M22 52c-6-8 2-12 8-8m68 8c6-8-2-12-8-8"/>',
    "apron": '<path class="l" d="M46 34a14 14 0 0 1 28 0M38 60H26m56 0h12"/>'
    '<path class="b" d="M46 34h28l8 26v36H38V60z"/><path class="l" d="M48 68h24v14H48z"/>',
    "bowl": '<path class="b" d="M24 50h72c0 24-14 40-36 40S24 74 24 50z"/><path class="s" d="M48 90h24v5H48z"/>',
}
"""What a thing is drawn of: `b` is its body, `s` a part in shade, `l` a line, `g` a line in the colour behind it."""

_PICTURE = """\
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 120 120" width="480" height="480">
<defs><pattern id="p" width="12" height="12" patternUnits="userSpaceOnUse">\
<rect width="12" height="12" fill="{body}"/>{pattern}</pattern></defs>
<rect width="120" height="120" fill="{ground}"/>
<ellipse cx="60" cy="98" rx="38" ry="5" fill="{shade}" opacity=".18"/>
<g stroke="{shade}" stroke-width="2.5" stroke-linecap="round" stroke-linejoin="round">{thing}</g>
</svg>
"""


def path(look: str, thing: str) -> str:
    """The path of the picture of a thing in a look. Raises LookupError for what nobody has drawn."""
    name = f"{look}-{thing}".lower()
    if draw(name) is None:
        raise LookupError(name)
    return f"{PATH}/{name}.svg"


@cache
def names() -> frozenset[str]:
    """The names of all pictures."""
    return frozenset(f"{look}-{thing}" for look in _LOOKS for thing in _THINGS)


@cache
def draw(name: str) -> bytes | None:
    """The picture of a name as SVG, which holds no script and loads nothing; None for a name that has none."""
    if name not in names():
        return None
    look_name, _, thing_name = name.partition("-")
    look = _LOOKS[look_name]
    thing = _THINGS[thing_name]
    fills = {"b": "url(#p)", "s": look.shade, "l": "none", "g": "none"}
    for part, fill in fills.items():
        stroke = f' stroke="{look.ground}"' if part == "g" else ""
        thing = thing.replace(f'class="{part}"', f'fill="{fill}"{stroke}')
    pattern = look.pattern.format(shade=look.shade)
    return _PICTURE.format(body=look.body, shade=look.shade, ground=look.ground, pattern=pattern, thing=thing).encode()
