"""Drawings of what is walked upon, sat upon and worn."""

from serai.cli.demo.shapes import (
    Tones,
    circle,
    diamond,
    ellipse,
    flattened,
    line,
    mix,
    path,
    rect,
    ring,
    star,
)


def rug(t: Tones) -> list[str]:
    fringe = "".join(
        f"M{118 + 12 * n} 92L{118 + 12 * n} 76M{118 + 12 * n} 308L{118 + 12 * n} 324"
        for n in range(15)
    )
    return [
        line(fringe, t.light, 4),
        rect(110, 90, 180, 220, t.shade, round_by=3),
        rect(120, 100, 160, 200, t.light),
        rect(126, 106, 148, 188, t.main),
        *(diamond(138 + 24.8 * n, y, 9, 8, t.accent) for n in range(6) for y in (118, 282)),
        diamond(200, 200, 58, 66, t.light),
        diamond(200, 200, 50, 57, t.shade),
        diamond(200, 200, 32, 37, t.accent),
        diamond(200, 200, 14, 17, t.light),
        *(diamond(x, y, 13, 15, t.accent) for x in (148, 252) for y in (152, 248)),
    ]


def flatweave(t: Tones) -> list[str]:
    bands: list[str] = []
    fills = (t.shade, t.accent, t.light, t.accent, t.shade)
    for n, fill in enumerate(fills):
        y = 106 + 40 * n
        zigzag = "".join(f"L{106 + 20 * k} {y + (26 if k % 2 else 6)}" for k in range(10))
        bands += [
            rect(106, y, 188, 34, t.main),
            line("M106 " + str(y + 16) + zigzag + f"L294 {y + 16}", fill, 7),
        ]
    fringe = "".join(
        f"M{114 + 12 * n} 88L{114 + 12 * n} 74M{114 + 12 * n} 314L{114 + 12 * n} 328"
        for n in range(15)
    )
    return [
        line(fringe, t.light, 4),
        rect(100, 86, 200, 230, t.dark, round_by=3),
        rect(106, 92, 188, 218, t.glow),
        *bands,
    ]


def felt_roll(t: Tones) -> list[str]:
    return [
        path("M130 198L292 176Q326 176 326 222Q326 262 296 270L134 306z", t.main),
        path("M132 258L324 226Q326 262 296 270L134 306z", t.shade),
        circle(128, 252, 55, t.glow),
        *(ring(128, 252, r, t.shade, 5) for r in (44, 31, 18, 6)),
        path("M214 187L238 184L240 283L216 288z", t.accent),
        *(star(x, y, 12, t.light) for x, y in ((190, 232), (276, 216))),
    ]


def cushion(t: Tones) -> list[str]:
    return [
        *(
            line(
                f"M{x} {y}l{dx} {dy}m{-dx} {-dy}l{dx} {dy * 2}m{-dx} {-dy * 2}l{dx * 2} {dy}",
                t.accent,
                5,
            )
            for x, y, dx, dy in (
                (98, 140, -11, -11),
                (302, 140, 11, -11),
                (98, 300, -11, 9),
                (302, 300, 11, 9),
            )
        ),
        path("M98 140Q200 122 302 140Q320 220 302 300Q200 316 98 300Q80 220 98 140z", t.main),
        path("M98 300Q200 280 302 300Q200 316 98 300z", t.shade),
        path("M262 134L302 140Q320 220 302 300L262 305Q276 220 262 134z", t.shade),
        diamond(194, 220, 70, 66, t.light),
        diamond(194, 220, 58, 54, t.accent),
        diamond(194, 220, 34, 32, t.main),
        star(194, 220, 17, t.light),
    ]


def scarf(t: Tones) -> list[str]:
    tassels = "".join(f"M{118 + 13 * n} 296L{116 + 13 * n} 318" for n in range(6))
    others = "".join(f"M{222 + 13 * n} 268L{224 + 13 * n} 290" for n in range(6))
    return [
        line("M86 96L314 96", t.dark, 9),
        circle(86, 96, 9, t.accent),
        circle(314, 96, 9, t.accent),
        line(others + tassels, t.light, 5),
        path("M212 92L288 92Q304 180 296 272L216 272Q224 180 212 92z", t.shade),
        path("M116 92Q164 80 214 92Q206 200 196 300L110 300Q124 190 116 92z", t.main),
        path("M116 92Q140 85 160 86Q160 200 146 300L110 300Q124 190 116 92z", t.glow),
        path("M115 240L203 240L201 258L113 258z", t.accent),
        path("M113 268L200 268L199 276L112 276z", t.light),
        path("M218 226L299 226L298 242L218 242z", t.accent),
    ]


def cloak(t: Tones) -> list[str]:
    return [
        path(
            "M164 104Q200 64 236 104L262 140Q318 220 316 304Q200 326 84 304Q82 220 138 140z", t.main
        ),
        path("M236 104L262 140Q318 220 316 304Q276 312 244 313Q262 200 214 128z", t.shade),
        path("M156 132Q160 84 200 78Q240 84 244 132Q200 168 156 132z", t.glow),
        path("M172 128Q176 98 200 96Q224 98 228 128Q200 150 172 128z", t.dark),
        path("M192 146L208 146L222 313L178 313z", t.dark),
        circle(200, 154, 12, t.accent),
        line("M86 288Q200 310 314 288", t.accent, 6),
    ]


def vest(t: Tones) -> list[str]:
    quilt = "".join(
        (
            f"M{114 + 4 * (n % 2)} {170 + 24 * n}L190 {178 + 24 * n}"
            f"M{286 - 4 * (n % 2)} {170 + 24 * n}L210 {178 + 24 * n}"
        )
        for n in range(6)
    )
    return [
        path(
            "M146 92L176 86Q200 112 224 86L254 92Q258 140 290 160L286 312L114 312"
            "L110 160Q142 140 146 92z",
            t.shade,
        ),
        path("M146 92L172 86L198 168L198 312L114 312L110 160Q142 140 146 92z", t.main),
        path(
            "M254 92L228 86L202 168L202 312L286 312L290 160Q258 140 254 92z",
            mix(t.main, t.shade, 0.5),
        ),
        line(quilt, t.glow, 4),
        line("M172 86L200 168L228 86", t.accent, 8),
        line("M200 168L200 312", t.accent, 6),
        *(circle(188, 196 + 34 * n, 6, t.light) for n in range(4)),
    ]


def sun_hat(t: Tones) -> list[str]:
    return [
        ellipse(200, 266, 142, 38, t.shade),
        ellipse(200, 258, 142, 36, t.main),
        flattened(198, 0.233, ring(200, 258, 116, t.shade, 6)),
        path("M122 256Q122 140 200 136Q278 140 278 256Q200 282 122 256z", t.glow),
        path("M224 139Q278 150 278 256Q252 266 228 268Q256 200 224 139z", t.main),
        path("M121 222Q200 250 279 222L279 254Q200 282 121 254z", t.accent),
        line("M148 176Q200 194 252 176M138 202Q200 222 262 202", t.shade, 3),
    ]
