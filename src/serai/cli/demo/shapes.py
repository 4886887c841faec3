"""The few SVG shapes and colour sums that the demo pictures are drawn with.

Pictures are 400 units wide and high; the ground lies at about 310.
"""

import math

import msgspec


class Tones(msgspec.Struct, frozen=True):
    """The colours of one picture: its scene, and the goods with their light and shaded sides."""

    sky: str
    sun: str
    far: str
    near: str
    main: str
    shade: str
    glow: str
    accent: str
    dark: str
    light: str


def mix(one: str, other: str, share: float) -> str:
    """The colour between two `#rrggbb` colours, `share` of the way to the other."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return "#" + "".join(f"{round(a * (1 - share) + b * share):02x}" for a, b in pairs)


def distance(one: str, other: str) -> float:
    """How far apart two colours are in the RGB cube, 1 from black to white."""
    pairs = zip(_parts(one), _parts(other), strict=True)
    return math.sqrt(sum((a - b) ** 2 for a, b in pairs) / 3) / 255


def brightness(colour: str) -> float:
    """How light a colour looks, from 0 to 1 (the weights of ITU-R BT.601)."""
    red, green, blue = _parts(colour)
    return (0.299 * red + 0.587 * green + 0.114 * blue) / 255


def _parts(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def path(d: str, fill: str) -> str:
    return f'<path d="{d}" fill="{fill}"/>'


def line(d: str, stroke: str, width: float) -> str:
    return (
        f'<path d="{d}" fill="none" stroke="{stroke}" stroke-width="{width}" '
        'stroke-linecap="round" stroke-linejoin="round"/>'
    )


def rect(x: float, y: float, width: float, height: float, fill: str, *, round_by: float = 0) -> str:
    corners = f' rx="{round_by}"' if round_by else ""
    return f'<rect x="{x}" y="{y}" width="{width}" height="{height}"{corners} fill="{fill}"/>'


def circle(x: float, y: float, radius: float, fill: str) -> str:
    return f'<circle cx="{x}" cy="{y}" r="{radius}" fill="{fill}"/>'


def ellipse(x: float, y: float, across: float, up: float, fill: str) -> str:
    return f'<ellipse cx="{x}" cy="{y}" rx="{across}" ry="{up}" fill="{fill}"/>'


def diamond(x: float, y: float, across: float, up: float, fill: str) -> str:
    return path(f"M{x - across} {y}L{x} {y - up}L{x + across} {y}L{x} {y + up}z", fill)


def star(x: float, y: float, size: float, fill: str) -> str:
    """A star of four points."""
    waist = size * 0.28
    return path(
        f"M{x} {y - size}Q{x} {y - waist} {x + size} {y}Q{x} {y + waist} {x} {y + size}"
        f"Q{x} {y + waist} {x - size} {y}Q{x} {y - waist} {x} {y - size}z",
        fill,
    )


def leaf(x: float, y: float, size: float, fill: str, *, turn: int = 0) -> str:
    half = size / 2
    return (
        f'<path d="M{x} {y - size}Q{x + half * 1.3:g} {y} {x} {y + size}Q{x - half * 1.3:g} {y} '
        f'{x} {y - size}z" fill="{fill}" transform="rotate({turn} {x} {y})"/>'
    )


def ring(x: float, y: float, radius: float, stroke: str, width: float) -> str:
    return (
        f'<circle cx="{x}" cy="{y}" r="{radius}" fill="none" stroke="{stroke}" '
        f'stroke-width="{width}"/>'
    )


def turned(degrees: float, x: float, y: float, *shapes: str) -> str:
    """The shapes turned clockwise about a point."""
    return f'<g transform="rotate({degrees} {x} {y})">{"".join(shapes)}</g>'


def flattened(down: float, share: float, *shapes: str) -> str:
    """The shapes pressed to a share of their height, as seen from the side, then moved down."""
    return f'<g transform="matrix(1 0 0 {share} 0 {down})">{"".join(shapes)}</g>'
