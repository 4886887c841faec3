"""Drawings of what is slept in, under and beside: tents, bedding and lamps."""

from serai.cli.demo.shapes import (
    Tones,
    circle,
    diamond,
    ellipse,
    leaf,
    line,
    mix,
    path,
    rect,
    star,
)


def ridge_tent(t: Tones) -> list[str]:
    return [
        line("M70 312L104 300M330 312L300 300M200 96L200 84", t.dark, 5),
        path("M200 96L322 308L244 308z", t.shade),
        path("M200 96L78 308L244 308z", t.main),
        path("M200 96L128 308L196 308z", t.accent),
        path("M200 96L150 308L196 308z", t.dark),
        path("M200 96L128 308L152 308z", t.glow),
        line("M200 96L316 298", t.glow, 4),
    ]


def pavilion(t: Tones) -> list[str]:
    stripes = [path(f"M200 88L{104 + 48 * n} 168L{128 + 48 * n} 168z", t.light) for n in range(4)]
    walls = [rect(112 + 44 * n, 168, 22, 140, t.light) for n in range(4)]
    scallops = [circle(104 + 24 * n + 12, 170, 12, t.shade if n % 2 else t.light) for n in range(8)]
    return [
        line("M200 92L200 58", t.dark, 5),
        path("M202 58L240 68L202 80z", t.accent),
        rect(112, 168, 176, 140, t.main),
        *walls,
        path("M176 308L176 220Q200 188 224 220L224 308z", t.dark),
        path("M200 88L104 168L296 168z", t.main),
        *stripes,
        *scallops,
    ]


def bell_tent(t: Tones) -> list[str]:
    return [
        line("M62 318L120 236M338 318L280 236", t.dark, 3),
        path("M200 84Q250 190 308 236L308 308L92 308L92 236Q150 190 200 84z", t.main),
        path("M200 84Q250 190 308 236L308 308L240 308z", t.shade),
        path("M200 84Q206 220 246 308L154 308Q194 220 200 84z", t.glow),
        path("M200 150Q206 240 228 308L172 308Q194 240 200 150z", t.dark),
        path("M92 236Q200 262 308 236L308 250Q200 276 92 250z", t.accent),
        circle(200, 84, 7, t.dark),
    ]


def shade_sail(t: Tones) -> list[str]:
    return [
        line("M88 310L88 150M312 310L312 110M200 314L200 210", t.dark, 7),
        path(
            "M88 150Q190 170 312 110Q280 180 336 214Q250 200 200 216Q150 200 60 232Q92 190 88 150z",
            t.main,
        ),
        path("M88 150Q190 170 312 110Q300 136 300 158Q190 196 78 188Q90 170 88 150z", t.glow),
        line("M60 232L38 300M336 214L362 296", t.dark, 3),
        ellipse(200, 300, 70, 12, t.accent),
        ellipse(200, 296, 70, 12, t.light),
    ]


def bedroll(t: Tones) -> list[str]:
    return [
        rect(110, 214, 190, 92, t.main, round_by=12),
        rect(110, 214, 190, 30, t.glow, round_by=12),
        ellipse(112, 260, 30, 46, t.shade),
        ellipse(112, 260, 21, 33, t.main),
        ellipse(112, 260, 12, 19, t.shade),
        ellipse(112, 260, 4, 7, t.dark),
        rect(164, 212, 16, 96, t.dark),
        rect(248, 212, 16, 96, t.dark),
        rect(160, 248, 24, 18, t.accent, round_by=3),
        rect(244, 248, 24, 18, t.accent, round_by=3),
        line("M172 212Q214 150 256 212", t.dark, 8),
    ]


def blanket(t: Tones) -> list[str]:
    layers: list[str] = []
    for n, fill in enumerate((t.shade, t.main, t.accent, t.main)):
        y = 272 - 36 * n
        layers += [
            rect(96 + 4 * n, y, 208 - 8 * n, 36, fill, round_by=17),
            line(f"M{116 + 4 * n} {y + 27}L{270 - 4 * n} {y + 27}", mix(fill, t.dark, 0.25), 3),
        ]
    return [
        *layers,
        path("M212 164L262 164L262 300Q237 312 212 300z", t.light),
        *(diamond(237, 190 + 34 * n, 15, 13, t.shade if n % 2 else t.accent) for n in range(4)),
    ]


def pillow(t: Tones) -> list[str]:
    return [
        path(
            "M92 210Q80 196 100 196Q200 176 300 196Q320 196 308 210Q322 260 308 "
            "296Q318 312 298 308Q200 322 102 308Q82 312 92 296Q78 254 92 210z",
            t.main,
        ),
        path(
            "M92 268Q200 300 308 268Q312 288 308 296Q318 312 298 308Q200 322 102 "
            "308Q82 312 92 296z",
            t.shade,
        ),
        line("M120 214Q200 198 280 214", t.glow, 6),
        *(leaf(140 + 40 * n, 248, 20, t.accent, turn=30 if n % 2 else -30) for n in range(4)),
    ]


def hammock(t: Tones) -> list[str]:
    cords = "".join(f"M76 150L{118 + 22 * n} {210 + 26 - 3 * abs(n - 4)}" for n in range(4))
    other = "".join(f"M324 150L{282 - 22 * n} {210 + 26 - 3 * abs(n - 4)}" for n in range(4))
    return [
        line("M70 312Q60 200 74 96M330 312Q342 200 326 96", t.dark, 13),
        *(
            leaf(74 + dx, 88, 34, t.accent, turn=turn)
            for dx, turn in ((-24, -60), (0, 0), (24, 60))
        ),
        *(
            leaf(326 + dx, 88, 34, t.accent, turn=turn)
            for dx, turn in ((-24, -60), (0, 0), (24, 60))
        ),
        line(cords + other, t.light, 3),
        path("M112 226Q200 236 288 226Q272 292 200 294Q128 292 112 226z", t.main),
        path("M112 226Q200 266 288 226Q280 262 200 266Q120 262 112 226z", t.glow),
        line("M124 252Q200 286 276 252", t.shade, 5),
    ]


def lantern(t: Tones) -> list[str]:
    return [
        line("M156 122Q200 44 244 122", t.dark, 6),
        path("M200 92L258 140L142 140z", t.main),
        path("M200 92L258 140L206 140z", t.shade),
        rect(150, 140, 100, 140, mix(t.sun, t.light, 0.45)),
        circle(200, 218, 40, mix(t.sun, "#ffffff", 0.55)),
        path("M200 174Q226 212 212 236Q200 248 188 236Q174 212 200 174z", "#f2962e"),
        path("M200 202Q212 222 206 236Q200 242 194 236Q188 222 200 202z", "#fff0b8"),
        rect(194, 240, 12, 40, t.light),
        *(rect(x, 136, 8, 148, t.main) for x in (146, 246)),
        rect(136, 278, 128, 16, t.main, round_by=4),
        rect(126, 292, 148, 18, t.shade, round_by=5),
    ]


def star_lamp(t: Tones) -> list[str]:
    spots = [
        star(x, y, size, mix(t.sun, "#ffffff", 0.5))
        for x, y, size in (
            (200, 178, 20),
            (156, 168, 12),
            (244, 168, 12),
            (172, 214, 13),
            (228, 214, 13),
            (136, 206, 9),
            (264, 206, 9),
            (200, 248, 12),
            (160, 252, 8),
            (240, 252, 8),
        )
    ]
    return [
        '<circle cx="200" cy="206" r="124" fill="#ffe9b0" fill-opacity=".22"/>',
        line("M200 30L200 116", t.dark, 4),
        path("M172 130Q176 104 200 104Q224 104 228 130z", t.shade),
        circle(200, 208, 92, t.main),
        path("M200 116A92 92 0 0 1 200 300Q262 256 262 208Q262 150 200 116z", t.shade),
        *spots,
        path("M188 298L212 298L206 326L194 326z", t.accent),
    ]


def oil_lamp(t: Tones) -> list[str]:
    return [
        path("M76 212Q62 176 80 150Q98 178 88 212z", "#f2962e"),
        path("M78 210Q72 190 81 176Q90 192 86 210z", "#fff0b8"),
        line("M284 226Q346 214 330 256Q318 280 272 268", t.shade, 13),
        path(
            "M70 218L104 208Q150 238 180 204Q240 196 292 222Q300 286 222 292L166 "
            "292Q116 284 70 218z",
            t.main,
        ),
        path("M122 262Q210 276 294 244Q288 290 222 292L166 292Q140 286 122 262z", t.shade),
        path("M178 204Q208 182 240 204Q210 214 178 204z", t.dark),
        circle(208, 188, 9, t.accent),
        path("M156 290L232 290L250 310L138 310z", t.main),
        *(circle(166 + 26 * n, 242, 6, t.accent) for n in range(4)),
    ]


def candles(t: Tones) -> list[str]:
    drawn: list[str] = []
    for x, top in ((128, 176), (166, 146), (234, 160), (272, 190), (200, 120)):
        drawn += [
            rect(x - 18, top, 36, 306 - top, t.main, round_by=5),
            rect(x + 6, top, 12, 306 - top, t.shade, round_by=5),
            ellipse(x, top + 4, 18, 6, t.glow),
            line(f"M{x} {top + 2}L{x} {top - 8}", t.dark, 3),
            path(
                f"M{x} {top - 38}Q{x + 14} {top - 16} {x} {top - 6}Q{x - 14} "
                f"{top - 16} {x} {top - 38}z",
                "#f2962e",
            ),
            path(
                f"M{x} {top - 24}Q{x + 6} {top - 12} {x} {top - 7}Q{x - 6} {top - 12} "
                f"{x} {top - 24}z",
                "#fff0b8",
            ),
        ]
    return [
        *drawn,
        rect(104, 246, 192, 18, t.accent),
        line("M200 255L182 282M200 255L218 282", t.accent, 7),
    ]


def signal_lamp(t: Tones) -> list[str]:
    return [
        path("M232 200L400 120L400 300z", mix(t.sun, "#fff3c0", 0.3)),
        line("M110 132Q156 70 206 132", t.dark, 8),
        rect(98, 130, 122, 150, t.main, round_by=10),
        rect(98, 130, 34, 150, t.glow, round_by=10),
        rect(186, 130, 34, 150, t.shade, round_by=10),
        path("M218 160L246 148L246 256L218 242z", t.dark),
        ellipse(244, 202, 15, 56, t.dark),
        ellipse(245, 202, 11, 48, "#fff3c0"),
        *(rect(134, 160 + 26 * n, 50, 10, t.dark, round_by=4) for n in range(4)),
        rect(86, 278, 146, 16, t.accent, round_by=4),
        rect(78, 292, 162, 16, t.dark, round_by=4),
    ]
