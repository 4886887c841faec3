"""Serves the demo shop's pictures: drawn when first asked for, then kept in memory."""

import functools
import hashlib
from typing import Any, Final

from litestar import Request, Response, get
from litestar.params import FromPath

from serai.cli.demo.goods import Goods, demo_goods
from serai.cli.demo.pictures import picture
from serai.kernel.failure import NotFound
from serai.kernel.web import OPEN

MEDIA_TYPE: Final = "image/svg+xml"
KEPT_BY_CLIENTS_S: Final = 86_400
_SUFFIX: Final = ".svg"
_HEADERS: Final = {
    "Cache-Control": f"public, max-age={KEPT_BY_CLIENTS_S}",
    # A picture that is opened by itself is a document: it may draw, and nothing else.
    "Content-Security-Policy": "default-src 'none'",
}


def media_routes() -> list[Any]:
    """GET /media/demo/{handle}.svg, open to everyone as a shop's pictures are."""

    # A path parameter is a whole segment for Litestar, so the suffix is looked at here.
    @get("/media/demo/{file_name:str}", include_in_schema=False, opt={OPEN: "pictures"})
    async def show_picture(
        request: Request[Any, Any, Any], file_name: FromPath[str]
    ) -> Response[bytes]:
        """One product's picture, or 304 where the client has it already."""
        goods = _goods().get(file_name.removesuffix(_SUFFIX))
        if goods is None or not file_name.endswith(_SUFFIX):
            raise NotFound("the demo shop has no such picture")
        data, tag = _drawn(goods.handle)
        headers = {**_HEADERS, "ETag": tag}
        if request.headers.get("if-none-match") == tag:
            return Response(b"", status_code=304, headers=headers)
        return Response(data, media_type=MEDIA_TYPE, headers=headers)

    return [show_picture]


@functools.cache
def _goods() -> dict[str, Goods]:
    return {goods.handle: goods for goods in demo_goods("")}


@functools.cache
def _drawn(handle: str) -> tuple[bytes, str]:
    """The picture and its entity tag. The list of products bounds how many are kept."""
    goods = _goods()[handle]
    data = picture(handle, title=goods.title, category=goods.category, colours=goods.colours)
    return data, f'"{hashlib.sha256(data).hexdigest()[:16]}"'
