"""Draws the demo shop's pictures: small flat SVGs, each a pure function of its product.

A scene of sky, sun and dunes is chosen by the hash of the handle; the goods in front of it by the
words of the handle, else by the category; their colours by the product's own where it has some.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from serai.cli.demo import drawings_camp as camp
from serai.cli.demo import drawings_home as home
from serai.cli.demo import drawings_kitchen as kitchen
from serai.cli.demo import drawings_road as road
from serai.cli.demo.shapes import (
    Tones,
    brightness,
    circle,
    distance,
    ellipse,
    line,
    mix,
    path,
    rect,
    star,
)

PICTURE_BYTES_MAX: Final = 6_144

_NOT_XML: Final = re.compile(r"[^\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Drawing = Callable[[Tones], list[str]]

# The first word found in the handle, from the most particular, decides what is drawn.
_BY_WORD: Final[dict[str, Drawing]] = {
    "pavilion": camp.pavilion,
    "bell-tent": camp.bell_tent,
    "shade": camp.shade_sail,
    "bedroll": camp.bedroll,
    "blanket": camp.blanket,
    "pillow": camp.pillow,
    "hammock": camp.hammock,
    "star-pierced": camp.star_lamp,
    "oil-lamp": camp.oil_lamp,
    "candles": camp.candles,
    "signal": camp.signal_lamp,
    "rose": kitchen.tea_flower_tin,
    "herb": kitchen.tea_flower_tin,
    "brick": kitchen.tea_brick,
    "chest": kitchen.tea_chest,
    "salt": kitchen.salt_lump,
    "cumin": kitchen.spice_sack,
    "pepper": kitchen.spice_sack,
    "samovar": kitchen.samovar,
    "stew": kitchen.stew_pot,
    "glasses": kitchen.tea_glasses,
    "gourd": kitchen.gourd,
    "bread": kitchen.road_bread,
    "saddlebags": road.saddlebags,
    "backpack": road.backpack,
    "sack": road.grain_sack,
    "purse": road.purse,
    "star-chart": road.star_chart,
    "atlas": road.book,
    "sketchbook": road.sketchbook,
    "letter": road.letter,
    "ink": road.ink_bottle,
    "bell": road.bell,
    "spyglass": road.spyglass,
    "sundial": road.sundial,
    "flatweave": home.flatweave,
    "runner": home.flatweave,
    "felt-carpet": home.felt_roll,
    "cushion": home.cushion,
    "hat": home.sun_hat,
    "vest": home.vest,
}
_BY_CATEGORY: Final[dict[str, Drawing]] = {
    "Camp > Tents": camp.ridge_tent,
    "Camp > Bedding": camp.bedroll,
    "Camp > Light": camp.lantern,
    "Kitchen > Tea": kitchen.tea_tin,
    "Kitchen > Spices": kitchen.spice_bowl,
    "Kitchen > Pots": kitchen.kettle,
    "Kitchen > Provisions": kitchen.fruit_bowl,
    "Road > Bags": road.satchel,
    "Road > Maps": road.folded_map,
    "Road > Notebooks": road.book,
    "Road > Instruments": road.compass,
    "Home > Rugs": home.rug,
    "Wear > Scarves": home.scarf,
    "Wear > Coats": home.cloak,
}

DRAWINGS: Final = frozenset({*_BY_WORD.values(), *_BY_CATEGORY.values()})

# sky, sun, far dunes, near dunes, goods, accent, dark, light
_SCENES: Final = (
    ("#fbe3cc", "#f7a072", "#ebc49f", "#d9a679", "#b5483a", "#e9b44c", "#4a2c2a", "#fff4e4"),
    ("#d9ede6", "#f6d186", "#a9cdbb", "#7fb09a", "#1f6f6b", "#f2a65a", "#17393b", "#f5faf2"),
    ("#2e3a6b", "#f4e3b2", "#45518a", "#38437a", "#e07a5f", "#f2cc8f", "#1b2145", "#f4f1de"),
    ("#fff1c9", "#f28c28", "#f3d38a", "#e6b85c", "#8a3b5c", "#2a9d8f", "#40233a", "#fff9ec"),
    ("#f8dce0", "#e8788a", "#edbdbf", "#de9c9e", "#3d5a80", "#ee9b4f", "#29304d", "#fff5f3"),
    ("#6b5b95", "#ffb385", "#8773ad", "#5a4b82", "#f2c14e", "#d1495b", "#2c2347", "#fbf0e6"),
    ("#edf0da", "#e9c46a", "#cbd3a6", "#aeb982", "#9c4a2f", "#426b69", "#33392a", "#fafbf0"),
    ("#cfe6f2", "#ffd97d", "#e9d5a9", "#d8bb82", "#c8553d", "#28536b", "#22333f", "#fdf8ee"),
    ("#f2b880", "#fff0c9", "#d98e5f", "#bf6f45", "#2f4858", "#f6e27f", "#3a211a", "#fff3e0"),
)
_NIGHT_BRIGHTNESS_MAX: Final = 0.5
_CONTRAST_MIN: Final = 0.24

_COLOURS: Final = {
    "black": "#38343c",
    "blue": "#3672a6",
    "brown": "#8a5733",
    "copper": "#c26a3d",
    "cream": "#f3e3c3",
    "gold": "#d9a032",
    "green": "#4f8a5b",
    "grey": "#8d8f99",
    "indigo": "#34427f",
    "olive": "#7c7b3e",
    "pink": "#e8a59b",
    "red": "#b93a32",
    "rust": "#b8552c",
    "sand": "#d8b070",
    "silver": "#b9c0c9",
}


def picture(handle: str, *, title: str, category: str = "", colours: Sequence[str] = ()) -> bytes:
    """One picture as an SVG file; `title` is what a screen reader says of it.

    Colours that are not known are passed over; a product of no known kind gets a tea tin, which is
    how surprises are packed.
    """
    seed = hashlib.sha256(handle.encode()).digest()
    known = [_COLOURS[colour] for colour in colours if colour in _COLOURS]
    tones = _tones(seed, known)
    name = escape(_NOT_XML.sub(" ", title))
    parts = [
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 400 400" role="img">',
        f"<title>{name}</title>",
        *_scene(tones, seed),
        ellipse(200, 314, 142, 15, mix(tones.near, tones.dark, 0.28)),
        *drawing_for(handle, category)(tones),
        "</svg>\n",
    ]
    return "".join(parts).encode()


def drawing_for(handle: str, category: str) -> Drawing:
    """What is drawn for a product: by the words of its handle, else by its category."""
    for word, drawing in _BY_WORD.items():
        if f"-{word}-" in f"-{handle}-":
            return drawing
    return _BY_CATEGORY.get(category, kitchen.tea_tin)


def _tones(seed: bytes, known: Sequence[str]) -> Tones:
    """The first scene, from the seed's on, that the goods stand out from."""
    start = seed[0] % len(_SCENES)
    scenes = _SCENES[start:] + _SCENES[:start]
    scene = scenes[0]
    if known:
        scene = max(scenes, key=lambda scene: min(_contrast(known[0], scene), _CONTRAST_MIN))
    sky, sun, far, near, main, accent, dark, light = scene
    if known:
        main = known[0]
        candidates = [*known[1:], accent, sun, dark, light]
        accent = max(candidates, key=lambda colour: min(distance(colour, main), _CONTRAST_MIN))
    return Tones(
        sky=sky,
        sun=sun,
        far=far,
        near=near,
        main=main,
        shade=mix(main, dark, 0.32),
        glow=mix(main, light, 0.3),
        accent=accent,
        dark=dark,
        light=light,
    )


def _contrast(colour: str, scene: Sequence[str]) -> float:
    sky, _, far, near, *_ = scene
    return min(distance(colour, back) for back in (sky, far, near))


def _scene(t: Tones, seed: bytes) -> list[str]:
    across, up, bend = 70 + seed[1], 76 + seed[2] // 6, seed[3] // 6
    is_night = brightness(t.sky) < _NIGHT_BRIGHTNESS_MAX
    lights = [
        star(30 + seed[4 + n] * 1.3, 24 + seed[12 + n] // 3, 3 + n % 3, t.light) for n in range(7)
    ]
    birds = line(f"M{across - 96} {up + 30}q9 -9 16 0q9 -9 16 0", mix(t.sky, t.dark, 0.4), 3)
    return [
        rect(0, 0, 400, 400, t.sky),
        circle(across, up, 44, t.sun),
        circle(across + 17, up - 11, 37, t.sky) if is_night else birds,
        *(lights if is_night else []),
        path(
            f"M0 {236 + bend}Q90 {190 + bend} 190 {232 + bend // 2}T400 "
            f"{214 + bend}L400 400L0 400z",
            t.far,
        ),
        path(
            f"M0 {300 - bend // 2}Q120 {244 + bend} 230 {278 + bend // 2}T400 "
            f"{262 + bend // 2}L400 400L0 400z",
            t.near,
        ),
    ]
